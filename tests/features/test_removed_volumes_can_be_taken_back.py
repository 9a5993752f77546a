"""The trash of volumes: what was removed comes back with `undo`, until its time is over; no prune empties it."""

from __future__ import annotations

import json
import os

import pytest

from estiba.engine.records import Containers
from estiba.engine.volumes import Volumes
from estiba.store.store import Store


def make_volume(home, name: str, *flags: str) -> str:
    """A volume with a file; gives its directory."""
    home.estiba("volume", "create", *flags, name)
    directory = json.loads(home.estiba("volume", "inspect", name).stdout)[0]["Mountpoint"]
    with open(f"{directory}/file", "w") as file:
        file.write(f"of {name}")
    return directory


def names(home, *words: str) -> list[str]:
    return home.estiba("volume", *words, "-q").stdout.split()


def test_a_removed_volume_comes_back_with_its_files_and_labels(estiba_home):
    directory = make_volume(estiba_home, "cargo", "--label", "of=ship")
    before = estiba_home.estiba("volume", "inspect", "cargo").stdout
    os.chmod(f"{directory}/file", 0o640)
    assert estiba_home.estiba("volume", "rm", "cargo").stdout == "cargo\n"
    assert (names(estiba_home, "ls"), names(estiba_home, "trash", "ls")) == ([], ["cargo"])
    assert not os.path.exists(directory)
    assert estiba_home.estiba("volume", "undo", "cargo").stdout == "cargo\n"
    assert (names(estiba_home, "ls"), names(estiba_home, "trash", "ls")) == (["cargo"], [])
    with open(f"{directory}/file") as file:
        assert file.read() == "of cargo"
    assert os.stat(f"{directory}/file").st_mode & 0o777 == 0o640
    assert estiba_home.estiba("volume", "inspect", "cargo").stdout == before
    again = estiba_home.estiba("volume", "undo", "cargo", check=False)
    assert (again.returncode, again.stderr.splitlines()[0]) == (1, "estiba: there is no volume cargo in the trash")


def test_the_last_of_one_name_comes_first_and_a_name_that_is_taken_is_kept(estiba_home):
    for text in ("first", "second"):
        directory = make_volume(estiba_home, "cargo")
        with open(f"{directory}/file", "w") as file:
            file.write(text)
        estiba_home.estiba("volume", "rm", "cargo")
    make_volume(estiba_home, "cargo")
    refused = estiba_home.estiba("volume", "undo", "cargo", check=False)
    assert (refused.returncode, "there is a volume cargo again" in refused.stderr) == (1, True)
    assert estiba_home.estiba("volume", "undo", "cargo", "--as", "older").stdout == "older\n"
    with open(f"{estiba_home.root}/volumes/older/_data/file") as file:
        assert file.read() == "second"
    assert names(estiba_home, "trash", "ls") == ["cargo"]


def test_prune_moves_volumes_to_the_trash_and_never_empties_it(estiba_home):
    for name in ("one", "two", "other"):
        make_volume(estiba_home, name, "--label", f"is={name}")
    estiba_home.estiba("volume", "prune", "-af", "--filter", "label!=is=other", "--filter", "label!=is=two")
    assert names(estiba_home, "ls") == ["other", "two"]
    told = estiba_home.estiba("volume", "prune", "-af").stdout.splitlines()
    assert told[-2:] == ["2 can be taken back for 7 days: estiba volume undo NAME", "Total reclaimed space: 0B"]
    for words in (("prune", "-af", "--volumes"), ("gc",), ("volume", "prune", "-af")):
        estiba_home.estiba(*words)
    assert sorted(names(estiba_home, "trash", "ls")) == ["one", "other", "two"]
    estiba_home.estiba("volume", "undo", "one")
    assert names(estiba_home, "ls") == ["one"]


def test_the_time_can_be_set_and_gc_empties_after_it(estiba_home):
    for name, time in (("short", "1ms"), ("long", "30d"), ("none", "0")):
        make_volume(estiba_home, name)
        estiba_home.estiba("volume", "rm", "--keep", time, name)
    make_volume(estiba_home, "set")
    environment = {**os.environ, "ESTIBA_VOLUME_TRASH": "0"}
    estiba_home.estiba("volume", "rm", "set", env=environment)
    assert sorted(names(estiba_home, "trash", "ls")) == ["long", "short"]
    planned = estiba_home.estiba("gc", "--dry-run").stdout
    assert "its time in the trash is over" in planned
    assert sorted(names(estiba_home, "trash", "ls")) == ["long", "short"], "a plan removes nothing"
    estiba_home.estiba("gc")
    assert names(estiba_home, "trash", "ls") == ["long"]
    wrong = estiba_home.estiba("volume", "rm", "--keep", "soon", "x", check=False)
    assert (wrong.returncode, "invalid time 'soon'" in wrong.stderr) == (1, True)


