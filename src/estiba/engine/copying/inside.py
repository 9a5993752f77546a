"""The container's side of a copy: a process of its own, with the container's ids, which sees the container's files.

Of a running container it has the root directory, mounts and all; of one that does not run it mounts the files, volumes
and binds where nobody else sees them, and they are gone with it. Or it has the container's own files alone, as a
monitor has them before the runtime mounts anything on them.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import time

from estiba.engine import frames, lifecycle
from estiba.engine.copying import stream
from estiba.engine.copying.plan import Found
from estiba.engine.copying.tree import Side
from estiba.engine.locks import Lock, try_lock
from estiba.engine.paths import ContainerPaths, volume_data
from estiba.engine.removal import snapshot_key
from estiba.errors import Conflict, EstibaError, InvalidInput, NotFound, Unavailable
from estiba.linux import mountpoints as mp
from estiba.linux.mounts import make_private_namespace, mount_all
from estiba.linux.namespaces import CLONE_NEWUSER, is_own_namespace, join
from estiba.linux.paths import IN_ROOT, make_directories, make_file, open_in_root
from estiba.linux.processes import die_with_parent, parent_of, start_time
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from estiba.engine.engine import Engine
    from estiba.engine.records import ContainerRecord
    from estiba.linux.mounts import Mount

_FIND, _SEND, _TAKE = 1, 2, 3
_KINDS: tuple[type[EstibaError], ...] = (NotFound, Conflict, InvalidInput, Unavailable)
_LIVES = (lifecycle.RUNNING, lifecycle.PAUSED)
_LIES = (lifecycle.CREATED, lifecycle.EXITED)
_PATIENCE = 10.0
_PAUSE = 0.005


class _Shown(NamedTuple):
    """A mount of a container that does not run: `source` of the host, or what is at `subpath` in it, at `target`."""

    source: str
    target: str
    read_only: bool
    subpath: str = ""


class Inside:
    """A context manager. Every method raises what went wrong in the other process. With `only_own` nothing is there
    that is mounted on the container's files: no volumes, no binds, no /proc.

    Raises:
        Unavailable: this user may not, or another process works on the container for long. Conflict: it has just ended.
        WrongState.
    """

    def __init__(self, engine: Engine, record: ContainerRecord, *, only_own: bool = False) -> None:
        if os.geteuid() != 0:
            raise Unavailable(
                "files of containers are reached by root, or by a user with ids in /etc/subuid",
                remedy="Bind a directory with -v instead.",
            )
        self._folder = ""
        self._scratch = -1
        self._pid = 0
        self._connection: frames.Connection | None = None
        self._lived = False
        self._record, self._lock = _living_or_locked(engine, record)
        try:
            if self._lock is None:
                self._lived = True
                self._begin_in_running(engine, only_own=only_own)
            else:
                self._begin_in_stopped(engine, only_own=only_own)
        except BaseException:
            self._end(kills=True)
            raise

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Who failed, or was told to end, does not wait for a stream that may never come to its end.
        self._end(kills=kind is not None)

    def find(self, path: str, *, follows: bool) -> Found:
        """As `Side.find`."""
        self._send(_FIND, [path, follows])
        return Found(*self._answer())

    def send(self, directory: str, name: str, as_name: str, out: int) -> None:
        """As `stream.send`, into the descriptor `out`; `sent` gives its answer."""
        self._send(_SEND, [directory, name, as_name], out)

    def take(self, directory: str, source: int, how: stream.Taken) -> None:
        """As `stream.take`, from the descriptor `source`; `taken` gives its answer."""
        self._send(_TAKE, [directory, how.owner, how.is_trusting], source)

    def answer(self) -> Any:
        """What the last `send` (bytes) or `take` (names that were left out) gave."""
        return self._answer()

    def must_live_on(self) -> None:
        """Raise Conflict where the container ran and has ended: its volumes were gone with it, for us too."""
        if self._lived and start_time(self._record.pid) != self._record.pid_start:
            raise Conflict(
                f"container {self._record.name} has ended while files were copied: some may be missing",
                remedy="Copy them once more.",
            )

    def _begin_in_running(self, engine: Engine, *, only_own: bool) -> None:
        record = self._record
        own = ContainerPaths(engine.store.paths.root, record.run or engine.run, record.id).rootfs
        root, users = _of_running(record, own if only_own else "")
        try:
            self._begin(lambda: _enter(root, users))
        finally:
            os.close(root)
            os.close(users)

    def _begin_in_stopped(self, engine: Engine, *, only_own: bool) -> None:
        record = self._record
        self._scratch, self._folder = engine.store.scratch.folder("copy")
        mounts = engine.store.snapshots.mounts(snapshot_key(record.id))
        shown, folder = [] if only_own else _shown(engine, record), self._folder
        is_read_only = record.parsed_options().security.read_only
        self._begin(lambda: _mount(mounts, shown, folder, is_read_only=is_read_only))

    def _begin(self, prepare: Callable[[], int]) -> None:
        self._connection, theirs = frames.pair()
        caller = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._connection.close()  # else its end would never be seen
            _serve(frames.Connection(theirs), prepare, self._record.name, caller)
        theirs.close()

    def _send(self, kind: int, words: list[Any], descriptor: int | None = None) -> None:
        assert self._connection is not None
        self._connection.send(kind, words, descriptor=descriptor)

    def _answer(self) -> Any:
        assert self._connection is not None
        try:
            frame = self._connection.receive()
        except frames.MonitorGone:
            raise Unavailable("the process that reached into the container was killed", remedy="Try again.") from None
        if frame.kind != frames.FAILED:
            return frame.json()
        facts = frame.json()
        if facts["kind"] == BrokenPipeError.__name__:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        kind = next((kind for kind in _KINDS if kind.__name__ == facts["kind"]), Unavailable)
        raise kind(facts["message"], remedy=facts["remedy"])

    def _end(self, *, kills: bool) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._pid:
            if kills:
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        if self._folder:
            remove_tree(self._folder)
            os.close(self._scratch)
        if self._lock is not None:
            self._lock.release()


def _living_or_locked(engine: Engine, record: ContainerRecord) -> tuple[ContainerRecord, Lock | None]:
    """The container as it is: it runs, or we hold its lock, so that nobody starts it meanwhile. One that is just being
    started is waited for.

    Raises:
        WrongState, NoSuchContainer. Unavailable: somebody else has worked on it for a long time.
    """
    deadline = time.monotonic() + _PATIENCE
    while record.state not in _LIVES:
        if record.state != lifecycle.STARTING:
            lifecycle.must_act("copy", record.state, name=record.name)
        lock = try_lock(engine.paths(record.id).lock)
        if lock is not None:
            now = engine.containers.get(record.id)
            if now is not None and now.state in _LIES:
                return now, lock
            lock.release()
        elif time.monotonic() > deadline:
            raise Unavailable(
                f"container {record.name} ({record.state}) has been another process's for {_PATIENCE:.0f} seconds",
                remedy=f"Find it with: fuser -v {engine.paths(record.id).lock}",
            )
        else:
            time.sleep(_PAUSE)
        record = engine.find(record.id)
    return record, None


def _of_running(record: ContainerRecord, own_files: str) -> tuple[int, int]:
    """Descriptors of the root directory and of the user namespace of the container's first process; or of `own_files`,
    where its monitor has them, in place of the root directory."""
    ended = Conflict(f"container {record.name} has just ended", remedy="Try again.")
    opened: list[int] = []
    try:
        opened.append(_own_files(record.pid, own_files) if own_files else _root(record.pid))
        opened.append(os.open(f"/proc/{record.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
        if start_time(record.pid) != record.pid_start:
            raise ended
        root, users = opened
        opened.clear()
        return root, users
    except (FileNotFoundError, ProcessLookupError):
        raise ended from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _root(pid: int) -> int:
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _own_files(pid: int, place: str) -> int:
    """What is mounted at `place` for the monitor of the container whose first process is `pid`: its parent."""
    monitor = parent_of(pid)
    if monitor is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    whole = _root(monitor)
    try:
        root = open_in_root(whole, place, os.O_PATH | os.O_DIRECTORY)
    finally:
        os.close(whole)
    if not mp.is_mounted("", directory=root):  # of another process, or of a monitor that has just let go of it
        os.close(root)
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return root


def _enter(root: int, users: int) -> int:
    """Become the container's root, where that is another than ours."""
    if not is_own_namespace(users, "user"):
        join(users, CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return root


def _shown(engine: Engine, record: ContainerRecord) -> list[_Shown]:
    options = record.parsed_options()
    by_target = {mount.target: mount for mount in options.mounts}
    shown = [_Shown(m.source, m.target, m.read_only) for m in options.mounts if m.kind == "bind"]
    for name, target in engine.containers.volumes_of(record.id):
        mount = by_target.get(target)
        source = volume_data(engine.store.paths.root, name)
        shown.append(_Shown(source, target, bool(mount and mount.read_only), mount.subpath if mount else ""))
    return sorted(shown, key=lambda one: one.target.count("/"))


def _mount(mounts: tuple[Mount, ...], shown: list[_Shown], place: str, *, is_read_only: bool) -> int:
    """Mount a container's files on `place`, where only this process sees them; gives their root."""
    make_private_namespace()
    try:
        mount_all(mounts, place)
        root = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for one in shown:
            _show(root, one)
        if is_read_only:
            mp.set_attributes(root, 0x1, 0, recursive=False)
    except OSError as error:
        raise Unavailable(f"the files of the container cannot be mounted: {error}") from error
    return root


def _show(root: int, one: _Shown) -> None:
    """Mount it where the container would have it; nothing happens where its source is missing."""
    try:
        tree = _tree(one)
    except FileNotFoundError:
        return
    try:
        if one.read_only:
            mp.set_attributes(tree, 0x1, 0)
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        place = make_directories(root, one.target) if is_directory else make_file(root, one.target)
        try:
            mp.attach(tree, place, what=f"show {one.source} on {one.target}")
        finally:
            os.close(place)
    finally:
        os.close(tree)


def _tree(one: _Shown) -> int:
    if not one.subpath:
        return mp.clone_tree(one.source, recursive=True)
    volume = os.open(one.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        part = open_in_root(volume, one.subpath, os.O_PATH)  # a container may have put links there
    finally:
        os.close(volume)
    try:
        return mp.clone_tree(part, recursive=True)
    finally:
        os.close(part)


def _serve(connection: frames.Connection, prepare: Callable[[], int], name: str, caller: int) -> NoReturn:
    """Answer until the other side has gone; ends the process."""
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side hears of it, and ends us
        os.umask(0)
        side: Side | None = None
        while True:
            try:
                frame, descriptor = connection.receive_with_descriptor()
            except frames.MonitorGone:
                code = 0
                break
            try:
                if side is None:
                    side = Side(prepare(), f"container {name}")
                    die_with_parent()  # which may be killed while we wait for a stream; not before the ids changed
                    if os.getppid() != caller:
                        break
                answer = _act(side, frame.kind, frame.json(), descriptor)
                connection.send(frames.DONE, answer)
            except (EstibaError, OSError) as error:
                connection.send(frames.FAILED, _told(error))
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
    finally:
        os._exit(code)


def _act(side: Side, kind: int, words: list[Any], descriptor: int) -> object:
    if kind == _FIND:
        return side.find(words[0], follows=words[1])
    directory = side.directory(words[0])
    try:
        if kind == _SEND:
            return stream.send(directory, words[1], words[2], stream.Pipe(descriptor))
        owner = (words[1][0], words[1][1]) if words[1] is not None else None
        with open(descriptor, "rb", closefd=False) as source:
            left_out = stream.take(source, lambda path: _below(side, words[0], path), stream.Taken(owner, words[2]))
            while source.read(1 << 16):  # what pads the tar
                pass
        return left_out
    finally:
        os.close(directory)


def _below(side: Side, directory: str, path: str) -> int:
    """A directory of the container's, made where it is missing; links lead where they lead for the container."""
    whole = f"{directory}/{path}" if path else directory
    try:
        return open_in_root(side.root, whole, os.O_RDONLY | os.O_DIRECTORY, resolve=IN_ROOT)
    except FileNotFoundError:
        os.close(make_directories(side.root, whole))
    except NotADirectoryError:
        raise Conflict(f"{whole} is a file, and a directory is wanted in its place") from None
    return open_in_root(side.root, whole, os.O_RDONLY | os.O_DIRECTORY, resolve=IN_ROOT)


def _told(error: EstibaError | OSError) -> dict[str, str]:
    if isinstance(error, EstibaError):
        kind = next((kind.__name__ for kind in _KINDS if isinstance(error, kind)), "Unavailable")
        return {"kind": kind, "message": error.message, "remedy": error.remedy}
    kind = BrokenPipeError.__name__ if isinstance(error, BrokenPipeError) else Unavailable.__name__
    what = f"the container's {error.filename}" if error.filename else "the container's files"
    return {"kind": kind, "message": f"{what}: {(error.strerror or str(error)).lower()}", "remedy": ""}
