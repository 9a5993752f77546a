"""The same tree is the same layer: whatever the order of creation, the clock, the umask, the disk."""

from __future__ import annotations

import io
import os
import random

import pytest

from estiba.layers.pack import compress_tar, diff_id_of, pack
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.digest import Digest

EPOCH = 315_532_800
FILES = {f"d{number % 7}/f{number}": str(number).encode() * number for number in range(300)}
KNOWN_DIFF_ID = "sha256:c3dfd79be73a6550a4f1ab4c45e4fee951f72860d03a4cacfd0341416830eae7"
KNOWN_GZIP = "sha256:963f228a357fdd690fc280bbcbcc29cc1f9ca586b2774b44970af128d94b5030"
LINKS = [("d1/f1", "d3/link"), ("d1/f1", "a-link"), ("d2/f2", "z-link")]


def grow(root, order: random.Random) -> None:
    """The same tree, its files made in another order, in directories that have been fuller before."""
    root.mkdir()
    names = list(FILES)
    order.shuffle(names)
    for name in names:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        (path.parent / f"tmp{order.random()}").write_text("was here")
        path.write_bytes(FILES[name])
        os.chmod(path, 0o644)
    for source, link in order.sample(LINKS, len(LINKS)):
        if order.random() < 0.5:
            # The other name may as well be the older one.
            os.rename(root / source, root / link)
            os.link(root / link, root / source)
        else:
            os.link(root / source, root / link)
    for leftover in root.rglob("tmp*"):
        leftover.unlink()
    for directory in [path for path in root.rglob("*") if path.is_dir()]:
        os.chmod(directory, 0o755)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_two_trees_made_differently_are_one_layer(tmp_path, compression):
    results = set()
    for seed in range(4):
        before = os.umask(0o077 if seed % 2 else 0o002)
        try:
            grow(tmp_path / str(seed), random.Random(seed))
        finally:
            os.umask(before)
        os.utime(tmp_path / str(seed) / "d1" / "f1", (seed * 1000, seed * 1000))
        out = io.BytesIO()
        packed = pack(str(tmp_path / str(seed)), out, TarPolicy(EPOCH), compression=compression)
        assert Digest.of(out.getvalue()) == packed.digest
        results.add(packed)
    assert len(results) == 1


def test_what_one_pass_says_is_what_two_passes_say(tmp_path):
    grow(tmp_path / "t", random.Random(1))
    (tmp_path / "t" / "large").write_bytes(random.Random(2).randbytes(5_000_000))
    (tmp_path / "t" / "text").write_bytes(b"a line of text\n" * 400_000)
    tree = str(tmp_path / "t")
    plain = io.BytesIO()
    summary = diff_id_of(tree, TarPolicy(EPOCH))
    uncompressed = pack(tree, plain, TarPolicy(EPOCH), compression="none")
    assert uncompressed.digest == uncompressed.diff_id == summary.diff_id == Digest.of(plain.getvalue())
    for compression in ("gzip", "zstd"):
        one, two = io.BytesIO(), io.BytesIO()
        packed = pack(tree, one, TarPolicy(EPOCH), compression=compression)
        again = compress_tar(io.BytesIO(plain.getvalue()), two, compression=compression)
        assert one.getvalue() == two.getvalue()
        assert packed == again._replace(entries=packed.entries, content=packed.content)
        assert packed.diff_id == summary.diff_id
        assert packed.tar_size == summary.size
        assert packed.size == len(one.getvalue()) < packed.tar_size


def test_a_known_tree_has_a_known_diff_id_and_gzip_digest(tmp_path):
    """These change only with the format: a change makes every image of every user another one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_bytes(b"#!/bin/sh\necho hello\n")
    (tmp_path / "link").symlink_to("bin/tool")
    for path, mode in (("bin", 0o755), ("bin/tool", 0o755)):
        os.chmod(tmp_path / path, mode)
    if os.geteuid() != 0:
        pytest.skip("the owner is part of a layer: only root's tree is the known one")
    packed = pack(str(tmp_path), io.BytesIO(), TarPolicy(EPOCH), compression="gzip")
    assert str(packed.diff_id) == KNOWN_DIFF_ID
    assert str(packed.digest) == KNOWN_GZIP


def test_an_error_of_the_sink_ends_packing_at_once_and_is_passed_on(tmp_path):
    (tmp_path / "f").write_bytes(os.urandom(20_000_000))

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    for compression in ("none", "gzip"):
        with pytest.raises(OSError, match="No space"):
            pack(str(tmp_path), Full(), TarPolicy(EPOCH), compression=compression)
