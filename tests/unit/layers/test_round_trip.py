"""A tree goes into a tar and comes out the same; and any tar of any tool comes out as that tool would unpack it."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estiba.layers.pack import diff_id_of, pack
from estiba.layers.tar.writer import TarPolicy
from estiba.layers.unpack import unpack
from estiba.oci.digest import Digest
from tars import directory, file, hard_link, symlink, tar
from trees import describe

QUICK = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

names = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.sampled_from(["a", "b", "c", "x" * 100, "y" * 101, "é" * 60, "z" * 200]),
    st.binary(min_size=1, max_size=8).map(os.fsdecode),
).filter(
    lambda name: (
        name not in (".", "..")
        and not name.startswith(".wh.")
        and "/" not in name
        and "\0" not in name
        and len(os.fsencode(name)) < 240
    )
)
modes = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2750, 0o1777, 0o777])
times = st.integers(-1000, 4_000_000_000)
files = st.tuples(st.just("file"), st.binary(max_size=2000), modes, times)
links = st.tuples(st.just("symlink"), names, modes, times)
fifos = st.tuples(st.just("fifo"), st.just(b""), modes, times)
again = st.tuples(st.just("hard link"), st.integers(0, 20), modes, times)
trees = st.recursive(
    st.dictionaries(names, st.one_of(files, links, fifos, again), max_size=5),
    lambda inner: st.dictionaries(names, st.one_of(files, links, again, inner), max_size=5),
    max_leaves=25,
)


def grow(root: str, tree: dict, made: list[str] | None = None) -> None:
    made = [] if made is None else made
    for name, what in tree.items():
        path = os.path.join(root, name)
        if isinstance(what, dict):
            os.mkdir(path)
            grow(path, what, made)
            os.utime(path, (1000, 1000))
            continue
        kind, content, mode, mtime = what
        if kind == "hard link":
            if not made:
                continue
            os.link(made[content % len(made)], path, follow_symlinks=False)
            continue
        if kind == "file":
            with open(path, "wb") as out:
                out.write(content)
        elif kind == "symlink":
            os.symlink(content, path)
        else:
            os.mkfifo(path)
        if kind != "symlink":
            os.chmod(path, mode)
        os.utime(path, (mtime, mtime), follow_symlinks=False)
        made.append(path)


@pytest.fixture
def places(tmp_path) -> Callable[[], tuple[str, str]]:
    """Two fresh, empty directories at each call."""

    def fresh() -> tuple[str, str]:
        for name in ("from", "to"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
            (tmp_path / name).mkdir()
        return str(tmp_path / "from"), str(tmp_path / "to")

    return fresh


@QUICK
@given(tree=trees, compression=st.sampled_from(["none", "gzip", "zstd"]), style=st.sampled_from(["ignore", "delete"]))
def test_a_tree_comes_out_of_its_layer_as_it_went_in(places, tree, compression, style):
    source, target = places()
    grow(source, tree)
    out = io.BytesIO()
    packed = pack(source, out, TarPolicy(), compression=compression)
    result = unpack(
        io.BytesIO(out.getvalue()),
        target,
        whiteouts=style,
        expected_diff_id=packed.diff_id,
        expected_digest=packed.digest,
        expected_size=packed.size,
    )
    assert describe(target) == describe(source)
    assert (result.entries, result.tar_size) == (packed.entries, packed.tar_size)
    assert result.implied == ()
    assert diff_id_of(target, TarPolicy()).diff_id == packed.diff_id


@QUICK
@given(tree=trees)
def test_gnu_tar_and_the_standard_library_unpack_our_tar_alike(places, tree):
    source, target = places()
    grow(source, tree)
    out = io.BytesIO()
    pack(source, out, TarPolicy(), compression="none")
    subprocess.run(
        ["tar", "-xpf", "-", "-C", target, "--delay-directory-restore"],
        input=out.getvalue(),
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        capture_output=True,
    )
    assert without_odd_names(describe(target)) == without_odd_names(describe(source))
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        assert sorted(os.fsencode(m.name) for m in archive) == sorted(os.fsencode(name) for name in describe(source))


def without_odd_names(tree: dict) -> dict:
    """GNU tar turns names which are no UTF-8 in a pax record into something else; links to them as well."""

    def fine(name: str) -> bool:
        return not any("\udc80" <= character <= "\udcff" for character in name)

    return {
        name: node._replace(links=())
        for name, node in tree.items()
        if fine(name) and all(map(fine, node.links)) and not (node.kind == "symlink" and not fine(str(node.content)))
    }


FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def plain_tree(root: str) -> None:
    os.makedirs(f"{root}/dir/{'d' * 80}/{'e' * 80}")
    for name in ("dir/file", "empty", f"dir/{'d' * 80}/{'e' * 80}/f", "dir/" + "n" * 90):
        with open(f"{root}/{name}", "w") as out:
            out.write(name * 100 if name != "empty" else "")
        os.utime(f"{root}/{name}", (1_000_000, 1_000_000))
    os.symlink("dir/file", f"{root}/link")
    os.link(f"{root}/dir/file", f"{root}/hard")
    os.mkfifo(f"{root}/fifo")
    os.chmod(f"{root}/dir", 0o2750)
    os.chmod(f"{root}/empty", 0o4711)


def long_tree(root: str) -> None:
    plain_tree(root)
    deep = root
    for _ in range(6):
        deep += "/" + "k" * 90
        os.mkdir(deep)
    with open(deep + "/" + "l" * 150, "w") as out:
        out.write("deep")
    os.symlink("t" * 400, f"{root}/long-target")
    os.link(deep + "/" + "l" * 150, f"{root}/to-long")
    with open(f"{root}/señal", "w") as out:
        out.write("ñ")


@pytest.mark.parametrize("maker", ["tarfile", "tar"])
@pytest.mark.parametrize("format", FORMATS)
def test_tars_of_other_makers_and_formats_come_out_as_the_tree_was(places, maker, format):
    source, target = places()
    (plain_tree if format == "ustar" else long_tree)(source)
    for path, _, _ in os.walk(source, topdown=False):
        os.utime(path, (2_000_000, 2_000_000))
    if maker == "tar":
        command = ["tar", "-cf", "-", f"--format={format}", "--numeric-owner", "-C", source, "."]
        data = subprocess.run(command, check=True, capture_output=True).stdout
    else:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=FORMATS[format]) as archive:
            archive.add(source, arcname=".")
        data = out.getvalue()
    result = unpack(io.BytesIO(data), target, whiteouts="ignore")
    assert describe(target) == describe(source)
    assert result.has_root
    assert os.stat(target).st_mtime == 2_000_000
    assert result.diff_id == Digest.of(data)


def test_v7_headers_without_magic_are_read(places):
    _, target = places()
    data = bytearray(tar(file("old", b"x" * 10), directory("dir/"), format=tarfile.USTAR_FORMAT))
    for at in (0, 1024):
        data[at + 257 : at + 512] = bytes(255)
        data[at + 156] = 0
        data[at + 148 : at + 156] = b"        "
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    unpack(io.BytesIO(bytes(data)), target, whiteouts="ignore")
    assert {name: node.kind for name, node in describe(target).items()} == {"old": "file", "dir": "directory"}


def test_an_archive_without_padding_and_end_is_accepted(places):
    """Some tools write layers that end with the last byte of the last file."""
    for cut in (
        tar(file("a", b"x" * 100), end=b""),
        tar(file("a", b"x" * 100), end=b"")[:612],
        tar(file("a"), end=b""),
    ):
        _, target = places()
        assert unpack(io.BytesIO(cut), target, whiteouts="ignore").entries == 1


def test_global_pax_headers_hold_until_the_end_and_own_ones_win(places):
    _, target = places()
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"mtime": "1000", "comment": "x"}
    ) as archive:
        for name, own in (("a", {}), ("b", {"mtime": "2000.5"})):
            info = tarfile.TarInfo(name)
            info.mtime = 77
            info.pax_headers = own
            archive.addfile(info)
    unpack(io.BytesIO(out.getvalue()), target, whiteouts="ignore")
    assert os.stat(f"{target}/a").st_mtime_ns == 1000_000_000_000
    assert os.stat(f"{target}/b").st_mtime_ns == 2000_500_000_000


def test_streams_of_several_members_or_frames_are_one_layer(places):
    data = tar(file("a", os.urandom(3_000_000)))
    compress = zstandard.ZstdCompressor().compress
    for pack_piece in (gzip.compress, compress):
        _, target = places()
        stream = b"".join(pack_piece(data[at : at + 1_000_000]) for at in range(0, len(data), 1_000_000))
        assert unpack(io.BytesIO(stream), target, whiteouts="ignore").diff_id == Digest.of(data)


def test_a_zstd_stream_that_begins_with_a_skippable_frame_is_recognised(places):
    _, target = places()
    data = tar(file("a", b"x"))
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    result = unpack(io.BytesIO(skippable + zstandard.ZstdCompressor().compress(data)), target, whiteouts="ignore")
    assert (result.compression, result.diff_id) == ("zstd", Digest.of(data))


def test_a_stream_that_gives_single_bytes_is_read_all_the_same(places):
    _, target = places()
    data = gzip.compress(tar(file("a", b"x" * 1000), directory("d")))

    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(1)

    assert unpack(Trickle(data), target, whiteouts="ignore").digest == Digest.of(data)


def test_the_callers_umask_changes_nothing(places):
    members = (directory("d", mode=0o777), file("d/f", b"x", mode=0o666), file("i/f", b"x", mode=0o666))
    for umask in (0, 0o077, 0o777):
        _, target = places()
        before = os.umask(umask)
        try:
            unpack(io.BytesIO(tar(*members)), target, whiteouts="ignore")
        finally:
            os.umask(before)
        found = describe(target)
        assert {name: node.mode for name, node in found.items()} == {"d": 0o777, "d/f": 0o666, "i": 0o755, "i/f": 0o666}


def test_directories_that_only_their_owner_may_not_write_are_filled(places):
    _, target = places()
    members = (directory("d", mode=0o555), directory("d/e", mode=0), file("d/e/f", b"x"), file("d/g", b"x"))
    unpack(io.BytesIO(tar(*members)), target, whiteouts="ignore")
    assert stat.S_IMODE(os.stat(f"{target}/d").st_mode) == 0o555
    assert stat.S_IMODE(os.stat(f"{target}/d/e").st_mode) == 0
    os.chmod(f"{target}/d", 0o755)
    os.chmod(f"{target}/d/e", 0o755)
    assert os.path.exists(f"{target}/d/e/f")


def test_times_of_directories_are_those_of_the_layer_not_of_the_unpacking(places):
    _, target = places()
    members = (directory("d", mtime=1000), file("d/f", b"x"), directory("d/e", mtime=2000), symlink("d/e/l", "x"))
    unpack(io.BytesIO(tar(*members, file("d/late", b"x"))), target, whiteouts="ignore")
    assert os.stat(f"{target}/d").st_mtime == 1000
    assert os.stat(f"{target}/d/e").st_mtime == 2000


def test_a_directory_made_for_its_content_is_told_unless_its_entry_follows(places):
    _, target = places()
    members = (file("a/b/c", b"x"), directory("a", mode=0o700), file("d/e", b"x"))
    result = unpack(io.BytesIO(tar(*members)), target, whiteouts="ignore")
    assert result.implied == ("a/b", "d")
    assert not result.has_root


@pytest.mark.root
def test_a_hard_link_to_a_file_of_a_lower_layer_is_told(places):
    _, target = places()
    result = unpack(io.BytesIO(tar(hard_link("a", "usr/b"), file("c", b"x"))), target, whiteouts="overlay")
    assert [tuple(link) for link in result.lower_links] == [("a", "usr/b")]
    assert list(describe(target)) == ["c"]


@pytest.mark.root
def test_owners_and_capabilities_come_out_as_they_went_in(places):
    source, target = places()
    with open(f"{source}/f", "w") as out:
        out.write("x")
    os.chown(f"{source}/f", 1234, 3_000_000_000)
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(f"{source}/f", "security.capability", capability)
    os.symlink("f", f"{source}/l")
    os.chown(f"{source}/l", 5, 6, follow_symlinks=False)
    os.mknod(f"{source}/null", 0o20666, os.makedev(1, 3))
    out_file = io.BytesIO()
    pack(source, out_file, TarPolicy(), compression="gzip")
    out_file.seek(0)
    unpack(out_file, target, whiteouts="ignore")
    assert describe(target) == describe(source)
    assert os.getxattr(f"{target}/f", "security.capability") == capability
