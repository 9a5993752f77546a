"""Sources that are addresses: a URL of a file, a git repository. Read into values; nothing is asked of any server.

The forms of a repository are those of BuildKit: ``https://HOST/X.git``, ``git://``, ``ssh://`` and ``USER@HOST:PATH``,
followed by ``?ref=…&subdir=…`` (Dockerfile 1.18) or the older ``#REF:SUBDIR``.
"""

from __future__ import annotations

import re
from posixpath import basename, normpath

from estiba.values import NamedTuple

_URL = re.compile(r"https?://", re.IGNORECASE)
_REPOSITORY = re.compile(r"(?:git|ssh)://|https?://[^#?]+\.git(?:[#?]|$)", re.IGNORECASE)
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:(?!//)[^\s]")
_SHORT = "github.com/"
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_TRUE, _FALSE = ("", "1", "t", "true"), ("0", "f", "false")
_UNNAMED = "__unnamed__"
_CREDENTIALS = re.compile(r"(https?://)[^/@\s]+@|(://[^/@\s:]*:)[^/@\s]+@", re.IGNORECASE)


class BadAddress(ValueError):
    """An address that makes no sense; whoever knows the place translates this."""

    def __init__(self, claim: str, remedy: str = "") -> None:
        super().__init__(claim)
        self.claim = claim
        self.remedy = remedy


class GitAddress(NamedTuple):
    """A repository and what of it: `ref` a branch, a tag or a commit ("": the default branch), `subdir` a directory.

    `checksum` is the commit that `ref` must be, or the first digits of its name. `keeps_git_dir` is None where the
    address does not say.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keeps_git_dir: bool | None = None
    submodules: bool = True


def is_url(text: str) -> bool:
    return _URL.match(text) is not None


def is_repository(text: str, *, takes_short_form: bool = False) -> bool:
    """Whether `text` has a form of a git repository; the short one, ``github.com/A/B``, may be a path as well."""
    if takes_short_form and text.startswith(_SHORT):
        return True
    return _REPOSITORY.match(text) is not None or _SCP.match(text) is not None


def git_address(text: str) -> GitAddress:
    """Read the address of a repository.

    Raises:
        BadAddress: an unknown or contradictory part, a ref or subdirectory that can be none.
    """
    from urllib.parse import unquote  # only where there is an address

    if text.startswith(_SHORT):
        text = f"https://{text}"
    rest, _, fragment = text.partition("#")
    remote, _, query = rest.partition("?")
    ref, _, subdir = fragment.partition(":")
    address = GitAddress(remote, unquote(ref), unquote(subdir))
    if query:
        address = _with_query(address, query)
    _check(address, text)
    return address._replace(subdir=normpath("/" + address.subdir).lstrip("/"))


def _with_query(address: GitAddress, query: str) -> GitAddress:
    from urllib.parse import parse_qsl

    fields: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in fields:
            raise BadAddress(f"{name}= stands twice in the address")
        if not value and name not in ("submodules", "keep-git-dir"):
            raise BadAddress(f"{name}= has no value in the address")
        fields[name] = value
    ref, subdir, checksum = address.ref, address.subdir, ""
    for name, value in fields.items():
        if name == "subdir":
            subdir = _agreed("subdir", subdir, value)
        elif name in ("ref", "tag", "branch"):
            prefix = {"ref": "", "tag": "refs/tags/", "branch": "refs/heads/"}[name]
            ref = _agreed("ref", ref, value if value.startswith(prefix) else prefix + value)
        elif name in ("checksum", "commit"):
            checksum = _agreed("checksum", checksum, value)
        elif name == "submodules":
            address = address._replace(submodules=_boolean(name, value))
        elif name == "keep-git-dir":
            address = address._replace(keeps_git_dir=_boolean(name, value))
        else:
            raise BadAddress(
                f"unknown part {name!r} in the address of a repository",
                "There are ref, branch, tag, commit, checksum, subdir, keep-git-dir and submodules.",
            )
    return address._replace(ref=ref or checksum, subdir=subdir, checksum=checksum)


def _agreed(what: str, one: str, other: str) -> str:
    if one and one != other:
        raise BadAddress(f"the address contradicts itself: its {what} is {one!r} and {other!r}")
    return other


def _boolean(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise BadAddress(f"{name}= in the address is true or false, not {value!r}")


def _check(address: GitAddress, text: str) -> None:
    """What a program would take for an option, or could not take at all."""
    from urllib.parse import urlsplit

    if address.remote.startswith("-") or any(char in text for char in "\0\n\r"):
        raise BadAddress("this is no address of a repository")
    host = address.remote.partition("@")[2] if _SCP.match(address.remote) else urlsplit(address.remote).hostname or ""
    if not host or host.startswith("-"):
        raise BadAddress("the address of a repository needs the name of a host")
    ref = address.ref
    if ref.startswith("-") or ".." in ref or any(ord(char) < 33 or char in "~^:?*[\\\x7f" for char in ref):
        raise BadAddress(f"{ref!r} can be no branch, tag or commit")
    if address.checksum:
        check_commit(address.checksum)


def check_commit(text: str) -> None:
    """Raises:
    BadAddress: `text` is no name of a commit, whole or its first seven digits or more.
    """
    if not _COMMIT.fullmatch(text):
        raise BadAddress(f"{text!r} is no commit", "A commit has 40 hexadecimal digits; its first 7 do.")


def check_digest(text: str) -> None:
    """Raises:
    BadAddress: `text` is no digest of a file.
    """
    if not _DIGEST.fullmatch(text):
        raise BadAddress(f"{text!r} is no digest", "Write sha256: and the 64 digits that sha256sum prints.")


def file_name(url: str) -> str:
    """What a file is called that comes from `url`: the last part of its path.

    As in BuildKit a server has no say: neither a redirect nor a Content-Disposition names a file in the image.
    """
    from urllib.parse import unquote, urlsplit

    name = basename(normpath(unquote(urlsplit(url).path) or "/"))
    return _UNNAMED if name in ("", ".", "..") or "\0" in name else name


def shown(text: str) -> str:
    """An address without a password or token in it."""
    return _CREDENTIALS.sub(lambda found: f"{found[1] or found[2]}***@", text)
