"""``-v``, ``--mount`` and ``--tmpfs`` as Docker writes them → `VolumeMount`. Pure."""

from __future__ import annotations

import posixpath
import re

from estiba.engine import idmap_option
from estiba.engine.options import VolumeMount
from estiba.errors import InvalidInput, NotThereYet

_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


def parse_volume(text: str, *, current_directory: str) -> VolumeMount:
    """``[SOURCE:]TARGET[:OPTIONS]``; a source with a slash is a path of the host, else the name of a volume.

    Raises:
        InvalidInput: too many parts, a target that is not absolute, an unknown option.
    """
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidInput(f"invalid volume {text!r}", remedy="Write SOURCE:TARGET[:ro], or TARGET alone.")
    if len(parts) == 1:
        return VolumeMount("volume", checked_target(parts[0], text))
    source, target = parts[0], checked_target(parts[1], text)
    if source.startswith((".", "/", "~")):
        options = ["rbind"]
        mount = VolumeMount("bind", target, _absolute(source, current_directory), make_source=True)
    else:
        options = []
        mount = VolumeMount("volume", target, checked_volume_name(source))
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            mount = mount._replace(read_only=option == "ro")
        elif option in _PROPAGATIONS and mount.kind == "bind":
            options.append(option)
        elif option == "nocopy" and mount.kind == "volume":
            mount = mount._replace(copy_up=False)
        elif idmap_option.is_idmap(option):
            options.append(idmap_option.checked(option, text))
        elif option not in ("z", "Z", "consistent", "cached", "delegated", ""):
            raise InvalidInput(f"invalid option {option!r} in volume {text!r}", remedy="Options are ro, rw, nocopy.")
    return mount._replace(options=tuple(options))


def parse_mount(text: str, *, current_directory: str) -> VolumeMount:
    """``type=bind,source=…,target=…,readonly`` and the like; ``volume`` where no type is given.

    Raises:
        InvalidInput: a missing or an unknown key, or a value that does not fit the type.
        NotThereYet: a type or key of Docker that Estiba does not have.
    """
    keys: dict[str, str] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        keys[_KEY_ALIASES.get(key.strip().lower(), key.strip().lower())] = value.strip()
    kind = keys.pop("type", "volume")
    if kind not in ("bind", "volume", "tmpfs"):
        raise NotThereYet(f"mounts of type {kind!r} are not there yet", remedy="Types are bind, volume and tmpfs.")
    if "target" not in keys:
        raise InvalidInput(f"mount {text!r} has no target", remedy="Add target=/PATH/IN/THE/CONTAINER.")
    target = checked_target(keys.pop("target"), text)
    source = keys.pop("source", "")
    read_only = _boolean(keys.pop("readonly", "false"), text)
    if kind == "bind":
        if not source:
            raise InvalidInput(f"mount {text!r} has no source", remedy="Add source=/PATH/OF/THE/HOST.")
        propagation = keys.pop("bind-propagation", "")
        if propagation and propagation not in _PROPAGATIONS:
            raise InvalidInput(f"invalid bind-propagation {propagation!r}")
        options = ("rbind", *((propagation,) if propagation else ()))
        mount = VolumeMount(kind, target, _absolute(source, current_directory), read_only, options)
    elif kind == "volume":
        copy_up = not _boolean(keys.pop("volume-nocopy", "false"), text)
        mount = VolumeMount(kind, target, checked_volume_name(source) if source else "", read_only, copy_up=copy_up)
    else:
        if source:
            raise InvalidInput(f"mount {text!r}: a tmpfs has no source")
        size, mode = keys.pop("tmpfs-size", ""), keys.pop("tmpfs-mode", "")
        options = (*((f"size={size}",) if size else ()), *((f"mode={mode}",) if mode else ()))
        mount = VolumeMount(kind, target, "", read_only, options)
    if keys:
        raise NotThereYet(f"mount {text!r}: {', '.join(sorted(keys))} is not there yet for type {kind}")
    return mount


def parse_tmpfs(text: str) -> VolumeMount:
    """``TARGET[:OPTIONS]``.

    Raises:
        InvalidInput: the target is not absolute.
    """
    target, _, options = text.partition(":")
    words = tuple(word for word in options.split(",") if word)
    return VolumeMount("tmpfs", checked_target(target, text), read_only="ro" in words, options=words)


def checked_target(target: str, text: str) -> str:
    """The normal form of an absolute path inside the container.

    Raises:
        InvalidInput: it is relative, or the root itself.
    """
    if not target.startswith("/"):
        raise InvalidInput(f"invalid mount {text!r}: the target {target!r} is not absolute", remedy="Begin it with /.")
    normal = posixpath.normpath(target)
    normal = "/" + normal.lstrip("/")
    if normal == "/":
        raise InvalidInput(f"invalid mount {text!r}: the target cannot be /", remedy="Mount it on a directory below /.")
    return normal


def checked_volume_name(name: str) -> str:
    """Give back `name`.

    Raises:
        InvalidInput: no name of a volume.
    """
    if not _VOLUME_NAME.fullmatch(name):
        raise InvalidInput(
            f"invalid volume name {name!r}",
            remedy="Use letters, digits and _ . - ; a path of the host begins with / or ./",
        )
    return name


_KEY_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}


def _absolute(path: str, current_directory: str) -> str:
    return posixpath.normpath(posixpath.join(current_directory, path))


def _boolean(text: str, where: str) -> bool:
    if text.lower() in ("", "true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise InvalidInput(f"mount {where!r}: {text!r} is neither true nor false")
