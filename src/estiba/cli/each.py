"""Commands that do the same to several containers: each is tried, and what went wrong is told at the end of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from estiba.cli.usage import tell
from estiba.errors import EstibaError


def for_each(names: Iterable[str], act: Callable[[str], str | None]) -> int:
    """Call `act` for each name and print what it gives; 1 when one failed, else 0."""
    status = 0
    for name in names:
        try:
            if (answer := act(name)) is not None:
                print(answer, flush=True)
        except EstibaError as error:
            tell(error)
            status = 1
    return status
