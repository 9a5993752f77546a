"""`estiba network` does what Docker's does."""

from __future__ import annotations

import json

import pytest


def test_networks_are_made_listed_inspected_and_removed(estiba_home) -> None:
    made = estiba_home.estiba(
        "network", "create", "--subnet", "10.200.7.0/24", "--label", "team=a", "blue"
    ).stdout.strip()
    listed = estiba_home.estiba("network", "ls").stdout.splitlines()
    assert listed[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [line.split()[1:] for line in listed[1:]] == [
        ["bridge", "bridge", "local"],
        ["host", "host", "local"],
        ["none", "null", "local"],
        ["blue", "bridge", "local"],
    ]
    assert listed[4].split()[0] == made[:12]
    (told,) = json.loads(estiba_home.estiba("network", "inspect", made[:8]).stdout)
    assert told["IPAM"]["Config"] == [{"Subnet": "10.200.7.0/24", "Gateway": "10.200.7.1"}]
    assert (told["Name"], told["Labels"], told["Internal"], told["Containers"]) == ("blue", {"team": "a"}, False, {})
    assert estiba_home.estiba("network", "ls", "-q", "--filter", "label=team=a").stdout == made[:12] + "\n"
    assert estiba_home.estiba("network", "ls", "--format", "{{.Name}}", "-f", "driver=host").stdout == "host\n"
    assert estiba_home.estiba("network", "rm", "blue").stdout == "blue\n"
    assert estiba_home.estiba("network", "rm", "blue", check=False).returncode == 1
    estiba_home.estiba("network", "rm", "-f", "blue")


def test_prune_shows_its_plan_and_asks(estiba_home) -> None:
    estiba_home.estiba("network", "create", "blue")
    asked = estiba_home.estiba("network", "prune", check=False)
    assert asked.returncode == 1
    assert "  blue  10.87." in asked.stdout
    assert estiba_home.estiba("network", "prune", "--force").stdout.endswith("Removed 1 network.\n")
    assert estiba_home.estiba("network", "prune").stdout == "No unused networks.\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("create", "--ipv6", "x"), "IPv6 are not there yet"),
        (("create", "-d", "macvlan", "x"), "'macvlan' are not there yet"),
        (("create", "--subnet", "10.1.2.3/24", "x"), "The subnet is 10.1.2.0/24"),
        (("create", "host"), "has a meaning of its own"),
        (("connect", "bridge", "box"), "no such container: box"),
        (("rm", "bridge"), "is built in"),
        (("inspect", "nope"), "no such network: nope"),
    ],
)
def test_what_cannot_be_is_told(estiba_home, arguments: tuple[str, ...], word: str) -> None:
    done = estiba_home.estiba("network", *arguments, check=False)
    assert done.returncode == 1
    assert word in done.stderr
