"""Names of units and slices, and where their control groups lie (systemd.unit(5), systemd.slice(5)). Pure."""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.values import NamedTuple

SYSTEM_SLICE = "system.slice"
USER_SLICE = "user.slice"
PREFIX = "estiba"
_LONGEST = 255
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_SHAPE = "Give linux.cgroupsPath as slice:prefix:name, such as system.slice:docker:1234."


class Scope(NamedTuple):
    """A scope to be: the name of its unit, the slice it belongs to, and what its description tells."""

    unit: str
    slice: str
    title: str

    def path(self) -> str:
        """Where its group lies below the manager's own."""
        return expand_slice(self.slice) + "/" + self.unit


def scope_of(cgroups_path: str, container_id: str, *, is_user: bool) -> Scope:
    """The scope that ``slice:prefix:name`` means, which is how runtimes spell `linux.cgroupsPath` for systemd.

    An empty slice is the manager's default, an empty prefix leaves the name alone. "" is a scope of our own naming.

    Raises:
        InvalidInput: it is of another shape, or systemd could not have such a unit.
    """
    default = USER_SLICE if is_user else SYSTEM_SLICE
    if not cgroups_path:
        return _checked(Scope(f"{PREFIX}-{container_id}.scope", default, container_id))
    parts = cgroups_path.split(":")
    if len(parts) != 3 or not parts[2]:
        raise InvalidInput(
            f"with systemd linux.cgroupsPath must be slice:prefix:name, not {cgroups_path!r}", remedy=_SHAPE
        )
    parent, prefix, name = parts
    if name.endswith(".slice"):
        raise InvalidInput(f"a container lives in a scope, and {name!r} is a slice", remedy=_SHAPE)
    return _checked(Scope(f"{prefix}-{name}.scope" if prefix else f"{name}.scope", parent or default, name))


def expand_slice(name: str) -> str:
    """``a-b.slice`` -> ``/a.slice/a-b.slice``: a dash in a slice's name stands for a level; ``-.slice`` is the root.

    Raises:
        InvalidInput: it is no slice's name.
    """
    stem = name.removesuffix(".slice")
    if stem == name or not stem or "/" in name or not set(name) <= _ALLOWED:
        raise InvalidInput(f"{name!r} is no name of a slice", remedy=_SHAPE)
    if stem == "-":
        return ""
    path, above = "", ""
    for part in stem.split("-"):
        if not part:
            raise InvalidInput(f"{name!r} is no name of a slice: a part between dashes is empty", remedy=_SHAPE)
        above = f"{above}-{part}" if above else part
        path += f"/{above}.slice"
    return path


def _checked(scope: Scope) -> Scope:
    if not set(scope.unit) <= _ALLOWED or len(scope.unit) > _LONGEST or scope.unit.startswith("."):
        raise InvalidInput(f"systemd can have no unit named {scope.unit!r}", remedy=_SHAPE)
    expand_slice(scope.slice)
    return scope
