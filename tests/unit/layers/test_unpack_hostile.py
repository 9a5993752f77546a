"""Layers made to do harm: whatever is in them, nothing outside of the directory changes, and the error is clear."""

from __future__ import annotations

import gzip
import io
import os
import struct

import pytest
import zstandard

from estiba.errors import Corrupt, EstibaError, InvalidInput, PermissionDenied
from estiba.layers.decompress import DamagedStream, TooLarge
from estiba.layers.tar.reader import LONGEST_RECORDS, BadTar
from estiba.layers.unpack import UnpackLimits, UnsafeEntry, WrongDigest, unpack
from estiba.oci.digest import Digest
from tars import device, directory, file, hard_link, symlink, tar, with_pax
from trees import describe

STYLES = ["overlay", "delete", "ignore"] if os.geteuid() == 0 else ["user-overlay", "delete", "ignore"]


@pytest.fixture(params=STYLES)
def whiteouts(request) -> str:
    return request.param


@pytest.fixture
def world(tmp_path):
    """A directory to unpack into, beside things that must stay as they are."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (outside / "empty").mkdir()
    into = tmp_path / "into"
    into.mkdir()
    before = describe(outside)
    yield into
    assert describe(outside) == before
    assert sorted(os.listdir(tmp_path)) == ["into", "outside"]


REFUSED = {
    "a name with ..": (file("../outside/secret", b"x"),),
    "a name with .. in the middle": (directory("a"), file("a/../../outside/secret", b"x")),
    "a name with .. at the end": (directory("a/.."),),
    "a hard link to outside with ..": (hard_link("a", "../outside/secret"),),
    "a hard link to itself": (hard_link("a", "a"),),
    "a hard link to the root": (hard_link("a", "."),),
    "a hard link to a directory": (directory("d"), hard_link("a", "d")),
    "a whiteout of the parent": (directory("a"), file("a/.wh...")),
    "a whiteout of the directory itself": (directory("a"), file("a/.wh..")),
    "a whiteout of nothing": (file(".wh."),),
    "a file in the place of the root": (file("."),),
    "a symbolic link in the place of the root": (symlink("./", "../outside"),),
    "a file as a directory": (file("a", b"x"), file("a/b", b"x")),
    "a dangling link as a directory": (symlink("a", "nowhere"), file("a/b", b"x")),
    "a loop of links": (symlink("a", "b"), symlink("b", "a"), file("a/c", b"x")),
    "a component that is too long": (file("x" * 300, b"x"),),
    "a path that is too long": (file("x/" * 3000 + "y", b"x"),),
    "an empty target of a link": (symlink("a", ""),),
    "a kind that nobody knows": (file("a", type=b"Z"),),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_layer_may_hold_is_refused(world, whiteouts, case):
    with pytest.raises(InvalidInput):
        unpack(io.BytesIO(tar(*REFUSED[case])), str(world), whiteouts=whiteouts)


KEPT_INSIDE = {
    "an absolute name": ((file("/outside/secret", b"x"),), "outside/secret"),
    "a parent that links up": (
        (directory("outside"), symlink("up", ".."), file("up/outside/secret", b"x")),
        "outside/secret",
    ),
    "a parent that links far up": (
        (directory("outside"), symlink("up", "../../../../outside"), file("up/secret", b"x")),
        "outside/secret",
    ),
    "a parent that links absolutely": (
        (directory("outside"), symlink("up", "/outside"), file("up/secret", b"x")),
        "outside/secret",
    ),
    "a link that a file replaces": ((symlink("a", "../outside/secret"), file("a", b"x")), "a"),
    "a hard link to an absolute name": ((file("b", b"x"), hard_link("a", "/b")), "a"),
    "a link through links": (
        (
            directory("d"),
            directory("d/e"),
            symlink("d/e/up", "../.."),
            symlink("x", "d/e/up/d/e/up/.."),
            file("x/f", b"x"),
        ),
        "f",
    ),
}


@pytest.mark.parametrize("case", KEPT_INSIDE)
def test_what_points_outside_leads_back_inside(world, whiteouts, case):
    members, path = KEPT_INSIDE[case]
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert (world / path).read_bytes() == b"x"


def test_a_link_to_outside_is_kept_as_a_link_and_never_written_through(world, whiteouts, tmp_path):
    members = (symlink("a", str(tmp_path / "outside" / "secret")), hard_link("b", "a"), file("b", b"x"))
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert os.readlink(world / "a") == str(tmp_path / "outside" / "secret")
    assert (world / "b").read_bytes() == b"x"


def test_a_directory_replaced_by_a_link_leads_nowhere_else(world, whiteouts, tmp_path):
    """The descriptor of a directory that was replaced must not be used any more, nor the link be followed outside."""
    members = (
        directory("d"),
        file("d/first", b"1"),
        symlink("d", str(tmp_path / "outside")),
        file("d/secret", b"x"),
    )
    with pytest.raises(UnsafeEntry):
        unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert os.path.islink(world / "d")


def test_an_alias_of_a_replaced_link_is_not_remembered(world, whiteouts):
    members = (
        directory("a"),
        directory("b"),
        symlink("to", "a"),
        file("to/one", b"1"),
        symlink("to", "b"),
        file("to/two", b"2"),
    )
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert (world / "a" / "one").exists()
    assert (world / "b" / "two").exists()


def test_the_last_of_entries_with_one_name_wins(world, whiteouts):
    members = (
        file("a", b"1"),
        directory("a"),
        file("a/x", b"x"),
        file("a", b"2"),
        symlink("a", "z"),
        file("a", b"3", mode=0o600),
    )
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert (world / "a").read_bytes() == b"3"


def test_a_file_with_several_names_is_not_written_through_one_of_them(world, whiteouts):
    members = (file("a", b"old"), hard_link("b", "a"), file("a", b"new"))
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert (world / "b").read_bytes() == b"old"


def test_many_directories_replaced_in_turn_take_no_time_that_grows_with_their_square(world, whiteouts):
    members = [member for number in range(3000) for member in (directory(f"d{number}"), directory("x"), file("x"))]
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert len(os.listdir(world)) == 3001


def test_a_tree_as_deep_as_a_path_can_be_is_unpacked_and_replaced(world, whiteouts):
    deep = "d/" * 2000 + "f"
    unpack(io.BytesIO(tar(file(deep, b"x"), file("d", b"y"))), str(world), whiteouts=whiteouts)
    assert (world / "d").read_bytes() == b"y"


def test_the_kernels_own_marks_cannot_be_brought_in(world, whiteouts):
    """An attribute of the overlay in a tar could rename directories of other layers, or hide their files."""
    members = (
        with_pax(
            directory("d"),
            SCHILY__xattr__trusted__overlay__redirect="/etc",
            SCHILY__xattr__user__overlay__opaque="y",
            SCHILY__xattr__security__selinux="x",
        ),
    )
    unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts)
    assert [key for key in os.listxattr(world / "d") if key != "security.selinux"] == []


def test_device_0_0_is_no_file(world, whiteouts):
    with pytest.raises(UnsafeEntry):
        unpack(io.BytesIO(tar(device("a", 0, 0))), str(world), whiteouts=whiteouts)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may make devices")
def test_a_device_is_refused_to_whoever_is_not_root(world, whiteouts):
    with pytest.raises(PermissionDenied, match="device"):
        unpack(io.BytesIO(tar(device("null", 1, 3))), str(world), whiteouts=whiteouts)


def test_a_device_number_that_cannot_be_is_refused(world, whiteouts):
    with pytest.raises((InvalidInput, PermissionDenied)):
        unpack(io.BytesIO(tar(device("a", 0o7777777, 0o7777777))), str(world), whiteouts=whiteouts)


def raw_header(
    name=b"a", size=b"00000000000\0", mode=b"0000644\0", mtime=b"00000000000\0", uid=b"0000000\0", kind=b"0"
):
    header = bytearray(512)
    for at, value in ((0, name), (100, mode), (108, uid), (116, b"0000000\0"), (124, size), (136, mtime), (156, kind)):
        header[at : at + len(value)] = value
    header[257:265] = b"ustar\x0000"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


DAMAGED = {
    "a wrong checksum": b"x" + raw_header()[1:],
    "a size that is no number": raw_header(size=b"0000000000z\0"),
    "a negative size": raw_header(size=b"\xff" * 11 + b"\xf0"),
    "a size beyond all disks": raw_header(size=b"\x80" + b"\x7f" * 11),
    "a negative owner": raw_header(uid=b"\xff" * 8),
    "an owner beyond all": raw_header(uid=b"\x80\0\0\xff\xff\xff\xff\xff"),
    "a time beyond all": raw_header(mtime=b"\x80" + b"\x7f" * 11),
    "a header that is cut": raw_header()[:300],
    "a content that is cut": raw_header(size=b"00000002000\0") + b"x" * 700,
    "pax records that are cut": raw_header(kind=b"x", size=b"00000000100\0") + b"20 path=a",
    "pax records without an entry": raw_header(kind=b"x", size=b"00000000011\0") + b"9 path=a\n" + bytes(503),
    "a pax record with a wrong length": raw_header(kind=b"x", size=b"00000000011\0") + b"8 path=a\n" + bytes(503),
    "a pax record that is too long": raw_header(kind=b"x", size=b"00000000011\0") + b"99 path=a" + bytes(503),
    "a pax record without a length": raw_header(kind=b"x", size=b"00000000011\0") + b"path=aaa\n" + bytes(503),
    "a negative size of pax records": raw_header(kind=b"x", size=b"\xff" * 12),
    "a huge pax header": raw_header(kind=b"x", size=b"%011o\0" % (LONGEST_RECORDS + 1)),
    "a huge GNU name": raw_header(kind=b"L", size=b"77777777777\0"),
    "no tar at all": b"#!/bin/sh\n" * 200,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_tar_is_named_so(world, whiteouts, case):
    with pytest.raises(BadTar):
        unpack(io.BytesIO(DAMAGED[case]), str(world), whiteouts=whiteouts)


def pax(records: bytes) -> bytes:
    return raw_header(kind=b"x", size=b"%011o\0" % len(records)) + records + bytes(-len(records) % 512)


@pytest.mark.parametrize("record", [b"12 size=abc\n", b"12 size=-10\n", b"13 mtime=x.1\n", b"10 uid=-1\n"])
def test_a_pax_record_with_a_wrong_value_is_named_so(world, whiteouts, record):
    with pytest.raises(BadTar):
        unpack(io.BytesIO(pax(record) + raw_header()), str(world), whiteouts=whiteouts)


def test_a_name_with_a_zero_byte_is_refused(world, whiteouts):
    with pytest.raises(BadTar):
        unpack(io.BytesIO(pax(b"12 path=a\0b\n") + raw_header()), str(world), whiteouts=whiteouts)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_decompression_bomb_ends_at_the_limit(world, whiteouts, compress):
    bomb = compress(tar(file("zeros", bytes(20_000_000))))
    assert len(bomb) < 40_000
    with pytest.raises(TooLarge):
        unpack(io.BytesIO(bomb), str(world), whiteouts=whiteouts, limits=UnpackLimits(size=4_000_000))
    assert (world / "zeros").stat().st_size <= 4_000_000


def test_a_bomb_behind_the_end_of_the_archive_ends_at_the_limit_too(world, whiteouts):
    bomb = gzip.compress(tar(file("a"), end=bytes(20_000_000)))
    with pytest.raises(TooLarge):
        unpack(io.BytesIO(bomb), str(world), whiteouts=whiteouts, limits=UnpackLimits(size=4_000_000))


def test_too_many_entries_are_refused(world, whiteouts):
    members = [file(f"f{number}") for number in range(11)]
    with pytest.raises(InvalidInput, match="10 entries"):
        unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts, limits=UnpackLimits(entries=10))


def test_names_without_end_do_not_fill_the_memory(world, whiteouts):
    limits = UnpackLimits(names=200_000)
    for members in (
        [directory(f"{number}" + "x" * 200) for number in range(1000)],
        [file(f"{number}/{'d/' * 500}f") for number in range(3)],
    ):
        with pytest.raises(InvalidInput, match="200000 bytes"):
            unpack(io.BytesIO(tar(*members)), str(world), whiteouts=whiteouts, limits=limits)


def test_a_cut_gzip_stream_is_damaged(world, whiteouts):
    data = gzip.compress(tar(file("a", os.urandom(100_000))))
    for length in (1, 9, 30, 5_000, len(data) - 1):
        with pytest.raises(Corrupt):
            unpack(io.BytesIO(data[:length]), str(world), whiteouts=whiteouts)


def test_a_gzip_stream_with_a_wrong_checksum_is_damaged(world, whiteouts):
    data = bytearray(gzip.compress(tar(file("a", b"x" * 1000))))
    data[-5] ^= 1
    with pytest.raises(DamagedStream):
        unpack(io.BytesIO(bytes(data)), str(world), whiteouts=whiteouts)


def test_garbage_behind_a_gzip_stream_is_damage(world, whiteouts):
    data = gzip.compress(tar(file("a", b"x" * 1000)))
    with pytest.raises(Corrupt):
        unpack(io.BytesIO(data + b"garbage" * 100), str(world), whiteouts=whiteouts)


def test_a_zstd_window_of_gigabytes_is_refused(world, whiteouts):
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = stream.compress(tar(file("a", bytes(3_000_000)))) + stream.flush()
    with pytest.raises(DamagedStream):
        unpack(io.BytesIO(data), str(world), whiteouts=whiteouts)


@pytest.mark.parametrize("magic", [b"BZh91AY", b"\xfd7zXZ\x00", struct.pack("<I", 0x184D2204)])
def test_another_compression_is_named(world, whiteouts, magic):
    with pytest.raises(InvalidInput, match="compressed with"):
        unpack(io.BytesIO(magic + bytes(600)), str(world), whiteouts=whiteouts)


def test_wrong_digests_and_sizes_are_named_with_both(world, whiteouts):
    data = gzip.compress(tar(file("a", b"x")))
    other = Digest.of(b"other")
    for expected in ({"expected_digest": other}, {"expected_diff_id": other}, {"expected_size": len(data) + 1}):
        with pytest.raises(WrongDigest, match=r"expected .*, got"):
            unpack(io.BytesIO(data), str(world), whiteouts=whiteouts, **expected)


def test_bytes_behind_the_archive_count_for_both_digests(world, whiteouts):
    plain = tar(file("a", b"x")) + b"trailing" * 1000
    data = gzip.compress(plain) + bytes(512)
    result = unpack(io.BytesIO(data), str(world), whiteouts=whiteouts)
    assert result.diff_id == Digest.of(plain)
    assert result.digest == Digest.of(data)
    assert (result.tar_size, result.size) == (len(plain), len(data))


@pytest.mark.parametrize("seed", range(60))
def test_a_tar_with_flipped_bits_is_unpacked_inside_or_refused(world, seed):
    """Not one of them may end in anything but one of our errors."""
    import random

    chance = random.Random(seed)
    members = (
        directory("d"),
        with_pax(file("d/f", b"content" * 100), path="d/" + "n" * 120),
        symlink("l", "/outside"),
        file("l/secret", b"x"),
        hard_link("h", "d/" + "n" * 120),
        file("d/.wh.gone"),
    )
    data = bytearray(tar(*members))
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    try:
        unpack(io.BytesIO(bytes(data)), str(world), whiteouts="delete")
    except EstibaError:
        pass
