"""A command's parser: argparse's rules, without argparse where a command line is plain.

argparse takes 8 milliseconds to load and to build a parser, a third of what `estiba ps` takes. So what a command says
of its arguments is only noted, and a command line that has nothing but exact flags, their values, and positional
arguments in one row is read from the notes. Everything else (help, errors, `--`, values that begin with a dash,
sub-commands) is argparse's, from the same notes; where both read a line, they read the same.
"""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from estiba.cli.full_parser import FullParser

REMAINDER = "..."
"""`nargs`: everything that follows (argparse.REMAINDER)."""

SUPPRESS = "==SUPPRESS=="
"""`help`: not shown (argparse.SUPPRESS)."""

TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""What a switch may be told, as in ``--rm=false``: the words of Docker's flags."""

_SEVERAL = ("?", "*", "+", REMAINDER)


class NotPlain(Exception):
    """The command line is for argparse to read."""


class Values:
    """The values by name, as attributes (as argparse.Namespace)."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


class Argument:
    """What was said of one argument. `names` are flags, or the one name of a positional argument."""

    __slots__ = ("action", "choices", "convert", "default", "dest", "names", "nargs", "required", "said")

    def __init__(self, names: tuple[str, ...], said: dict[str, Any]) -> None:
        self.names = names
        self.said = said
        self.action: str = said.get("action", "store")
        self.nargs = said.get("nargs")
        self.choices = said.get("choices")
        self.convert: Callable[[str], Any] | None = said.get("type")
        self.default = said.get("default", {"store_true": False, "store_false": True}.get(self.action))
        self.required = bool(said.get("required"))
        self.dest: str = said.get("dest") or _destination(names)

    @property
    def is_flag(self) -> bool:
        return self.names[0].startswith("-")

    @property
    def is_plain(self) -> bool:
        return self.action == "store_true" or (self.action in ("store", "append") and self.nargs is None)

    def value_of(self, text: str) -> Any:
        """The value that `text` stands for."""
        try:
            value = self.convert(text) if self.convert is not None else text
        except (ValueError, TypeError):
            raise NotPlain from None
        if self.choices is not None and value not in self.choices:
            raise NotPlain
        return value


class Parser:
    """Takes notes as `argparse.ArgumentParser` takes arguments, for the command `program` (``estiba COMMAND``)."""

    def __init__(self, program: str, summary: str) -> None:
        self.program = program
        self.summary = summary
        self.epilog: str | None = None
        self._arguments: list[Argument] = []
        self._full: FullParser | None = None

    def add_argument(self, *names: str, **said: Any) -> None:
        """As argparse has it."""
        self._arguments.append(Argument(names, said))
        if self._full is not None:
            self._full.add_argument(*names, **said)

    def add_subparsers(self, **said: Any) -> Any:
        """As argparse has it, which reads the command line then."""
        return self._make_full().add_subparsers(**said)

    def print_help(self) -> None:
        """Print the page of help."""
        self._make_full().print_help()

    def parse_args(self, words: Sequence[str]) -> Any:
        """The values by name.

        Raises:
            WrongUsage: they are not as the command takes them. SystemExit: help was asked for and printed.
        """
        if self._full is None:
            try:
                return Values(_read(self._arguments, words))
            except NotPlain:
                pass
        return self._make_full().parse_args(words)

    def _make_full(self) -> FullParser:
        if self._full is None:
            from estiba.cli.full_parser import make_full_parser

            self._full = make_full_parser(self.program, self.summary)
            for argument in self._arguments:
                added = self._full.add_argument(*argument.names, **argument.said)
                if argument.nargs == REMAINDER:
                    added.required = False
        self._full.epilog = self.epilog
        return self._full


def make_parser(program: str, summary: str) -> Parser:
    """The parser of one command, still without arguments."""
    return Parser(program, summary)


def _read(arguments: Sequence[Argument], words: Sequence[str]) -> dict[str, Any]:
    flags = {name: argument for argument in arguments if argument.is_flag for name in argument.names}
    positional = [argument for argument in arguments if not argument.is_flag]
    values: dict[str, Any] = {}
    for noted in arguments:
        values.setdefault(noted.dest, _default(noted))
    given: set[str] = set()
    row: list[str] = []
    ends_in_remainder = bool(positional) and positional[-1].nargs == REMAINDER
    fixed = len(positional) - 1 if ends_in_remainder else -1
    was_interrupted = False
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--" or "\0" in word:
            raise NotPlain
        if not word.startswith("-") or word == "-":
            if was_interrupted and row:
                raise NotPlain  # argparse has given the first ones away by then
            row.append(word)
            if fixed >= 0 and len(row) >= max(fixed, 1):
                if "--" in words[position:] or fixed == 0:
                    raise NotPlain
                row += words[position:]
                break
            continue
        was_interrupted = bool(row)
        if fixed >= 0 and row:
            raise NotPlain
        name, equals, text = word.partition("=")
        argument = flags.get(name) if name.startswith("--") else flags.get(word)
        if argument is None:
            _switch_all(flags, word, values, given)
            continue
        if not argument.is_plain:
            raise NotPlain
        given.add(argument.dest)
        if argument.action == "store_true":
            values[argument.dest] = _truth(text) if equals else True
            continue
        if not equals:
            if position >= len(words) or words[position].startswith("-"):
                raise NotPlain
            text = words[position]
            position += 1
        elif text in ("", "--"):
            raise NotPlain
        value = argument.value_of(text)
        values[argument.dest] = [*(values[argument.dest] or ()), value] if argument.action == "append" else value
    if any(argument.required and argument.dest not in given for argument in flags.values()):
        raise NotPlain
    _give(positional, row, values)
    return values


def _switch_all(flags: dict[str, Argument], word: str, values: dict[str, Any], given: set[str]) -> None:
    """Several switches in one word: ``-it``; the last may be told its value: ``-it=false``."""
    name, equals, text = word.partition("=")
    if word.startswith("--") or name == "-":
        raise NotPlain
    for letter in name[1:]:
        argument = flags.get(f"-{letter}")
        if argument is None or argument.action != "store_true":
            raise NotPlain
        values[argument.dest] = True
        given.add(argument.dest)
        last = argument.dest
    if equals:
        values[last] = _truth(text)


def _truth(text: str) -> bool:
    value = TRUTHS.get(text)
    if value is None:
        raise NotPlain
    return value


def _give(positional: list[Argument], row: list[str], values: dict[str, Any]) -> None:
    """Hand the row of positional arguments to their names; only the last may take another number than one."""
    if any(argument.nargs is not None for argument in positional[:-1]):
        raise NotPlain
    last = positional[-1] if positional else None
    single = len(positional) - (1 if last is not None and last.nargs is not None else 0)
    if len(row) < single or (single == len(positional) and len(row) > single):
        raise NotPlain
    for argument, word in zip(positional, row[:single], strict=False):
        values[argument.dest] = argument.value_of(word)
    if last is None or last.nargs is None:
        return
    rest = row[single:]
    if last.nargs not in _SEVERAL or last.action != "store":
        raise NotPlain
    if last.nargs == "?":
        if len(rest) > 1:
            raise NotPlain
        if rest:
            values[last.dest] = last.value_of(rest[0])
        return
    if last.nargs == "+" and not rest:
        raise NotPlain
    if rest or last.nargs == REMAINDER:
        values[last.dest] = [last.value_of(word) for word in rest]
    elif last.default is None:
        values[last.dest] = []


def _default(argument: Argument) -> Any:
    default = argument.default
    if isinstance(default, str) and argument.convert is not None:
        return argument.value_of(default)
    return default


def _destination(names: tuple[str, ...]) -> str:
    if not names[0].startswith("-"):
        return names[0]
    chosen = next((name for name in names if name.startswith("--")), names[0])
    return chosen.lstrip("-").replace("-", "_")
