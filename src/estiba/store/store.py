"""The store: everything that is kept under one root, opened once and handed down."""

from __future__ import annotations

from types import TracebackType

from estiba.store.blobs.directory import DirectoryBlobs
from estiba.store.blobs.partial import Partials
from estiba.store.cache import BuildCache
from estiba.store.database import Database
from estiba.store.images import Images
from estiba.store.layer_blobs import LayerBlobs
from estiba.store.leases import Leases
from estiba.store.paths import StorePaths
from estiba.store.references import References
from estiba.store.scratch import Scratch
from estiba.store.uses import Uses
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from estiba.store.snapshots.base import Snapshotter


class Store:
    """One root. Any number of processes may have it open; each part keeps its own promises among them."""

    def __init__(self, paths: StorePaths, database: Database, *, snapshotter: str) -> None:
        self.paths = paths
        self.database = database
        self.scratch = Scratch(paths.tmp)
        self.blobs = DirectoryBlobs(paths.blobs, self.scratch)
        self.partials = Partials(paths.tmp, self.blobs)
        self.references = References(database)
        self.images = Images(database, self.blobs, self.references)
        self.layer_blobs = LayerBlobs(database, self.blobs)
        self.leases = Leases(database)
        self.uses = Uses(database)
        self.cache = BuildCache(database)
        self._wanted = snapshotter
        self._snapshots: Snapshotter | None = None

    @classmethod
    def open(cls, root: str, *, snapshotter: str = "auto") -> Store:
        """Open the store in directory `root`, an absolute path; it is made where it is missing.

        `snapshotter` is ``overlay``, ``copying`` or ``auto``: the best that the kernel and the disk allow.

        Raises:
            PermissionDenied: this user may not write there. Unavailable: no space, or the database is locked.
            Corrupt: the database is damaged. Conflict: a newer Estiba has used it.
        """
        paths = StorePaths(root)
        paths.make()
        return cls(paths, Database.open(paths.database), snapshotter=snapshotter)

    @property
    def snapshots(self) -> Snapshotter:
        """Layers as trees; the kind is chosen at the first use."""
        if self._snapshots is None:
            from estiba.store.snapshots.choose import open_snapshotter

            self._snapshots = open_snapshotter(self.database, self.paths, kind=self._wanted)
        return self._snapshots

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
