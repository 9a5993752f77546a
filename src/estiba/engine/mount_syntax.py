"""``-v``, ``--mount`` and ``--tmpfs`` as Docker writes them → `VolumeMount`. Pure."""

from __future__ import annotations

import posixpath

from estiba.engine import idmap_option
from estiba.engine.options import VolumeMount
from estiba.engine.quantities import is_number, parse_size
from estiba.errors import InvalidInput, NotThereYet

_VOLUME_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"
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
        elif option in ("z", "Z"):
            mount = mount._replace(relabels=option)
        elif option not in ("consistent", "cached", "delegated", ""):
            raise InvalidInput(
                f"invalid option {option!r} in volume {text!r}",
                remedy=f"Options are ro, rw, idmap, nocopy of a volume, and of a bind {', '.join(_PROPAGATIONS)}.",
            )
    return mount._replace(options=tuple(options))


def parse_mount(text: str, *, current_directory: str) -> VolumeMount:
    """``type=bind,source=…,target=…,readonly`` and the like; ``volume`` where no type is given.

    Raises:
        InvalidInput: a missing or an unknown key, or a value that does not fit the type.
        NotThereYet: a type or key of Docker that Estiba does not have.
    """
    keys, labels = _keys(text)
    kind = keys.pop("type", "volume").lower()
    if kind not in _KEYS:
        if kind not in ("image", "npipe", "cluster"):
            raise InvalidInput(f"mount {text!r}: there is no type {kind!r}", remedy="Types are bind, volume and tmpfs.")
        raise NotThereYet(f"mounts of type {kind!r} are not there yet", remedy="Types are bind, volume and tmpfs.")
    if not keys.get("target"):
        raise InvalidInput(f"mount {text!r} has no target", remedy="Add target=/PATH/IN/THE/CONTAINER.")
    _check_keys(keys, kind, text, has_labels=bool(labels))
    read_only = _boolean(keys.get("readonly", "false"), text)
    mount = VolumeMount(kind, checked_target(keys["target"], text), read_only=read_only)
    if kind == "bind":
        return _bind(mount, keys, text, current_directory)
    if kind == "volume":
        source = keys.get("source", "")
        return mount._replace(
            source=checked_volume_name(source) if source else "",
            options=_idmap(keys, text),
            copy_up=not _boolean(keys.get("volume-nocopy", "false"), text),
            subpath=_subpath(keys.get("volume-subpath", ""), text),
            labels=tuple(labels),
        )
    size, mode = keys.get("tmpfs-size", ""), keys.get("tmpfs-mode", "")
    words = (*((f"size={size}",) if size else ()), *((f"mode={mode}",) if mode else ()))
    return mount._replace(options=checked_tmpfs_options(words, text))


