"""What the documents show is there: files, commands, flags, targets of make."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiba.cli import commands
from estiba.cli.full_parser import make_full_parser

PROJECT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted(str(path.relative_to(PROJECT)) for path in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])


def code_lines(text: str) -> Iterator[str]:
    """The lines of fenced and indented blocks, and what stands between backticks; continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    fenced = False
    for line in joined.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def estiba_calls(text: str) -> list[list[str]]:
    """The words after `estiba` on each line that calls it, up to a pipe or a comment."""
    calls = []
    for line in code_lines(text):
        found = re.match(r"(?:[$#] )?(?:sudo )?estiba (.+)", line)
        if found:
            words = shlex.split(re.split(r" (?:\||>|&&|#|→) ?", found[1])[0], posix=True)
            calls.append(words)
    return calls


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """The command after the flags before it, and the rest."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if "=" not in flag and flag not in {"--debug", "--help", "--version"} and rest:
            rest.pop(0)
    return (rest[0], rest[1:]) if rest else ("", [])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_linked_files_are_there(document: str) -> None:
    text = (PROJECT / document).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    place = (PROJECT / document).parent
    assert [link for link in links if link and not (place / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_are_there(document: str) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.M)[0].split())
    lines = code_lines((PROJECT / document).read_text(encoding="utf-8"))
    shown = {found[1] for line in lines if (found := re.match(r"(?:[$#] )?(?:sudo )?make ([a-z]+)", line))}
    assert shown - targets == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_their_flags_are_there(document: str) -> None:
    problems = []
    for words in estiba_calls((PROJECT / document).read_text(encoding="utf-8")):
        name, rest = command_of(words)
        command = commands.find(name) if name else None
        if re.match("[a-z]", name) and command is None:
            problems.append(f"there is no command: estiba {' '.join(words)}")
        elif command and command.module:
            problems += [f"estiba {name} has no {flag}" for flag in unknown_flags(command.module, rest)]
    assert problems == []


def a_parser() -> argparse.ArgumentParser:
    """As the command line makes it: a command's own -h takes the place of the one for help."""
    return make_full_parser("estiba", "")


def unknown_flags(module: str, words: list[str]) -> list[str]:
    """The flags among a command's words that its parser does not know, up to a command that a container runs."""
    parser = a_parser()
    importlib.import_module(f"estiba.cli.{module}").add_arguments(parser)
    known = known_flags(parser)
    shown = words[: words.index("sh")] if "sh" in words else words
    return [word.split("=")[0] for word in shown if re.match(r"--[a-z]", word) and word.split("=")[0] not in known]


def known_flags(parser: argparse.ArgumentParser) -> set[str]:
    """Every flag of a parser and of the parsers below it."""
    flags = set()
    for action in parser._actions:
        flags.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                flags |= known_flags(below)
    return flags


# `version` is answered by main itself.
@pytest.mark.parametrize("name", [name for name in commands.names() if name != "version"])
def test_every_command_of_the_table_can_be_asked_for_help(name: str) -> None:
    command = commands.find(name)
    assert command is not None
    importlib.import_module(f"estiba.cli.{command.module}").add_arguments(a_parser())
