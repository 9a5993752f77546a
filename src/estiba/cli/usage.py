"""Telling errors on standard error, and the kind for a command line that cannot be understood."""

from __future__ import annotations

import os
import sys

from estiba.errors import EstibaError, InvalidInput


class WrongUsage(InvalidInput):
    """A flag that does not exist, an argument that is missing: the command was not even tried."""


def tell(error: EstibaError) -> None:
    """The error, and below it what to do; after all that went to standard output before."""
    from estiba.cli.printable import printable

    flush_output()
    print(f"estiba: {printable(error.message, lines=True)}", file=sys.stderr)
    if error.remedy:
        print(f"  {printable(error.remedy, lines=True)}", file=sys.stderr)


def open_missing_streams() -> None:
    """Standard streams that the caller closed lead nowhere, so that no other file takes their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))


def flush_output() -> bool:
    """Write out what is buffered for standard output.

    False if that could not be done, which has been told unless the reader just went away (`| head`).
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return False
    except OSError as error:
        _drop_output()
        print(f"estiba: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return False
    return True


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
