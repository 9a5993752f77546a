"""The command line of runc, as its callers write it."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput
from estiba.runtime.arguments import VERBS, parse
from estiba.runtime.usage import usage_of


def test_conmons_create() -> None:
    asked = parse(
        [
            "--log",
            "/l",
            "--log-format=json",
            "create",
            "--bundle",
            "/b",
            "--pid-file=/p",
            "--console-socket",
            "/s",
            "id1",
        ]
    )
    assert (asked.verb, asked.container_id()) == ("create", "id1")
    names = ("log", "log-format", "bundle", "pid-file", "console-socket")
    assert [asked.value(name) for name in names] == ["/l", "json", "/b", "/p", "/s"]


def test_conmons_exec() -> None:
    asked = parse(["exec", "--pid-file", "/p", "--process", "/j", "--detach", "--tty", "--console-socket", "/s", "id1"])
    assert asked.has("detach")
    assert asked.has("tty")
    assert asked.operands == ["id1"]


def test_what_follows_the_id_of_exec_is_the_programs() -> None:
    asked = parse(["exec", "-t", "-e", "A=b", "--env=C=d", "-u", "1:2", "id1", "ls", "-d", "--", "x"])
    assert asked.operands == ["id1", "ls", "-d", "--", "x"]
    assert asked.values("env") == ["A=b", "C=d"]
    assert asked.value("user") == "1:2"
    assert not asked.has("detach")


def test_short_flags_may_stand_together() -> None:
    asked = parse(["exec", "-td", "id1", "ls"])
    assert asked.has("tty")
    assert asked.has("detach")


def test_flags_may_follow_the_id_of_other_verbs() -> None:
    asked = parse(["delete", "id1", "--force"])
    assert asked.has("force")
    assert asked.operands == ["id1"]
    assert parse(["kill", "--all", "id1", "KILL"]).operands == ["id1", "KILL"]


def test_a_switch_can_be_off() -> None:
    assert not parse(["--systemd-cgroup=false", "list"]).has("systemd-cgroup")


@pytest.mark.parametrize(
    "words", [["fly"], ["create", "--wings"], ["--root"], ["create", "--preserve-fds", "many", "x"]]
)
def test_what_is_not_understood_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput):
        parse(words).number("preserve-fds")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_flag_has_its_help(verb: str) -> None:
    text = usage_of(verb)
    assert text.startswith(f"NAME:\n   estiba-runtime {verb} - ")
    assert all(f"--{flag}" in text for flag in VERBS[verb])


def test_help_is_asked_for_before_or_behind_the_verb() -> None:
    for words in (["help", "exec"], ["exec", "-h"], ["exec", "--help"]):
        asked = parse(words)
        assert (asked.verb, asked.has("help")) == ("exec", True)
    with pytest.raises(InvalidInput, match="No help topic for 'fly'"):
        parse(["fly", "-h"])


def test_a_word_too_many_is_refused() -> None:
    for words in (["state", "id1", "id2"], ["list", "id1"], ["kill", "id1", "TERM", "more"]):
        with pytest.raises(InvalidInput, match="takes no"):
            parse(words)
    assert parse(["ps", "id1", "-e", "-x"]).operands == ["id1", "-e", "-x"]
