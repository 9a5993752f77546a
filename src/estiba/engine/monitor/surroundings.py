"""What a container gets of this machine beyond files and a network: devices, limits of block devices, namespaces of
other containers, parts of volumes. Loaded only where something of it is asked for.
"""

from __future__ import annotations

import os
import stat

from estiba.engine.monitor.lenders import namespace_of
from estiba.errors import Conflict, InvalidInput, NotFound, Unavailable
from estiba.linux import mountpoints as mp
from estiba.linux.filesystems import TMPFS, filesystem_type
from estiba.linux.namespaces import CLONE_NEWNS, has_root, join
from estiba.linux.own_ids import host_id
from estiba.linux.paths import IN_ROOT_NO_LINKS, open_in_root
from estiba.runtime.spec import SpecDevice, SpecMount
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from estiba.engine.monitor.request import Borrowed, StartRequest
    from estiba.engine.options import BlockIo, ContainerOptions, Device
    from estiba.engine.paths import ContainerPaths
    from estiba.engine.spec import Place
    from estiba.linux.own_ids import OwnIds

_QUIET = ("nosuid", "nodev", "noexec")
_NOT_SHOWN = frozenset((".lxc", ".lxd-mounts", ".udev", "console", "fd", "mqueue", "pts", "shm"))
"""Names in the host's /dev that are no devices to give away, or the container's own affair."""


class Surroundings:
    """Gathered for one start, in the bundle of `paths`; to be closed when the container has been made.

    In a user namespace no node can be made: a container with ids of its own (`own`) is shown nodes that are made for
    it, an ordinary user's the host's.

    Raises:
        NotFound, InvalidInput: a path that is no device, or a part of a volume that is not there.
        Conflict: the other container has ended. Unavailable: this user may not.
    """

    def __init__(self, request: StartRequest, paths: ContainerPaths, own: OwnIds | None) -> None:
        self._places: list[str] = []
        self._opened: list[int] = []
        self.mounts: tuple[SpecMount, ...] = ()
        self.devices: tuple[SpecDevice, ...] = ()
        self.device_rules: tuple[dict[str, Any], ...] = ()
        self.pid = self.ipc = self.network = ""
        self.block_io = block_io(request.options.block_io)
        self.release = _release()
        self._bundle = paths.bundle
        try:
            self._give_devices(request.options, own)
            for borrowed in request.borrowed:
                if borrowed.kind != "user":  # whose ids it has is another question (`own_ids`)
                    self._join(borrowed)
            if request.options.shared.ipc == "host":
                self.mounts += (SpecMount("/dev/shm", "bind", "/dev/shm", ("rbind", "rprivate", *_QUIET)),)
            for number, place in enumerate(request.volumes):
                if place.subpath:
                    self._show_part(place.source, place.subpath, part_of_volume(paths, number))
        except BaseException:
            self.close()
            raise

    def added_to(self, place: Place) -> Place:
        """`place` with all of it but the mounts."""
        return place._replace(
            devices=self.devices,
            device_rules=self.device_rules,
            block_io=self.block_io,
            pid=self.pid,
            ipc=self.ipc,
            network=self.network or place.network,
            release=self.release,
        )

    def close(self) -> None:
        """Let go of what only making the container needed."""
        for place in reversed(self._places):
            mp.unmount(place, detach=True)
        for descriptor in self._opened:
            os.close(descriptor)
        self._places.clear()
        self._opened.clear()

    def _give_devices(self, options: ContainerOptions, own: OwnIds | None) -> None:
        shows_hosts = own is not None or not has_root()
        given = dict(_found(options.devices))
        if options.security.privileged and not shows_hosts:
            given = {path: SpecDevice(path, *rest) for path, rest in _all_of_the_host()} | given
        if not shows_hosts:
            self.devices = tuple(given.values())
            return
        for number, (host, device) in enumerate(_found_sources(options.devices)):
            source = self._node(device, number, own) if own is not None else host
            # Read-only keeps the host's node as it is; the device behind it is written to all the same.
            self.mounts += (SpecMount(device.path, "bind", source, ("bind", "rprivate", "nosuid", "noexec", "ro")),)
            self.device_rules += (
                {"allow": True, "type": device.kind, "major": device.major, "minor": device.minor}
                | {"access": device.access},
            )

    def _node(self, device: SpecDevice, number: int, own: OwnIds) -> str:
        """A node of the device with the owner that it has on the host, as a number inside; gives its path."""
        directory = f"{self._bundle}/devices"
        if not number:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            # Of its own, for what the bundle lies on may let no node be opened.
            mp.raw_mount("devices", directory, "tmpfs", 0, "mode=700", f"mount a place for devices on {directory}")
            self._places.append(directory)
        path = f"{directory}/{number}"
        kind = stat.S_IFCHR if device.kind == "c" else stat.S_IFBLK
        os.mknod(path, kind | device.mode, os.makedev(device.major, device.minor))
        os.chmod(path, device.mode)
        owner, group = own.root
        os.chown(path, host_id(device.uid, own.users) or owner, host_id(device.gid, own.groups) or group)
        return path

    def _join(self, borrowed: Borrowed) -> None:
        descriptor = namespace_of(borrowed)
        self._opened.append(descriptor)
        choice = f"path:/proc/{os.getpid()}/fd/{descriptor}"
        if borrowed.kind == "network":
            self.network = choice
            return
        if borrowed.kind == "pid":
            self.pid = choice
            return
        self.ipc = choice
        place = f"{self._bundle}/shm"
        tree = _shared_memory(borrowed)
        try:
            self._attach(tree, place)
        finally:
            os.close(tree)
        self.mounts += (SpecMount("/dev/shm", "bind", place, ("rbind", "rprivate", *_QUIET)),)

    def _show_part(self, volume: str, subpath: str, place: str) -> None:
        root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            part = open_in_root(root, subpath, os.O_PATH)
        except OSError as error:
            raise NotFound(
                f"the volume has no {subpath!r}: {os.strerror(error.errno or 0).lower()}",
                remedy="Make it in the volume first, or leave volume-subpath out.",
            ) from None
        finally:
            os.close(root)
        try:
            tree = mp.clone_tree(part, recursive=False)
        except PermissionError:
            raise Unavailable("volume-subpath takes root, or ids in /etc/subuid") from None
        finally:
            os.close(part)
        try:
            self._attach(tree, place)
        finally:
            os.close(tree)

    def _attach(self, tree: int, place: str) -> None:
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(place, mode=0o700, exist_ok=True)
        else:
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        mp.attach(tree, place, what=f"attach {place}")
        self._places.append(place)


