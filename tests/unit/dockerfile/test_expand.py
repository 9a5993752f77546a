"""Words expand as the Dockerfile reference says."""

from __future__ import annotations

import pytest

from estiba.dockerfile.expand import ExpansionError, expand

VARIABLES = {"V": "value", "EMPTY": "", "P": "/a/b/c.tar.gz", "STAR": "a*b", "SPACED": "one  two", "NL": "a\nb/c"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$V", "value"),
        ("$V$V", "valuevalue"),
        ("$", "$"),
        ("$ x", "$ x"),
        ("a$", "a$"),
        ("$NOPE", ""),
        ("${V}s", "values"),
        ("$V.s", "value.s"),
        ("$Vs", ""),
        ("'$V'", "$V"),
        ('"$V"', "value"),
        ("\"'$V'\"", "'value'"),
        ("'\"$V\"'", '"$V"'),
        (r"\$V", "$V"),
        (r"\\$V", r"\value"),
        (r"\a", "a"),
        (r'"\a"', r"\a"),
        (r'"\$V"', "$V"),
        (r'"\""', '"'),
        ("x\\", "x"),
        ("${V:-w}", "value"),
        ("${NOPE:-$V}", "value"),
        ("${NOPE:-${V}-${V}}", "value-value"),
        ("${NOPE:-'}'}", "}"),
        ("${NOPE:-\\}}", "}"),
        ("${EMPTY:-w}", "w"),
        ("${EMPTY-w}", ""),
        ("${NOPE-w}", "w"),
        ("${V:+w}", "w"),
        ("${EMPTY:+w}", ""),
        ("${EMPTY+w}", "w"),
        ("${NOPE+w}", ""),
        ("${V?}", "value"),
        ("${EMPTY?x}", ""),
        ("${P#/a}", "/b/c.tar.gz"),
        ("${P#b}", "/a/b/c.tar.gz"),
        ("${P#*/}", "a/b/c.tar.gz"),
        ("${P##*/}", "c.tar.gz"),
        ("${P%.*}", "/a/b/c.tar"),
        ("${P%%.*}", "/a/b/c"),
        ("${P%/*}", "/a/b"),
        ("${P%%/*}", ""),
        ("${P##*}", ""),
        ("${P#*}", "/a/b/c.tar.gz"),
        ("${P/a/x}", "/x/b/c.tar.gz"),
        ("${P//a/x}", "/x/b/c.txr.gz"),
        ("${P//?a/x}", "x/b/c.xr.gz"),
        ("${P//\\//-}", "-a-b-c.tar.gz"),
        ("${P/*/x}", "x"),
        ("${P/./}", "/a/b/ctar.gz"),
        ("${STAR#a\\*}", "b"),
        ("${STAR%\\*b}", "a"),
        ("${STAR/\\*/+}", "a+b"),
        ("${V/v/$V}", "valuealue"),
        ("${V/v/\\1}", "\\1alue"),
        ("${NL##*/}", "c"),
        ("${NOPE#x}", ""),
        ("$1", ""),
        ("$12a", "a"),
        ("é$V", "évalue"),
    ],
)
def test_a_word_expands(word: str, expected: str) -> None:
    """Each form gives its value."""
    assert expand(word, VARIABLES).text == expected


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("${", "name is missing"),
        ("${}", "name is missing"),
        ("${:-x}", "name is missing"),
        ("${V", "'}' is missing"),
        ("${V:-x", "'}' is missing"),
        ("${V:", "unknown operator"),
        ("${V:#x}", "unknown operator ':#'"),
        ("${V^^}", "unknown operator '^'"),
        ("${V/a}", "'/' is missing"),
        ("${V/a/b", "'}' is missing"),
        ("'", "single quote"),
        ('"', "double quote"),
        ('"${V"', "unknown operator '\"'"),
        ("${NOPE?}", "NOPE: is not set"),
        ("${EMPTY:?}", "EMPTY: is empty"),
        ("${NOPE:?give $V}", "NOPE: give value"),
        ("${A:-" * 60 + "}" * 60, "nested more than"),
    ],
)
def test_what_cannot_expand_says_why(word: str, message: str) -> None:
    """The message names what is missing."""
    with pytest.raises(ExpansionError, match=message.replace("^", r"\^")):
        expand(word, VARIABLES)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("$SPACED", ("one", "two")),
        ('"$SPACED"', ("one  two",)),
        ("a\\ b c", ("a b", "c")),
        ("'a b'c d", ("a bc", "d")),
        ("  ", ()),
        ("''", ()),
    ],
)
def test_blanks_split_words_unless_they_are_quoted(word: str, words: tuple[str, ...]) -> None:
    """A variable's own blanks split, as in a shell."""
    assert expand(word, VARIABLES).words == words


def test_the_escape_can_be_a_backquote() -> None:
    """Then a backslash is a character like others."""
    assert expand("`$V C:\\$V", VARIABLES, escape="`").text == "$V C:\\value"


def test_quotes_of_a_document_stay() -> None:
    """In a here-document only variables and escapes count."""
    assert expand("\"$V\" '$V' \\$V", VARIABLES, keep_quotes=True).text == "\"value\" 'value' $V"


def test_variables_without_a_value_are_told() -> None:
    """So that a typo can be warned about; a default is an answer."""
    assert expand("$A ${B} ${C:-x} ${D#x} $V", VARIABLES).unknown == {"A", "B", "D"}
