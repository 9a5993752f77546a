"""`estiba build --check`: the warnings about a Dockerfile, as Docker's builder shows them."""

from __future__ import annotations

from estiba.dockerfile.warnings import RULES
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from estiba.builder.checking import Findings
    from estiba.dockerfile.errors import Source
    from estiba.dockerfile.warnings import Warning

_AROUND = 3
"""How many lines are shown before and after those that a warning is about."""

_RULE = "--------------------"


def show(findings: Findings, out: TextIO) -> None:
    """Write all warnings, by rule and line, each with its place in the text."""
    number = len(findings.warnings)
    if not number:
        print("Check complete, no warnings found.", file=out)
    else:
        found = "1 warning has" if number == 1 else f"{number} warnings have"
        print(f"Check complete, {found} been found!", file=out)
    for name in findings.unknown:
        print(f"(the base image {name} is not here, so that variables which it may set are not checked)", file=out)
    for warning in sorted(findings.warnings, key=lambda each: each.rule):
        _show(warning, findings.source, out)


def _show(warning: Warning, source: Source, out: TextIO) -> None:
    address = RULES[warning.rule].address
    print(f"\nWARNING: {warning.rule}{' - ' if address else ''}{address}", file=out)
    print(f"{warning.message}\n{source.filename}:{warning.line}\n{_RULE}", file=out)
    last = max(warning.line, warning.last_line)
    for number in range(max(1, warning.line - _AROUND), min(len(source.lines), last + _AROUND) + 1):
        mark = ">>>" if warning.line <= number <= last else "   "
        text = "".join(char if char == "\t" or char.isprintable() else "?" for char in source.lines[number - 1])
        print(f"{number:>4} | {mark} {text}".rstrip(), file=out)
    print(_RULE, file=out)
