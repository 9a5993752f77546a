"""References: ``registry/repository:tag@digest``, parsed once, with the rules that Docker's tools share."""

from __future__ import annotations

import re

from estiba.errors import InvalidInput
from estiba.oci.digest import Digest
from estiba.values import NamedTuple

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_LONGEST_NAME = 255


class InvalidReference(InvalidInput):
    def __init__(self, text: str, reason: str) -> None:
        super().__init__(
            f"invalid reference {text!r}: {reason}",
            remedy="Write [REGISTRY/]REPOSITORY[:TAG][@DIGEST], in lower case, such as localhost:5000/team/app:1.0.",
        )


class Reference(NamedTuple):
    """Where an image is: `registry` is a host with an optional port, `repository` a path below it.

    `tag` and `digest` are None where the text named none; `tagged` fills in ``latest`` where both are missing.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as a person writes it: ``busybox`` is ``docker.io/library/busybox``.

        The tag stays None where none is written. Sections: distribution-spec "Pulling manifests" for the grammar,
        and the familiar names of Docker for the default registry.

        Raises:
            InvalidReference: a bad character, an upper-case repository, an empty part, a name over 255 characters.
        """
        if not text:
            raise InvalidReference(text, "it is empty")
        if _IDENTIFIER.fullmatch(text):
            raise InvalidReference(text, "64 hex digits are an image ID, not a name")
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        registry, remainder = _split_registry(rest)
        repository, colon, tag = remainder.partition(":")
        if colon and not TAG.fullmatch(tag):
            raise InvalidReference(text, f"{tag!r} is not a tag (letters, digits, '_', '.', '-'; at most 128)")
        if registry == DEFAULT_REGISTRY and "/" not in repository:
            repository = _OFFICIAL + repository
        if not REPOSITORY.fullmatch(repository):
            upper = repository.lower() != repository
            raise InvalidReference(
                text, "the repository must be lower case" if upper else "the repository is malformed"
            )
        if not _HOST.fullmatch(registry):
            raise InvalidReference(text, f"{registry!r} is not a host name")
        if len(registry) + 1 + len(repository) > _LONGEST_NAME:
            raise InvalidReference(text, f"the name is longer than {_LONGEST_NAME} characters")
        return cls(registry, repository, tag if colon else None, digest)

    @property
    def tagged(self) -> Reference:
        """The same with ``:latest`` where neither a tag nor a digest is given."""
        return self if self.tag or self.digest else self._replace(tag=DEFAULT_TAG)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """`name` as people write it: the default registry and ``library/`` are left out."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        return self.repository.removeprefix(_OFFICIAL)

    @property
    def familiar(self) -> str:
        """The whole as people write it, such as ``busybox:latest``."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix


def _split_registry(text: str) -> tuple[str, str]:
    """The first component is a registry if it looks like a host: a dot, a colon, ``localhost``, or upper case."""
    first, slash, rest = text.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first)
    if not is_host:
        return DEFAULT_REGISTRY, text
    if first in {"index.docker.io", "registry-1.docker.io"}:
        first = DEFAULT_REGISTRY
    return first, rest
