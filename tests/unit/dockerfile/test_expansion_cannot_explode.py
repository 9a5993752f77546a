"""A Dockerfile comes from whoever can push: its variables may not fill the memory, nor its patterns take hours."""

from __future__ import annotations

import random
import re
import time

import pytest

from estiba.dockerfile import DockerfileError, lower, parse, stages
from estiba.dockerfile.expand import LONGEST, ExpansionError, expand
from estiba.oci.platform import Platform

PLATFORM = Platform.of_machine("x86_64")


def _lowered(text: str) -> object:
    return lower(stages(parse(text, filename="Dockerfile")), build_args={}, platform=PLATFORM, bases={})


@pytest.mark.parametrize("word", ["ENV", "ARG", "LABEL"])
def test_a_variable_that_doubles_in_every_line_is_an_error(word):
    text = "FROM scratch\nENV a=xxxxxxxxxx\n" + f"ENV a=$a$a$a$a\n{word} b=$a$a$a$a\n" * 30
    with pytest.raises(DockerfileError, match="become more than"):
        _lowered(text)


def test_many_large_ones_are_an_error_too():
    text = f"FROM scratch\nENV a={'x' * 60_000}\n" + "".join(f"ENV b{n}=$a$a\n" for n in range(3000))
    with pytest.raises(DockerfileError, match="this stage"):
        _lowered(text)


@pytest.mark.parametrize("word", ["$A" * 1000, "${A//a/$A}", "${A//a/" + "x" * 1000 + "}", "${Z:-$A$A}"])
def test_one_word_becomes_only_so_long(word):
    with pytest.raises(ExpansionError, match="become more than"):
        expand(word, {"A": "a" * (LONGEST - 1)})


@pytest.mark.parametrize(
    "pattern",
    ["${A//a*b/x}", "${A##*a*a*a*a*a*a*c}", "${A%%c*a*a*a*a*a*a*}", "${A/*a*a*a*a*a*a*a*a*c/x}", "${A#*?*?*?*?*c}"],
)
def test_no_pattern_takes_long(pattern):
    value = "ab" * 40_000
    begun = time.process_time()
    expand(pattern, {"A": value})
    assert time.process_time() - begun < 2


def test_a_pattern_may_be_only_so_long():
    with pytest.raises(ExpansionError, match="pattern"):
        expand("${A#" + "?" * 2000 + "}", {"A": "a"})


def _regex(pattern: str, *, greedy: bool) -> str:
    wild = {"*": ".*" if greedy else ".*?", "?": "."}
    return "".join(wild.get(character) or re.escape(character) for character in pattern)


@pytest.mark.parametrize("seed", range(4))
def test_the_quick_search_finds_what_a_regular_expression_finds(seed):
    numbers = random.Random(seed)
    for _ in range(500):
        value = "".join(numbers.choices("aab", k=numbers.randrange(0, 9)))
        pattern = "".join(numbers.choices("ab*?", k=numbers.randrange(0, 6)))
        if not pattern:
            continue
        for sign, greedy in (("#", False), ("##", True)):
            match = re.match(_regex(pattern, greedy=greedy), value)
            assert expand(f"${{V{sign}{pattern}}}", {"V": value}).text == (value[match.end() :] if match else value)
        for sign, count in (("/", 1), ("//", 0)):
            wanted = re.sub(_regex(pattern, greedy=True), "-", value, count=count)
            assert expand(f"${{V{sign}{pattern}/-}}", {"V": value}).text == wanted, (sign, pattern, value)