def test_df_counts_the_trash(estiba_home):
    directory = make_volume(estiba_home, "cargo")
    with open(f"{directory}/large", "wb") as file:
        file.write(os.urandom(2_000_000))
    assert "Volume Trash" not in estiba_home.estiba("df").stdout
    estiba_home.estiba("volume", "rm", "cargo")
    rows = [json.loads(line) for line in estiba_home.estiba("df", "--format", "json").stdout.splitlines()]
    (row,) = [row for row in rows if row["Type"] == "Volume Trash"]
    assert (row["TotalCount"], row["Active"]) == ("1", "0")
    assert row["Size"].startswith("2.0") and row["Reclaimable"].endswith("(100%)")


def test_the_trash_is_emptied_when_that_is_asked_for(estiba_home):
    for name in ("one", "two", "three"):
        make_volume(estiba_home, name)
        estiba_home.estiba("volume", "rm", name)
    estiba_home.estiba("volume", "trash", "empty", "one", check=False, input="n\n", stdin=None)
    assert len(names(estiba_home, "trash", "ls")) == 3
    estiba_home.estiba("volume", "trash", "empty", "-f", "one")
    assert sorted(names(estiba_home, "trash", "ls")) == ["three", "two"]
    estiba_home.estiba("volume", "trash", "empty", "-f")
    assert os.listdir(f"{estiba_home.root}/trash") == []


def test_an_empty_volume_leaves_no_trash(estiba_home):
    estiba_home.estiba("volume", "create", "empty")
    estiba_home.estiba("volume", "rm", "empty")
    assert names(estiba_home, "trash", "ls") == []


@pytest.mark.root("it runs containers")
def test_the_anonymous_volumes_of_a_container_can_be_taken_back_unless_it_removed_itself(busybox_host):
    busybox_host.estiba("run", "--rm", "-v", "/data", "busybox", "touch", "/data/file")
    assert names(busybox_host, "trash", "ls") == []
    busybox_host.estiba("run", "--name", "one", "-v", "/data", "busybox", "sh", "-c", "echo text > /data/file")
    busybox_host.estiba("rm", "-v", "one")
    (name,) = names(busybox_host, "trash", "ls")
    busybox_host.estiba("volume", "undo", name[:12])
    shown = busybox_host.estiba("run", "--rm", "-v", f"{name}:/data", "busybox", "cat", "/data/file")
    assert shown.stdout == "text\n"


def test_a_plan_spares_a_volume_that_has_got_the_name_since(estiba_home):
    estiba_home.estiba("volume", "create")
    (name,) = names(estiba_home, "ls")
    planned = estiba_home.estiba("prune", "--volumes", "--plan").stdout
    identifier = planned.split()[-1]
    estiba_home.estiba("volume", "rm", name)
    with Store.open(estiba_home.root) as store:
        Volumes(store, Containers(store.database)).ensure(name, is_anonymous=True)
    applied = estiba_home.estiba("prune", "--apply", identifier).stdout
    assert f"stays: no such volume: {name}" in applied
    assert names(estiba_home, "ls") == [name]


def test_a_removal_that_was_killed_is_undone(estiba_home):
    directory = make_volume(estiba_home, "cargo")
    os.makedirs(f"{estiba_home.root}/trash/0123456789ab")
    os.rename(os.path.dirname(directory), f"{estiba_home.root}/trash/0123456789ab/cargo")  # killed here
    assert estiba_home.estiba("gc").stdout.splitlines()[0] == "Volume cargo is back: its removal was killed."
    assert os.path.exists(f"{directory}/file")
    os.makedirs(f"{estiba_home.root}/trash/0123456789ab", exist_ok=True)
    os.rename(os.path.dirname(directory), f"{estiba_home.root}/trash/0123456789ab/cargo")
    with Store.open(estiba_home.root) as store:
        Volumes(store, Containers(store.database)).ensure("cargo")
    assert os.path.exists(f"{directory}/file"), "whoever needs it first brings it back"


def test_an_undo_that_was_killed_can_be_repeated(estiba_home):
    directory = make_volume(estiba_home, "cargo")
    estiba_home.estiba("volume", "rm", "cargo")
    (identifier,) = os.listdir(f"{estiba_home.root}/trash")
    trashed = f"{estiba_home.root}/trash/{identifier}/cargo"
    os.rename(trashed, os.path.dirname(directory))  # killed here
    assert estiba_home.estiba("volume", "undo", "cargo").stdout == "cargo\n"
    with open(f"{directory}/file") as file:
        assert file.read() == "of cargo"
    estiba_home.estiba("volume", "rm", "cargo")
    (identifier,) = os.listdir(f"{estiba_home.root}/trash")
    os.rename(f"{estiba_home.root}/trash/{identifier}/cargo", os.path.dirname(directory))
    estiba_home.estiba("gc")
    assert names(estiba_home, "trash", "ls") == ["cargo"]
