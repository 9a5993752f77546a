"""What the ``--mount`` flags of a RUN become: trees of stages and of the context, caches, secrets, memory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from hashlib import sha256
from types import TracebackType

from estiba.builder import keys
from estiba.builder.context.hashes import FileHashes
from estiba.builder.context.tree import SourceTree
from estiba.builder.context.trees import Trees
from estiba.builder.request import BuildRequest
from estiba.builder.step.job import Place, StepMount
from estiba.errors import InvalidInput, NotFound, NotThereYet
from estiba.graph.cancellation import Cancellation
from estiba.graph.protocols import Result
from estiba.graph.vertex import Operation, Pairs, Run, RunMount, Vertex
from estiba.oci.digest import Digest
from estiba.store.store import Store

_BETWEEN_TRIES = 0.05  # seconds


class CacheLocks:
    """``with CacheLocks(directories, cancellation):`` holds them; always taken in one order, so nobody waits in a ring.

    Raises:
        Cancelled: the build was given up while somebody else held one.
    """

    def __init__(self, directories: Sequence[str], cancellation: Cancellation) -> None:
        self._directories = directories
        self._cancellation = cancellation
        self._held: list[int] = []

    def __enter__(self) -> None:
        try:
            for directory in self._directories:
                self._held.append(os.open(directory, os.O_RDONLY | os.O_CLOEXEC))
                while not _is_locked(self._held[-1]):
                    self._cancellation.raise_if_set()
                    time.sleep(_BETWEEN_TRIES)
        except BaseException:
            self._release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class MountPlanner:
    """Turns mounts as written into mounts that a step's process makes. Cache directories lie under ROOT/mounts."""

    def __init__(self, store: Store, request: BuildRequest, trees: Trees) -> None:
        self._store = store
        self._request = request
        self._trees = trees

    def plan(
        self, operation: Run, vertex: Vertex, inputs: Sequence[Result]
    ) -> tuple[tuple[StepMount, ...], tuple[tuple[str, str], ...]]:
        """The mounts, and the variables that carry secrets.

        Raises:
            NotFound: a required secret that was not given. NotThereYet: a kind of mount that is not there yet.
        """
        mounts: list[StepMount] = []
        variables: list[tuple[str, str]] = []
        for mount in operation.mounts:
            if mount.kind == "secret":
                data = self._secret(mount)
                if data is None:
                    continue
                if mount.variable:
                    variables.append((mount.variable, data.decode("utf-8", "surrogateescape")))
                if mount.target or not mount.variable:
                    mounts.append(self._secret_mount(mount, data))
            elif mount.kind == "tmpfs":
                mounts.append(StepMount("tmpfs", mount.target, size=mount.size))
            elif mount.kind == "cache":
                mounts.append(self._cache(mount))
            elif mount.kind == "bind":
                mounts.append(self._bind(mount, vertex, inputs))
            elif mount.required:
                raise NotThereYet(f"RUN --mount=type={mount.kind} is not there yet")
        return tuple(mounts), tuple(variables)

    def context_parts(
        self, operation: Run, vertex: Vertex, inputs: Sequence[Result], hashes: FileHashes
    ) -> dict[int, Pairs]:
        """For each bind mount of a context, by its number, what its files are."""
        found = {}
        for number, mount in enumerate(operation.mounts):
            tree = self._tree(mount, vertex, inputs) if mount.kind == "bind" else None
            if tree is not None:
                items = tree.select(mount.source or ".")
                digests = hashes.of(tree, (entry for item in items for entry in item.entries))
                found[number] = keys.item_parts(items, digests)
        return found

    def locks(self, operation: Operation, cancellation: Cancellation) -> CacheLocks:
        """To hold: the cache directories of a step that nobody else may use meanwhile (``sharing=locked``)."""
        mounts = operation.mounts if isinstance(operation, Run) else ()
        wanted = {self._cache_directory(each) for each in mounts if each.kind == "cache" and each.sharing == "locked"}
        return CacheLocks(sorted(wanted), cancellation)

    def _tree(self, mount: RunMount, vertex: Vertex, inputs: Sequence[Result]) -> SourceTree | None:
        return self._trees.of(vertex.inputs[mount.source_input], inputs[mount.source_input])

    def _bind(self, mount: RunMount, vertex: Vertex, inputs: Sequence[Result]) -> StepMount:
        path = mount.source.lstrip("/")
        tree = self._tree(mount, vertex, inputs)
        if tree is not None:
            items = tree.select(path or ".")
            return StepMount("bind", mount.target, items=items, source=Place((), tree.root), read_only=mount.read_only)
        chain_id = inputs[mount.source_input].chain_id
        if chain_id is None:
            raise InvalidInput(f"--mount target={mount.target}: its source holds no file")
        view = self._store.snapshots.view(Digest.parse(chain_id))
        return StepMount("bind", mount.target, source=Place(view), path=path, read_only=mount.read_only)

    def _cache(self, mount: RunMount) -> StepMount:
        if mount.sharing == "private":
            raise NotThereYet(
                "RUN --mount=type=cache,sharing=private is not there yet", remedy="Use sharing=locked, or another id."
            )
        if mount.source_input >= 0:
            raise NotThereYet("RUN --mount=type=cache,from= is not there yet")
        directory = self._cache_directory(mount)
        return StepMount("cache", mount.target, source=Place((), directory), read_only=mount.read_only)

    def _cache_directory(self, mount: RunMount) -> str:
        """The directory of a cache, made with the owner and mode that its first user asks for."""
        name = sha256((mount.identifier or mount.target).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        directory = f"{self._store.paths.root}/mounts/{name}"
        if not os.path.isdir(directory):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            os.chmod(directory, 0o755 if mount.mode is None else mount.mode)
            if os.geteuid() == 0:
                os.chown(directory, mount.uid or 0, mount.gid or 0)
        return directory

    def _secret(self, mount: RunMount) -> bytes | None:
        identifier = self._identifier(mount)
        data = self._request.secrets.get(identifier)
        if data is None and mount.required:
            raise NotFound(
                f"the secret {identifier!r} is required and was not given",
                remedy=f"Give it with --secret id={identifier},src=FILE or --secret id={identifier},env=VARIABLE.",
            )
        return data

    @staticmethod
    def _identifier(mount: RunMount) -> str:
        return mount.identifier or mount.source or mount.target.rpartition("/")[2]

    def _secret_mount(self, mount: RunMount, data: bytes) -> StepMount:
        return StepMount(
            "secret",
            mount.target or f"/run/secrets/{self._identifier(mount)}",
            mode=mount.mode,
            uid=mount.uid or 0,
            gid=mount.gid or 0,
            data=data.decode("latin-1"),
        )
