"""Which snapshotter a store has: the one that its snapshots were made with, else the best one that works here."""

from __future__ import annotations

import errno
import os

from estiba.errors import Conflict, InvalidInput, Unavailable
from estiba.linux.overlay import create_detached
from estiba.store.database import Database
from estiba.store.paths import StorePaths
from estiba.store.scratch import Scratch
from estiba.store.snapshots.base import Snapshotter
from estiba.store.snapshots.copying import CopyingSnapshotter
from estiba.store.snapshots.overlay import OverlaySnapshotter
from estiba.store.snapshots.records import SnapshotRecords, boot_id
from estiba.store.snapshots.trees import remove_tree

AUTO = "auto"
OVERLAY = "overlay"
USER_OVERLAY = "user-overlay"
COPYING = "copying"
_KINDS = (AUTO, OVERLAY, COPYING)


def open_snapshotter(database: Database, paths: StorePaths, *, kind: str = AUTO) -> Snapshotter:
    """The snapshotter of the store at `paths`; `kind` is ``auto``, ``overlay`` or ``copying``.

    What works is tried once a boot and remembered in the database.

    Raises:
        InvalidInput: another kind. Conflict: the store has snapshots of the other kind.
        Unavailable: overlay was asked for, or the store is made of it, and the kernel refuses to mount one.
    """
    if kind not in _KINDS:
        raise InvalidInput(f"unknown snapshotter {kind!r}", remedy="Choose auto, overlay or copying.")
    records = SnapshotRecords(database, paths)
    user = str(os.geteuid())
    # The answer may differ between users, and after an update of the kernel.
    answer = f"{boot_id()} {user} "
    known = records.setting("works") or ""
    made_of = records.setting("kind") or ""
    if known.startswith(answer):
        works = known.removeprefix(answer)
    else:
        works = overlay_that_works(Scratch(paths.tmp))
        records.set_setting("works", answer + works)
    wanted = _decide(kind, made_of=made_of if made_of and records.list() else "", works=works)
    if wanted != made_of:
        records.set_setting("kind", wanted)
    if wanted == COPYING:
        return CopyingSnapshotter(records)
    return OverlaySnapshotter(records, user_xattr=works == USER_OVERLAY)


def _decide(kind: str, *, made_of: str, works: str) -> str:
    if kind != AUTO and made_of and kind != made_of:
        raise Conflict(
            f"this store is made of {made_of} snapshots, {kind} was asked for",
            remedy=f"Use --snapshotter {made_of}, or another --root.",
        )
    wanted = made_of or kind
    if wanted == AUTO:
        return COPYING if works == COPYING else OVERLAY
    if wanted == OVERLAY and works == COPYING:
        raise Unavailable(
            "the kernel does not let this user mount an overlay here",
            remedy="Run as root, or use another --root with --snapshotter copying. `estiba doctor` says more.",
        )
    return wanted


def overlay_that_works(scratch: Scratch) -> str:
    """Try to make an overlay in `scratch`, mounted nowhere: ``overlay``, ``user-overlay``, or ``copying`` if none."""
    held, trial = scratch.folder("trial")
    try:
        for name in ("lower", "upper", "work"):
            os.mkdir(f"{trial}/{name}", 0o700)
        for kind, attribute in ((OVERLAY, "trusted.overlay.opaque"), (USER_OVERLAY, "user.overlay.opaque")):
            if _works(trial, kind, attribute):
                return kind
        return COPYING
    finally:
        remove_tree(trial)
        os.close(held)


def _works(trial: str, kind: str, attribute: str) -> bool:
    options: list[tuple[str, str | None]] = [("index", "off"), ("metacopy", "off")]
    # userxattr switches redirect_dir off by itself, and refuses to be told so.
    options.append(("userxattr", None) if kind == USER_OVERLAY else ("redirect_dir", "off"))
    whiteout = f"{trial}/upper/{kind}"
    try:
        os.setxattr(f"{trial}/upper", attribute, b"n")
        os.mknod(whiteout, 0o20000, os.makedev(0, 0))
        os.unlink(whiteout)
        os.removexattr(f"{trial}/upper", attribute)
        os.close(
            create_detached(
                f"{trial}/lower",
                upper=f"{trial}/upper",
                work=f"{trial}/work",
                options=options,
            )
        )
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise Unavailable(f"{trial}: {error.strerror}", remedy="Look at the disk with: df -h") from error
        return False
    return True
