"""`prune` removes exactly what it has shown; `df` counts everything that lies under the root."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def used(estiba_home, tmp_path):
    """An installation with a container that has ended, an image that nobody uses, and files of a cache mount."""
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "true"]\n')
    with open("/usr/bin/busybox", "rb") as source, open(tmp_path / "busybox", "wb") as out:
        out.write(source.read())
    os.chmod(tmp_path / "busybox", 0o755)
    estiba_home.estiba("build", "-q", "-t", "app:1", str(tmp_path))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /unused\n")
    estiba_home.estiba("build", "-q", "-t", "unused:1", str(tmp_path))
    estiba_home.estiba("run", "--name", "ended", "--network", "none", "-v", "/data", "app:1")
    mounts = os.path.join(estiba_home.root, "mounts", "cache")
    os.makedirs(mounts)
    with open(f"{mounts}/file", "wb") as file:
        file.write(bytes(500_000))
    return estiba_home


def test_a_plan_is_shown_kept_and_applied(used):
    told = used.estiba("prune", "--all", "--volumes", "--plan").stdout
    for word in ("CONTAINER", "ended does not run", "VOLUME", "no container has it: app:1", "unused:1", "CACHE MOUNT"):
        assert word in told
    assert used.estiba("ps", "-aq").stdout.strip()
    identifier = told.split()[-1]
    used.estiba("tag", "app:1", "kept:1")  # what nobody uses stays in the plan, whatever its names
    done = used.estiba("prune", "--apply", identifier).stdout
    assert "Total reclaimed space" in done
    for command in (("ps", "-aq"), ("images", "-q"), ("volume", "ls", "-q")):
        assert used.estiba(*command).stdout == ""
    assert os.listdir(os.path.join(used.root, "mounts")) == []
    assert "no problems" in used.estiba("fsck").stdout
    again = used.estiba("prune", "--apply", identifier, check=False)
    assert (again.returncode, "there is no plan" in again.stderr) == (1, True)


def test_what_is_used_by_then_stays(used):
    identifier = used.estiba("prune", "--all", "--plan").stdout.split()[-1]
    used.estiba("create", "--name", "new", "unused:1", "/unused")
    used.estiba("prune", "--apply", identifier)
    assert used.estiba("images", "--format", "{{.Repository}}").stdout.split() == ["unused"]
    assert used.estiba("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["new"]


def test_without_all_what_has_a_name_stays_and_nothing_goes_unasked(used):
    done = used.estiba("prune", check=False)
    assert done.returncode == 1, "no terminal, no agreement"
    assert used.estiba("ps", "-aq").stdout.strip()
    used.estiba("prune", "--force")
    assert used.estiba("ps", "-aq").stdout == ""
    assert len(used.estiba("images", "-q").stdout.split()) == 2
    assert used.estiba("volume", "ls", "-q").stdout.strip(), "volumes are only for who names them"


def test_df_counts_what_is_on_the_disk(used):
    rows = [json.loads(line) for line in used.estiba("df", "--format", "json").stdout.splitlines()]
    by_type = {row["Type"]: row for row in rows}
    assert by_type["Containers"]["TotalCount"] == "1"
    assert by_type["Containers"]["Active"] == "0"
    assert by_type["Local Volumes"]["Active"] == "1"
    units = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}

    def size(text: str) -> float:
        number = text.rstrip("BkMG")
        return float(number) * units[text[len(number) :]]

    told = sum(size(row["Size"]) for row in rows)
    done = subprocess.run(["du", "-s", "-B1", used.root], capture_output=True, text=True, check=True)
    assert abs(told / int(done.stdout.split()[0]) - 1) < 0.01


def test_images_without_a_container_are_pruned_where_that_is_asked_for(used):
    used.estiba("image", "prune", "-a", "-f")
    assert used.estiba("images", "--format", "{{.Repository}}").stdout.split() == ["app"]
