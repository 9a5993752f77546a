"""Where content and snapshots meet: the blobs of an image's layers become the snapshot of its chain ID.

Each layer is decompressed, verified and unpacked by a process of its own, several at a time, into a snapshot on
nothing; then, in order from the lowest, each is put on the one below and committed. Two kinds of layers must wait for
those below: all of them where snapshots are whole copies, and a layer with an entry in a directory that it does not
mention, or with a hard link to a file that it does not hold. Such a layer is unpacked again on a mount of the others.

    with Unpacking(store, layers) as unpacking:
        for index in unpacking.needed:  # in any order, as they come
            unpacking.start(index, descriptor)
        chain_id = unpacking.finish()

Where `takes_streams`, the descriptor may be a pipe into which the blob is still coming; the process verifies the blob's
digest too, so that nobody else needs to (`answer`, `collect`).

Two processes with the same layers: one does the work, the other waits for it and finds it done.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

from estiba import errors
from estiba.errors import Corrupt, EstibaError, Unavailable
from estiba.image.unpack_worker import PROGRAM
from estiba.layers.unpack import DELETE, IGNORE, UnpackLimits
from estiba.linux.mounts import Mount
from estiba.oci import json_text
from estiba.oci.chain_id import chain_ids
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.store.store import Store
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, BinaryIO

Layer = tuple[Digest, Descriptor]
"""A diff ID and the blob that is said to hold it."""


def unpack_layers(
    store: Store,
    layers: Sequence[Layer],
    *,
    open_blob: Callable[[Digest], BinaryIO] | None = None,
    limits: UnpackLimits | None = None,
) -> Digest | None:
    """Make sure that the snapshot of `layers`, lowest first, exists; gives its chain ID, None for no layers.

    `open_blob` gives a blob as an open file with a descriptor, by default from the store.

    Raises:
        Corrupt: a blob is not what its digest, its size or the diff ID says, or it is damaged.
        InvalidInput: a layer holds what no layer may. PermissionDenied: or what this user may not make.
        Unavailable: no space. Nothing is left of the layers that were being made then.
    """
    open_blob = open_blob or store.blobs.open
    with Unpacking(store, layers, limits=limits, open_blob=open_blob) as unpacking:
        for index in unpacking.needed:
            with open_blob(layers[index][1].digest) as blob:
                unpacking.start(index, blob.fileno())
        return unpacking.finish()


class _Worker(NamedTuple):
    """A process at work: its answer comes from `answer`."""

    pid: int
    answer: int


class _Done(NamedTuple):
    content: int
    needs_below: bool
    has_root: bool


class Unpacking:
    """One image's layers being unpacked; a context manager that leaves nothing half done behind.

    `needed` are the positions of the layers whose blobs are to be given to `start`, of which `workers` run at a time.
    `open_blob` gives the blob of a layer that must be unpacked a second time, by default from the store. Where a
    layer's blob is not known yet, `start` says it.
    """

    def __init__(
        self,
        store: Store,
        layers: Sequence[tuple[Digest, Descriptor | None]],
        *,
        limits: UnpackLimits | None = None,
        workers: int | None = None,
        open_blob: Callable[[Digest], BinaryIO] | None = None,
    ) -> None:
        self.needed: tuple[int, ...] = ()
        self.workers = workers or os.cpu_count() or 1
        self._store = store
        self._layers = list(layers)
        self._chains = tuple(chain_ids(diff_id for diff_id, _ in layers))
        self._limits = limits or UnpackLimits()
        self._open_blob = open_blob or store.blobs.open
        self._lease = store.leases.hold("unpack an image")
        self._locks: dict[int, _Lock] = {}
        self._blobs: dict[int, int] = {}
        self._workers: dict[int, _Worker] = {}
        self._done: dict[int, _Done] = {}
        self._committed = 0

    def __enter__(self) -> Unpacking:
        self._lease.__enter__()
        try:
            self._look()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
            os.close(worker.answer)
        try:
            for index in range(self._committed, len(self._layers)):
                if index in self._locks:
                    self._store.snapshots.remove(self._key(index))
        finally:
            for descriptor in self._blobs.values():
                os.close(descriptor)
            for lock in self._locks.values():
                lock.release()
            self._lease.__exit__(None, None, None)

    @property
    def takes_streams(self) -> bool:
        """Whether layers are unpacked as they come. Else each waits for those below it, and only a file will do."""
        return self._store.snapshots.whiteouts != DELETE

    def start(self, index: int, descriptor: int, blob: Descriptor | None = None) -> None:
        """Unpack the layer `index` from `descriptor`, which the caller may close at once; waits for a free place.

        `blob` says which one it is, where that was not known when this was made.
        """
        if blob is not None:
            self._layers[index] = (self._layers[index][0], blob)
        self._blobs[index] = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
        if self._store.snapshots.whiteouts == DELETE:
            return  # done in order, by `finish`
        while len(self._workers) >= self.workers:
            self._wait_for_one()
        key = self._key(index)
        self._store.snapshots.prepare(key, None)
        whiteouts = self._store.snapshots.whiteouts if index else IGNORE
        self._spawn(index, self._store.snapshots.writable(key), whiteouts)
        os.close(self._blobs.pop(index))  # so that a feeder sees when the process has ended

    def answer(self, index: int) -> int:
        """A descriptor that can be read as soon as the process that unpacks layer `index` has ended."""
        return self._workers[index].answer

    def collect(self, index: int) -> None:
        """Take the answer of the process that unpacks layer `index`; waits for its end.

        Raises:
            as `unpack_layers`. When it returns, the blob's digest and size are as promised.
        """
        self._take(index)

    def finish(self) -> Digest | None:
        """Wait for all, commit in order, and give the chain ID. Nothing waits for the disk: see `restore`.

        Raises:
            as `unpack_layers`.
        """
        for index in self.needed:
            if self._store.snapshots.whiteouts == DELETE:
                self._store.snapshots.prepare(self._key(index), self._below(index))
                self._spawn(index, self._store.snapshots.writable(self._key(index)), DELETE if index else IGNORE)
            while index not in self._done:
                self._wait_for_one()
            self._commit(index)
        return self._chains[-1] if self._chains else None

    def _look(self) -> None:
        """Find out what is missing, and lock it against others who miss it too."""
        has = self._store.snapshots.has
        have = len(self._chains)
        while have and not has(self._chains[have - 1]):
            have -= 1
        for index in range(have, len(self._chains)):
            lock = _Lock(f"{self._store.paths.tmp}/unpack.{self._chains[index].hex}")
            if has(self._chains[index]):
                lock.release()  # somebody else has just made it
                have = index + 1
                continue
            self._locks[index] = lock
            # Of one who was killed: nobody holds the lock, nor does a process that it started.
            self._store.snapshots.remove(self._key(index))
        self._committed = have
        self.needed = tuple(range(have, len(self._chains)))

    def _key(self, index: int) -> str:
        return f"unpack-{self._chains[index].hex}"

    def _blob(self, index: int) -> Descriptor:
        blob = self._layers[index][1]
        assert blob is not None
        return blob

    def _below(self, index: int) -> Digest | None:
        return self._chains[index - 1] if index else None

    def _commit(self, index: int) -> None:
        snapshots = self._store.snapshots
        key, below, done = self._key(index), self._below(index), self._done[index]
        if snapshots.whiteouts != DELETE and below is not None:
            if done.needs_below:
                done = self._again(index, below)
            else:
                snapshots.rebase(key, below, take_root=not done.has_root)
        chain_id, diff_id = self._chains[index], self._layers[index][0]
        snapshots.commit(key, chain_id=chain_id, diff_id=diff_id, size=done.content, sync=False)
        self._committed = index + 1

    def _again(self, index: int, below: Digest) -> _Done:
        """Unpack the layer once more, on a mount of those below it."""
        key = self._key(index)
        self._store.snapshots.remove(key)
        mounts = self._store.snapshots.prepare(key, below)
        with self._open_blob(self._blob(index).digest) as blob:
            self._blobs[index] = fcntl.fcntl(blob.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
        held, place = self._store.scratch.folder("unpack")
        try:
            del self._done[index]
            self._spawn(index, place, DELETE, mounts)
            while index not in self._done:
                self._wait_for_one()
        finally:
            os.close(held)
            os.rmdir(place)
        return self._done[index]

    def _spawn(self, index: int, into: str, whiteouts: str, mounts: tuple[Mount, ...] = ()) -> None:
        diff_id, descriptor = self._layers[index][0], self._blob(index)
        job = {
            "into": into,
            "whiteouts": whiteouts,
            "mounts": mounts,
            "diff_id": str(diff_id),
            "digest": str(descriptor.digest),
            "size": descriptor.size,
            "limits": self._limits,
        }
        answer, theirs = os.pipe2(os.O_CLOEXEC)
        # Numbers that none of 0, 1, 3 can be, so that no dup2 overwrites the source of another.
        writing = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(theirs)
        lock = fcntl.fcntl(self._locks[index].descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
        arguments = [sys.executable, "-I", "-S", "-c", PROGRAM, "\n".join(sys.path), json_text.dumps(job)]
        actions = [
            (os.POSIX_SPAWN_DUP2, self._blobs[index], 0),
            (os.POSIX_SPAWN_DUP2, writing, 1),
            (os.POSIX_SPAWN_DUP2, lock, 3),
        ]
        try:
            pid = os.posix_spawn(sys.executable, arguments, {}, file_actions=actions)
        except BaseException:
            os.close(answer)
            raise
        finally:
            os.close(writing)
            os.close(lock)
        self._workers[index] = _Worker(pid, answer)

    def _wait_for_one(self) -> None:
        """Wait for an answer, and raise it if it is an error."""
        answers = {worker.answer: index for index, worker in self._workers.items()}
        poll = select.poll()
        for answer in answers:
            poll.register(answer, select.POLLIN)
        self._take(answers[poll.poll()[0][0]])

    def _take(self, index: int) -> None:
        worker = self._workers.pop(index)
        with os.fdopen(worker.answer, "rb") as file:
            text = file.read()
        _, status = os.waitpid(worker.pid, 0)
        self._done[index] = self._understood(text, status, self._blob(index))

    @staticmethod
    def _understood(text: bytes, status: int, layer: Descriptor) -> _Done:
        code = os.waitstatus_to_exitcode(status)
        if not text:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise Unavailable(f"the process that unpacked layer {layer.digest} {how}")
        answer: dict[str, Any] = json_text.loads(text.decode(), what="the answer of a process that unpacks")
        if "error" in answer:
            kind: type[EstibaError] = getattr(errors, answer["error"], Corrupt)
            raise kind(f"layer {layer.digest}: {answer['message']}", remedy=answer["remedy"])
        return _Done(answer["content"], answer["needs_below"], answer["has_root"])


class _Lock:
    """A file that whoever makes a layer holds locked, and its workers with it, until all have ended."""

    def __init__(self, path: str) -> None:
        self._path = path
        while True:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            try:
                if os.stat(path).st_ino == os.fstat(self.descriptor).st_ino:
                    return
            except FileNotFoundError:
                pass
            os.close(self.descriptor)  # its last holder has removed it meanwhile

    def release(self) -> None:
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        os.close(self.descriptor)
