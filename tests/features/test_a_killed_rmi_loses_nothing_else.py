"""`kill -9` at any write of `rmi`: what else is there stays whole, and gc frees the rest."""

from __future__ import annotations

import signal
import subprocess
import sys

import archives
from estiba.image.archive.load import load
from estiba.store.fsck import check
from estiba.store.gc import collect
from estiba.store.store import Store

SHARED, OWN = archives.tar({"shared": b"x"}), archives.tar({"own": b"y"})

# Kills itself at the call number N of whatever changes the disk, before or after it.
REMOVER = """
import os, signal, sys
from estiba.image.remove import remove_image
from estiba.store import database
from estiba.store.store import Store

wanted = int(sys.argv[2])
seen = 0

def dying(function):
    def call(*arguments, **options):
        global seen
        for step in (0, 1):
            seen += 1
            if seen == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            if step == 0:
                result = function(*arguments, **options)
        return result
    return call

store = Store.open(sys.argv[1])
store.snapshots
for name in ("rename", "unlink", "rmdir"):
    setattr(os, name, dying(getattr(os, name)))
database.Transaction._finish = dying(database.Transaction._finish)
remove_image(store, "own:1")
print(seen)
"""


def _remove(root: str, wanted: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", REMOVER, root, str(wanted)], capture_output=True, text=True, check=False
    )


def _fill(store: Store, tmp_path) -> None:
    for name, layers in (("own:1", (SHARED, OWN)), ("kept:1", (SHARED,))):
        (tmp_path / "in.tar").write_bytes(archives.docker_archive(layers, names=(name,)))
        with (tmp_path / "in.tar").open("rb") as stream:
            load(store, stream, where="in.tar", platform=archives.PLATFORM)


def test_a_removal_killed_at_any_write_leaves_a_sound_store(tmp_path):
    root = str(tmp_path / "root")
    wanted = 0
    while True:
        wanted += 3
        with Store.open(root) as store:
            _fill(store, tmp_path)
        done = _remove(root, wanted)
        with Store.open(root) as store:
            assert check(store).problems == (), wanted
            collect(store)
            report = check(store)
            assert report.problems == (), wanted
            assert report.garbage.removals == (), wanted
            assert store.images.find("kept:1").id == archives.config_of((SHARED,)).image_id
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
    assert wanted > 20
