"""The tar of a layer: the same bytes for the same tree, and what each kind of file becomes."""

from __future__ import annotations

import io
import os
import socket
import tarfile

import pytest

from estiba.errors import InvalidInput
from estiba.layers.pack import diff_id_of, pack
from estiba.layers.tar.blocks import BlockWriter
from estiba.layers.tar.header import HeaderEncoder, pax_record, split_name
from estiba.layers.tar.writer import ChangedWhileRead, ReservedName, TarPolicy, write_layer
from trees import describe

EPOCH = 315_532_800


def tar_of(tree, policy=TarPolicy(EPOCH), base="") -> tarfile.TarFile:  # noqa: B008 - an immutable value
    out = io.BytesIO()
    pack(str(tree), out, policy, base=str(base) if base else "", compression="none")
    out.seek(0)
    return tarfile.open(fileobj=out)


def test_entries_come_in_the_order_of_a_walk_sorted_by_bytes(tmp_path):
    for name in ("b", "a", "a.b", "a/z", "a/é", "a/Z", "B"):
        path = tmp_path / name
        path.mkdir() if name in ("a",) else path.write_text(name) if path.parent.exists() else None
    (tmp_path / "a").mkdir(exist_ok=True)
    assert [member.name for member in tar_of(tmp_path)] == ["B", "a", "a/Z", "a/z", "a/é", "a.b", "b"]


def test_the_root_directory_is_no_entry_and_an_empty_tree_is_an_empty_archive(tmp_path):
    out = io.BytesIO()
    packed = pack(str(tmp_path), out, TarPolicy(EPOCH), compression="none")
    assert out.getvalue() == bytes(1024)
    assert (packed.entries, packed.tar_size) == (0, 1024)


def test_times_are_the_epoch_or_are_kept_in_seconds(tmp_path):
    (tmp_path / "f").write_text("x")
    os.utime(tmp_path / "f", ns=(0, 1_234_567_890_987_654_321))
    assert [member.mtime for member in tar_of(tmp_path)] == [EPOCH]
    assert [member.mtime for member in tar_of(tmp_path, TarPolicy())] == [1_234_567_890]


def test_times_before_1970_are_kept(tmp_path):
    (tmp_path / "f").write_text("x")
    os.utime(tmp_path / "f", (-5, -5))
    assert [member.mtime for member in tar_of(tmp_path, TarPolicy())] == [-5]


def test_the_tree_itself_gets_the_epoch_when_asked_and_then_keeps_its_diff_id(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "l").symlink_to("f")
    built = diff_id_of(str(tmp_path), TarPolicy(EPOCH, set_times=True))
    assert {node.mtime for node in describe(tmp_path).values()} == {EPOCH}
    assert diff_id_of(str(tmp_path), TarPolicy()) == built


def test_hard_links_follow_the_first_name_in_order(tmp_path):
    (tmp_path / "z").write_text("content")
    os.link(tmp_path / "z", tmp_path / "a")
    os.link(tmp_path / "z", tmp_path / "m")
    members = tar_of(tmp_path).getmembers()
    assert [(m.name, m.type, m.linkname, m.size) for m in members] == [
        ("a", tarfile.REGTYPE, "", 7),
        ("m", tarfile.LNKTYPE, "a", 0),
        ("z", tarfile.LNKTYPE, "a", 0),
    ]


def test_a_file_linked_from_outside_the_tree_is_a_file(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "elsewhere").write_text("x")
    os.link(tmp_path / "elsewhere", tmp_path / "tree" / "f")
    assert [member.type for member in tar_of(tmp_path / "tree")] == [tarfile.REGTYPE]


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 255, 256, 257, 700])
def test_long_names_are_split_where_ustar_can_and_else_a_pax_record(tmp_path, length):
    directory = tmp_path
    name = ""
    while len(name) < length - 90:
        name += "d" * 60 + "/"
        directory = directory / ("d" * 60)
        directory.mkdir()
    name += "f" * (length - len(name))
    (tmp_path / name).write_text("x")
    out = io.BytesIO()
    pack(str(tmp_path), out, TarPolicy(EPOCH), compression="none")
    assert name in tarfile.open(fileobj=io.BytesIO(out.getvalue())).getnames()
    has_record = b" path=" in out.getvalue()
    assert has_record == (length > 256 or (length > 100 and split_name(name.encode()) is None))


def test_names_beyond_ascii_are_pax_records_whatever_their_encoding(tmp_path):
    latin = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(latin, "w") as file:
        file.write("x")
    (tmp_path / "ñandú").write_text("x")
    (tmp_path / "l").symlink_to("ñandú")
    members = tar_of(tmp_path).getmembers()
    assert [os.fsencode(m.name) for m in members] == [b"caf\xe9", b"l", "ñandú".encode()]
    assert members[1].linkname == "ñandú"


def test_extended_attributes_of_users_are_kept_in_sorted_order(tmp_path):
    (tmp_path / "f").write_text("x")
    try:
        for name in ("user.z", "user.a", "user.m"):
            os.setxattr(tmp_path / "f", name, name.encode() + b"\0\n=")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error.strerror}")
    out = io.BytesIO()
    pack(str(tmp_path), out, TarPolicy(EPOCH), compression="none")
    raw = out.getvalue()
    assert raw.index(b"SCHILY.xattr.user.a=") < raw.index(b"xattr.user.m=") < raw.index(b"xattr.user.z=")
    assert b"SCHILY.xattr.user.m=user.m\0\n=\n" in raw


