"""`estiba gc`: show what nothing needs, and remove it."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.engine.trash import Trashed
    from estiba.store.gc import Plan, Removal
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="show the plan and remove nothing")
    parser.add_argument("--dangling", action="store_true", help="images without a name too")
    parser.add_argument("--build-cache", action="store_true", help="the build cache too")
    parser.add_argument(
        "--grace", type=float, default=0, metavar="SECONDS", help="keep leftovers of killed processes younger than this"
    )
    parser.add_argument("--partial", action="store_true", help="what cut pulls have fetched of blobs, too")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the total")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.builder import leftovers
    from estiba.engine import leftovers as containers_left_over
    from estiba.store import gc

    if not args.dry_run:
        for step in leftovers.clear(house.build_surroundings):
            if not args.quiet:
                print(f"Ended {step}, whose build is gone.")
        for sentence in containers_left_over.clear(house.engine):
            if not args.quiet:
                print(sentence)
    options = gc.Options(dangling=args.dangling, build_cache=args.build_cache, grace=args.grace, partial=args.partial)
    plan = gc.plan(gc.gather(house.store, options), options)
    expired = house.engine.volumes.trash.expired()
    emptied = tuple(map(_of_trash, expired))
    plan = plan._replace(removals=(*plan.removals, *emptied))
    if not args.quiet:
        show(plan)
    if args.dry_run:
        print(_total("Would free", plan))
        return 0
    done = gc.apply(house.store, plan, options)
    house.engine.volumes.trash.empty(expired)
    print(_total("Freed", done._replace(removals=(*done.removals, *emptied))))
    return 0


def _of_trash(volume: Trashed) -> Removal:
    from estiba.store.gc import Removal
    from estiba.store.scratch import size_on_disk

    reason = "its time in the trash is over"
    return Removal("volume in trash", volume.name, reason, size_on_disk(volume.directory))


def show(plan: Plan) -> None:
    """The plan as a table, and what stays for whose sake."""
    from estiba.cli.format import align
    from estiba.cli.units import human_size

    if plan.removals:
        rows = [[one.kind.upper(), _short(one.target), human_size(one.size), one.reason] for one in plan.removals]
        print(align([["KIND", "WHAT", "SIZE", "WHY"], *rows]), end="")
    if plan.kept:
        print(plan.kept)


def _short(target: str) -> str:
    return target[:19] if target.startswith("sha256:") else target


def _total(verb: str, plan: Plan) -> str:
    from estiba.cli.units import counted, human_size

    return f"{verb} {human_size(plan.size, digits=4)} in {counted(len(plan.removals), 'thing')}."
