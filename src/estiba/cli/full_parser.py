"""argparse as the commands use it: errors are raised rather than printed with a page of usage."""

from __future__ import annotations

import argparse

from estiba.cli.usage import WrongUsage
from estiba.errors import NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

_WIDTH = 100


class Formatter(argparse.HelpFormatter):
    """Knows its width; argparse makes one for every argument, and would ask the terminal (by shutil) each time."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_WIDTH, max_help_position=32)


class Refused(argparse.Action):
    """`action="refused"`: a flag of Docker's that Estiba does not have yet."""

    def __call__(self, _parser: object, _namespace: object, _values: object, name: str | None = None) -> NoReturn:
        raise NotThereYet(f"the flag {name} is not there yet", remedy="SCOPE.md tells what comes next.")


class FullParser(argparse.ArgumentParser):
    """Its `prog` is ``estiba COMMAND``; a sub-command's parser is of the same class."""

    def __init__(self, **said: Any) -> None:
        super().__init__(**said)
        self.register("action", "refused", Refused)

    def add_argument(self, *names: Any, **said: Any) -> argparse.Action:
        """As argparse has it; what is not to be shown is argparse's very own mark."""
        if said.get("help") == argparse.SUPPRESS:
            said["help"] = argparse.SUPPRESS
        return super().add_argument(*names, **said)

    def _get_formatter(self) -> argparse.HelpFormatter:
        return Formatter(self.prog)

    def error(self, message: str) -> NoReturn:
        """Raises WrongUsage with argparse's own words."""
        command = self.prog.removeprefix("estiba ")
        raise WrongUsage(f"{command}: {message}", remedy=f"See `{self.prog} --help`.")


def make_full_parser(program: str, summary: str) -> FullParser:
    """The parser of one command, still without arguments."""
    # A command's own -h (run's host name, as in Docker) takes the place of the one for help.
    return FullParser(prog=program, description=summary + ".", allow_abbrev=False, conflict_handler="resolve")