def part_of_volume(paths: ContainerPaths, number: int) -> str:
    """Where the part of a volume (by its position in the request) lies while the container is being made."""
    return f"{paths.bundle}/part-{number}"


def block_io(asked: BlockIo) -> dict[str, Any] | None:
    """The runtime-spec's `blockIO`, with the numbers that the devices have on this machine; None for no limit.

    Raises:
        NotFound, InvalidInput: a path is no block device.
    """
    found: dict[str, Any] = {"weight": asked.weight} if asked.weight else {}
    for key, word, entries in (
        ("weightDevice", "weight", asked.weight_devices),
        ("throttleReadBpsDevice", "rate", asked.read_bps),
        ("throttleWriteBpsDevice", "rate", asked.write_bps),
        ("throttleReadIOPSDevice", "rate", asked.read_iops),
        ("throttleWriteIOPSDevice", "rate", asked.write_iops),
    ):
        if entries:
            found[key] = [_block_device(path) | {word: number} for path, number in entries]
    return found or None


def _block_device(path: str) -> dict[str, int]:
    status = _status(path)
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"{path} is not a block device", remedy="Give a disk's path, such as /dev/sda (see lsblk).")
    return {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise NotFound(
            f"the device {path} cannot be found: {os.strerror(error.errno or 0).lower()}",
            remedy="Give the path of a device of this machine.",
        ) from None


def _found(devices: tuple[Device, ...]) -> Iterator[tuple[str, SpecDevice]]:
    for _, device in _found_sources(devices):
        yield device.path, device


def _found_sources(devices: tuple[Device, ...]) -> Iterator[tuple[str, SpecDevice]]:
    """Pairs (path on the host, device): one for a device, one for each below a directory."""
    for asked in devices:
        status = _status(asked.host)
        if _kind(status):
            yield asked.host, SpecDevice(asked.container, *_facts(status), asked.access)
            continue
        inside = list(_below(asked.host)) if stat.S_ISDIR(status.st_mode) else []
        if not inside:
            raise InvalidInput(
                f"{asked.host} is neither a device nor a directory of devices", remedy="Give such as /dev/fuse."
            )
        for path, facts in inside:
            yield path, SpecDevice(asked.container + path.removeprefix(asked.host.rstrip("/")), *facts, asked.access)


def _all_of_the_host() -> Iterator[tuple[str, tuple[str, int, int, int, int, int]]]:
    yield from _below("/dev", skipped=_NOT_SHOWN)


def _below(
    directory: str, *, skipped: frozenset[str] = frozenset()
) -> Iterator[tuple[str, tuple[str, int, int, int, int, int]]]:
    waiting = [directory]
    while waiting:
        current = waiting.pop()
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except (FileNotFoundError, PermissionError):
            continue
        for entry in entries:
            if entry.name in skipped:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append(entry.path)
            elif _kind(status):
                yield entry.path, _facts(status)


def _kind(status: os.stat_result) -> str:
    return "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""


def _facts(status: os.stat_result) -> tuple[str, int, int, int, int, int]:
    numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
    return (_kind(status), *numbers, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _shared_memory(borrowed: Borrowed) -> int:
    """A detached mount of the other container's /dev/shm.

    A mount may be cloned only in its own mount namespace, so this process, which has one thread, goes there and back.
    The path is walked inside that container's root without a link, and nothing but a tmpfs is taken.
    """
    there = namespace_of(borrowed, "mount")
    back = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        join(there, CLONE_NEWNS)
        try:
            return _clone_shared_memory(borrowed.name)
        finally:
            join(back, CLONE_NEWNS)
            os.chdir("/")
    finally:
        os.close(there)
        os.close(back)


def _clone_shared_memory(name: str) -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = open_in_root(root, "/dev/shm", os.O_PATH | os.O_DIRECTORY, resolve=IN_ROOT_NO_LINKS)
    except OSError:
        raise Conflict(f"container {name} has no /dev/shm to share") from None
    finally:
        os.close(root)
    try:
        if filesystem_type(place) != TMPFS or not mp.is_mounted("/dev/shm"):
            raise Conflict(f"the /dev/shm of container {name} is no memory to share")
        return mp.clone_tree(place, recursive=False)
    finally:
        os.close(place)


def _release() -> tuple[int, int]:
    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return int(major), int(minor) if minor.isdigit() else 0
