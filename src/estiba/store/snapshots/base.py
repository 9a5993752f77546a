"""What a snapshotter does, whatever it is made of.

    prepare(key, parent) ──▶ active: its mounts can be mounted and written to, by `key`
                               │
              remove(key) ◀────┼────▶ commit(key, chain_id, …) ──▶ committed: never changed, found by its chain ID
                                                                     │
                                                                     └──▶ parent of others, view(chain_id), remove

An active snapshot outlives the process that made it; what belongs to nobody is for the store's gc to see.
"""

from __future__ import annotations

from estiba.errors import AlreadyExists, Conflict, NotFound
from estiba.linux.mounts import Mount
from estiba.oci.digest import Digest
from estiba.values import NamedTuple, Protocol

ACTIVE = "active"
COMMITTED = "committed"

# How a layer's whiteouts are to be written when it is unpacked into `writable(key)`.
WHITEOUTS_AS_OVERLAY = "overlay"
"""Character devices 0:0, and trusted.overlay.opaque."""
WHITEOUTS_AS_USER_OVERLAY = "user-overlay"
"""Character devices 0:0, and user.overlay.opaque (option ``userxattr``)."""
WHITEOUTS_DELETE = "delete"
"""The tree holds the parents' files: what a whiteout names is deleted."""


class SnapshotRecord(NamedTuple):
    """One snapshot. `key` names an active one, `chain_id` a committed one; `size` is that of its files in
    bytes, as Docker counts it.
    """

    number: int
    state: str
    key: str | None
    chain_id: Digest | None
    parent: Digest | None
    diff_id: Digest | None
    size: int
    created: int
    used: int


class Change(NamedTuple):
    """The change that a layer is, as directories, for `layers.pack`.

    With `base` "" `tree` holds just the change, with an overlay's whiteouts; else both are whole trees to compare.
    """

    tree: str
    base: str


class Usage(NamedTuple):
    """What a snapshot's own directory takes on the disk: `size` in bytes allocated, `inodes`."""

    size: int
    inodes: int


class NoSuchSnapshot(NotFound):
    def __init__(self, name: str | Digest) -> None:
        super().__init__(f"there is no snapshot {name}")


class SnapshotExists(AlreadyExists):
    def __init__(self, name: str | Digest) -> None:
        super().__init__(f"there is a snapshot {name} already")


class SnapshotInUse(Conflict):
    def __init__(self, name: Digest, *, user: str) -> None:
        super().__init__(f"snapshot {name} cannot be removed: {user} stands on it")


class Snapshotter(Protocol):
    """Safe to use from several processes at once. A name is a key (text) or a chain ID (`Digest`)."""

    kind: str
    """``overlay`` or ``copying``."""
    whiteouts: str
    """One of the WHITEOUTS_ values."""

    def prepare(self, key: str, parent: Digest | None) -> tuple[Mount, ...]:
        """Make the active snapshot `key` on top of `parent` (None: on nothing) and give its mounts.

        Raises:
            SnapshotExists: the key is taken. NoSuchSnapshot: the parent is not there.
        """

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """What to mount, in order (`linux.mounts.mount_all`), to read and write the active snapshot `key`.

        Raises:
            NoSuchSnapshot.
        """

    def view(self, chain_id: Digest) -> tuple[Mount, ...]:
        """What to mount to read the committed snapshot `chain_id`.

        Raises:
            NoSuchSnapshot.
        """

    def writable(self, key: str) -> str:
        """The directory to unpack a layer into, or to copy files into without mounting; see `whiteouts`.

        Raises:
            NoSuchSnapshot.
        """

    def rebase(self, key: str, parent: Digest, *, take_root: bool) -> None:
        """Put the active snapshot `key`, which was made on nothing, on top of `parent`.

        With `take_root` its root directory gets the owner and mode of the parent's. So layers are unpacked at the
        same time, each for itself; only where `whiteouts` are kept can that be.

        Raises:
            NoSuchSnapshot: either is not there. Conflict: this kind of snapshotter cannot.
        """

    def commit(self, key: str, *, chain_id: Digest, diff_id: Digest, size: int, sync: bool = True) -> bool:
        """Make the active snapshot `key` the committed one of `chain_id`; it must not be mounted any more.

        False: there was one of that chain ID already, made by somebody else meanwhile; that one stays and ours is
        removed. With `sync` False the files may be lost in a power cut, and the snapshot with them, until `sync`.

        Raises:
            NoSuchSnapshot.
        """

    def sync(self) -> None:
        """Make every commit so far outlive a power cut. To be called before an image that needs them is recorded."""

    def remove(self, name: str | Digest) -> None:
        """Remove the snapshot; nothing happens where there is none.

        Raises:
            SnapshotInUse: another snapshot stands on it.
        """

    def forget(self, name: str | Digest) -> None:
        """Drop the record alone, in the caller's transaction if there is one: its directory is one of `strays` then.

        Raises:
            SnapshotInUse: another snapshot stands on it.
        """

    def has(self, chain_id: Digest) -> bool:
        """Whether `chain_id` is committed."""

    def parents(self, chain_id: Digest) -> tuple[Digest, ...]:
        """The chain IDs below `chain_id`, the nearest first.

        Raises:
            NoSuchSnapshot.
        """

    def directories(self, chain_id: Digest) -> tuple[str, ...]:
        """The trees of which `chain_id` consists, the top one first (one whole tree for ``copying``).

        Raises:
            NoSuchSnapshot.
        """

    def change(self, name: str | Digest) -> Change:
        """Where the change of one layer can be read.

        Raises:
            NoSuchSnapshot.
        """

    def get(self, name: str | Digest) -> SnapshotRecord:
        """The record of a snapshot.

        Raises:
            NoSuchSnapshot.
        """

    def list(self) -> tuple[SnapshotRecord, ...]:
        """Every snapshot, the oldest first."""

    def usage(self, name: str | Digest) -> Usage:
        """What the snapshot alone takes on the disk.

        Raises:
            NoSuchSnapshot.
        """

    def doubtful(self) -> tuple[Digest, ...]:
        """Committed snapshots of an earlier boot that never were synced: a power cut may have damaged them, so nothing
        else here knows of them.
        """

    def discard_doubtful(self) -> None:
        """Remove the trees of the doubtful snapshots, which nobody may use, and keep in mind which they were."""

    def give_up(self, chain_ids: tuple[Digest, ...]) -> None:
        """Forget these doubtful snapshots; those that were committed anew meanwhile stay."""

    def strays(self) -> tuple[str, ...]:
        """Directories that belong to no snapshot: of a process that was killed. They may be removed at any time."""
