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
    from estiba.cli.units import human_size
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
        f"Checked {report.images} images, {report.names} names, {report.snapshots} snapshots and {report.blobs} blobs "
        f"({human_size(report.blob_bytes)}): {len(report.problems) or 'no'} problems."
    )
    if report.garbage.removals:
        count, size = len(report.garbage.removals), human_size(report.garbage.size)
        print(f"{count} things ({size}) are needed by nothing: `estiba gc` removes them.")
    return 1 if report.problems else 0
