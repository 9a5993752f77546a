"""Odd layers that are right give the tree that GNU tar gives; those that are made to do harm do none, and end soon."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import shutil
import subprocess
import sys
import tarfile
import time
import zlib

import pytest
import zstandard

from corpus import TARS
from estiba.errors import Corrupt, EstibaError, InvalidInput, PermissionDenied
from estiba.layers.decompress import DamagedStream, TooLarge
from estiba.layers.unpack import UnpackLimits, UnsafeEntry, unpack
from tars import device, directory, file, hard_link, symlink, tar
from trees import describe

ENTRIES = int(os.environ.get("ESTIBA_STRESS_ENTRIES", "20000"))
STYLES = ["overlay", "delete", "ignore"] if os.geteuid() == 0 else ["user-overlay", "delete", "ignore"]


def unpacked(data: bytes, place, whiteouts: str = "ignore") -> dict:
    place.mkdir()
    unpack(io.BytesIO(data), str(place), whiteouts=whiteouts)
    return describe(place)


@pytest.mark.skipif(shutil.which("tar") is None, reason="no GNU tar")
@pytest.mark.skipif(os.geteuid() != 0, reason="owners are root's to give")
@pytest.mark.parametrize("case", TARS)
def test_gnu_tar_makes_the_same_of_it(tmp_path, case):
    ours = unpacked(TARS[case], tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    command = ["tar", "-xpf", "-", "--numeric-owner", "-C", str(tmp_path / "theirs")]
    subprocess.run(command, input=TARS[case], capture_output=True, check=False)
    theirs = describe(tmp_path / "theirs")
    if case == "a directory twice, with other modes":
        theirs["d"] = theirs["d"]._replace(mtime=ours["d"].mtime)
    # Directories without an entry have the time of their making there, and 1970 here.
    implied = [name for name, node in ours.items() if node.kind == "directory" and node.mtime == 0]
    for name in implied:
        theirs[name] = theirs[name]._replace(mtime=0)
    assert ours == theirs


@pytest.mark.parametrize("case", TARS)
def test_the_standard_library_finds_the_same_files(tmp_path, case):
    ours = unpacked(TARS[case], tmp_path / "ours")
    with tarfile.open(fileobj=io.BytesIO(TARS[case])) as archive:
        last = {os.path.normpath(member.name): archive.extractfile(member) for member in archive if member.isreg()}
        contents = {name: stream.read() for name, stream in last.items()}
    found = {name: node.content for name, node in ours.items() if node.kind == "file" and name in contents}
    assert found == {name: data for name, data in contents.items() if ours[name].kind == "file"}
    assert found or case in ("a fifo", "a hard link to a link")


@pytest.mark.parametrize("whiteouts", STYLES)
def test_whiteouts_reach_nothing_outside(tmp_path, whiteouts):
    """Not through a link in the place of a parent, not by their names."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    members = (
        symlink("up", "../outside"),
        symlink("absolute", str(tmp_path / "outside")),
        file(".wh..wh.plnk"),
        file(".wh..wh.aufs"),
        file(".wh..wh..opq"),
        file("missing/.wh.secret"),
        file("missing/.wh..wh..opq"),
    )
    unpacked(tar(*members), tmp_path / "into", whiteouts)
    for name in ("up/.wh.secret", "absolute/.wh.secret", "up/.wh..wh..opq", "up/.wh..wh.x/secret"):
        try:
            unpack(io.BytesIO(tar(*members[:2], file(name))), str(tmp_path / "into"), whiteouts=whiteouts)
        except EstibaError:
            pass
    assert (tmp_path / "outside" / "secret").read_text() == "secret"
    assert os.listdir(tmp_path / "outside") == ["secret"]


@pytest.mark.parametrize("name", [".wh...", "d/.wh..", ".wh.", "d/.wh...", ".wh.a/b", "d/.wh.x/../y"])
def test_whiteouts_of_parents_and_directories_below_whiteouts(tmp_path, name):
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "kept").write_text("kept")
    try:
        unpack(io.BytesIO(tar(directory("d"), file(name))), str(tmp_path / "into"), whiteouts="delete")
    except UnsafeEntry:
        pass
    assert (tmp_path / "into" / "kept").read_text() == "kept"


def test_chains_of_links_lead_no_further_than_the_root(tmp_path):
    """Each link goes up one more; none of what is written through them is outside."""
    (tmp_path / "outside").mkdir()
    links = [symlink(f"l{n}", f"l{n - 1}/.." if n else "..") for n in range(30)]
    writes = [file(f"l{n}/outside/hit", b"x") for n in range(30)]
    for write in writes:
        shutil.rmtree(tmp_path / "into", ignore_errors=True)
        try:
            unpacked(tar(*links, write), tmp_path / "into")
        except EstibaError:
            pass
        assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "l/passwd", "/proc/self/root/etc/passwd"])
def test_a_hard_link_never_reaches_a_file_outside(tmp_path, target):
    try:
        found = unpacked(tar(symlink("l", "/etc"), directory("proc"), hard_link("h", target)), tmp_path / "into")
    except EstibaError:
        return
    assert "h" not in found


