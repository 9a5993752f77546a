"""`kill -9` at any write of `load`: the store is sound, gc frees what was left, and the next load works."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import archives
from estiba.oci.digest import Digest
from estiba.store.fsck import check
from estiba.store.gc import collect
from estiba.store.store import Store

LAYERS = (archives.tar({"etc/": b"", "etc/name": b"low"}), archives.tar({"b": b"high"}))

# Kills itself at the call number N of whatever changes the disk: before it for an even N, after it for an odd one.
LOADER = """
import os, signal, sys
from estiba.oci.platform import Platform
from estiba.image.archive.load import load
from estiba.store import database
from estiba.store.store import Store

root, archive, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0

def dying(function):
    def call(*arguments, **options):
        global seen
        seen += 1
        if seen == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        seen += 1
        if seen == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

store = Store.open(root)
store.snapshots
for name in ("rename", "fsync", "mkdir", "posix_spawn", "ftruncate"):
    setattr(os, name, dying(getattr(os, name)))
database.Transaction._finish = dying(database.Transaction._finish)
with open(archive, "rb") as stream:
    load(store, stream, where=archive, platform=Platform("linux", "amd64"))
print(seen)
"""


@pytest.fixture
def archive(tmp_path) -> str:
    (tmp_path / "in.tar").write_bytes(archives.docker_archive(LAYERS))
    return str(tmp_path / "in.tar")


def _load(root: str, archive: str, wanted: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOADER, root, archive, str(wanted)], capture_output=True, text=True, check=False
    )


def _writes(tmp_path, archive: str) -> int:
    done = _load(str(tmp_path / "counting"), archive, 0)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_load_killed_at_any_write_leaves_a_sound_store(tmp_path, archive):
    writes = _writes(tmp_path, archive)
    assert writes > 20
    root = str(tmp_path / "root")
    for wanted in range(1, writes + 1, 3):
        done = _load(root, archive, wanted)
        assert done.returncode in (-signal.SIGKILL, 0), (wanted, done.stderr)
        with Store.open(root) as store:
            assert check(store).problems == (), wanted
            collect(store)
            report = check(store)
            assert report.problems == (), wanted
            assert report.garbage.removals == (), wanted
            for image in store.images.list():
                assert image.id == archives.config_of(LAYERS).image_id
    assert _load(root, archive, 0).returncode == 0
    with Store.open(root) as store:
        assert check(store).problems == ()
        record = store.images.find("example:1")
        assert set(store.blobs.list()) == {record.id, *map(Digest.of, LAYERS)}


def test_after_a_kill_the_next_load_works_without_a_gc(tmp_path, archive):
    writes = _writes(tmp_path, archive)
    root = str(tmp_path / "root")
    for wanted in range(2, writes, 7):
        done = _load(root, archive, wanted)
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr  # it has ever less to do
    assert _load(root, archive, 0).returncode == 0
    with Store.open(root) as store:
        assert check(store).problems == ()
