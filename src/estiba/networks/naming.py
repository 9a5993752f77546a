"""Names that the kernel sees: of the table, the bridges and the links. They follow from the run directory alone.

Two installations have different run directories, so they never meet; the usual one has names that a person knows.
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.oci.digest import Digest

DEFAULT_RUN = "/run/estiba"
DEFAULT_NETWORK = "bridge"
RESERVED = frozenset({"bridge", "host", "none", "default", "container"})

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_FURTHER = _FIRST | frozenset("_.-")
_LONGEST = 63


def check_name(name: str) -> None:
    """Accept the name of a network that a user makes.

    Raises:
        InvalidInput: a character that is not allowed, too long, or a name with a meaning of its own.
    """
    if not 0 < len(name) <= _LONGEST or name[0] not in _FIRST or not _FURTHER.issuperset(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of a network",
            remedy="Use letters, digits, '_', '.' and '-', at most 63, the first a letter or digit.",
        )
    if name in RESERVED:
        raise InvalidInput(f"the network name {name!r} has a meaning of its own", remedy="Choose another name.")


def table_of(run: str) -> str:
    """The nftables table of an installation."""
    return "estiba" if run == DEFAULT_RUN else f"est-{_short(run)}"


def device_of(run: str, network: str) -> str:
    """The bridge of a network. (A link's name has at most 15 bytes.)"""
    if network == DEFAULT_NETWORK:
        return "estiba0" if run == DEFAULT_RUN else f"est-{_short(run)}"
    return f"est-{_short(run, network)}"


_NOTE = "estiba network {} of {}"


def note_of(run: str, network: str) -> str:
    """What `ip link` says of the bridge; `run_of_note` reads it back."""
    return _NOTE.format(network, run)


def run_of_note(note: str) -> str | None:
    """The run directory of the installation that made a bridge with such a note, or None."""
    import re  # only those who clear up ask

    match = re.fullmatch(r"estiba network [\w.-]+ of (/.+)", note, re.ASCII | re.DOTALL)
    return match[1] if match and len(note.encode()) < 255 else None


def veth_of(run: str, network: str, key: str) -> str:
    """The host's end of a container's link."""
    return f"ve{_short(run, network, key)}"


def _short(*parts: str) -> str:
    return Digest.of("\0".join(parts).encode()).hex[:10]