def _keys(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The keys, by their usual names, and the labels of the volume."""
    keys: dict[str, str] = {}
    labels: list[tuple[str, str]] = []
    for part in _fields(text):
        key, equals, value = part.partition("=")
        key = _KEY_ALIASES.get(key.strip().lower(), key.strip().lower())
        if not equals and key not in _MAY_BE_BARE:
            raise InvalidInput(f"mount {text!r}: {part!r} is no KEY=VALUE", remedy="Write such as source=/srv/data.")
        if key == "volume-label":
            name, _, label = value.partition("=")
            labels.append((name, label))
        else:
            keys[key] = value.strip()
    return keys, labels


def _fields(text: str) -> list[str]:
    """The parts between commas, where quotes keep a comma in a part (as in a line of CSV)."""
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        raise InvalidInput(f"mount {text!r}: its quotes do not match") from None


def _check_keys(keys: dict[str, str], kind: str, text: str, *, has_labels: bool) -> None:
    known = {"target", "readonly", "consistency", *_KEYS[kind]}
    for key in (*keys, *(("volume-label",) if has_labels else ())):
        if key in ("volume-driver", "volume-opt") and kind == "volume" and keys[key] != "local":
            raise NotThereYet(f"mount {text!r}: {key} is not there yet", remedy="Leave it out: the driver is local.")
        if key == "source" and kind == "tmpfs":
            raise InvalidInput(f"mount {text!r}: a tmpfs has no source", remedy="Leave it out.")
        if key not in known:
            raise InvalidInput(
                f"mount {text!r}: type {kind} has no key {key!r}", remedy=f"Keys are {', '.join(sorted(known))}."
            )


def _bind(mount: VolumeMount, keys: dict[str, str], text: str, current_directory: str) -> VolumeMount:
    source = keys.get("source", "")
    if not source:
        raise InvalidInput(f"mount {text!r} has no source", remedy="Add source=/PATH/OF/THE/HOST.")
    propagation = keys.get("bind-propagation", "")
    if propagation and propagation not in _PROPAGATIONS:
        raise InvalidInput(f"invalid bind-propagation {propagation!r}", remedy=f"There are {', '.join(_PROPAGATIONS)}.")
    recursion = keys.get("bind-recursive", "enabled").lower()
    if "bind-nonrecursive" in keys and _boolean(keys["bind-nonrecursive"], text):
        recursion = "disabled"
    recursion = {"true": "enabled", "1": "enabled", "false": "disabled", "0": "disabled"}.get(recursion, recursion)
    if recursion not in ("enabled", "disabled", "writable", "readonly"):
        raise InvalidInput(
            f"invalid bind-recursive {recursion!r}", remedy="There are enabled, disabled, writable and readonly."
        )
    if recursion in ("writable", "readonly") and not mount.read_only:
        raise InvalidInput(f"mount {text!r}: bind-recursive={recursion} needs readonly", remedy="Add readonly.")
    if recursion == "readonly" and propagation != "rprivate":
        raise InvalidInput(
            f"mount {text!r}: bind-recursive=readonly needs bind-propagation=rprivate",
            remedy="Add bind-propagation=rprivate: what is mounted later would be writable.",
        )
    return mount._replace(
        source=_absolute(source, current_directory),
        options=(
            "bind" if recursion == "disabled" else "rbind",
            *((propagation,) if propagation else ()),
            *_idmap(keys, text),
        ),
        only_top_read_only=recursion == "writable",
        make_source=_boolean(keys.get("bind-create-src", "false"), text),
    )


def _idmap(keys: dict[str, str], text: str) -> tuple[str, ...]:
    if "idmap" not in keys:
        return ()
    return (idmap_option.checked(f"idmap={keys['idmap']}" if keys["idmap"] else "idmap", text),)


def _subpath(path: str, text: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise InvalidInput(
            f"mount {text!r}: volume-subpath {path!r} leads out of the volume", remedy="Give a path inside of it."
        )
    return path.strip("/")


def parse_tmpfs(text: str) -> VolumeMount:
    """``TARGET[:OPTIONS]``.

    Raises:
        InvalidInput: the target is not absolute, or an option is none of a tmpfs.
    """
    target, _, options = text.partition(":")
    words = tuple(word for word in options.split(",") if word)
    mount = VolumeMount("tmpfs", checked_target(target, text), read_only="ro" in words)
    return mount._replace(options=checked_tmpfs_options(words, text))


def checked_tmpfs_options(words: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Give back the options of a tmpfs, sizes in the kernel's words (tmpfs(5)).

    Raises:
        InvalidInput: one that a tmpfs does not have, or a value that is none.
    """
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if name == "size":
            value = _tmpfs_size(value, text)
        elif name == "mode":
            _check(
                is_number(value) and int(value, 10) <= 7777 and not set(value) & set("89"),
                word,
                text,
            )
        elif name in ("uid", "gid"):
            _check(value.isascii() and value.isdigit(), word, text)
        elif name in ("nr_inodes", "nr_blocks"):
            _check(_is_like(_COUNT, value), word, text)
        else:
            _check(not equals and name in _TMPFS_FLAGS, word, text)
        found.append(f"{name}={value}" if equals else name)
    return tuple(found)


def _tmpfs_size(value: str, text: str) -> str:
    if _is_like(r"[0-9]{1,3}%|[1-9][0-9]*[kmgKMG]?", value):
        return value  # as the kernel takes it
    size = parse_size(value, what=f"size of the tmpfs {text}")
    _check(size > 0, f"size={value}", text)
    return str(size)


def _is_like(pattern: str, text: str) -> bool:
    """Whether the whole text is what the regular expression describes; loaded here, for most commands need none."""
    import re

    return re.fullmatch(pattern, text) is not None


def _check(holds: bool, word: str, text: str) -> None:
    if not holds:
        raise InvalidInput(
            f"invalid option {word!r} of the tmpfs {text!r}",
            remedy="There are size=, mode=, uid=, gid=, nr_inodes=, nr_blocks= and flags such as exec, ro, noatime.",
        )


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
    if not _is_like(_VOLUME_NAME, name):
        raise InvalidInput(
            f"invalid volume name {name!r}",
            remedy="Use letters, digits and _ . - ; a path of the host begins with / or ./",
        )
    return name


_KEY_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_MAY_BE_BARE = frozenset(("readonly", "idmap", "volume-nocopy", "bind-nonrecursive", "bind-create-src"))
_KEYS = {
    "bind": ("source", "idmap", "bind-propagation", "bind-recursive", "bind-nonrecursive", "bind-create-src"),
    "volume": ("source", "idmap", "volume-nocopy", "volume-subpath", "volume-label", "volume-driver", "volume-opt"),
    "tmpfs": ("tmpfs-size", "tmpfs-mode"),
}
_COUNT = r"[0-9]+[kmgKMG]?"
_FLAGS = """
ro rw exec noexec suid nosuid dev nodev sync async dirsync atime noatime diratime nodiratime relatime norelatime
strictatime nostrictatime defaults
"""
_TMPFS_FLAGS = frozenset(_FLAGS.split())


def _absolute(path: str, current_directory: str) -> str:
    return posixpath.normpath(posixpath.join(current_directory, path))


def _boolean(text: str, where: str) -> bool:
    if text.lower() in ("", "true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise InvalidInput(f"mount {where!r}: {text!r} is neither true nor false")
