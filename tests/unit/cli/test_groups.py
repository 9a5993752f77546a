"""Each group of commands has all that Docker's has, and a command of a group is the one of the top level."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from estiba.cli import commands, container, image, network, system, volume
from estiba.cli.parser import make_parser
from estiba.errors import NotThereYet

DOCKERS = {
    container: (
        "attach commit cp create diff exec export inspect kill logs ls list ps pause port prune rename restart rm "
        "remove run start stats stop top unpause update wait"
    ),
    image: "build history import inspect load ls list prune pull push rm remove save tag",
    network: "connect create disconnect inspect ls list prune rm remove",
    volume: "create inspect ls list prune rm remove",
    system: "df prune",
}


@pytest.mark.parametrize("group", DOCKERS, ids=lambda group: group.__name__.rpartition(".")[2])
def test_a_group_has_what_dockers_has(group):
    for name in DOCKERS[group].split():
        one = group.member(name) if hasattr(group, "member") else None
        module = __import__(f"estiba.cli.{one[0]}", fromlist=["run"]) if one else group
        parser = make_parser(f"estiba … {name}", "")
        module.add_arguments(parser)
        with redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit) as end:
            parser.parse_args(["--help"] if one else [name, "--help"])
        assert end.value.code == 0 and name in said.getvalue()


def test_a_command_of_the_group_of_containers_is_that_of_the_top_level():
    assert container.member("run") == ("run", commands.CONTAINERS["run"].summary)
    assert container.member("list") == ("ps", commands.CONTAINERS["ps"].summary)
    assert container.member("prune") is container.member("nothing") is None


def test_what_is_not_there_yet_of_the_system_is_named():
    with pytest.raises(NotThereYet, match="system events"):
        system.member("events")
