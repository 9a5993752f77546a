"""ADD reads an archive to its end, whatever its headers say of sizes: it goes neither back nor into memory."""

from __future__ import annotations

import time

import pytest

from corpus import DAMAGED_TARS
from estiba.builder.step.archives import unpack_if_archive
from estiba.builder.step.writing import Owner
from estiba.errors import Corrupt
from fuzzing import Listing, resealed
from tars import file, tar


@pytest.mark.parametrize("kind", [b"0", b"5", b"x", b"g", b"L", b"Z"])
@pytest.mark.parametrize("size", [-512, -1024, -(1 << 40), 1 << 40])
def test_a_size_that_cannot_be_is_damage(tmp_path, kind, size):
    data = bytearray(tar(file("first", b"x"), file("second"), file("third", b"y")))
    data[1024 + 124 : 1024 + 136] = (size % (1 << 95) | 1 << 95).to_bytes(12, "big")
    data[1024 + 156 : 1024 + 157] = kind
    try:
        _add(tmp_path, resealed(bytes(data)))
    except Corrupt:
        pass
    else:
        assert (kind, size) == (b"5", 1 << 40)  # a directory has no content, whatever its size


@pytest.mark.parametrize("data", DAMAGED_TARS.values(), ids=DAMAGED_TARS)
def test_what_the_standard_library_stumbles_over_is_damage(tmp_path, data):
    with pytest.raises(Corrupt, match="is damaged"):
        _add(tmp_path, data)


def _add(tmp_path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    begun = time.process_time()
    try:
        with (tmp_path / "a.tar").open("rb") as archive:
            unpack_if_archive(archive.fileno(), Listing(), "/there", Owner(None, None))
    finally:
        assert time.process_time() - begun < 1
