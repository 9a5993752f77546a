"""Compressed streams are what every reader understands, and the same bytes however many threads made them."""

from __future__ import annotations

import gzip
import io
import os
import subprocess

import pytest
import zstandard

from estiba.errors import InvalidInput
from estiba.layers.compression import GZIP, NONE, ZSTD, UnknownCompression, compressor, detect
from estiba.layers.decompress import VerifiedStream
from estiba.layers.pack import compress_tar
from estiba.layers.tar.blocks import BLOCK_SIZE
from estiba.oci.digest import Digest

BLOCK = BLOCK_SIZE
CONTENTS = {
    "nothing": b"",
    "one byte": b"x",
    "text": b"a line of text\n" * 200_000,
    "random": os.urandom(3 * BLOCK + 5),
    "exactly one block": bytes(BLOCK),
    "exactly two blocks": bytes(2 * BLOCK),
    "half text, half random": (b"words " * 100_000 + os.urandom(500_000)) * 3,
}


def compressed(data: bytes, name: str) -> bytes:
    out = io.BytesIO()
    packed = compress_tar(io.BytesIO(data), out, compression=name)
    assert packed.digest == Digest.of(out.getvalue())
    assert packed.diff_id == Digest.of(data)
    assert (packed.size, packed.tar_size) == (len(out.getvalue()), len(data))
    return out.getvalue()


@pytest.mark.parametrize("content", CONTENTS)
def test_gzip_is_read_by_the_standard_library_and_by_gzip(content):
    data = CONTENTS[content]
    stream = compressed(data, GZIP)
    assert gzip.decompress(stream) == data
    assert subprocess.run(["gzip", "-dc"], input=stream, check=True, capture_output=True).stdout == data


@pytest.mark.parametrize("content", CONTENTS)
def test_zstd_is_read_by_its_library(content):
    data = CONTENTS[content]
    stream = compressed(data, ZSTD)
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stream), read_across_frames=True)
    assert reader.read() == data


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", [NONE, GZIP, ZSTD])
def test_we_read_what_we_write_and_count_both_sides(content, name):
    data = CONTENTS[content]
    stream = compressed(data, name)
    verified = VerifiedStream(io.BytesIO(stream), limit=1 << 30)
    assert b"".join(verified.pieces()) == data
    assert (verified.compression, verified.digest, verified.diff_id) == (
        detect(stream),
        Digest.of(stream),
        Digest.of(data),
    )


def test_pieces_are_bounded_whatever_the_compression():
    data = bytes(30_000_000)
    for name in (GZIP, ZSTD):
        pieces = VerifiedStream(io.BytesIO(compressed(data, name)), limit=1 << 30).pieces()
        assert max(map(len, pieces)) <= 1 << 20


def test_random_bytes_are_stored_and_cost_next_to_nothing_more():
    data = CONTENTS["random"]
    assert len(compressed(data, GZIP)) < len(data) + 600


def test_the_bytes_do_not_depend_on_the_number_of_processors(monkeypatch):
    data = CONTENTS["half text, half random"]
    for name in (GZIP, ZSTD):
        streams = set()
        for count in (1, 2, 7):
            monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
            streams.add(compressed(data, name))
        assert len(streams) == 1


def test_a_gzip_header_tells_neither_name_nor_time():
    assert compressed(b"x", GZIP)[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
    assert compressed(CONTENTS["random"], GZIP)[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"


def test_the_compression_is_known_by_the_first_bytes():
    assert detect(b"\x1f\x8b\x08\0\0\0") == GZIP
    assert detect(b"\x28\xb5\x2f\xfd\0\0") == ZSTD
    assert detect(b"\x5f\x2a\x4d\x18\0\0") == ZSTD
    assert detect(b"etc/pa") == NONE
    assert detect(b"") == NONE
    with pytest.raises(InvalidInput, match="bzip2"):
        detect(b"BZh91A")


def test_an_unknown_compression_is_named_with_the_known_ones():
    with pytest.raises(UnknownCompression, match="lzma") as caught:
        compressor("lzma")
    assert "gzip, zstd or none" in caught.value.remedy
