"""Several processes add to one store, and one collects garbage beside them: nobody loses anything."""

from __future__ import annotations

import subprocess
import sys

import archives
from estiba.oci.digest import Digest
from estiba.store.fsck import check
from estiba.store.store import Store

LAYERS = (archives.tar({"a": b"x" * 300_000}), archives.tar({"b": b"y"}))

LOADER = """
import sys
from estiba.image.archive.load import load
from estiba.image.remove import remove_image
from estiba.errors import NotFound
from estiba.oci.platform import Platform
from estiba.store.store import Store

root, archive, name, rounds = sys.argv[1:]
with Store.open(root) as store:
    for _ in range(int(rounds)):
        with open(archive, "rb") as stream:
            (loaded,) = load(store, stream, where=archive, platform=Platform("linux", "amd64"))
        for chain in store.images.content(loaded.record.id).chain_ids:
            assert store.snapshots.has(chain)
        if name == "remove":
            try:
                remove_image(store, "example:1")
            except NotFound:
                pass
"""

COLLECTOR = """
import sys
from estiba.store.gc import collect
from estiba.store.store import Store

with Store.open(sys.argv[1]) as store:
    for _ in range(int(sys.argv[2])):
        collect(store)
"""


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)


def _all_succeed(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors


def test_the_same_image_loaded_by_two_at_once_is_there_once(tmp_path):
    (tmp_path / "in.tar").write_bytes(archives.docker_archive(LAYERS))
    root, archive = str(tmp_path / "root"), str(tmp_path / "in.tar")
    _all_succeed(*(_start(LOADER, root, archive, "keep", "1") for _ in range(3)))
    with Store.open(root) as store:
        report = check(store)
        assert report.problems == ()
        assert report.garbage.removals == ()
        assert set(store.blobs.list()) == {archives.config_of(LAYERS).image_id, *map(Digest.of, LAYERS)}


def test_gc_and_rmi_beside_loads_take_nothing_that_is_needed(tmp_path):
    root = str(tmp_path / "root")
    (tmp_path / "one.tar").write_bytes(archives.docker_archive(LAYERS))
    (tmp_path / "two.tar").write_bytes(archives.docker_archive(LAYERS[:1], names=("other:1",)))
    _all_succeed(
        _start(LOADER, root, str(tmp_path / "one.tar"), "remove", "4"),
        _start(LOADER, root, str(tmp_path / "two.tar"), "keep", "4"),
        _start(COLLECTOR, root, "8"),
    )
    with Store.open(root) as store:
        assert check(store).problems == ()
        assert store.images.find("other:1").id == archives.config_of(LAYERS[:1]).image_id
