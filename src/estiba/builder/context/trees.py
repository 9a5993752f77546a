"""The trees that a build reads files from without a mount: its context, and what came from addresses."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from estiba.builder.context.tree import SourceTree
from estiba.dockerfile.addresses import shown
from estiba.graph.protocols import Result
from estiba.graph.vertex import LocalContext, SourceGit, SourceUrl, Vertex
from estiba.oci.digest import Digest
from estiba.store.snapshots.base import Snapshotter


class Trees:
    """Opened when they are first asked for, from any thread; `close` closes all.

    `contexts` are those of the caller by name. What came from an address is a snapshot of one layer, so a directory.
    """

    def __init__(self, contexts: Mapping[str, SourceTree], snapshots: Snapshotter) -> None:
        self._contexts = dict(contexts)
        self._snapshots = snapshots
        self._fetched: dict[str, SourceTree] = {}
        self._lock = Lock()

    def add(self, name: str, tree: SourceTree) -> None:
        """One more context, before the first step."""
        self._contexts[name] = tree

    def of(self, vertex: Vertex, result: Result) -> SourceTree | None:
        """The tree that `vertex` gives, whose result is `result`; None where it must be mounted (a stage, an image)."""
        operation = vertex.operation
        if isinstance(operation, LocalContext):
            return self._contexts[operation.name]
        if not isinstance(operation, SourceUrl | SourceGit) or result.chain_id is None:
            return None
        with self._lock:
            if vertex.digest not in self._fetched:
                (directory,) = self._snapshots.directories(Digest.parse(result.chain_id))
                self._fetched[vertex.digest] = SourceTree(directory, label=_label(operation))
            return self._fetched[vertex.digest]

    def close(self) -> None:
        for tree in (*self._contexts.values(), *self._fetched.values()):
            tree.close()


def _label(operation: SourceUrl | SourceGit) -> str:
    if isinstance(operation, SourceUrl):
        return f"the file {operation.name}"
    return f"the repository {shown(operation.remote)}"
