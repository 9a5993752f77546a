"""Patterns of `.dockerignore` and COPY come from the repository, so whoever can push to it chooses them."""

from __future__ import annotations

import random
import re
import time

import pytest

from estiba.builder.context.globs import InvalidPattern, ignore_expression, source_expression


def _matches(pattern: str, path: str) -> bool:
    """What the expression must say, by trying everything: `*` in a name, `?` one character, `**/` directories."""
    if not pattern:
        return path == "" or path.startswith("/")
    if pattern in ("**", "**/"):
        return True
    if pattern.startswith("**"):
        rest = pattern.removeprefix("**").removeprefix("/")
        starts = [0, *(place + 1 for place, character in enumerate(path) if character == "/")]
        return any(_matches(rest, path[place:]) for place in starts)
    if pattern.startswith("*"):
        name = path.partition("/")[0]
        return any(_matches(pattern[1:], path[place:]) for place in range(len(name) + 1))
    if not path or (pattern[0] == "?" and path[0] == "/"):
        return False
    return pattern[0] in ("?", path[0]) and _matches(pattern[1:], path[1:])


@pytest.mark.parametrize("seed", range(8))
def test_the_quick_expression_says_what_trying_everything_says(seed):
    numbers = random.Random(seed)
    for _ in range(400):
        pieces = numbers.choices(["a", "b", "/", "*", "?", "**/", "/**/", "*a"], k=numbers.randrange(1, 8))
        pattern = "".join(pieces).replace("***", "**")
        if "***" in pattern:
            continue
        try:
            expression = re.compile(ignore_expression(pattern), re.DOTALL)
        except InvalidPattern:
            continue
        for _ in range(30):
            path = "".join(numbers.choices("aab/", k=numbers.randrange(1, 9)))
            assert bool(expression.fullmatch(path)) == _matches(pattern, path), (pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "*b", "a" * 255),
        ("**/" + "*a" * 40 + "b", "a" * 255 + "/" + "a" * 255),
        ("**/a/" * 40 + "b", "a/" * 2000 + "c"),
        ("**/*a*/" * 20 + "b", "aaa/" * 500 + "c"),
        ("*?" * 60 + "b", "a" * 255),
        ("[ab]*" * 60 + "c", "ab" * 127),
        ("**/" * 50 + "x", "a/" * 2000),
        ("a**a**b", "a/" * 2000),
    ],
)
def test_no_pattern_and_no_path_take_long(pattern, path):
    begun = time.process_time()
    assert not re.fullmatch(ignore_expression(pattern), path, re.DOTALL)
    if "**" not in pattern:
        assert not source_expression(pattern).fullmatch(path)
    assert time.process_time() - begun < 2


def test_what_could_be_slow_is_refused():
    with pytest.raises(InvalidPattern, match="more than two"):
        ignore_expression("a**a**a**a**b")
