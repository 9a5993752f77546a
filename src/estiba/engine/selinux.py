"""SELinux labels of a container by the policy's own words and the user's (container_contexts(5)). Pure."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotThereYet
from estiba.values import NamedTuple

_PARTS = ("user", "role", "type", "level")
_CATEGORIES = 1024
_OF_THE_SYSTEM = """
/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var
"""
NEVER_RELABELLED = frozenset(_OF_THE_SYSTEM.split())
"""Directories of the system, whose files others need as they are labelled."""


class Labels(NamedTuple):
    """Of the container's processes, and of its files."""

    process: str
    files: str


def contexts(text: str) -> Labels | None:
    """What a policy's file ``lxc_contexts`` says; None where it says nothing of containers."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            found[name.strip()] = value.strip().strip('"')
    if not found.get("process") or not found.get("file"):
        return None
    return Labels(found["process"], found["file"])


def level(number: int) -> str:
    """Two categories, by which containers are kept apart; `number` chooses among all pairs."""
    one, other = number % _CATEGORIES, number // _CATEGORIES % (_CATEGORIES - 1)
    other += other >= one  # never the same twice
    return f"s0:c{min(one, other)},c{max(one, other)}"


def with_options(base: Labels, options: tuple[str, ...], *, own_level: str) -> Labels:
    """`base` with a level of its own, and with what follows ``label=`` in each of `options`.

    Raises:
        InvalidInput: an option that is none. NotThereYet: one of Docker's or Podman's that is not there yet.
    """
    process, files = _split(base.process), _split(base.files)
    process["level"] = files["level"] = own_level
    for option in options:
        name, _, value = option.partition(":")
        if name == "nested":
            raise NotThereYet("--security-opt label=nested is not there yet", remedy="Leave it out.")
        if not value or name not in (*_PARTS, "filetype"):
            raise InvalidInput(
                f"invalid --security-opt label={option}",
                remedy="There are disable, user:, role:, type:, level: and filetype: with a value.",
            )
        if name == "filetype":
            files["type"] = value
            continue
        process[name] = value
        if name in ("user", "level"):
            files[name] = value
    return Labels(*(":".join(label[part] for part in _PARTS) for label in (process, files)))


def shared(label: str) -> str:
    """The label of files that any container may use."""
    parts = _split(label)
    parts["level"] = "s0"
    return ":".join(parts[part] for part in _PARTS)


def _split(label: str) -> dict[str, str]:
    parts = label.split(":", 3)
    if len(parts) < 3:
        raise InvalidInput(f"{label!r} is no SELinux label", remedy="See lxc_contexts of the policy.")
    return dict(zip(_PARTS, (*parts, "s0")[:4], strict=True))
