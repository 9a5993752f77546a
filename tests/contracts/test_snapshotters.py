"""Every snapshotter keeps the promises of `Snapshotter`; the overlay needs root, and a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from estiba.errors import Conflict
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.digest import Digest
from estiba.store.database import Database
from estiba.store.paths import StorePaths
from estiba.store.snapshots.base import (
    ACTIVE,
    COMMITTED,
    WHITEOUTS_DELETE,
    NoSuchSnapshot,
    SnapshotExists,
    SnapshotInUse,
    Snapshotter,
)
from estiba.store.snapshots.choose import open_snapshotter

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))
EPOCH = 315_532_800


@pytest.fixture(params=[pytest.param("overlay", marks=pytest.mark.root), "copying"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def paths(tmp_path) -> StorePaths:
    paths = StorePaths(str(tmp_path / "root"))
    paths.make()
    return paths


@pytest.fixture
def snapshots(kind, paths) -> Snapshotter:
    return open_snapshotter(Database.open(paths.database), paths, kind=kind)


IN_THE_MOUNT = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from estiba.linux.mounts import Mount, make_private_namespace, mount_all
mounts, target, script = json.loads(sys.argv[2])
make_private_namespace()
mount_all([Mount(m[0], m[1], m[2], tuple(m[3])) for m in mounts], target)
os.chdir(target)
exec(script)
"""


@pytest.fixture
def inside(kind, tmp_path):
    """Runs a script in what the mounts show: mounted where that can be, else in the directory itself."""
    import json

    target = tmp_path / "mounted"
    target.mkdir()

    def run(mounts, script: str) -> str:
        if kind == "copying":
            assert [mount.type for mount in mounts] == ["bind"]
            command = [sys.executable, "-c", f"import os; os.chdir({mounts[0].source!r})\n{script}"]
        else:
            job = json.dumps([mounts, str(target), script])
            command = [sys.executable, "-c", IN_THE_MOUNT, json.dumps(sys.path), job]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def committed(snapshots: Snapshotter, inside, chain_id: Digest, parent: Digest | None, script: str) -> None:
    """Commit what `script` does on top of `parent`."""
    key = f"making {chain_id.short}"
    inside(snapshots.prepare(key, parent), script)
    assert snapshots.commit(key, chain_id=chain_id, diff_id=chain_id, size=1)


TREE = (
    "import os; os.mkdir('d'); open('d/f','w').write('lower'); open('g','w').write('g');"
    "os.mkdir('old'); open('old/x','w')"
)
LISTING = "import os\nprint(sorted(os.path.relpath(os.path.join(d, n)) for d, ds, fs in os.walk('.') for n in ds + fs))"


def test_what_is_written_to_an_active_snapshot_is_seen_in_the_committed_one(snapshots, inside):
    committed(snapshots, inside, A, None, TREE)
    assert inside(snapshots.view(A), LISTING) == "['d', 'd/f', 'g', 'old', 'old/x']\n"
    assert inside(snapshots.view(A), "print(open('d/f').read())") == "lower\n"


def test_a_child_sees_its_parent_and_changes_only_itself(snapshots, inside):
    committed(snapshots, inside, A, None, TREE)
    script = "import os, shutil; open('d/f','w').write('upper'); os.unlink('g'); shutil.rmtree('old'); os.mkdir('old')"
    committed(snapshots, inside, B, A, script)
    assert inside(snapshots.view(B), LISTING + "\nprint(open('d/f').read())") == "['d', 'd/f', 'old']\nupper\n"
    assert inside(snapshots.view(A), LISTING + "\nprint(open('d/f').read())").endswith("'old/x']\nlower\n")


def test_the_change_of_a_child_is_the_same_layer_for_every_snapshotter(snapshots, inside):
    committed(snapshots, inside, A, None, TREE)
    script = (
        "import os, shutil; open('d/f','w').write('upper'); os.unlink('g'); os.link('d/f', 'd/hard');"
        "os.symlink('x', 'l'); os.chmod('d/f', 0o4755); os.chmod('d', 0o1777)"
    )
    inside(snapshots.prepare("b", A), script)
    change = snapshots.change("b")
    layer = diff_id_of(change.tree, TarPolicy(EPOCH), base=change.base)
    assert layer.entries == 5  # d, d/f, d/hard, .wh.g, l
    if os.geteuid() == 0:
        assert str(layer.diff_id) == "sha256:b8f9eb38fa39f07ff145c6b2463a1a8af5c86e54ca2e3c7fe89470a5d636e10c"


