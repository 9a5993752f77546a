"""argparse as the commands use it: errors are raised rather than printed with a page of usage."""

from __future__ import annotations

import argparse

from estiba.cli.parser import TRUTHS
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


class Told(argparse.Action):
    """A word that tells a switch its value: ``--rm=false``, or ``-it=false``, which tells the last of several."""

    def __init__(self, option_strings: list[str], switches: list[argparse.Action], text: str, **_said: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=argparse.SUPPRESS)
        self._switches = switches
        self._text = text

    def __call__(self, _parser: object, namespace: object, _values: object, _name: str | None = None) -> None:
        value = TRUTHS.get(self._text)
        if value is None:
            raise argparse.ArgumentError(self, f"{self._text!r} is neither true nor false")
        for switch in self._switches:
            setattr(namespace, switch.dest, switch.const)
        setattr(namespace, switch.dest, switch.const is value)


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

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it; besides, switches may be told their values."""
        for word in args:
            self._note_told(word)
        return super().parse_known_args(args, namespace)

    def _note_told(self, word: str) -> None:
        """Add an argument for the very word, which counts where argparse finds it: not in another program's words."""
        name, equals, text = word.partition("=")
        known = self._option_string_actions
        if not equals or not name.startswith("-") or word in known:
            return
        names = [name] if name.startswith("--") else [f"-{letter}" for letter in name[1:]]
        switches = [known.get(name) for name in names]
        if switches and all(isinstance(switch, argparse._StoreConstAction) for switch in switches):
            self.add_argument(word, action=Told, switches=switches, text=text)

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """As argparse has it, for words that are cut short; a told value is never what they mean."""
        return [one for one in super()._get_option_tuples(option_string) if not isinstance(one[0], Told)]

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
