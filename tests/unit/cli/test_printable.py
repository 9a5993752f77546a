"""What an image says cannot do anything to the terminal that shows it."""

from __future__ import annotations

import json

import pytest

from estiba.cli.format import Column, render
from estiba.cli.inspect import show
from estiba.cli.printable import printable, printable_json
from estiba.cli.template import Template
from estiba.cli.usage import tell
from estiba.errors import InvalidInput

# Clears the screen, sets the title, goes up a line and to its begin, turns the direction, C1's CSI, half a letter.
HOSTILE = "\x1b[2J\x1b]0;evil\x07 \x1b[1A\r \u202egnp.exe \x9b31m \ud800 \x7f\b"


@pytest.mark.parametrize("character", sorted(set(HOSTILE) - set(" ;evilgnpxe.0123456789AJm[]")))
def test_what_a_terminal_obeys_is_shown_instead(character):
    shown = printable(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\") and shown.endswith("b")


def test_letters_of_every_script_stay_as_they_are():
    text = "ñandú 漢字 العربية 👩\u200d🚀 …"
    assert printable(text) == text
    assert printable("one\n\ttwo", lines=True) == "one\n\ttwo"
    assert printable("one\ntwo") == "one\\ntwo"


def test_json_means_the_same():
    value = {"Cmd": [HOSTILE, "ñ"]}
    for indent in (None, 4):
        text = printable_json(value, indent=indent)
        assert json.loads(text) == value
        assert "ñ" in text
        assert text.replace("\n", "").isprintable()


def test_a_table_keeps_its_lines():
    """A line break in a command would show a container that is not there."""
    rows = [{"ID": "1", "Command": f"sh {HOSTILE}\nforged   row"}]
    columns = [Column("ID", "ID"), Column("COMMAND", "Command")]
    text = render(rows, columns)
    assert len(text.splitlines()) == 2
    assert text.replace("\n", "").isprintable()
    assert render(rows, columns, form="json").strip().isprintable()
    assert render(rows, columns, form="table {{.ID}}\t{{.Command}}").replace("\n", "").isprintable()


def test_an_error_shows_what_is_wrong_without_doing_it(capfd):
    tell(InvalidInput(f"no such program {HOSTILE}", remedy=HOSTILE))
    told = capfd.readouterr().err
    assert told.replace("\n", "").isprintable()
    assert "no such program" in told


def test_inspect_shows_json_that_no_terminal_obeys(capfd):
    assert show(["x"], [lambda _name: {"Env": [HOSTILE]}], form="", what="image") == 0
    shown = capfd.readouterr().out
    assert json.loads(shown) == [{"Env": [HOSTILE]}]
    assert shown.replace("\n", "").isprintable()
    assert Template("{{json .}}").render({"Env": [HOSTILE]}).isprintable()
