"""Sparse files, in all four ways that GNU tar writes them, are the files that they were; maps that lie are refused."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile

import pytest

from estiba.errors import Corrupt
from estiba.layers.decompress import TooLarge
from estiba.layers.tar.reader import BadTar
from estiba.layers.unpack import UnpackLimits, unpack
from tars import tar

WAYS = {
    "old GNU": ("--format=gnu",),
    "0.0": ("--format=posix", "--sparse-version=0.0"),
    "0.1": ("--format=posix", "--sparse-version=0.1"),
    "1.0": ("--format=posix", "--sparse-version=1.0"),
}
BLOCK = 4096


def write_sparse(path, size: int, pieces: dict[int, bytes]) -> None:
    with open(path, "wb") as file:
        file.truncate(size)
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)


FILES = {
    "nothing but a hole": (1 << 20, {}),
    "one piece": (1 << 20, {1 << 19: b"middle" * 1000}),
    "a piece at each end": (1 << 20, {0: b"begin", (1 << 20) - 3: b"end"}),
    "many pieces": (400 * BLOCK, {at * BLOCK: b"%d" % at * 100 for at in range(0, 400, 3)}),
    "an odd size": (777_777, {300_000: b"x" * 12_345}),
}


@pytest.mark.skipif(shutil.which("tar") is None, reason="no GNU tar")
@pytest.mark.parametrize("way", WAYS)
def test_what_gnu_tar_writes_is_read(tmp_path, way):
    (tmp_path / "from").mkdir()
    for name, (size, pieces) in FILES.items():
        write_sparse(tmp_path / "from" / name, size, pieces)
    long = "n" * 180
    write_sparse(tmp_path / "from" / long, 1 << 18, {1 << 17: b"long"})
    (tmp_path / "from" / "zz after them").write_bytes(b"after")
    command = [
        "tar",
        "--sparse",
        *WAYS[way],
        "--owner=0",
        "--group=0",
        "-cf",
        tmp_path / "a.tar",
        "-C",
        tmp_path / "from",
        ".",
    ]
    subprocess.run(command, check=True)
    assert (tmp_path / "a.tar").stat().st_size < 2_000_000
    (tmp_path / "into").mkdir()
    with (tmp_path / "a.tar").open("rb") as stream:
        unpack(stream, str(tmp_path / "into"), whiteouts="ignore")
    assert sorted(os.listdir(tmp_path / "into")) == sorted(os.listdir(tmp_path / "from"))
    for name in os.listdir(tmp_path / "from"):
        assert (tmp_path / "into" / name).read_bytes() == (tmp_path / "from" / name).read_bytes(), name
    assert (tmp_path / "into" / "nothing but a hole").stat().st_blocks == 0


def entry(kind: bytes = b"0", name: str = "f", data: bytes = b"", pax: dict[str, str] | None = None) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.pax_headers = kind, len(data), pax or {}
    return tar((info, data))


def of_0_1(pieces: str, size: int, data: bytes) -> bytes:
    return entry(data=data, pax={"GNU.sparse.map": pieces, "GNU.sparse.size": str(size)})


def of_1_0(front: bytes, size: int, data: bytes = b"") -> bytes:
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "g", "GNU.sparse.realsize": str(size)}
    return entry(data=front + data, pax=pax)


def old(pieces: list[tuple[int, int]], size: int, data: bytes, *, goes_on: bool = False, blocks: bytes = b"") -> bytes:
    header = bytearray(tarfile.TarInfo("f").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[124:136] = b"%011o\0" % len(data)
    for at, (offset, length) in enumerate(pieces):
        header[386 + 24 * at : 410 + 24 * at] = b"%011o\0%011o\0" % (offset, length)
    header[482] = goes_on
    header[483:495] = b"%011o\0" % size
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + blocks + data + bytes(-len(data) % 512)


LIES = {
    "a piece behind the end": of_0_1("0,5,100,5", 50, b"x" * 10),
    "pieces that overlap": of_0_1("0,6,4,4", 50, b"x" * 10),
    "pieces in no order": of_0_1("20,5,0,5", 50, b"x" * 10),
    "more than is stored": of_0_1("0,50", 50, b"x" * 10),
    "less than is stored": of_0_1("0,5", 50, b"x" * 10),
    "half a piece": of_0_1("0,10,20", 50, b"x" * 10),
    "a negative number": of_0_1("-5,10", 50, b"x" * 10),
    "no number": of_0_1("0,ten", 50, b"x" * 10),
    "a number that is too long": of_0_1("0," + "1" * 50, 50, b"x" * 10),
    "no size": entry(data=b"x" * 10, pax={"GNU.sparse.map": "0,10"}),
    "a version that nobody knows": entry(pax={"GNU.sparse.major": "7", "GNU.sparse.minor": "0"}),
    "a map without an end": of_1_0(b"1" * 2048, 50),
    "a map that ends within": of_1_0(b"1000\n0\n".ljust(512, b"\0"), 50),
    "a map of more pieces than any": of_1_0(b"9999999\n".ljust(512, b"\0"), 50),
    "a map that is cut": of_1_0(b"3\n0\n1\n", 50),
    "an old piece behind the end": old([(100, 5)], 50, b"x" * 5),
    "an old map that goes on for ever": old([(0, 0)] * 4, 50, b"", goes_on=True, blocks=(b"\1" * 512) * 100),
    "an old map that is cut": old([(0, 0)] * 4, 50, b"", goes_on=True),
    "an old map with half a piece": old([(0, 10)], 5, b"x" * 10),
    "an old size that is negative": old([], -1 & 0o777, b"").replace(b"00000000777\0", b"\xff" * 12),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_map_that_lies_is_a_damaged_tar(tmp_path, lie):
    with pytest.raises(BadTar):
        unpack(io.BytesIO(LIES[lie]), str(tmp_path), whiteouts="ignore")


def test_an_old_map_of_many_blocks_is_read(tmp_path):
    pieces = [(at * 10, 1) for at in range(4 + 21 + 3)]
    more = [pieces[4:25], pieces[25:]]
    blocks = b"".join(
        b"".join(b"%011o\0%011o\0" % piece for piece in part).ljust(504, b"\0") + bytes([part is more[0]]) + bytes(7)
        for part in more
    )
    data = bytes(range(65, 65 + len(pieces)))
    unpack(io.BytesIO(old(pieces[:4], 300, data, goes_on=True, blocks=blocks)), str(tmp_path), whiteouts="ignore")
    found = (tmp_path / "f").read_bytes()
    assert len(found) == 300
    assert [found[offset] for offset, _ in pieces] == list(data)


def test_a_small_tar_cannot_tell_of_files_without_end(tmp_path):
    """Nobody can read such a file to its end: that is a bomb."""
    bomb = of_0_1("", 1 << 62, b"")
    with pytest.raises(TooLarge):
        unpack(io.BytesIO(bomb), str(tmp_path), whiteouts="ignore")
    many = of_0_1("", 600, b"")[:-1024] * 2
    with pytest.raises(TooLarge):
        unpack(io.BytesIO(many), str(tmp_path), whiteouts="ignore", limits=UnpackLimits(size=1000))


def test_a_million_records_of_pieces_take_no_time_that_grows_with_their_square(tmp_path):
    """As many as one header may have."""
    records = b"".join(b"24 GNU.sparse.offset=%d\n26 GNU.sparse.numbytes=0\n" % (at % 10) for at in range(20_000))
    info = tarfile.TarInfo("pax")
    info.type, info.size = b"x", len(records)
    stream = tar((info, records), end=b"") + entry()
    with pytest.raises(Corrupt):
        unpack(io.BytesIO(stream), str(tmp_path), whiteouts="ignore")
