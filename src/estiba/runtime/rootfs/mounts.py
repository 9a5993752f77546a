"""One entry of the spec's `mounts` made below the root (config.md, "Mounts")."""

from __future__ import annotations

import os
import stat

from estiba.linux import mountpoints as mp
from estiba.linux.filesystems import PROC, filesystem_type
from estiba.linux.paths import IN_ROOT, IN_ROOT_NO_LINKS, make_directories, make_file, open_in_root
from estiba.runtime.errors import BadBundle
from estiba.runtime.rootfs import mapped
from estiba.runtime.rootfs.copyup import copy_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from estiba.linux.cgroups.group import Group

# What may be mounted over below /proc (lxcfs and the like do); anything else there would fool the process tools.
_OVER_PROC = frozenset(
    (
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/net/dev",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/crypto/fips_enabled",
    )
)


# The kernel labels the files of these by their names, and of a message queue's only the directory can be labelled.
_UNLABELLED = ("proc", "sysfs", "mqueue")


def make(
    root: int, mount: Mapping[str, Any], *, bundle: str, group: Group | None, tree: int = -1, label: str = ""
) -> None:
    """Mount one entry; where its source is a detached mount already (`mapped.clone_all`), `tree` is that.

    `label` is the SELinux label of a new filesystem (config-linux.md, mountLabel): neither of what is bound nor of a
    view of the kernel.

    Raises:
        BadBundle: the source is missing, or the destination may not be one.
        OSError: the kernel refused.
    """
    destination = os.path.normpath("/" + mount["destination"].lstrip("/"))
    if destination == "/":
        raise BadBundle("nothing can be mounted over the root of a container", remedy="Give it as root.path.")
    options: list[str] = list(mount.get("options") or ())
    kind = mount.get("type") or "bind"
    if tree >= 0:
        _place(root, tree, f"{mount.get('source')}", destination, [o for o in options if o not in mapped.OPTIONS])
    elif kind in ("bind", "rbind", "none") or "bind" in options or "rbind" in options:
        _bind(root, os.path.join(bundle, mount.get("source") or ""), destination, options, kind)
    elif kind in ("cgroup", "cgroup2"):
        _cgroups(root, destination, options, group, label)
    elif kind == "tmpfs":
        _tmpfs(root, mount.get("source") or "tmpfs", destination, _labelled(options, label))
    else:
        # A link here would put procfs somewhere else and leave /proc to the image (CVE-2019-16884, CVE-2023-27561).
        resolve = IN_ROOT_NO_LINKS if kind in ("proc", "sysfs") else IN_ROOT
        place = make_directories(root, destination, resolve=resolve)
        try:
            if kind != "proc":
                _check_place(place, destination)
            if kind not in _UNLABELLED:
                options = _labelled(options, label)
            _mount(root, kind, mount.get("source") or kind, place, destination, options)
        finally:
            os.close(place)
        if kind == "mqueue" and label:
            _label(root, destination, label)


def _labelled(options: list[str], label: str) -> list[str]:
    if not label:
        return options
    from estiba.linux import labels

    return labels.labelled(options, label)


def _label(root: int, destination: str, label: str) -> None:
    from estiba.linux import labels

    made = open_in_root(root, destination, os.O_PATH)
    try:
        labels.set_file_label(f"/proc/self/fd/{made}/.", label)
    finally:
        os.close(made)


def _mount(root: int, kind: str, source: str, place: int, destination: str, options: list[str]) -> None:
    mp.mount_at(
        kind,
        source,
        f"/proc/self/fd/{place}",
        options,
        reopen=lambda: open_in_root(root, destination, os.O_PATH),
        name=destination,
    )


def _check_place(place: int, destination: str) -> None:
    if filesystem_type(place) == PROC and destination not in _OVER_PROC:
        raise BadBundle(f"{destination} is inside procfs: nothing may be mounted there")


