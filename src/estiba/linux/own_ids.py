"""Ids of its own for one container of root's: a user namespace, and files on disk shown as that namespace counts.

Nothing on disk changes its owner: whoever is 0 on disk is the container's root through a mount with mapped ids.
"""

from __future__ import annotations

import errno
import fcntl
import os

from estiba.errors import InvalidInput, Unavailable
from estiba.linux import capabilities, id_leases, idmapped
from estiba.linux import mountpoints as mp
from estiba.linux.libc import libc
from estiba.linux.mounts import Mount, mount_all
from estiba.linux.overlay import join_lowers, split_lowers
from estiba.linux.processes import death_signal, die_with_parent
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from estiba.linux.id_leases import Lease

Row = tuple[int, int, int]
"""The first id inside, the first id on the host, and how many."""

HOST_REMEDY = "Use --userns=host."
_NS_GET_USERNS = 0xB701


class OwnIds:
    """The ids of one container, and its namespaces: `descriptor` of the users, `network` (-1: none is wanted).

    `users` and `groups` are its maps. Its `leases` are given back by `close`.
    """

    def __init__(
        self, users: tuple[Row, ...], groups: tuple[Row, ...], descriptor: int, network: int, *leases: Lease
    ) -> None:
        self.users = users
        self.groups = groups
        self.descriptor = descriptor
        self.network = network
        self._leases = leases

    @classmethod
    def take(
        cls, size: int, *, users: tuple[Row, ...] = (), groups: tuple[Row, ...] = (), network: bool = False
    ) -> OwnIds:
        """A free range of `size` ids (0: 65536); those that `users` and `groups` map are what they say instead.

        The caller has one thread, as for the other two.

        Raises:
            Unavailable: no range is left, or the kernel refused.
        """
        lease = id_leases.take(size or id_leases.SLOT)
        try:
            whole = (0, lease.start, lease.size)
            return cls._made(overlaid(whole, users), overlaid(whole, groups), lease, network=network)
        except BaseException:
            lease.release()
            raise

    @classmethod
    def mapped(cls, users: tuple[Row, ...], groups: tuple[Row, ...], *, network: bool = False) -> OwnIds:
        """Just these ids, of which others may have some too.

        Raises:
            Unavailable: the kernel refused.
        """
        return cls._made(users, groups, network=network)

    @classmethod
    def joined(cls, descriptor: int, *, network: bool = False) -> OwnIds:
        """Those of a user namespace that exists; the descriptor is ours from here on.

        Raises:
            Unavailable: the kernel refused, or its owner ends just now.
        """
        leases: list[Lease] = []
        made = -1
        try:
            users, groups, made = idmapped.look_into(descriptor, network=network)
            # (One that begins with the host's 0 is all of the host's ids, and no range that anybody takes.)
            for _, start, size in users:
                if start:
                    leases.append(id_leases.share(start, size))
        except BaseException as error:
            for lease in leases:
                lease.release()
            for opened in (descriptor, made):
                if opened >= 0:
                    os.close(opened)
            if not isinstance(error, OSError):
                raise
            raise Unavailable(f"the user namespace cannot be joined: {error.strerror}", remedy=HOST_REMEDY) from error
        return cls(users, groups, descriptor, made, *leases)

    @classmethod
    def _made(cls, users: tuple[Row, ...], groups: tuple[Row, ...], *leases: Lease, network: bool) -> OwnIds:
        try:
            descriptor, made = idmapped.open_namespaces(users, groups, network=network)
        except OSError as error:
            raise Unavailable(f"no user namespace can be made: {error.strerror}", remedy=HOST_REMEDY) from error
        return cls(users, groups, descriptor, made, *leases)

    @property
    def path(self) -> str:
        """Where the runtime finds the user namespace."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @property
    def root(self) -> tuple[int, int]:
        """The host's ids of the container's root and of its group."""
        return host_id(0, self.users) or 0, host_id(0, self.groups) or 0

    def owns(self, namespace: str) -> bool:
        """Whether the namespace file `namespace` belongs to this user namespace, so that its root may use it."""
        opened = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            owner = fcntl.ioctl(opened, _NS_GET_USERNS)
        except PermissionError:
            return False  # the owner is above us
        finally:
            os.close(opened)
        try:
            return os.path.samestat(os.fstat(owner), os.fstat(self.descriptor))
        finally:
            os.close(owner)

    def check(self, uid: int, gids: Iterable[int]) -> None:
        """Raise InvalidInput where the user or a group has no id here."""
        for what, number, rows in (("user", uid, self.users), *(("group", gid, self.groups) for gid in gids)):
            if host_id(number, rows) is None:
                raise InvalidInput(
                    f"the container has ids up to {max(first + size for first, _, size in rows) - 1}, and none for"
                    f" {what} {number}",
                    remedy=f"Give --userns=auto:size={number + 1}, or --userns=host.",
                )

    def mount_rootfs(self, mounts: Sequence[Mount], place: str, layers: str) -> None:
        """Mount the container's files on `place`; the directory `layers` is for us, and free again afterwards.

        Raises:
            Unavailable: the filesystem or the kernel cannot map ids. OSError: as mount(2).
        """
        if len(mounts) == 1 and mounts[0].type != "overlay":
            self.show(mounts[0].source, place)
            return
        options = mounts[0].options
        lowers = next(option.partition("=")[2] for option in options if option.startswith("lowerdir="))
        store = os.path.dirname(os.path.dirname(split_lowers(lowers)[0]))
        os.makedirs(layers, mode=0o700, exist_ok=True)
        self.show(store, layers)
        moved = tuple(_moved(option, store, layers, lowers) for option in options)
        try:
            self.stack((mounts[0]._replace(options=moved), *mounts[1:]), place)
        finally:
            mp.unmount(layers, detach=True)

    def stack(self, mounts: Sequence[Mount], place: str) -> None:
        """Mount overlays of directories that are shown with their owners inside already.

        Raises:
            Unavailable: the kernel cannot. OSError: as mount(2).
        """
        try:
            with _FilesOf(*self.root):
                mount_all(mounts, place)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise Unavailable(
                "this kernel cannot stack layers whose ids are mapped (Linux 5.19 can)", remedy=HOST_REMEDY
            ) from error

    def show(self, source: str, place: str) -> None:
        """Mount what is at `source` on `place` as well, with the owners that it has inside.

        Raises:
            Unavailable: the filesystem or the kernel cannot map ids.
        """
        tree = self._mapped(source)
        try:
            mp.attach(tree, place, what=f"show {source}")
        finally:
            os.close(tree)

    def with_tree(self, source: str, act: Callable[[str], None]) -> str:
        """`act` with the path of the mapped directory `source`, in a process with the rights of the container's root
        and nothing more; gives "" or why it failed. What is to be reached beside it must be open already."""
        from estiba.linux.machine import tried
        from estiba.linux.namespaces import CLONE_NEWUSER, join
        from estiba.linux.processes import PR_SET_DUMPABLE, prctl

        tree = self._mapped(source)

        def as_root() -> None:
            join(self.descriptor, CLONE_NEWUSER)
            os.setgroups([])
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            prctl(PR_SET_DUMPABLE, 1)  # else its own /proc is not its own; nobody else has these ids yet
            os.umask(0)
            act(f"/proc/self/fd/{tree}")

        try:
            return tried(as_root)
        finally:
            os.close(tree)

    def close(self) -> None:
        """Let go of the namespaces and give the ids back; the container has ended."""
        if self.network >= 0:
            os.close(self.network)
        os.close(self.descriptor)
        for lease in self._leases:
            lease.release()

    def _mapped(self, source: str) -> int:
        tree = mp.clone_tree(source, recursive=False)
        try:
            idmapped.map_ids(tree, self.descriptor, recursive=False, what=f"the ids of {source} ({_kind(source)})")
        except BaseException:
            os.close(tree)
            raise
        return tree


def host_id(number: int, rows: Iterable[Row]) -> int | None:
    """The host's id for `number` inside; None where it has none."""
    for first, host, size in rows:
        if first <= number < first + size:
            return host + number - first
    return None


