"""``RUN --mount=…``: its fields, read into a value (Dockerfile reference, "RUN --mount")."""

from __future__ import annotations

import re
from collections.abc import Callable

from estiba.dockerfile.errors import near
from estiba.dockerfile.instructions import MountFlag
from estiba.values import NamedTuple

KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})

# The field's name -> what it is called here, and the kinds of mount that have it.
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_ALLOWED = {
    "type": KINDS,
    "from": ("bind", "cache"),
    "source": ("bind", "cache", "secret"),
    "target": KINDS,
    "readonly": KINDS,
    "readwrite": KINDS,
    "id": KINDS,
    "sharing": ("cache",),
    "required": ("secret", "ssh"),
    "size": ("tmpfs",),
    "mode": ("cache", "secret", "ssh"),
    "uid": ("cache", "secret", "ssh"),
    "gid": ("cache", "secret", "ssh"),
    "env": ("secret",),
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([kmgtp]?)(?:i?b)?")
_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}


class BadMount(ValueError):
    """A mount's fields make no sense; whoever knows the place translates this."""

    def __init__(self, claim: str, remedy: str = "") -> None:
        super().__init__(claim)
        self.claim = claim
        self.remedy = remedy


class Mount(NamedTuple):
    """A mount with its variables expanded and the defaults of its kind where nothing is said; None: not said."""

    kind: str = "bind"
    source_name: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    identifier: str = ""
    sharing: str = "shared"
    required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    variable: str = ""


def split_fields(text: str) -> MountFlag:
    """The fields of a flag's value, unread."""
    fields: list[tuple[str, str | None]] = []
    for field in text.split(","):
        name, equals, value = field.partition("=")
        name = name.strip().lower()
        fields.append((_ALIASES.get(name, name), value if equals else None))
    return MountFlag(tuple(fields), text)


def read_mount(flag: MountFlag, expand: Callable[[str], str]) -> Mount:
    """Read the fields; `expand` replaces the variables in a value.

    Raises:
        BadMount: an unknown field, one that this kind has not, or a value of the wrong form.
    """
    values = {name: None if value is None else expand(value) for name, value in flag.fields}
    for name in values:
        if name not in _ALLOWED:
            remedy = near(name, _ALLOWED) or f"A mount has {', '.join(_ALLOWED)}."
            raise BadMount(f"unknown field {name!r} of --mount", remedy)
    kind = (values.get("type") or "bind").lower()
    if kind not in KINDS:
        raise BadMount(f"unknown kind of mount {kind!r}", near(kind, KINDS) or f"There are {', '.join(KINDS)}.")
    for name in values:
        if kind not in _ALLOWED[name]:
            raise BadMount(f"a {kind} mount has no {name!r}")
    mount = Mount(
        kind=kind,
        source_name=values.get("from") or "",
        source=values.get("source") or "",
        target=values.get("target") or "",
        read_only=_read_only(kind, values),
        identifier=values.get("id") or "",
        sharing=_one_of("sharing", (values.get("sharing") or "shared").lower(), _SHARING),
        required=_boolean(values, "required", default=False),
        size=_size(values.get("size")),
        mode=_number(values, "mode", 8),
        uid=_number(values, "uid", 10),
        gid=_number(values, "gid", 10),
        variable=values.get("env") or "",
    )
    _check_targets(mount)
    return mount


def _check_targets(mount: Mount) -> None:
    if mount.kind in ("bind", "cache", "tmpfs") and not mount.target:
        raise BadMount(f"a {mount.kind} mount needs a target", "Write target=PATH.")
    if mount.kind == "secret":
        if mount.source and mount.identifier:
            raise BadMount("a secret is named by id or by source, not both")
        if not (mount.source or mount.identifier or mount.target):
            raise BadMount("a secret mount needs an id", "Write id=NAME.")


def _read_only(kind: str, values: dict[str, str | None]) -> bool:
    if "readwrite" in values:
        return not _boolean(values, "readwrite", default=True)
    return _boolean(values, "readonly", default=kind not in ("cache", "tmpfs"))


def _boolean(values: dict[str, str | None], name: str, *, default: bool) -> bool:
    if name not in values:
        return default
    value = values[name]
    if value is None or value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise BadMount(f"{name} is true or false, not {value!r}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise BadMount(f"unknown {name} {value!r}", near(value, known) or f"There are {', '.join(known)}.")
    return value


def _number(values: dict[str, str | None], name: str, base: int) -> int | None:
    if name not in values:
        return None
    value = values[name] or ""
    digits = "01234567" if base == 8 else "0123456789"
    if not value or len(value) > 12 or not all(char in digits for char in value):
        raise BadMount(f"{name} is {'an octal' if base == 8 else 'a'} number, not {value!r}")
    return int(value, base)


def _size(value: str | None) -> int:
    """Bytes; ``64m`` and ``1.5GiB`` are powers of 1024."""
    if value is None:
        return 0
    match = _SIZE.fullmatch(value.strip().lower())
    if match is None:
        raise BadMount(f"size is a number of bytes such as 64m, not {value!r}")
    return int(float(match[1]) * _UNITS[match[2] or "b"])