def test_very_many_entries_take_little_memory_and_time_in_proportion(tmp_path):
    """In a process of its own, whose peak is told: 10^6 of them with `scripts/stress`."""
    program = f"""
import io, sys, tarfile
from estiba.layers.unpack import unpack
class Endless(io.RawIOBase):
    def __init__(self): self.n = 0; self.rest = b""
    def read(self, size):
        while len(self.rest) < size and self.n < {ENTRIES}:
            info = tarfile.TarInfo("f%d" % (self.n % 50))
            self.rest += info.tobuf(tarfile.USTAR_FORMAT); self.n += 1
        data, self.rest = self.rest[:size], self.rest[size:]
        return data
result = unpack(Endless(), sys.argv[1], whiteouts="ignore")
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(result.entries, peak)  # getrusage would tell the peak of whoever started this process, if it is higher
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    entries, peak = map(int, done.stdout.split())
    assert entries == ENTRIES
    assert peak < 200_000  # kilobytes


@pytest.mark.parametrize("windows", [27, 28, 31])
def test_a_frame_with_a_huge_window_takes_no_memory(tmp_path, windows):
    """128 MiB is what zstd itself takes without being asked; beyond it is refused before anything is reserved."""
    parameters = zstandard.ZstdCompressionParameters(window_log=windows, enable_ldm=False)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = stream.compress(tar(file("f", b"x"))) + stream.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if windows == 27:
        assert "f" in unpacked(data, tmp_path / "into")
    else:
        with pytest.raises(DamagedStream):
            unpacked(data, tmp_path / "into")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 50_000


def gzip_with(header: bytes) -> bytes:
    """A gzip member whose header has more in it: flags, and what they announce (RFC 1952, 2.3.1)."""
    body = tar(file("f", b"x"))
    packer = zlib.compressobj(wbits=-15)
    tail = zlib.crc32(body).to_bytes(4, "little") + len(body).to_bytes(4, "little")
    return b"\x1f\x8b\x08" + header + packer.compress(body) + packer.flush() + tail


def test_what_a_gzip_header_may_hold_is_passed_over(tmp_path):
    extra = gzip_with(b"\x04" + bytes(6) + (60_000).to_bytes(2, "little") + b"e" * 60_000)
    assert "f" in unpacked(extra, tmp_path / "extra")
    name = gzip_with(b"\x08" + bytes(6) + b"n" * 3_000_000 + b"\0")
    assert "f" in unpacked(name, tmp_path / "name")
    with pytest.raises(DamagedStream):
        unpacked(gzip_with(b"\x08" + bytes(6) + b"n" * 3_000_000)[:3_000_000], tmp_path / "endless")


def test_ten_thousand_members_and_frames_are_one_stream(tmp_path):
    data = tar(*(file(f"f{n}", b"x" * 100) for n in range(2_000)))
    pieces = [data[at : at + 200] for at in range(0, len(data), 200)]
    for name, one in (("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)):
        assert len(unpacked(b"".join(map(one, pieces)), tmp_path / name)) == 2_000


def test_empty_members_without_end_end(tmp_path):
    """A stream of nothing but empty members, or frames that are skipped: work in proportion, no recursion."""
    for name, nothing in (("gzip", gzip.compress(b"") * 20_000), ("zstd", b"\x50\x2a\x4d\x18\0\0\0\0" * 100_000)):
        assert unpacked(nothing, tmp_path / name) == {}


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_bomb_of_many_members_ends_at_the_limit(tmp_path, compress):
    bomb = compress(tar(file("a", bytes(1 << 20)), end=b"")) + compress(bytes(1 << 20)) * 100
    with pytest.raises(TooLarge):
        unpack(io.BytesIO(bomb), str(tmp_path), whiteouts="ignore", limits=UnpackLimits(size=10 << 20))


def test_a_million_pax_records_are_refused_or_read_at_once(tmp_path):
    """Every entry with a header of the largest size that is allowed."""
    records = b"".join(b"%d k%06d=\n" % (12, n) for n in range(80_000))
    info = tarfile.TarInfo("pax")
    info.type, info.size = b"x", len(records)
    begun = time.process_time()
    unpacked(tar(*([(info, records), file("f", b"x")] * 5)), tmp_path / "into")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_layer_cut_anywhere_is_damaged_or_whole(tmp_path, compress):
    """Never something else, and never more than what came."""
    whole = tar(directory("d"), file("d/f", os.urandom(3000)), file("g", b"y"), end=b"")
    data = compress(whole)
    chance = random.Random(1)
    for length in sorted(chance.sample(range(1, len(data)), 60)):
        place = tmp_path / str(length)
        try:
            unpacked(data[:length], place)
        except (Corrupt, InvalidInput):
            continue
        assert compress is bytes, "a compressed stream knows that it was cut"


@pytest.mark.root
def test_devices_are_for_root_alone_and_nothing_else_suffers(tmp_path):
    """Unpacked by an ordinary user, in a process of its own."""
    tmp_path.chmod(0o777)
    for above in tmp_path.parents:
        if not above.stat().st_mode & 1:
            above.chmod(above.stat().st_mode | 0o011)
    (tmp_path / "into").mkdir()
    os.chown(tmp_path / "into", 65534, 65534)
    unpacked(tar(file("a", b"x")), tmp_path / "before")  # whatever is loaded late: the user may not read it
    pid = os.fork()
    if pid == 0:
        status = 3
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            unpack(io.BytesIO(tar(file("a", b"x"), device("null", 1, 3))), str(tmp_path / "into"), whiteouts="ignore")
            status = 2
        except PermissionDenied:
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert list(describe(tmp_path / "into")) == ["a"]