def inside_id(number: int, rows: Iterable[Row]) -> int | None:
    """What the host's id `number` is inside; None where it is nobody."""
    return host_id(number, ((host, first, size) for first, host, size in rows))


def overlaid(whole: Row, chosen: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows `chosen`, and of `whole` what they do not map."""
    rows = list(chosen)
    first, host, size = whole
    position = first
    for begin, _, number in sorted(chosen):
        if begin > position:
            rows.append((position, host + position - first, min(begin, first + size) - position))
        position = max(position, begin + number)
        if position >= first + size:
            break
    if position < first + size:
        rows.append((position, host + position - first, first + size - position))
    return tuple(sorted(rows))


class _FilesOf:
    """Within the `with` block what we make belongs to this user and group, and we may do no less than before.

    The overlay works with the rights of whoever mounts it, and root has no id in the mapped layers. A change of user
    takes away the signal at the parent's end (prctl(2), PR_SET_PDEATHSIG), which is set again.
    """

    def __init__(self, user: int, group: int) -> None:
        self._user = user
        self._group = group

    def __enter__(self) -> None:
        self._parent, self._signal = os.getppid(), death_signal()
        effective, permitted, inheritable = capabilities.current()
        libc.setfsgid(self._group)
        libc.setfsuid(self._user)  # takes the capabilities over files out of the effective set
        capabilities.set_current(effective, permitted, inheritable)

    def __exit__(self, *_: object) -> None:
        libc.setfsuid(0)
        libc.setfsgid(0)
        if self._signal:
            die_with_parent(self._signal)
            if os.getppid() != self._parent:
                os.kill(os.getpid(), self._signal)


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
