"""What Docker's tools remove through our daemon: no more than they ask for, and volumes can be taken back."""

from __future__ import annotations

import subprocess

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]


def _names(ours, *words: str) -> list[str]:
    done = subprocess.run([*ours.command, *words, "-q"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.fixture(autouse=True)
def nothing_is_left(ours):
    yield
    if ids := ours.docker("ps", "-aq").stdout.split():
        ours.docker("rm", "-f", "-v", *ids, check=True)
    ours.docker("volume", "prune", "-af", check=True)
    subprocess.run([*ours.command, "volume", "trash", "empty", "-f"], check=True, capture_output=True)


def test_a_prune_of_containers_lets_their_volumes_stay(ours) -> None:
    write = "echo text > /data/file"
    for name in ("go", "stay"):
        ours.docker("run", "--name", name, "-l", f"is={name}", "-v", "/data", "busybox", "sh", "-c", write, check=True)
    volumes = set(_names(ours, "volume", "ls"))
    told = ours.docker("container", "prune", "-f", "--filter", "label!=is=stay", check=True).stdout
    assert "Total reclaimed space: " in told and not told.endswith(" 0B\n")
    assert ours.docker("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["stay"]
    assert set(_names(ours, "volume", "ls")) == volumes and len(volumes) == 2


def test_removed_volumes_lie_in_the_trash(ours) -> None:
    script = "echo text > /named/file; echo text > /data/file"
    words = ("run", "--name", "one", "-v", "named:/named", "-v", "/data", "busybox", "sh", "-c", script)
    ours.docker(*words, check=True)
    ours.docker("rm", "-v", "one", check=True)
    (anonymous,) = _names(ours, "volume", "trash", "ls")
    ours.docker("volume", "rm", "named", check=True)
    assert sorted(_names(ours, "volume", "trash", "ls")) == sorted((anonymous, "named"))
    for name in (anonymous, "named"):
        subprocess.run([*ours.command, "volume", "undo", name], check=True, capture_output=True)
    ours.docker("volume", "prune", "-f", check=True)
    assert _names(ours, "volume", "trash", "ls") == [anonymous]
    told = ours.docker("volume", "prune", "-af", "--filter", "label!=other", check=True).stdout
    assert "named" in told and told.endswith("Total reclaimed space: 0B\n")
    assert sorted(_names(ours, "volume", "trash", "ls")) == sorted((anonymous, "named"))


def test_what_a_container_that_removes_itself_had_is_gone(ours) -> None:
    ours.docker("run", "--rm", "-v", "/data", "busybox", "touch", "/data/file", check=True)
    assert _names(ours, "volume", "ls") == _names(ours, "volume", "trash", "ls") == []
