"""What git is told besides the command: credentials, settings, and little of the caller's environment."""

from __future__ import annotations

import base64
from pathlib import Path

from estiba.builder.context.git import Git, remote, settings, shown


def test_credentials_of_an_address_become_a_header_for_its_host_alone() -> None:
    token = base64.b64encode(b"ana:p@ss").decode()
    assert remote("https://ana:p%40ss@git.example.com:8443/q.git") == (
        "https://git.example.com:8443/q.git",
        (("http.https://git.example.com:8443/.extraHeader", f"Authorization: Basic {token}"),),
    )
    assert remote("git@github.com:ana/q.git") == ("git@github.com:ana/q.git", ())
    assert remote("https://github.com/ana/q.git") == ("https://github.com/ana/q.git", ())


def test_settings_go_to_git_in_its_environment() -> None:
    assert settings((("a.b", "1"), ("c.d", "2"))) == {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "a.b",
        "GIT_CONFIG_VALUE_0": "1",
        "GIT_CONFIG_KEY_1": "c.d",
        "GIT_CONFIG_VALUE_1": "2",
    }


def test_no_message_shows_credentials() -> None:
    assert shown("fatal: https://ana:token@x/q and ssh://git@y/q") == "fatal: https://***@x/q and ssh://***@y/q"


def test_only_what_git_needs_of_the_environment_reaches_it() -> None:
    given = {"HOME": "/h", "https_proxy": "p", "GIT_SSH_COMMAND": "ssh -i key", "GIT_DIR": "x", "TOKEN": "s"}
    found = Git(given)._environment
    assert found["GIT_SSH_COMMAND"] == "ssh -i key"
    assert {"HOME", "https_proxy"} <= set(found)
    assert not {"GIT_DIR", "TOKEN"} & set(found)
    assert Path(found["PATH"].split(":")[0]).is_absolute()
