"""A container of root's with ids of its own (`--userns=auto`): its root is nobody on the host.

The user namespace and the network namespace that it owns are made here and last over restarts. Nothing on disk changes
its owner: the layers are shown to the overlay through one mount whose ids are mapped.
"""

from __future__ import annotations

import errno
import os

from estiba.errors import InvalidInput, Unavailable
from estiba.linux import capabilities, id_leases, idmapped
from estiba.linux import mountpoints as mp
from estiba.linux.libc import libc
from estiba.linux.mounts import Mount, mount_all
from estiba.linux.namespaces import has_root
from estiba.linux.overlay import join_lowers, split_lowers
from estiba.runtime.spec import IdMapping
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.engine.monitor.request import StartRequest
    from estiba.image.users import UserIds

HOST_REMEDY = "Use --userns=host."


class OwnIds:
    """The ids of one container, and its namespaces: `descriptor` of the users, `network` (-1: none is wanted)."""

    def __init__(self, request: StartRequest) -> None:
        """Take a free range and make the namespaces; the caller has one thread.

        Raises:
            Unavailable: no range is left, another runtime than ours is used, or the kernel refused.
        """
        options = request.options
        if not request.runtime_is_ours:
            raise Unavailable("--userns=auto takes Estiba's own runtime", remedy="Leave --runtime out.")
        if not has_root():
            raise Unavailable(
                "--userns=auto takes root: an ordinary user's containers share its ids", remedy=HOST_REMEDY
            )
        self.lease = id_leases.take(options.userns_size or id_leases.SLOT)
        self.network = -1
        rows = ((0, self.lease.start, self.lease.size),)
        wants_network = options.network not in ("none", "host")
        try:
            self.descriptor, self.network = idmapped.open_namespaces(rows, rows, network=wants_network)
        except OSError as error:
            self.lease.release()
            raise Unavailable(f"no user namespace can be made: {error.strerror}", remedy=HOST_REMEDY) from error

    @property
    def path(self) -> str:
        """Where the runtime finds the user namespace."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @property
    def mappings(self) -> tuple[IdMapping, ...]:
        return (IdMapping(0, self.lease.start, self.lease.size),)

    def check_user(self, user: UserIds) -> None:
        """Raise InvalidInput where the user or a group has no id here."""
        highest = max(user.uid, user.gid, *user.additional_gids)
        if highest >= self.lease.size:
            raise InvalidInput(
                f"the container has ids up to {self.lease.size - 1}, and its user or a group is {highest}",
                remedy=f"Give --userns=auto:size={highest + 1}, or --userns=host.",
            )

    def mount_rootfs(self, mounts: Sequence[Mount], place: str, layers: str) -> None:
        """Mount the container's files on `place`; the directory `layers` is for us, and free again afterwards.

        Raises:
            Unavailable: the filesystem or the kernel cannot map ids. OSError: as mount(2).
        """
        if len(mounts) == 1 and mounts[0].type != "overlay":
            tree = self._mapped(mounts[0].source)
            try:
                mp.attach(tree, place, what="show the files of the container")
            finally:
                os.close(tree)
            return
        options = mounts[0].options
        lowers, upper, _ = (next(o.partition("=")[2] for o in options if o.startswith(name)) for name in _DIRECTORIES)
        store = os.path.dirname(os.path.dirname(upper))
        tree = self._mapped(store)
        try:
            os.makedirs(layers, mode=0o700, exist_ok=True)
            mp.attach(tree, layers, what="show the layers of the container")
        finally:
            os.close(tree)
        moved = tuple(_moved(option, store, layers, lowers) for option in options)
        try:
            with _FilesOf(self.lease.start):
                mount_all((mounts[0]._replace(options=moved), *mounts[1:]), place)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise Unavailable(
                "this kernel cannot stack layers whose ids are mapped (Linux 5.19 can)", remedy=HOST_REMEDY
            ) from error
        finally:
            mp.unmount(layers, detach=True)

    def fill_volume(self, rootfs: str, target: str, volume: str) -> None:
        """As `copy_up.fill_volume`, by a process with the rights of the container's root and nothing more."""
        if os.listdir(volume):
            return
        tree = self._mapped(volume)
        root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            reason = _as_root_of(self.descriptor, root, tree, target)
        finally:
            os.close(root)
            os.close(tree)
        if reason:
            raise Unavailable(f"the volume on {target} cannot be filled: {reason}")

    def close(self) -> None:
        """Let go of the namespaces and give the ids back; the container has ended."""
        if self.network >= 0:
            os.close(self.network)
        os.close(self.descriptor)
        self.lease.release()

    def _mapped(self, source: str) -> int:
        tree = mp.clone_tree(source, recursive=False)
        try:
            idmapped.map_ids(tree, self.descriptor, recursive=False, what=f"the ids of {source} ({_kind(source)})")
        except BaseException:
            os.close(tree)
            raise
        return tree


class _FilesOf:
    """Within the `with` block what we make belongs to user and group `number`, and we may do no less than before.

    The overlay works with the rights of whoever mounts it, and root has no id in the mapped layers.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        _, permitted, inheritable = capabilities.current()
        libc.setfsgid(self._number)
        libc.setfsuid(self._number)  # takes the capabilities over files out of the effective set
        capabilities.set_current(permitted, permitted, inheritable)

    def __exit__(self, *_: object) -> None:
        libc.setfsuid(0)
        libc.setfsgid(0)


_DIRECTORIES = ("lowerdir=", "upperdir=", "workdir=")


def _moved(option: str, store: str, layers: str, lowers: str) -> str:
    if option.startswith("lowerdir="):
        return "lowerdir=" + join_lowers([_below(path, store, layers) for path in split_lowers(lowers)])
    name, separator, value = option.partition("=")
    return f"{name}={_below(value, store, layers)}" if f"{name}=" in _DIRECTORIES else f"{name}{separator}{value}"


def _below(path: str, store: str, layers: str) -> str:
    return layers + path.removeprefix(store)


def _kind(path: str) -> str:
    """The filesystem that `path` lies on, by its name in the table of mounts."""
    best, kind = "", "an unknown filesystem"
    real = os.path.realpath(path) + "/"
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            place = fields[1].replace("\\040", " ").rstrip("/") + "/"
            if real.startswith(place) and len(place) >= len(best):
                best, kind = place, fields[2]
    return kind


def _as_root_of(user_namespace: int, root: int, tree: int, target: str) -> str:
    """Fill the volume `tree` from `root` in a child that has joined `user_namespace`; gives "" or why not."""
    from estiba.engine.monitor.copy_up import fill_volume
    from estiba.linux.machine import tried
    from estiba.linux.namespaces import CLONE_NEWUSER, join
    from estiba.linux.processes import PR_SET_DUMPABLE, prctl

    def act() -> None:
        join(user_namespace, CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        prctl(PR_SET_DUMPABLE, 1)  # else its own /proc is not its own; nobody else has these ids yet
        os.umask(0)
        fill_volume(f"/proc/self/fd/{root}", target, f"/proc/self/fd/{tree}")

    return tried(act)