def test_a_key_is_active_until_it_is_committed(snapshots):
    snapshots.prepare("k", None)
    assert snapshots.get("k").state == ACTIVE
    assert not snapshots.has(A)
    snapshots.commit("k", chain_id=A, diff_id=B, size=5)
    record = snapshots.get(A)
    assert (record.state, record.key, record.chain_id, record.diff_id, record.size) == (COMMITTED, None, A, B, 5)
    assert snapshots.has(A)
    with pytest.raises(NoSuchSnapshot):
        snapshots.get("k")
    with pytest.raises(NoSuchSnapshot):
        snapshots.mounts("k")


def test_a_key_is_taken_once(snapshots):
    snapshots.prepare("k", None)
    with pytest.raises(SnapshotExists):
        snapshots.prepare("k", None)


def test_a_parent_that_is_not_there_is_named_and_nothing_is_left(snapshots):
    with pytest.raises(NoSuchSnapshot, match=str(A)):
        snapshots.prepare("k", A)
    assert snapshots.list() == ()
    assert snapshots.strays() == ()


def test_the_second_of_two_commits_of_one_chain_loses_and_leaves_nothing(snapshots, paths):
    for key in ("one", "two"):
        snapshots.prepare(key, None)
        with open(f"{snapshots.writable(key)}/{key}", "w"):
            pass
    assert snapshots.commit("one", chain_id=A, diff_id=A, size=1)
    assert not snapshots.commit("two", chain_id=A, diff_id=A, size=1)
    assert os.listdir(snapshots.directories(A)[0]) == ["one"]
    assert len(os.listdir(paths.snapshots)) == len(snapshots.list()) == 1


def test_parents_are_told_the_nearest_first(snapshots):
    for key, chain, parent in (("a", A, None), ("b", B, A), ("c", C, B)):
        snapshots.prepare(key, parent)
        snapshots.commit(key, chain_id=chain, diff_id=chain, size=1, sync=False)
    assert snapshots.parents(C) == (B, A)
    assert snapshots.parents(A) == ()
    tops = [snapshots.directories(chain)[0] for chain in (C, B, A)]
    expected = tops if snapshots.kind == "overlay" else tops[:1]
    assert list(snapshots.directories(C)) == expected
    with pytest.raises(NoSuchSnapshot):
        snapshots.parents(Digest.of(b"other"))


def test_a_snapshot_on_which_another_stands_stays(snapshots):
    snapshots.prepare("a", None)
    snapshots.commit("a", chain_id=A, diff_id=A, size=1)
    snapshots.prepare("b", A)
    with pytest.raises(SnapshotInUse):
        snapshots.remove(A)
    snapshots.remove("b")
    snapshots.remove(A)
    assert snapshots.list() == ()


def test_removing_what_is_not_there_is_fine(snapshots):
    snapshots.remove("k")
    snapshots.remove(A)
    snapshots.forget("k")


def test_removal_leaves_no_file(snapshots, paths):
    snapshots.prepare("a", None)
    tree = snapshots.writable("a")
    os.makedirs(f"{tree}/{'d/' * 300}")
    os.makedirs(f"{tree}/locked/inside")
    os.symlink("/etc", f"{tree}/link")
    os.chmod(f"{tree}/locked", 0)
    snapshots.remove("a")
    assert os.listdir(paths.snapshots) == []
    assert os.path.isdir("/etc")


def test_what_was_forgotten_or_never_recorded_is_a_stray(snapshots, paths):
    snapshots.prepare("a", None)
    snapshots.prepare("b", None)
    tree = os.path.dirname(snapshots.writable("a"))
    snapshots.forget("a")
    os.mkdir(f"{paths.snapshots}/77")
    assert set(snapshots.strays()) == {tree, f"{paths.snapshots}/77"}
    snapshots.prepare("c", None)
    assert os.path.dirname(snapshots.writable("c")) not in (tree, f"{paths.snapshots}/77")


