"""`estiba fsck`: check the whole store; exit code 1 if anything is wrong. With `--repair` mend it first."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.store.fsck import Report
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="fetch and unpack again what is damaged or missing")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.store.fsck import check

    report = check(house.store)
    _show(report)
    if args.repair and report.problems:
        _repair(house, report)
        report = check(house.store)
        _show(report)
    return 1 if report.problems else 0


def _repair(house: House, report: Report) -> None:
    from estiba.cli.transfers import Lines
    from estiba.registry.client.repair import repair

    outcomes = repair(
        house.store,
        report.damage,
        credentials=house.credentials,
        platform=house.settings.platform,
        progress=Lines(),
        routes=house.routes,
    )
    for one in outcomes:
        names = ", ".join(record.name.familiar for record in house.store.references.names_of(one.image))
        what = f"image {one.image.short}" + (f" ({names})" if names else "")
        print(f"{what}: {one.how}" if one.is_whole else f"{what} stays damaged: {one.how}")


def _show(report: Report) -> None:
    from estiba.cli.units import human_size

    for problem in report.problems:
        print(f"{problem.what}: {problem.detail}")
    print(
        f"Checked {report.images} images, {report.names} names, {report.snapshots} snapshots and {report.blobs} blobs "
        f"({human_size(report.blob_bytes)}): {len(report.problems) or 'no'} problems."
    )
    if report.garbage.removals:
        count, size = len(report.garbage.removals), human_size(report.garbage.size)
        print(f"{count} things ({size}) are needed by nothing: `estiba gc` removes them.")
