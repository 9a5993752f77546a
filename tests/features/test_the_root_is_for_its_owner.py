"""Images and volumes hold set-user-ID programs: whichever command is the first on a machine, others reach none."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator

import pytest

AGENT = """
[[repository]]
name = "acme/quotes"
url = "/srv/quotes.git"
secret = "s"
image = "localhost:5000/quotes"
"""


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def taken_address() -> Iterator[str]:
    """An address at which nobody else can listen: a server gives up there, when it has made its directory."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield "{}:{}".format(*taken.getsockname())


@pytest.mark.parametrize("name", ["registry", "agent"])
def test_the_first_command_is_a_server(estiba_home, taken_address, name):
    os.rmdir(estiba_home.root)
    config = f"{estiba_home.directory}/agent.toml"
    with open(config, "w", encoding="utf-8") as file:
        file.write(AGENT)
    words = ["--config", config] if name == "agent" else []
    done = estiba_home.estiba(name, "serve", "--listen", taken_address, *words, check=False)
    assert "cannot listen" in done.stderr
    assert (_mode(estiba_home.root), _mode(f"{estiba_home.root}/{name}")) == (0o700, 0o700)


@pytest.mark.root("it makes a bridge")
def test_the_first_command_defines_a_network(estiba_home):
    os.rmdir(estiba_home.root)
    estiba_home.estiba("network", "create", "one")
    assert (_mode(estiba_home.root), _mode(f"{estiba_home.root}/networks")) == (0o700, 0o700)
    estiba_home.estiba("network", "rm", "one")


def test_what_was_above_the_root_stays_and_what_was_missing_is_private(estiba_home):
    os.rmdir(estiba_home.root)
    os.chmod(estiba_home.directory, 0o755)
    home = estiba_home._replace(root=f"{estiba_home.directory}/share/estiba")
    home.estiba("images")
    assert [_mode(path) for path in (home.directory, f"{home.directory}/share", home.root)] == [0o755, 0o700, 0o700]


def test_volumes_are_private_in_a_root_that_is_open(estiba_home):
    os.chmod(estiba_home.root, 0o755)
    volumes = f"{estiba_home.root}/volumes"
    estiba_home.estiba("volume", "create", "kept")
    assert _mode(volumes) == 0o700
    with open(f"{volumes}/kept/_data/file", "w", encoding="ascii"):
        pass
    estiba_home.estiba("volume", "rm", "kept")
    os.rmdir(volumes)
    estiba_home.estiba("volume", "undo", "kept")
    assert (_mode(estiba_home.root), _mode(volumes)) == (0o755, 0o700)
