"""Variables and labels as files and flags name them: ``NAME=VALUE``, one a line."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_environment(files: list[str], given: list[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """``KEY=value`` of files and flags; a bare KEY takes the caller's own value, or nothing where it has none.

    Raises:
        InvalidInput: a line without a name. NotFound: a file that cannot be read.
    """
    found: list[str] = []
    for entry in [*lines_of(files), *given]:
        name, equals, _ = entry.partition("=")
        if not name or any(c.isspace() for c in name):
            raise InvalidInput(f"invalid environment variable {entry!r}", remedy="Write NAME=VALUE.")
        if equals:
            found.append(entry)
        elif name in environment:
            found.append(f"{name}={environment[name]}")
    return tuple(found)


def lines_of(files: list[str]) -> list[str]:
    """The lines of the files, without empty ones and those that begin with #."""
    lines: list[str] = []
    for path in files:
        try:
            with open(path, encoding="utf-8-sig") as file:
                text = file.read()
        except OSError as error:
            raise NotFound(
                f"cannot read {path}: {error.strerror}", remedy="Give a file of NAME=VALUE lines."
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 text", remedy="Give a file of NAME=VALUE lines.") from error
        lines += [line.lstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines
