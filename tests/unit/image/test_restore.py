"""After a power cut the trees of layers whose blobs are kept are made again; what is only a tree was synced before."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import traceback

import pytest

import archives
from estiba.image.archive.load import load
from estiba.image.assemble import commit_image
from estiba.image.restore import restore
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.chain_id import chain_ids
from estiba.oci.image_config import ImageConfig
from estiba.store.fsck import check
from estiba.store.gc import collect
from estiba.store.snapshots import choose, records
from estiba.store.store import Store
from waiting import wait_until

LAYERS = (archives.tar({"etc/": b"", "etc/name": b"low" * 1000}), archives.tar({"b": b"high"}))


@pytest.fixture
def boot(monkeypatch):
    """Says which boot it is."""

    def begin(name: str) -> None:
        for module in (choose, records):
            monkeypatch.setattr(module, "boot_id", lambda: name)

    begin("first")
    return begin


def _load(store: Store, tmp_path) -> None:
    (tmp_path / "in.tar").write_bytes(archives.docker_archive(LAYERS))
    with (tmp_path / "in.tar").open("rb") as stream:
        load(store, stream, where="in.tar", platform=archives.PLATFORM)


def _trees(store: Store) -> list[str]:
    return [f"{store.paths.snapshot(record.number)}/fs" for record in store.snapshots.list()]


@pytest.fixture
def after_a_cut(tmp_path, boot):
    """A store with a loaded image whose files the disk had not got yet when the power went."""
    with Store.open(str(tmp_path / "root")) as store:
        _load(store, tmp_path)
        for tree in _trees(store):
            shutil.rmtree(tree)
            os.mkdir(tree)
    boot("second")
    return str(tmp_path / "root")


def test_layers_are_unpacked_again_before_anything_looks_at_them(after_a_cut):
    with Store.open(after_a_cut, restore=restore) as store:
        image = store.images.find("example:1")
        low, high = store.images.content(image.id).chain_ids
        assert store.snapshots.parents(high) == (low,)
        with open(f"{store.snapshots.change(low).tree}/etc/name") as file:
            assert file.read() == "low" * 1000
        assert store.snapshots.doubtful() == ()
        collect(store)
        assert check(store).problems == ()


def test_threads_that_come_meanwhile_wait_until_all_is_restored(after_a_cut):
    """As the containers do that a daemon starts at once after a power cut."""
    seen: list[int] = []
    restored: list[Store] = []

    def look() -> None:
        seen.append(len(store.snapshots.list()))

    def is_waiting() -> bool:
        """Whether the other thread is in the midst of asking for snapshots, or has got them."""
        at = sys._current_frames().get(other.ident or 0)
        asks = at and "snapshots" in [frame.f_code.co_name for frame, _ in traceback.walk_stack(at)]
        return bool(asks) or not other.is_alive()

    def while_another_looks(inner: Store) -> None:
        restored.append(inner)
        other.start()
        wait_until(is_waiting, "the other thread asks for snapshots")
        restore(inner)

    other = threading.Thread(target=look)
    with Store.open(after_a_cut, restore=while_another_looks) as store:
        look()
        other.join(60)
        assert seen == [2, 2]
        assert len(restored) == 1


def test_where_nobody_restores_a_doubtful_layer_is_missing(after_a_cut):
    with Store.open(after_a_cut) as store:
        assert store.snapshots.list() == ()
        assert len(store.snapshots.doubtful()) == 2


def test_a_layer_whose_blob_has_gone_is_given_up_and_fsck_tells_it(after_a_cut):
    with Store.open(after_a_cut, restore=restore) as store:
        store.blobs.delete(store.images.content(store.images.find("example:1").id).diff_ids[1])
        assert store.snapshots.list() == ()
        assert store.snapshots.doubtful() == ()
        assert [problem.detail[:18] for problem in check(store).problems] == [
            "layer 1 of 2 is mi",
            "layer 2 of 2 is mi",
        ]


def test_a_damaged_blob_gives_no_layer(after_a_cut):
    with Store.open(after_a_cut, restore=restore) as store:
        path = store.blobs.path(store.images.content(store.images.find("example:1").id).diff_ids[0])
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.seek(600)
            file.write(b"damage")
        assert store.snapshots.list() == ()


def test_a_layer_of_which_there_is_only_a_tree_is_synced_before_its_image_is_recorded(tmp_path, boot):
    with Store.open(str(tmp_path / "root")) as store:
        _load(store, tmp_path)
        store.snapshots.prepare("building", None)
        tree = store.snapshots.writable("building")
        with open(f"{tree}/file", "w") as file:
            file.write("built")
        layer = diff_id_of(tree, TarPolicy())
        config = ImageConfig.make(platform=archives.PLATFORM, diff_ids=(layer.diff_id,))
        (chain,) = chain_ids(config.diff_ids)
        store.snapshots.commit("building", chain_id=chain, diff_id=layer.diff_id, size=layer.content, sync=False)
        commit_image(store, config)
    boot("second")
    with Store.open(str(tmp_path / "root")) as store:
        assert store.snapshots.has(chain)
        assert store.snapshots.doubtful() == ()  # what was not synced before was synced with it


def test_what_cannot_be_made_now_is_made_by_the_next_command(after_a_cut, monkeypatch):
    """A full disk, or a process that was killed, costs no layer; nor does a gc that comes first."""
    from estiba.errors import Unavailable
    from estiba.image import restore as module

    def full(*_: object) -> None:
        raise Unavailable("no space is left")

    with monkeypatch.context() as patch, Store.open(after_a_cut, restore=restore) as store:
        patch.setattr(module, "unpack_layers", full)
        assert store.snapshots.list() == ()
        collect(store)
        assert os.listdir(store.paths.snapshots) == []
        assert len(store.snapshots.doubtful()) == 2
    with Store.open(after_a_cut, restore=restore) as store:
        assert len(store.snapshots.list()) == 2
        assert check(store).problems == ()
