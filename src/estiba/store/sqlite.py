"""SQLite as the interpreter's own C module has it, without what that would load beside it.

The package `sqlite3` adds adapters of dates, which nobody here uses and which take 3 ms to load. The C module asks
`functools` for `lru_cache`, and that brings `collections` and five others: 1.5 ms of every command, and 0.4 MB of
every monitor for as long as its container lives.
"""

from __future__ import annotations

import sys
from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class _OnlyCaches:
    """Stands for `functools` while `_sqlite3` is being loaded."""

    @staticmethod
    def lru_cache(maxsize: int) -> Any:
        """A cache of the results of one function; how often it helps is not counted by name."""
        return lambda function: _lru_cache_wrapper(function, maxsize, False, tuple)


def _load() -> ModuleType:
    # Where it is loaded already there is nothing to gain; and such a process may have threads, which load modules too.
    if "functools" not in sys.modules:
        sys.modules["functools"] = _OnlyCaches  # type: ignore[assignment]
        try:
            import _sqlite3
        except (AttributeError, ImportError):
            pass  # another version of Python, which asks for more
        finally:
            del sys.modules["functools"]
    import _sqlite3

    return _sqlite3


sqlite3 = _load()
