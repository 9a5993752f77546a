"""`estiba fsck`: check the whole store; exit code 1 if anything is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estiba.errors import NotThereYet

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="fetch again what is damaged (not there yet)")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.units import counted, human_size
    from estiba.store.fsck import check

    if args.repair:
        raise NotThereYet(
            "fsck --repair is not there yet",
            remedy="Remove the images that `estiba fsck` names (`estiba rmi -f`, `estiba gc`) and pull them again.",
        )
    report = check(house.store)
    for problem in report.problems:
        print(f"{problem.what}: {problem.detail}")
    print(
        f"Checked {counted(report.images, 'image')}, {counted(report.names, 'name')}, "
        f"{counted(report.snapshots, 'snapshot')} and {counted(report.blobs, 'blob')} "
        f"({human_size(report.blob_bytes)}): "
        f"{counted(len(report.problems), 'problem') if report.problems else 'no problems'}."
    )
    if report.garbage.removals:
        count, size = counted(len(report.garbage.removals), "thing"), human_size(report.garbage.size)
        print(f"Needed by nothing: {count} ({size}). `estiba gc` frees the space.")
    return 1 if report.problems else 0
