"""`estiba build ls`, `estiba build show ID` and `estiba build --explain`: what builds did, and why."""

from __future__ import annotations

from estiba.cli.printable import printable
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from estiba.builder.record import BuildRecord, StepRecord
    from estiba.store.builds import Builds

_INDENT = " " * 10


def explain(record: BuildRecord, out: TextIO) -> None:
    """For every step HIT, MISS or SKIPPED, its name, and below it every cause."""
    for step in record.steps:
        print(f"{step.outcome:<9} {_title(step)}", file=out)
        for cause in step.causes:
            print(f"{_INDENT}{printable(cause)}", file=out)


def counts(record: BuildRecord) -> str:
    """How many steps came from the cache, such as ``3/4``; those that were skipped do not count."""
    steps = [step for step in record.steps if step.key]
    return f"{sum(step.outcome == 'HIT' for step in steps)}/{len(steps)}"


def _title(step: StepRecord) -> str:
    first, *rest = step.name.splitlines() or [""]
    name = printable(f"{first} …" if rest else first)
    if step.outcome == "SKIPPED" and not name.startswith("["):
        name = f"[{step.stage}] {name}"
    state = "" if step.state in ("", "done") else f" {step.state.upper()}"
    return f"{name}{state}" + (f" ({step.seconds:.1f}s)" if step.seconds else "")


def familiar(record: BuildRecord) -> list[str]:
    """The names that a build gave, as people write them."""
    from estiba.oci.reference import Reference

    return [Reference.parse(name).familiar for name in record.names]


def find(text: str, builds: Builds) -> BuildRecord:
    """The record of the build whose ID begins with `text`; with "" that of the last.

    Raises:
        NotFound: there is none. Conflict: there are several.
    """
    from estiba.builder.record import BuildRecord
    from estiba.errors import NotFound

    if text:
        return BuildRecord.read(builds.get(text))
    newest = builds.all()[:1]
    if not newest:
        raise NotFound("there is no record of a build", remedy="Build something first: estiba build PATH")
    return BuildRecord.read(newest[0])