def _bind(root: int, source: str, destination: str, options: list[str], kind: str) -> None:
    try:
        origin = os.open(source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise BadBundle(
            f"the source {source} of the mount on {destination} cannot be opened: {error.strerror}"
        ) from None
    try:
        tree = mp.clone_tree(origin, recursive=kind == "rbind" or "rbind" in options)
    finally:
        os.close(origin)
    _place(root, tree, source, destination, options)


def _place(root: int, tree: int, source: str, destination: str, options: list[str]) -> None:
    """Put the detached mount `tree` where it belongs; it is closed."""
    try:
        parsed = mp.parse_options(options)
        if parsed.data:
            raise BadBundle(f"a bind mount (on {destination}) takes no option {parsed.data[0]!r}")
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        place = make_directories(root, destination) if is_directory else make_file(root, destination)
        try:
            if destination != "/proc" or filesystem_type(tree) != PROC:
                _check_place(place, destination)
            mp.set_options(tree, parsed)
            mp.attach(tree, place, what=f"bind {source} on {destination}")
        finally:
            os.close(place)
    finally:
        os.close(tree)


def _tmpfs(root: int, source: str, destination: str, options: list[str]) -> None:
    place = make_directories(root, destination)
    try:
        _check_place(place, destination)
        wanted = [option for option in options if option not in ("tmpcopyup", "notmpcopyup")]
        if not any(option.startswith("mode=") for option in wanted):
            wanted.append(f"mode={stat.S_IMODE(os.fstat(place).st_mode):o}")
        copies = "tmpcopyup" in options
        is_read_only = copies and "ro" in wanted
        if is_read_only:
            wanted.remove("ro")
        _mount(root, "tmpfs", source, place, destination, wanted)
        if copies:
            made = open_in_root(root, destination, os.O_RDONLY | os.O_DIRECTORY)
            try:
                copy_tree(place, made)
                if is_read_only:
                    mp.set_attributes(made, 0x1, 0, recursive=False)
            finally:
                os.close(made)
    finally:
        os.close(place)


def _cgroups(root: int, destination: str, options: list[str], group: Group | None, label: str) -> None:
    """The container's own control group, as its root: what a cgroup mount shows from inside its namespace."""
    if group is None:
        raise BadBundle("a cgroup mount needs a control group, which this container does not have")
    place = make_directories(root, destination)
    parsed = mp.parse_options(options)
    try:
        _check_place(place, destination)
        if group.layout.is_unified:
            _bind_group(group.layout.unified + group.path, place, parsed, destination)
            return
        quiet = [option for option in options if option in mp.FLAG_OPTIONS and option != "ro"]
        _mount(root, "tmpfs", "tmpfs", place, destination, _labelled([*quiet, "mode=755"], label))
    finally:
        os.close(place)
    hierarchies = group.layout.hierarchies()
    if group.layout.unified:
        hierarchies[group.layout.unified] = "unified"
    for host, name in hierarchies.items():
        place = make_directories(root, f"{destination}/{name}")
        try:
            _bind_group(host + group.path, place, parsed, f"{destination}/{name}")
        finally:
            os.close(place)
    made = open_in_root(root, destination, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for controller, host in group.layout.controllers.items():
            name = hierarchies[host]
            if controller != name and not controller.startswith("name=") and "," in name:
                os.symlink(name, controller, dir_fd=made)
        if parsed.flags & mp.MS_RDONLY:
            mp.set_attributes(made, 0x1, 0, recursive=False)
    finally:
        os.close(made)


def _bind_group(source: str, place: int, parsed: mp.MountOptions, destination: str) -> None:
    tree = mp.clone_tree(source, recursive=False)
    try:
        # `relatime` and propagation mean nothing here and may not be changed in a user namespace.
        sets, _ = mp.attributes_of(parsed.flags & ~mp.MS_RELATIME, 0)
        mp.set_attributes(tree, sets, 0, recursive=False)
        mp.attach(tree, place, what=f"show the control group on {destination}")
    finally:
        os.close(tree)
