"""`.dockerignore`: which paths are left out, by moby's rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.builder.context.ignore import parse
from estiba.errors import InvalidInput


@pytest.mark.parametrize(
    ("rules", "ignored", "kept"),
    [
        ("*.md", ["README.md"], ["docs/README.md", "README.txt"]),
        ("**/*.md", ["README.md", "docs/README.md", "a/b/c.md"], ["md", "a.mdx"]),
        ("docs", ["docs", "docs/a", "docs/a/b"], ["docs2", "a/docs"]),
        ("/docs/", ["docs", "docs/a"], ["a/docs"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("**", ["a", "a/b"], []),
        ("**/node_modules", ["node_modules", "x/node_modules/y"], ["node_modules2"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a/b/under"], ["a", "ab", "b"]),
        ("*\n!keep", ["drop"], ["keep", "keep/below"]),
        ("dir\n!dir/keep", ["dir/drop"], ["dir/keep"]),
        ("!keep\n*", ["keep"], []),
        ("# comment\n\n  spaced  ", ["spaced"], ["# comment"]),
        ("temp?", ["temp1", "tempa"], ["temp", "temp12"]),
        ("[a-c]x", ["ax", "cx"], ["dx"]),
        ("[^a]x", ["bx"], ["ax", "/x"]),
        (r"a\*b", ["a*b"], ["axb"]),
        ("./x/../y", ["y"], ["x"]),
        ("../outside", ["../outside"], ["outside"]),
        (".git", [".git/config"], ["a/.git", ".github"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_the_last_rule_that_matches_a_path_or_a_directory_above_it_wins(
    rules: str, ignored: list[str], kept: list[str]
) -> None:
    decided = parse(rules)
    assert [path for path in ignored if not decided.ignores(path)] == []
    assert [path for path in kept if decided.ignores(path)] == []


def test_a_byte_order_mark_is_no_part_of_the_first_rule() -> None:
    assert parse("\ufeffsecret").ignores("secret")


@pytest.mark.parametrize(("text", "where"), [("a\n!", ".dockerignore:2"), ("[", ".dockerignore:1"), ("x\\", ":1")])
def test_a_malformed_rule_is_told_with_its_line(text: str, where: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(where)):
        parse(text)


def test_a_directory_is_read_only_where_a_rule_may_keep_something_in_it() -> None:
    rules = parse("*\n!src/app")
    assert not rules.prunes("src")
    assert rules.prunes("node_modules")
    assert not parse("*\n!**/keep.txt").prunes("anything")
    assert parse("*").prunes("src")


def test_the_rule_that_hides_a_path_can_be_named() -> None:
    rules = parse("*.log\n*.txt\n!a.txt")
    hidden = rules.hidden_by("b.txt")
    assert hidden is not None
    assert (hidden.pattern, hidden.line) == ("*.txt", 2)
    assert rules.hidden_by("a.txt") is None


names = st.text(alphabet="ab*?.", min_size=1, max_size=4)


@given(
    st.lists(st.tuples(st.booleans(), st.lists(names, min_size=1, max_size=3)), max_size=5), st.lists(names, min_size=1)
)
def test_what_is_pruned_holds_nothing_that_is_kept(rules: list[tuple[bool, list[str]]], path: list[str]) -> None:
    decided = parse("\n".join(("!" if keeps else "") + "/".join(parts) for keeps, parts in rules))
    full = "/".join(path)
    for depth in range(1, len(path)):
        directory = "/".join(path[:depth])
        if decided.ignores(directory) and decided.prunes(directory):
            assert decided.ignores(full)
