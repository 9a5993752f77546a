"""Parsing: each statement into the value of its instruction. The table at the end lists the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from estiba.dockerfile.directives import Directives
from estiba.dockerfile.durations import BadDuration, nanoseconds
from estiba.dockerfile.errors import DockerfileError, Place, Source, near
from estiba.dockerfile.flags import MANY, SWITCH, TEXT, Flags, read_flags
from estiba.dockerfile.heredocs import Heredoc, marker
from estiba.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Health,
    Instruction,
    Label,
    Maintainer,
    MountFlag,
    Onbuild,
    Pairs,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from estiba.dockerfile.lexer import Statement, lex
from estiba.dockerfile.mounts import BadMount, read_mount, split_fields
from estiba.dockerfile.warnings import Warning
from estiba.dockerfile.words import NotStrings, Word, json_strings, plain_words, shell_words
from estiba.oci.image_config import HealthCheck
from estiba.values import NamedTuple

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


class Document(NamedTuple):
    """A Dockerfile whose every instruction is well formed, in the order of the file."""

    source: Source
    directives: Directives
    instructions: tuple[Instruction, ...]
    warnings: tuple[Warning, ...] = ()


def parse(text: str, *, filename: str) -> Document:
    """Parse a Dockerfile; `filename` is for messages only. Bytes that are not UTF-8 come in as surrogate escapes.

    Raises:
        DockerfileError: the first thing that cannot be understood.
    """
    lexed = lex(text, filename=filename)
    escape = lexed.directives.escape
    instructions = tuple(parse_statement(statement, escape=escape) for statement in lexed.statements)
    if not instructions:
        raise DockerfileError(
            "no instruction in this file", place=Place(lexed.source, 1), remedy="A Dockerfile begins with FROM."
        )
    return Document(lexed.source, lexed.directives, instructions, lexed.warnings)


def parse_statement(statement: Statement, *, escape: str) -> Instruction:
    """Parse one statement.

    Raises:
        DockerfileError: an unknown instruction, a bad flag, missing or malformed arguments.
    """
    grammar = _GRAMMAR.get(statement.keyword.upper())
    if grammar is None:
        raise statement.error(
            f"unknown instruction {statement.keyword}",
            remedy=near(statement.keyword, _GRAMMAR) or f"The instructions are {', '.join(_GRAMMAR)}.",
        )
    flags = read_flags(statement, grammar.flags)
    return grammar.parse(_Line(statement, flags, escape))


class _Line(NamedTuple):
    """What a parser of one instruction is given."""

    at: Statement
    flags: Flags
    escape: str

    @property
    def text(self) -> str:
        """The arguments after the flags."""
        return self.at.text[self.flags.end :].strip()

    def plain_words(self) -> list[Word]:
        return plain_words(self.at.text, self.flags.end)

    def shell_words(self) -> list[Word]:
        return shell_words(self.at.text, self.escape, self.flags.end)

    def json(self) -> tuple[str, ...] | None:
        try:
            return json_strings(self.text)
        except NotStrings:
            raise self.at.error("a JSON list of this instruction holds strings only", word=self.text) from None

    def words(self) -> list[Word]:
        """A JSON list, else words between blanks."""
        listed = self.json()
        return self.plain_words() if listed is None else [Word(text, self.flags.end) for text in listed]

    def command(self) -> Command:
        listed = self.json()
        if listed is not None:
            return Command(listed, shell_form=False)
        if not self.text:
            name = self.at.keyword.upper()
            clear = "" if name == "RUN" else f" {name} [] clears what the base image has."
            raise self.at.error(f"{name} needs a command", remedy=f"Write {name} COMMAND.{clear}")
        return Command((self.text,), shell_form=True)

    def one(self, what: str) -> str:
        """The whole rest as one argument."""
        if not self.text:
            name = self.at.keyword.upper()
            raise self.at.error(f"{name} needs an argument", remedy=f"Write {name} {what}.")
        return self.text

    def pairs(self) -> tuple[Pairs, bool]:
        """``NAME=value …``, or the old ``NAME the rest``; tells whether it is the old one."""
        words = self.shell_words()
        name = self.at.keyword.upper()
        if not words:
            raise self.at.error(f"{name} needs an argument", remedy=f"Write {name} NAME=value.")
        if "=" not in words[0].text:
            first = self.plain_words()[0]
            value = self.at.text[first.offset + len(first.text) :].strip()
            if not value:
                claim = f"{name} needs a value for {first.text}"
                raise self.at.error_at(first.offset, claim, width=len(first.text), remedy=f"Write {name} NAME=value.")
            return ((first.text, value),), True
        return tuple(self._pair(word) for word in words), False

    def _pair(self, word: Word) -> tuple[str, str]:
        name, equals, value = word.text.partition("=")
        if not equals:
            raise self.at.error_at(
                word.offset,
                f"expected NAME=value, found {word.text}",
                width=len(word.text),
                remedy="Put quotes around a value that holds blanks.",
            )
        if not name:
            raise self.at.error_at(word.offset, "a name is missing before =", width=len(word.text))
        return name, value


def _from(line: _Line) -> From:
    words = line.plain_words()
    if len(words) not in (1, 3):
        word = words[1] if len(words) > 1 else Word("", line.at.start)
        raise line.at.error_at(
            word.offset if words else 0,
            f"FROM takes an image, or an image AS a name; found {len(words)} words",
            width=len(word.text) or len(line.at.keyword),
            remedy="Write FROM IMAGE or FROM IMAGE AS NAME.",
        )
    name = ""
    if len(words) == 3:
        if words[1].text.lower() != "as":
            raise line.at.error_at(words[1].offset, f"expected AS, found {words[1].text}", width=len(words[1].text))
        name = words[2].text.lower()
        if not _STAGE_NAME.fullmatch(name):
            raise line.at.error_at(
                words[2].offset,
                f"invalid stage name {words[2].text!r}",
                width=len(words[2].text),
                remedy="It begins with a letter and goes on with letters, digits, '-', '_' and '.'.",
            )
    return From(line.at, words[0].text, name, line.flags.text("platform"))


def _arg(line: _Line) -> Arg:
    words = line.shell_words()
    if not words:
        raise line.at.error("ARG needs an argument", remedy="Write ARG NAME or ARG NAME=default.")
    arguments: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.text.partition("=")
        if not name:
            raise line.at.error_at(word.offset, "a name is missing before =", width=len(word.text))
        arguments.append((name, value if equals else None))
    return Arg(line.at, tuple(arguments))


def _run(line: _Line) -> Run:
    return Run(
        line.at,
        line.command(),
        tuple(_mount(line, flag.value or "", flag.offset, flag.width) for flag in line.flags.all("mount")),
        _choice(line, "network", _NETWORKS),
        _choice(line, "security", _SECURITIES),
        tuple(flag.value or "" for flag in line.flags.all("device")),
    )


def _mount(line: _Line, text: str, offset: int, width: int) -> MountFlag:
    flag = split_fields(text)
    if "$" in (flag.get("from") or ""):
        raise line.at.error_at(
            offset,
            "from= of a mount takes no variable",
            width=width,
            remedy="Give the image a stage of its own with FROM, and name that.",
        )
    if "$" not in text:
        try:
            read_mount(flag, str)
        except BadMount as error:
            raise line.at.error_at(offset, error.claim, width=width, remedy=error.remedy) from None
    return flag


def _choice(line: _Line, name: str, known: tuple[str, ...]) -> str:
    flag = line.flags.all(name)
    if not flag:
        return known[0]
    value = flag[0].value or ""
    if value not in known:
        raise line.at.error_at(
            flag[0].offset,
            f"unknown --{name} {value!r}",
            width=flag[0].width,
            remedy=near(value, known) or f"There are {', '.join(known)}.",
        )
    return value


def _copy(line: _Line) -> Copy:
    kind = line.at.keyword.upper()
    words = line.words()
    if len(words) < 2:
        raise line.at.error(
            f"{kind} needs at least one source and a destination; found {len(words)} argument{'s' * (len(words) != 1)}",
            remedy=f"Write {kind} SOURCE… DESTINATION.",
        )
    destination = words.pop()
    contents = {heredoc.name: heredoc for heredoc in line.at.heredocs}
    sources: list[str] = []
    inline: list[Heredoc] = []
    for word in words:
        found = marker(word.text)
        if found is not None and found.name in contents:
            inline.append(contents[found.name])
        else:
            sources.append(word.text)
    if marker(destination.text) is not None:
        raise line.at.error_at(
            destination.offset, "a here-document cannot be the destination", width=len(destination.text)
        )
    flags = line.flags
    return Copy(
        line.at,
        kind,
        tuple(sources),
        destination.text,
        tuple(inline),
        source_name=flags.text("from"),
        owner=flags.text("chown"),
        mode=flags.text("chmod"),
        link=flags.is_on("link"),
        parents=flags.is_on("parents"),
        exclude=tuple(flag.value or "" for flag in flags.all("exclude")),
        unpack=flags.switch("unpack"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.is_on("keep-git-dir"),
    )


def _expose(line: _Line) -> Expose:
    words = line.plain_words()
    if not words:
        raise line.at.error("EXPOSE needs a port", remedy="Write EXPOSE PORT[/PROTOCOL].")
    return Expose(line.at, tuple(word.text for word in words))


def _volume(line: _Line) -> Volume:
    words = line.words()
    if not words:
        raise line.at.error("VOLUME needs a path", remedy="Write VOLUME PATH….")
    return Volume(line.at, tuple(word.text for word in words))


def _shell(line: _Line) -> Shell:
    words = line.json()
    if not words:
        raise line.at.error("SHELL takes a JSON list", word=line.text, remedy='Write SHELL ["/bin/bash", "-c"].')
    return Shell(line.at, words)


_HEALTH_TIMES = ("interval", "timeout", "start-period", "start-interval")


def _healthcheck(line: _Line) -> Health:
    word = line.text.split(maxsplit=1)[0] if line.text else ""
    rest = line.text[len(word) :].strip()
    kind = word.upper()
    if kind == "NONE":
        if rest or line.flags.values:
            raise line.at.error("HEALTHCHECK NONE takes nothing more", word=rest)
        return Health(line.at, HealthCheck(("NONE",)))
    if kind != "CMD":
        raise line.at.error(
            f"HEALTHCHECK takes CMD or NONE, not {kind or 'nothing'}",
            word=word,
            remedy="Write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE.",
        )
    if not rest:
        raise line.at.error("HEALTHCHECK CMD needs a command")
    try:
        listed = json_strings(rest)
    except NotStrings:
        raise line.at.error("a JSON list of this instruction holds strings only", word=rest) from None
    test = ("CMD-SHELL", rest) if listed is None else ("CMD", *listed)
    times = {name.replace("-", "_"): _duration(line, name) for name in _HEALTH_TIMES}
    return Health(line.at, HealthCheck(test, retries=_retries(line), **times))


def _duration(line: _Line, name: str) -> int:
    for flag in line.flags.all(name):
        try:
            value = nanoseconds(flag.value or "")
        except BadDuration as error:
            raise line.at.error_at(flag.offset, f"--{name}: {error}", width=flag.width) from None
        if 0 < value < 1_000_000:
            raise line.at.error_at(flag.offset, f"--{name} is at least 1ms", width=flag.width)
        return value
    return 0


def _retries(line: _Line) -> int:
    for flag in line.flags.all("retries"):
        value = flag.value or ""
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise line.at.error_at(flag.offset, f"--retries is a number, not {value!r}", width=flag.width)
        return int(value)
    return 0


def _onbuild(line: _Line) -> Onbuild:
    at = line.at
    match = re.match(r"\S+", at.text[at.start :])
    if match is None:
        raise at.error("ONBUILD needs an instruction", remedy="Write ONBUILD RUN … or another instruction.")
    keyword = match[0]
    if keyword.upper() in ("ONBUILD", "FROM", "MAINTAINER"):
        raise at.error(f"{keyword.upper()} cannot be a trigger of ONBUILD", word=keyword)
    start = at.start + match.end()
    start += len(at.text[start:]) - len(at.text[start:].lstrip())
    trigger = parse_statement(at._replace(keyword=keyword, start=start), escape=line.escape)
    expression = at.text[at.start :].strip() + "".join(f"\n{each.raw}{each.name}" for each in at.heredocs)
    return Onbuild(at, expression, trigger)


class _Grammar(NamedTuple):
    parse: Callable[[_Line], Instruction]
    flags: Mapping[str, str] = {}


_COPY_FLAGS = {"from": TEXT, "chown": TEXT, "chmod": TEXT, "link": SWITCH, "parents": SWITCH, "exclude": MANY}
_ADD_FLAGS = {
    "chown": TEXT,
    "chmod": TEXT,
    "link": SWITCH,
    "exclude": MANY,
    "keep-git-dir": SWITCH,
    "checksum": TEXT,
    "unpack": SWITCH,
}
_HEALTH_FLAGS = {"retries": TEXT, **dict.fromkeys(_HEALTH_TIMES, TEXT)}

_GRAMMAR: Mapping[str, _Grammar] = {
    "ADD": _Grammar(_copy, _ADD_FLAGS),
    "ARG": _Grammar(_arg),
    "CMD": _Grammar(lambda line: Cmd(line.at, line.command())),
    "COPY": _Grammar(_copy, _COPY_FLAGS),
    "ENTRYPOINT": _Grammar(lambda line: Entrypoint(line.at, line.command())),
    "ENV": _Grammar(lambda line: Env(line.at, *line.pairs())),
    "EXPOSE": _Grammar(_expose),
    "FROM": _Grammar(_from, {"platform": TEXT}),
    "HEALTHCHECK": _Grammar(_healthcheck, _HEALTH_FLAGS),
    "LABEL": _Grammar(lambda line: Label(line.at, *line.pairs())),
    "MAINTAINER": _Grammar(lambda line: Maintainer(line.at, line.one("NAME"))),
    "ONBUILD": _Grammar(_onbuild),
    "RUN": _Grammar(_run, {"mount": MANY, "network": TEXT, "security": TEXT, "device": MANY}),
    "SHELL": _Grammar(_shell),
    "STOPSIGNAL": _Grammar(lambda line: StopSignal(line.at, line.one("SIGNAL"))),
    "USER": _Grammar(lambda line: User(line.at, line.one("USER[:GROUP]"))),
    "VOLUME": _Grammar(_volume),
    "WORKDIR": _Grammar(lambda line: Workdir(line.at, line.one("PATH"))),
}
