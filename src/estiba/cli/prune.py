"""`estiba prune`: show what is unused, why, and how many bytes it takes; then remove exactly that.

`--plan` only shows it and gives it an ID; `--apply ID` removes what that plan names and is unused still.
"""

from __future__ import annotations

import time

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.store.gc import Options, Plan
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="images that no container has, and the build cache")
    parser.add_argument("--volumes", action="store_true", help="anonymous volumes too")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("--plan", action="store_true", help="show the plan, keep it under an ID, remove nothing")
    parser.add_argument("--apply", default="", metavar="ID", help="remove what a kept plan names")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.gc import show
    from estiba.cli.questions import agrees
    from estiba.cli.units import human_size
    from estiba.engine import prune
    from estiba.store.gc import Options
    from estiba.store.plans import Plans

    plans = Plans(house.store.paths)
    if args.apply:
        plan, options, made = plans.get(args.apply)
        status = _apply(house, plan, options, made=made)
        plans.forget(args.apply)
        return status
    options = Options(dangling=True, unused=args.all, build_cache=args.all)
    made = time.time()
    plan = prune.plan(house.engine, options, volumes=args.volumes)
    show(plan)
    print(f"{human_size(plan.size, digits=4)} in {len(plan.removals)} things.")
    if args.plan:
        print(f"Nothing was removed. To do it: estiba prune --apply {plans.keep(plan, options)}")
        return 0
    if not plan.removals:
        return 0
    if not args.force and not agrees("Remove this?"):
        return 1
    return _apply(house, plan, options, made=made)


def _apply(house: House, plan: Plan, options: Options, *, made: float) -> int:
    from estiba.cli.units import human_duration, human_size
    from estiba.engine import prune

    done = prune.apply(house.engine, plan, options, made=made)
    for reason in done.refused:
        print(f"stays: {reason}")
    left = len(plan.removals) - len(done.removed.removals) - len(done.refused)
    if left > 0:
        print(f"{left} things of the plan are gone already, or are in use now.")
    if done.trashed:
        time_left = human_duration(house.settings.volume_trash)
        print(f"{len(done.trashed)} volumes can be taken back for {time_left}: estiba volume undo NAME")
    print(f"Total reclaimed space: {human_size(done.removed.size, digits=4)}")
    return 0
