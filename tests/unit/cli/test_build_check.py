"""How `estiba build --check` shows what it found."""

from __future__ import annotations

import io

from estiba.builder.checking import Findings
from estiba.cli.build_check import show
from estiba.dockerfile.errors import Source
from estiba.dockerfile.warnings import Warning

SOURCE = Source("Dockerfile", ("FROM a", "", "", "", "CMD x \\", "  y\x1b[2J", ""))


def shown(*warnings: Warning, unknown: tuple[str, ...] = ()) -> list[str]:
    out = io.StringIO()
    show(Findings(SOURCE, warnings, unknown), out)
    return out.getvalue().splitlines()


def test_nothing_found_is_said_too() -> None:
    """As Docker says it; and what could not be looked at."""
    assert shown() == ["Check complete, no warnings found."]
    assert shown(unknown=("busybox:latest",))[1] == (
        "(the base image busybox:latest is not here, so that variables which it may set are not checked)"
    )


def test_each_warning_has_its_rule_and_its_lines() -> None:
    """By rule; the lines around it are there, and nothing in them moves the terminal's cursor."""
    lines = shown(Warning("StageNameCasing", "low", 1), Warning("JSONArgsRecommended", "list it", 5, 6))
    assert lines[0] == "Check complete, 2 warnings have been found!"
    assert lines[1:14] == [
        "",
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
        "list it",
        "Dockerfile:5",
        "--------------------",
        "   2 |",
        "   3 |",
        "   4 |",
        "   5 | >>> CMD x \\",
        "   6 | >>>   y?[2J",
        "   7 |",
        "--------------------",
        "",
    ]
    assert lines[14].startswith("WARNING: StageNameCasing - ")
    assert lines[17:19] == ["--------------------", "   1 | >>> FROM a"]
