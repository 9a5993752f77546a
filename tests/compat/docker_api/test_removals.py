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


def test_a_prune_of_the_whole_system_takes_what_nothing_needs(ours, tmp_path) -> None:
    """And no image that has a name, nor what the next build of it would use again."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo kept > /kept\n")
    ours.docker("build", "-q", "-t", "built", str(tmp_path), check=True)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo gone > /gone\nRUN echo further > /further\n")
    dangling = ours.docker("build", "-q", str(tmp_path), check=True).stdout.strip()
    ours.docker("run", "--name", "ended", "busybox", "true", check=True)
    ours.docker("network", "create", "idle", check=True)
    told = ours.docker("system", "prune", "-f", check=True).stdout
    words = ("Deleted Containers", "Deleted Networks:\nidle", f"deleted: {dangling}", "Deleted build cache objects")
    assert [word for word in words if word not in told] == []
    assert "Total reclaimed space: " in told and not told.endswith(" 0B\n")
    assert set(ours.docker("images", "--format", "{{.Repository}}").stdout.split()) == {"busybox", "built"}
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo kept > /kept\n")
    assert "Using cache" in ours.docker("build", str(tmp_path), check=True).stdout
    assert ours.docker("builder", "prune", "-f", check=True).stdout == "Total reclaimed space: 0B\n"
    assert "Deleted build cache objects" in ours.docker("builder", "prune", "-af", check=True).stdout
    refused = ours.docker("builder", "prune", "-f", "--keep-storage", "1GB")
    assert refused.returncode == 1 and "keep-storage" in refused.stderr
    told = ours.docker("image", "prune", "-af", "--filter", "label=none").stdout
    assert told == "Total reclaimed space: 0B\n"
    ours.docker("rmi", "built", check=True)
    assert ours.docker("image", "prune", "-f", check=True).stdout == "Total reclaimed space: 0B\n"
