"""A command's parser: argparse, but errors are raised rather than printed with a page of usage."""

from __future__ import annotations

import argparse
from typing import NoReturn

from estiba.cli.usage import WrongUsage


class Parser(argparse.ArgumentParser):
    """Its `prog` is ``estiba COMMAND``; a sub-command's parser is of the same class."""

    def error(self, message: str) -> NoReturn:
        """Raises WrongUsage with argparse's own words."""
        command = self.prog.removeprefix("estiba ")
        raise WrongUsage(f"{command}: {message}", remedy=f"See `{self.prog} --help`.")


def make_parser(program: str, summary: str) -> Parser:
    """The parser of one command, still without arguments."""
    # A command's own -h (run's host name, as in Docker) takes the place of the one for help.
    return Parser(prog=program, description=summary + ".", allow_abbrev=False, conflict_handler="resolve")
