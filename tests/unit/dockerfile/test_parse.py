"""Parsing gives values, or a DockerfileError that points at the place, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import example, given, settings
from hypothesis import strategies as st

from estiba.dockerfile import DockerfileError, NotYetInDockerfile, bases_needed, lower, parse, stages
from estiba.dockerfile.durations import BadDuration, nanoseconds
from estiba.dockerfile.errors import Place, Source, near
from estiba.dockerfile.heredocs import Marker, marker
from estiba.dockerfile.instructions import Command, Copy, Health, Run
from estiba.dockerfile.lexer import lex
from estiba.dockerfile.mounts import BadMount, Mount, read_mount, split_fields
from estiba.dockerfile.words import Word, json_strings, shell_words
from estiba.errors import InvalidInput
from estiba.oci.image_config import HealthCheck, ImageConfig
from estiba.oci.platform import Platform

AMD64 = Platform("linux", "amd64")


def test_every_character_of_a_statement_knows_its_place() -> None:
    """Whatever was joined or dropped, an offset leads back to the line and column of the file."""
    text = "FROM a\n  RUN one \\\n# comment\n\n    two \\\n\tthree\n"
    statement = lex(text, filename="f").statements[1]
    lines = text.split("\n")
    assert statement.text == "RUN one     two \tthree"
    for offset, char in enumerate(statement.text):
        place = statement.place(offset)
        assert lines[place.line - 1][place.column - 1] == char


def test_the_picture_of_a_place_keeps_tabs_and_hides_control_characters() -> None:
    """The caret stands under the character on every terminal, and no escape sequence gets through."""
    source = Source("f", ("\tx\x1b[2Jy",))
    assert Place(source, 1, 3, 2).describe("bad") == "f:1:3: bad\n   1 | \tx?[2Jy\n     | \t ^^"


def test_near_names_are_offered_only_when_they_are_near() -> None:
    """A typo gets a question, another word nothing."""
    assert near("FORM", ["FROM", "RUN"]) == "Did you mean FROM?"
    assert near("from", ["FROM", "RUN"]) == "Did you mean FROM?"
    assert near("xyz", ["FROM", "RUN"]) == ""


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("<<EOF", Marker("EOF", False, True)),
        ("<<-EOF", Marker("EOF", True, True)),
        ("<<'EOF'", Marker("EOF", False, False)),
        ('<<-"E O"', Marker("E O", True, False)),
        ("<<EOF cat", None),
        ('<<"EOF"', Marker("EOF", False, False)),
        ("<<E'O'F", Marker("EOF", False, False)),
        ("<<\\EOF", Marker("EOF", False, False)),
        ("3<<EOF", Marker("EOF", False, True)),
        ("<<a/b", Marker("a/b", False, True)),
        ("<<'EOF", None),
        ("<<", None),
        ("<<-", None),
        ("<<''", None),
        ("<<<EOF", None),
        ("cat<<EOF", None),
        ('"<<EOF"', None),
    ],
)
def test_what_announces_a_here_document(word: str, expected: Marker | None) -> None:
    """A whole word of the form, with a name that is not empty."""
    assert marker(word) == expected


def test_words_keep_their_quotes_and_places() -> None:
    """Only blanks outside quotes split, and an escape protects the next character."""
    text = "a 'b c'  d\\ e\"f g\"  \\"
    assert shell_words(text, "\\") == [Word("a", 0), Word("'b c'", 2), Word('d\\ e"f g"', 9)]


def test_what_is_no_json_list_is_in_shell_form() -> None:
    """As Docker does it, even where a bracket begins the line."""
    assert json_strings('["a", "b"]') == ("a", "b")
    assert json_strings("[]") == ()
    assert json_strings("[ -f x ] && y") is None
    assert json_strings("['a']") is None
    assert json_strings("[" * 100_000) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1m30s", 90 * 10**9),
        ("1.5h", 5400 * 10**9),
        ("500ms", 5 * 10**8),
        ("1us", 1000),
        (".5s", 5 * 10**8),
    ],
)
def test_durations(text: str, expected: int) -> None:
    """Numbers with units, added up, in nanoseconds."""
    assert nanoseconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1d", ".s", "999999999999h", "1s2"])
def test_what_is_no_duration(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(BadDuration):
        nanoseconds(text)


def test_a_mount_has_the_defaults_of_its_kind() -> None:
    """Bind, secret and ssh are read-only unless said; cache and tmpfs are not."""
    read = lambda text: read_mount(split_fields(text), str)  # noqa: E731
    assert read("target=/a") == Mount(target="/a")
    assert read("type=cache,target=/a") == Mount("cache", target="/a", read_only=False)
    assert read("type=bind,dst=/a,src=b,from=c,rw") == Mount("bind", "c", "b", "/a", False)
    assert read("type=cache,destination=/a,readonly=true,id=x") == Mount("cache", target="/a", identifier="x")
    assert read("type=secret,id=a,required").required
    assert read("type=tmpfs,target=/t,size=2GiB").size == 2 * 1024**3
    with pytest.raises(BadMount):
        read("type=secret,id=a,source=b")
    with pytest.raises(BadMount):
        read("type=secret,id=a,required=perhaps")


def test_instructions_hold_all_that_was_written() -> None:
    """Every flag of a few instructions, as values."""
    text = (
        'FROM a\nRUN --network=none --mount=type=tmpfs,target=/t ["x"]\n'
        "COPY --from=b --chown=1:2 --chmod=644 --link --parents --exclude=x --exclude=y c d/\n"
        "HEALTHCHECK --interval=1s CMD x y\n"
    )
    _, run, copy, health = parse(text, filename="f").instructions
    assert isinstance(run, Run)
    assert run == Run(run.at, Command(("x",), False), (split_fields("type=tmpfs,target=/t"),), "none")
    assert isinstance(copy, Copy)
    assert copy == Copy(copy.at, "COPY", ("c",), "d/", (), "b", "1:2", "644", True, True, ("x", "y"))
    assert isinstance(health, Health)
    assert health.check == HealthCheck(("CMD-SHELL", "x y"), interval=10**9)


# Pieces of the language, so that a random text is often nearly a Dockerfile.
PIECES_TEXT = r"""
FROM RUN COPY ADD ENV ARG LABEL EXPOSE CMD ENTRYPOINT SHELL USER WORKDIR VOLUME HEALTHCHECK ONBUILD STOPSIGNAL
MAINTAINER AS a b scratch busybox:1 /x . NONE 80/tcp 1-3 SIGTERM A=1 = --from=a --from=0 --mount=type=cache,target=/c
--mount=type= --chown=$A --platform=$B --interval=1s --link -- <<EOF <<-'E' EOF E [ ] ["a"] ["a",1] {} , #
# escape=` #syntax=x \ ` ' " $ ${ } $A ${A:-b} ${A##*/} ${A/ ${A:?x} é
"""
PIECES = st.sampled_from([*PIECES_TEXT.split(), "\ufeff", "\x00", "\udc80", " ", "\t", "\n", "\r\n", "\\\n", "`\n"])


@settings(max_examples=400, deadline=None, suppress_health_check=[Check.too_slow], derandomize=True)
@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=80))
@example("FROM a\nCMD " + "[" * 50_000)
@example("FROM a\nENV A=" + "${A:-" * 3000)
@example("\\")
@example("ONBUILD")
@example("FROM a\nONBUILD ")
@example("FROM a\nRUN <<\\\nEOF\n")
@example("FROM a\nCOPY <<E <<E /\nx\nE\ny\nE\n")
def test_any_text_is_a_dockerfile_or_a_dockerfile_error(text: str) -> None:
    """The parser raises nothing else; and what it accepts can be lowered or refused in words."""
    try:
        document = parse(text, filename="Dockerfile")
        staged = stages(document)
    except DockerfileError as error:
        assert error.place.describe(error.claim) == error.message
        return
    try:
        bases: dict = {}
        while missing := bases_needed(staged, build_args={}, platform=AMD64, bases=bases):
            bases.update({image: ImageConfig.make(platform=AMD64) for image in missing})
        lower(staged, build_args={}, platform=AMD64, bases=bases)
    except (DockerfileError, NotYetInDockerfile):
        return


@settings(max_examples=300, deadline=None, suppress_health_check=[Check.too_slow], derandomize=True)
@given(st.lists(PIECES, max_size=20).map(" ".join))
def test_whatever_follows_a_base_is_lowered_or_refused(rest: str) -> None:
    """The same with a beginning that is right, so that more of it is reached."""
    try:
        staged = stages(parse(f"FROM a AS a\nENV A=x/y\n{rest}", filename="Dockerfile"))
        bases: dict = {}
        while missing := bases_needed(staged, build_args={}, platform=AMD64, bases=bases):
            bases.update({image: ImageConfig.make(platform=AMD64) for image in missing})
        lower(staged, build_args={}, platform=AMD64, bases=bases)
    except (DockerfileError, NotYetInDockerfile) as error:
        assert isinstance(error, InvalidInput | NotYetInDockerfile)