def test_the_root_directory_is_open_to_all_or_as_the_parents(snapshots):
    before = os.umask(0o077)
    try:
        snapshots.prepare("a", None)
        assert os.stat(snapshots.writable("a")).st_mode & 0o7777 == 0o755
        os.chmod(snapshots.writable("a"), 0o711)
        snapshots.commit("a", chain_id=A, diff_id=A, size=1)
        snapshots.prepare("b", A)
        assert os.stat(snapshots.writable("b")).st_mode & 0o7777 == 0o711
    finally:
        os.umask(before)


def test_a_view_cannot_be_written_to(snapshots, inside, kind):
    committed(snapshots, inside, A, None, TREE)
    committed(snapshots, inside, B, A, "open('new','w')")
    if kind == "copying":
        assert all("ro" in mount.options for chain in (A, B) for mount in snapshots.view(chain))
        return
    for chain in (A, B):
        script = "import os\ntry:\n    open('x','w')\nexcept OSError as error:\n    print(error.strerror)"
        assert inside(snapshots.view(chain), script) == "Read-only file system\n"


def test_usage_counts_the_disk_and_a_linked_file_once(snapshots, kind):
    snapshots.prepare("a", None)
    tree = snapshots.writable("a")
    with open(f"{tree}/f", "wb") as file:
        file.write(os.urandom(100_000))
    os.link(f"{tree}/f", f"{tree}/g")
    os.sync()
    usage = snapshots.usage("a")
    assert usage.inodes == 1
    assert 100_000 <= usage.size < 150_000


def test_an_unsynced_commit_is_believed_until_the_next_boot_only(kind, paths, monkeypatch):
    from estiba.store.snapshots import choose, records

    def booted(boot: str) -> Snapshotter:
        for module in (choose, records):
            monkeypatch.setattr(module, "boot_id", lambda: boot)
        return open_snapshotter(Database.open(paths.database), paths, kind=kind)

    first = booted("first")
    for key, chain in (("a", A), ("b", B)):
        first.prepare(key, None)
        first.commit(key, chain_id=chain, diff_id=chain, size=1, sync=False)
        if key == "a":
            first.sync()
    assert first.has(A)
    assert first.has(B)
    second = booted("second")
    assert second.has(A)
    assert not second.has(B)
    assert [record.chain_id for record in second.list()] == [A]
    second.prepare("b", None)
    assert second.commit("b", chain_id=B, diff_id=B, size=1)
    assert second.has(B)
    assert len(second.strays()) == 1


def test_a_synced_commit_makes_those_before_it_safe_too(kind, paths, monkeypatch):
    from estiba.store.snapshots import choose, records

    for boot in ("first", "second"):
        for module in (choose, records):
            monkeypatch.setattr(module, "boot_id", lambda boot=boot: boot)
        snapshots = open_snapshotter(Database.open(paths.database), paths, kind=kind)
        if boot == "first":
            for key, chain, parent in (("a", A, None), ("b", B, A)):
                snapshots.prepare(key, parent)
                snapshots.commit(key, chain_id=chain, diff_id=chain, size=1, sync=key == "b")
    assert snapshots.parents(B) == (A,)


def test_a_store_keeps_the_kind_that_its_snapshots_have(kind, paths, snapshots):
    snapshots.prepare("a", None)
    database = Database.open(paths.database)
    assert open_snapshotter(database, paths).kind == kind
    if kind == "overlay":
        with pytest.raises(Conflict, match="made of overlay"):
            open_snapshotter(database, paths, kind="copying")


@pytest.mark.root
def test_a_layer_made_on_nothing_is_put_on_another(kind, snapshots, inside):
    committed(snapshots, inside, A, None, TREE + "; os.chmod('.', 0o711)")
    snapshots.prepare("b", None)
    if snapshots.whiteouts == WHITEOUTS_DELETE:
        with pytest.raises(Conflict):
            snapshots.rebase("b", A, take_root=True)
        return
    os.mknod(f"{snapshots.writable('b')}/g", 0o20000, 0)
    snapshots.rebase("b", A, take_root=True)
    snapshots.commit("b", chain_id=B, diff_id=B, size=1)
    assert snapshots.parents(B) == (A,)
    assert inside(snapshots.view(B), LISTING + "\nprint(oct(os.stat('.').st_mode))") == (
        "['d', 'd/f', 'old', 'old/x']\n0o40711\n"
    )
