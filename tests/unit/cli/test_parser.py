"""A plain command line is read from notes; whatever is read so is what argparse reads."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estiba.cli import commands
from estiba.cli.parser import REMAINDER, NotPlain, Parser, Values, _read, make_parser
from estiba.cli.usage import WrongUsage
from estiba.errors import EstibaError

_WORDS = ["a", "b:1", "", "a b", "-", "--", "-1", "x=y", "1", "json", "--unknown", "-Z", "none", "sh", "-c", "3s"]
_TRUTHS = ["true", "false", "T", "f", "maybe"]
_COMMANDS = sorted(set(commands.names()) - {"version", "help"})


def _parser(name: str) -> Parser:
    command = commands.find(name)
    assert command is not None
    parser = make_parser(f"estiba {name}", command.summary)
    import_module(f"estiba.cli.{command.module}").add_arguments(parser)
    return parser


def _words_of(parser: Parser) -> st.SearchStrategy[list[str]]:
    flags = [name for argument in parser._arguments if argument.is_flag for name in argument.names]
    single = st.sampled_from((*flags, *_WORDS)) if flags else st.sampled_from(_WORDS)
    words = st.sampled_from((*_WORDS, *_TRUTHS))
    joined = st.builds(lambda flag, word: f"{flag}={word}", st.sampled_from(flags or ["-x"]), words)
    cluster = st.builds(
        lambda a, b: f"{a}{b.lstrip('-')}", st.sampled_from(flags or ["-x"]), st.sampled_from(flags or ["-y"])
    )
    told = st.builds(lambda several, word: f"{several}={word}", cluster, words)
    return st.lists(st.one_of(single, single, single, joined, cluster, told), max_size=7)


@pytest.mark.parametrize("name", _COMMANDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_read_without_argparse_is_what_argparse_reads(name: str, data: st.DataObject) -> None:
    parser = _parser(name)
    if parser._full is not None:
        return  # it has sub-commands: argparse reads every line of it
    words = data.draw(_words_of(parser))
    try:
        quick = _read(parser._arguments, words)
    except NotPlain:
        return
    assert quick == vars(parser._make_full().parse_args(words)), words


_BOTH_READERS = pytest.mark.parametrize("form", ["plain", "with a word that argparse has to read"])


def _read_by(form: str, *words: str) -> Any:
    """A line of `run`, with or without a flag that is not in the plain form."""
    parser = _parser("run")
    read = parser.parse_args([*([] if form == "plain" else ["-eA=1"]), *words])
    assert (parser._full is None) == (form == "plain")
    return read


@_BOTH_READERS
@pytest.mark.parametrize(
    ("said", "expected"),
    [(word, True) for word in ("1", "t", "T", "true", "TRUE", "True")]
    + [(word, False) for word in ("0", "f", "F", "false", "FALSE", "False")],
)
def test_a_switch_may_be_told_its_value(form: str, said: str, expected: bool) -> None:
    read = _read_by(
        form, f"--rm={said}", f"-d={said}", f"-it={said}", "busybox", "ls", "--rm=maybe", f"-d={not expected}"
    )
    assert (read.rm, read.detach, read.interactive, read.tty) == (expected, expected, True, expected)
    assert read.command == ["ls", "--rm=maybe", f"-d={not expected}"]


@_BOTH_READERS
def test_the_last_word_about_a_switch_counts(form: str) -> None:
    read = _read_by(form, "--rm", "--rm=false", "-t=false", "-t", "busybox")
    assert (read.rm, read.tty, read.sig_proxy) == (False, True, True)
    assert not _read_by(form, "--sig-proxy=false", "busybox").sig_proxy
    assert _read_by(form, "--sig-proxy", "busybox").image == "busybox"


@pytest.mark.parametrize("word", ["--rm=maybe", "--rm=", "-d=", "-it=2", "--rm=tRuE"])
def test_what_is_neither_true_nor_false_is_told(word: str) -> None:
    with pytest.raises(WrongUsage, match=f"run: argument {word}: '.*' is neither true nor false"):
        _parser("run").parse_args([word, "busybox"])


def test_a_switch_below_a_command_may_be_told_its_value() -> None:
    parser = _parser("volume")
    assert not parser.parse_args(["rm", "--force=false", "one"]).force
    assert parser.parse_args(["rm", "-f=true", "one"]).force


def test_a_switch_that_says_no_may_be_told_its_value() -> None:
    for words, human in ((["--no-human"], False), (["--no-human=false"], True), (["-H=false"], False), (["-H"], True)):
        assert _parser("history").parse_args([*words, "busybox"]).human is human


def test_a_commit_that_pauses_takes_no_word_for_it() -> None:
    read = _parser("commit").parse_args(["-p", "web", "img"])
    assert (read.pause, read.container, read.name) == (True, "web", "img")
    assert not _parser("commit").parse_args(["--pause=false", "web"]).pause


def test_plain_lines_of_frequent_commands_need_no_argparse() -> None:
    for name, *words in (
        (
            "run",
            "-it",
            "--rm",
            "--network",
            "none",
            "-e",
            "A=1",
            "-e",
            "B=2",
            "--name=one",
            "busybox",
            "sh",
            "-c",
            "ls -l",
        ),
        ("exec", "-it", "one", "sh", "-c", "exit 1"),
        ("run", "--rm=true", "-d=false", "-it=false", "--read-only=0", "busybox"),
        ("ps", "-a"),
        ("rm", "-f", "one", "two"),
        ("stop", "-t", "3", "one"),
    ):
        parser = _parser(name)
        assert isinstance(parser.parse_args(words), Values)
        assert parser._full is None


def test_what_is_not_plain_is_argparses() -> None:
    parser = _parser("run")
    assert parser.parse_args(["-p8080:80", "--rm", "busybox"]).publish == ["8080:80"]
    assert _parser("run").parse_args(["busybox", "--", "sh"]).command == ["sh"]
    with pytest.raises(WrongUsage, match="required: IMAGE"):
        _parser("run").parse_args([])
    with pytest.raises(WrongUsage, match="unrecognized"):
        _parser("ps").parse_args(["--no-such-flag"])


def test_a_refused_flag_is_told_wherever_it_stands() -> None:
    for words in (["--ip6", "::1", "busybox"], ["--rm", "--link-local-ip=x", "busybox"]):
        with pytest.raises(EstibaError, match="not there yet"):
            _parser("run").parse_args(words)


def test_defaults_are_not_shared_between_lines() -> None:
    parser = Parser("estiba x", "x")
    parser.add_argument("-e", action="append", default=[])
    parser.add_argument("rest", nargs=REMAINDER)
    assert parser.parse_args(["-e", "1", "a"]).e == ["1"]
    assert parser.parse_args(["a"]).e == []


def test_what_is_not_there_is_not_shown_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    parser = _parser("run")
    parser.print_help()
    shown = capsys.readouterr().out
    assert "--device" in shown
    for flag in ("--gpus", "--use-api-socket", "--kernel-memory", "SUPPRESS"):
        assert flag not in shown