def test_sockets_are_skipped_and_fifos_kept(tmp_path):
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
    os.mkfifo(tmp_path / "p", 0o640)
    assert [(m.name, m.type, m.mode) for m in tar_of(tmp_path)] == [("p", tarfile.FIFOTYPE, 0o640)]


def test_a_reserved_name_is_refused_with_its_path(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".wh.x").write_text("")
    with pytest.raises(ReservedName, match=r"d/\.wh\.x"):
        diff_id_of(str(tmp_path), TarPolicy(EPOCH))


def test_a_file_that_becomes_shorter_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"x" * 5000)
    real = os.open

    def open_and_cut(path, *arguments, **keywords):
        if os.fsencode(path).endswith(b"/f"):
            os.truncate(path, 100)
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", open_and_cut)
    with pytest.raises(ChangedWhileRead, match="5000 bytes announced, 100 read"):
        diff_id_of(str(tmp_path), TarPolicy(EPOCH))


def test_set_user_id_and_sticky_bits_are_kept(tmp_path):
    (tmp_path / "f").write_text("x")
    os.chmod(tmp_path / "f", 0o4755)
    (tmp_path / "d").mkdir()
    os.chmod(tmp_path / "d", 0o1777)
    assert {m.name: m.mode for m in tar_of(tmp_path)} == {"f": 0o4755, "d": 0o1777}


@pytest.mark.root
def test_whiteouts_and_opaque_directories_of_an_overlay_become_those_of_a_layer(tmp_path):
    os.mknod(tmp_path / "gone", 0o20000, 0)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "!first").write_text("x")
    os.setxattr(tmp_path / "d", "trusted.overlay.opaque", b"y")
    os.setxattr(tmp_path / "d", "trusted.overlay.origin", b"\0\x01")
    os.setxattr(tmp_path / "d" / "!first", "trusted.overlay.impure", b"y")
    tar = tar_of(tmp_path)
    assert [(m.name, m.size, m.mtime) for m in tar] == [
        ("d", 0, EPOCH),
        ("d/.wh..wh..opq", 0, 0),
        ("d/!first", 1, EPOCH),
        (".wh.gone", 0, 0),
    ]
    assert all("SCHILY.xattr" not in key for m in tar for key in m.pax_headers)


def test_opaque_directories_and_whiteouts_of_a_user_overlay_are_understood(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "gone").write_text("")
    try:
        os.setxattr(tmp_path / "d", "user.overlay.opaque", b"y")
        os.setxattr(tmp_path / "d" / "gone", "user.overlay.whiteout", b"y")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error.strerror}")
    assert tar_of(tmp_path).getnames() == ["d", "d/.wh..wh..opq", "d/.wh.gone"]


@pytest.mark.root
def test_a_directory_renamed_by_reference_cannot_be_a_layer(tmp_path):
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "trusted.overlay.redirect", b"/other")
    with pytest.raises(InvalidInput, match="redirect"):
        diff_id_of(str(tmp_path), TarPolicy(EPOCH))


@pytest.mark.root
def test_devices_and_large_owners_are_kept(tmp_path):
    os.mknod(tmp_path / "null", 0o20666, os.makedev(1, 3))
    os.mknod(tmp_path / "disk", 0o60660, os.makedev(259, 70_000))
    (tmp_path / "f").write_text("x")
    os.chown(tmp_path / "f", 3_000_000, 4_000_000_000)
    members = {m.name: m for m in tar_of(tmp_path)}
    assert (members["null"].type, members["null"].devmajor, members["null"].devminor) == (tarfile.CHRTYPE, 1, 3)
    assert (members["disk"].type, members["disk"].devmajor, members["disk"].devminor) == (tarfile.BLKTYPE, 259, 70_000)
    assert (members["f"].uid, members["f"].gid) == (3_000_000, 4_000_000_000)


def test_a_size_of_eight_gibibytes_and_more_is_a_pax_record():
    header = HeaderEncoder().encode(b"f", b"0", mode=0o644, size=1 << 33)
    assert b" size=8589934592\n" in header
    info = tarfile.TarFile(fileobj=io.BytesIO(header + bytes(1024))).next()
    assert info is not None
    assert info.size == 1 << 33


@pytest.mark.parametrize("length", range(80, 120))
def test_a_pax_record_counts_its_own_length(length):
    record = pax_record(b"path", b"x" * length)
    assert int(record.split(b" ")[0]) == len(record)


def test_the_checksum_is_the_sum_of_all_bytes():
    header = HeaderEncoder().encode(b"~" * 100, b"2", mode=0o7777, uid=0o7777777, mtime=0o77777777777, link=b"~" * 100)
    assert int(header[148:154], 8) == sum(header) - sum(header[148:156]) + 8 * 32


def test_blocks_of_any_size_hold_the_same_stream(tmp_path):
    (tmp_path / "f").write_bytes(os.urandom(10_000))
    (tmp_path / "g").write_bytes(b"")
    expected = io.BytesIO()
    write_layer(str(tmp_path), BlockWriter.onto(expected), TarPolicy(EPOCH))
    for size in (1, 7, 511, 512, 513, 4096):
        block = bytearray(size)
        got = bytearray()
        out = BlockWriter(lambda block=block: block, lambda b, length, got=got: got.extend(b[:length]))
        write_layer(str(tmp_path), out, TarPolicy(EPOCH))
        assert bytes(got) == expected.getvalue()
