"""References: ``registry/repository:tag@digest``, parsed once, with the rules that Docker's tools share."""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.oci.digest import Digest
from estiba.values import NamedTuple

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"

# By hand: regular expressions would take 4 ms of each command to load.
_DIGITS = frozenset("0123456789")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz") | _DIGITS
_LETTERS = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_IN_TAGS = _LETTERS | frozenset("._-")
_IN_HOSTS = _LETTERS | frozenset("-")
_HEX = frozenset("0123456789abcdef")
_IN_ADDRESSES = _HEX | frozenset("ABCDEF:")
_LONGEST_TAG = 128
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
        if len(text) == 64 and _HEX.issuperset(text):
            raise InvalidReference(text, "64 hex digits are an image ID, not a name")
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        registry, remainder = _split_registry(rest)
        repository, colon, tag = remainder.partition(":")
        if colon and not is_tag(tag):
            raise InvalidReference(text, f"{tag!r} is not a tag (letters, digits, '_', '.', '-'; at most 128)")
        if registry == DEFAULT_REGISTRY and "/" not in repository:
            repository = _OFFICIAL + repository
        if not is_repository(repository):
            upper = repository.lower() != repository
            raise InvalidReference(
                text, "the repository must be lower case" if upper else "the repository is malformed"
            )
        if not _is_host(registry):
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
        """`name` as people write it: the default registry and ``library/`` are left out, where that says the same."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        official = self.repository.removeprefix(_OFFICIAL)
        if "/" not in official:
            return self.name if len(official) == 64 and _HEX.issuperset(official) else official
        return self.repository if _split_registry(self.repository)[0] == DEFAULT_REGISTRY else self.name

    @property
    def familiar(self) -> str:
        """The whole as people write it, such as ``busybox:latest``."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix


def is_tag(text: str) -> bool:
    """Whether it is a tag (distribution-spec, "Pulling manifests"): ``[A-Za-z0-9_][A-Za-z0-9._-]{0,127}``."""
    return 0 < len(text) <= _LONGEST_TAG and _IN_TAGS.issuperset(text) and text[0] not in ".-"


def is_repository(text: str) -> bool:
    """Whether it is a repository's name: parts between slashes that are lower-case letters and digits, joined by one
    dot, one or two underscores, or any number of dashes."""
    return all(map(_is_component, text.split("/")))


def _is_component(part: str) -> bool:
    if _LOWER.issuperset(part):
        return bool(part)
    joint = ""
    has_begun = False
    for character in part:
        if character in _LOWER:
            if joint and not (has_begun and (joint in (".", "_", "__") or not joint.strip("-"))):
                return False
            joint = ""
            has_begun = True
        elif character in "._-":
            joint += character
        else:
            return False
    return has_begun and not joint


def _is_host(text: str) -> bool:
    """A name or an address, with a port or not: ``localhost:5000``, ``[::1]``."""
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        is_name = bool(bracket and address) and _IN_ADDRESSES.issuperset(address)
        has_port = bool(port)
        port = port.removeprefix(":") if port.startswith(":") else "?" if port else ""
    else:
        name, colon, port = text.partition(":")
        labels = name.split(".")
        is_name = all(
            label and _IN_HOSTS.issuperset(label) and label[0] != "-" and label[-1] != "-" for label in labels
        )
        has_port = bool(colon)
    return is_name and (not has_port or (bool(port) and _DIGITS.issuperset(port)))


def _split_registry(text: str) -> tuple[str, str]:
    """The first component is a registry if it looks like a host: a dot, a colon, ``localhost``, or upper case."""
    first, slash, rest = text.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first)
    if not is_host:
        return DEFAULT_REGISTRY, text
    if first in {"index.docker.io", "registry-1.docker.io"}:
        first = DEFAULT_REGISTRY
    return first, rest
