"""``--log-driver`` and ``--log-opt``, as the command line and Docker's API take them. Pure."""

from __future__ import annotations

from estiba.engine.options import LogOptions
from estiba.engine.quantities import is_number, parse_size
from estiba.errors import InvalidInput, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DRIVERS = ("json-file", "local", "none")
_WITHOUT_LIMIT = 1 << 62
_MOST_FILES = 10_000


def log_options(driver: str, options: Iterable[tuple[str, str]]) -> LogOptions:
    """How much of a container's output is kept; `driver` "" is json-file.

    Raises:
        InvalidInput: a value that is none. NotThereYet: a driver or an option that Estiba has not.
    """
    logs = LogOptions(driver=driver or "json-file")
    if logs.driver not in _DRIVERS:
        raise NotThereYet(
            f"the log driver {logs.driver} is not there yet", remedy="Drivers are json-file, local and none."
        )
    if logs.driver == "local":
        logs = logs._replace(size=20 << 20, files=5)
    for name, value in options:
        if name == "max-size":
            size = -1 if value == "-1" else parse_size(value, what="max-size")
            logs = logs._replace(size=size if size > 0 else _WITHOUT_LIMIT)
        elif name == "max-file":
            logs = logs._replace(files=_files(value))
        elif (name, value) not in (("compress", "false"), ("mode", "blocking")):
            raise NotThereYet(f"the log option {name} is not there yet", remedy="Options are max-size and max-file.")
    return logs


def _files(text: str) -> int:
    if not is_number(text):
        raise InvalidInput(f"invalid max-file {text!r}", remedy="Give a number of files such as 3.")
    return min(max(1, int(text)), _MOST_FILES)
