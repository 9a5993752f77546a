"""No space left: one clear message, nothing half done, and what was there still is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

import archives
from estiba.errors import Unavailable
from estiba.image.archive.load import load
from estiba.store.fsck import check
from estiba.store.gc import collect
from estiba.store.store import Store

pytestmark = pytest.mark.root

SMALL = archives.docker_archive((archives.tar({"a": b"x"}),), names=("small:1",))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[str]:
    """A directory on a disk of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "estiba-test", str(place)], check=True)
    yield str(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


def _load(store: Store, data: bytes, tmp_path) -> None:
    (tmp_path / "in.tar").write_bytes(data)
    with (tmp_path / "in.tar").open("rb") as stream:
        load(store, stream, where="in.tar", platform=archives.PLATFORM)


@pytest.mark.parametrize("size", [2_000_000, 2_790_000, 8_000_000])
def test_a_load_that_does_not_fit_says_so_and_leaves_the_store_sound(tmp_path, small_disk, size):
    """Once the blob does not fit; once it does, but not its tree beside it."""
    with Store.open(f"{small_disk}/root") as store:
        _load(store, SMALL, tmp_path)
        large = archives.docker_archive((archives.tar({"large": os.urandom(size)}),), names=("large:1",))
        with pytest.raises(Unavailable, match=r"[Nn]o space|disk is full"):
            _load(store, large, tmp_path)
        assert [record.name.familiar for record in store.references.list()] == ["small:1"]
        assert check(store).problems == ()
        collect(store)
        assert check(store).garbage.removals == ()
        _load(store, archives.docker_archive((archives.tar({"b": b"y" * 1000}),), names=("next:1",)), tmp_path)
        assert check(store).problems == ()
