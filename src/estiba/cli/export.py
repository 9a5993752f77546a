"""`estiba export CONTAINER`: the files of a container as one tar."""

from __future__ import annotations

import os
import sys

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="default: standard output")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.copying.export import export

    if not arguments.output:
        if sys.stdout.isatty():
            raise InvalidInput("a tar is nothing for a terminal", remedy="Name a file with -o FILE, or use a pipe.")
        sys.stdout.flush()
        export(house.engine, arguments.container, sys.stdout.fileno())
        return 0
    temporary = f"{arguments.output}.{os.getpid()}.partial"
    out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)  # all of a container's files
    try:
        export(house.engine, arguments.container, out)
        os.rename(temporary, arguments.output)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(out)
    return 0
