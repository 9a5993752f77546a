"""The store: everything that is kept under one root, opened once and handed down."""

from __future__ import annotations

from _thread import allocate_lock

from estiba.store.database import Database
from estiba.store.paths import StorePaths
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from functools import cached_property as part
    from types import TracebackType
    from typing import Self

    from estiba.store.blobs.directory import DirectoryBlobs
    from estiba.store.blobs.partial import Partials
    from estiba.store.builds import Builds
    from estiba.store.cache import BuildCache
    from estiba.store.images import Images
    from estiba.store.layer_blobs import LayerBlobs
    from estiba.store.leases import Leases
    from estiba.store.references import References
    from estiba.store.scratch import Scratch
    from estiba.store.snapshots.base import Snapshotter
    from estiba.store.uses import Uses
else:

    class part:  # noqa: N801 - it is written as a decorator
        """A part that is made, and whose code is loaded, when it is first asked for: `ps` needs the database alone.

        All threads get the same one.
        """

        def __init__(self, make):
            self._make = make
            self.__doc__ = make.__doc__

        def __get__(self, store, owner=None):
            if store is None:
                return self
            return store.__dict__.setdefault(self._make.__name__, self._make(store))


class Store:
    """One root. Any number of processes may have it open; each part keeps its own promises among them."""

    def __init__(
        self, paths: StorePaths, database: Database, *, snapshotter: str, restore: Callable[[Store], None] | None = None
    ) -> None:
        self.paths = paths
        self.database = database
        self._wanted = snapshotter
        self._restore = restore
        self._opening = allocate_lock()

    @part
    def scratch(self) -> Scratch:
        """What is being written."""
        from estiba.store.scratch import Scratch

        return Scratch(self.paths.tmp)

    @part
    def blobs(self) -> DirectoryBlobs:
        """Bytes by their digest."""
        from estiba.store.blobs.directory import DirectoryBlobs

        return DirectoryBlobs(self.paths.blobs, self.scratch)

    @part
    def partials(self) -> Partials:
        """Blobs that have come in part."""
        from estiba.store.blobs.partial import Partials

        return Partials(self.paths.tmp, self.blobs)

    @part
    def references(self) -> References:
        """Names of images."""
        from estiba.store.references import References

        return References(self.database)

    @part
    def images(self) -> Images:
        """The images that are here."""
        from estiba.store.images import Images

        return Images(self.database, self.blobs, self.references)

    @part
    def layer_blobs(self) -> LayerBlobs:
        """In which blobs a layer is here."""
        from estiba.store.layer_blobs import LayerBlobs

        return LayerBlobs(self.database, self.blobs)

    @part
    def leases(self) -> Leases:
        """What is protected while somebody works on it."""
        from estiba.store.leases import Leases

        return Leases(self.database)

    @part
    def uses(self) -> Uses:
        """Who needs what."""
        from estiba.store.uses import Uses

        return Uses(self.database)

    @part
    def cache(self) -> BuildCache:
        """Results of build steps."""
        from estiba.store.cache import BuildCache

        return BuildCache(self.database)

    @part
    def builds(self) -> Builds:
        """Records of builds."""
        from estiba.store.builds import Builds

        return Builds(self.database)

    @part
    def snapshots(self) -> Snapshotter:
        """Layers as trees; the kind is chosen at the first use, and what a power cut may have cost is restored.

        Other threads wait until all is restored: what they ask for may be among it.
        """
        from estiba.store.snapshots.choose import open_snapshotter

        with self._opening:
            if "snapshots" not in self.__dict__:
                snapshots = open_snapshotter(self.database, self.paths, kind=self._wanted)
                if self._restore is not None and snapshots.doubtful():
                    self._restore(self._with(snapshots))
                self.__dict__["snapshots"] = snapshots
            opened: Snapshotter = self.__dict__["snapshots"]
            return opened

    def _with(self, snapshots: Snapshotter) -> Store:
        """The same store for whoever restores, who needs the snapshotter before all others may have it."""
        store = Store(self.paths, self.database, snapshotter=self._wanted)
        store.__dict__.update(snapshots=snapshots, leases=self.leases)
        return store

    @classmethod
    def open(cls, root: str, *, snapshotter: str = "auto", restore: Callable[[Store], None] | None = None) -> Store:
        """Open the store in directory `root`, an absolute path; it is made where it is missing.

        `snapshotter` is ``overlay``, ``copying`` or ``auto``: the best that the kernel and the disk allow. `restore`
        is called before snapshots are used the first time, if there are doubtful ones: `image.restore`.

        Raises:
            PermissionDenied: this user may not write there. Unavailable: no space, or the database is locked.
            Corrupt: the database is damaged. Conflict: a newer Estiba has used it.
        """
        paths = StorePaths(root)
        paths.make()
        store = cls(paths, Database.open(paths.database), snapshotter=snapshotter, restore=restore)
        if store.database.is_new:
            # Their tables are there from the beginning: on a full disk none could be made.
            _ = store.references, store.images, store.layer_blobs, store.leases, store.uses, store.cache, store.builds
        return store

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
