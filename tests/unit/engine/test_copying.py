"""Where what is copied goes, and a stream that would lead out of its place."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
from collections.abc import Iterator

import pytest

from corpus import DAMAGED_TARS
from estiba.engine import lifecycle
from estiba.engine.copying import copy as copying
from estiba.engine.copying import inside, stream
from estiba.engine.copying.copy import _below, _both, _split
from estiba.engine.copying.plan import Found, Goal, Place, check_places, goal, parse_place
from estiba.engine.copying.tree import Side
from estiba.engine.locks import try_lock
from estiba.engine.options import ContainerOptions
from estiba.errors import Conflict, EstibaError, InvalidInput, Unavailable
from estiba.linux.processes import start_time
from estiba.store.snapshots.trees import remove_tree
from estiba.wiring.house import House
from estiba.wiring.settings import read
from images import busybox_image


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one:/x", Place("one", "/x")),
        ("one:x", Place("one", "x")),
        ("./a:b", Place("", "./a:b")),
        ("/a:b", Place("", "/a:b")),
        ("file", Place("", "file")),
        ("-", Place("", "-")),
    ],
)
def test_a_place_is_the_hosts_or_a_containers(text, expected):
    assert parse_place(text) == expected


def test_exactly_one_side_is_a_container():
    for source, target in (("a:/x", "b:/x"), ("x", "y"), ("a:", "x")):
        with pytest.raises(InvalidInput):
            check_places(parse_place(source), parse_place(target))


DIRECTORY, FILE, NOTHING = Found("/t", True, True), Found("/t", True), Found("/d/t", False)


@pytest.mark.parametrize(
    ("source", "is_directory", "target", "found", "expected"),
    [
        ("a/f", False, "t", DIRECTORY, Goal("/t", "f")),
        ("a/f", False, "t", FILE, Goal("/", "t")),
        ("a/f", False, "t", NOTHING, Goal("/d", "t")),
        ("a/d", True, "t", DIRECTORY, Goal("/t", "d")),
        ("a/d/", True, "t", DIRECTORY, Goal("/t", "d")),
        ("a/d/.", True, "t", DIRECTORY, Goal("/t", "")),
        ("a/d/.", True, "t", NOTHING, Goal("/d", "t")),
        ("a/d", True, "t/", NOTHING, Goal("/d", "t")),
        ("/", True, "t", DIRECTORY, Goal("/t", "")),
    ],
)
def test_the_goal_follows_dockers_table(source, is_directory, target, found, expected):
    assert goal(source, is_directory, target, found) == expected


@pytest.mark.parametrize(
    ("is_directory", "target", "found"), [(True, "t", FILE), (False, "t/", FILE), (False, "t/", NOTHING)]
)
def test_what_has_no_goal_is_refused(is_directory, target, found):
    with pytest.raises(EstibaError):
        goal("s", is_directory, target, found)


def archive(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """A tar of (name, type, link or content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            tar.addfile(member, io.BytesIO(text.encode()))
    out.seek(0)
    return out


def take(tmp_path, *members: tuple[str, bytes, str]) -> None:
    root = os.open(tmp_path / "target", os.O_RDONLY | os.O_DIRECTORY)
    try:
        stream.take(archive(*members), lambda path: _below(root, path), stream.Taken(None, False))
    finally:
        os.close(root)


@pytest.mark.parametrize(
    "members",
    [
        (("../out/x", tarfile.REGTYPE, "x"),),
        (("a/../../out/x", tarfile.REGTYPE, "x"),),
        (("way", tarfile.SYMTYPE, "../out"), ("way/x", tarfile.REGTYPE, "x")),
        (("way", tarfile.SYMTYPE, "../out"), ("way/deep", tarfile.DIRTYPE, "")),
        (("way", tarfile.SYMTYPE, "../out/x"), ("hard", tarfile.LNKTYPE, "../out/secret")),
        (("way", tarfile.SYMTYPE, "../out"), ("hard", tarfile.LNKTYPE, "way/secret")),
    ],
)
def test_a_hostile_stream_does_not_leave_its_place(tmp_path, members):
    for name in ("out", "target"):
        (tmp_path / name).mkdir()
    (tmp_path / "out" / "secret").write_text("secret")
    with pytest.raises(EstibaError):
        take(tmp_path, *members)
    assert os.listdir(tmp_path / "out") == ["secret"]
    assert not (tmp_path / "target" / "hard").exists()


@pytest.mark.parametrize("data", DAMAGED_TARS.values(), ids=DAMAGED_TARS)
def test_a_damaged_stream_is_told_as_one(tmp_path, data):
    (tmp_path / "target").mkdir()
    root = os.open(tmp_path / "target", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(InvalidInput, match="no tar"):
            stream.take(io.BytesIO(data), lambda path: _below(root, path), stream.Taken(None, False))
    finally:
        os.close(root)


def test_a_stream_that_says_the_same_again_and_again_takes_no_more_memory_for_it(tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    monkeypatch.setattr(stream, "_MOST_TOLD", 3)
    root = os.open(tmp_path / "target", os.O_RDONLY | os.O_DIRECTORY)
    taking = stream._Taking(lambda path: _below(root, path), stream.Taken(None, False))
    devices = [(f"d/{number}", tarfile.CHRTYPE, "") for number in range(10)]
    with tarfile.open(fileobj=archive(*[("d", tarfile.DIRTYPE, "")] * 50, *devices)) as tar:
        left_out = taking.all(tar, tar)
    os.close(root)
    assert (len(taking._finished), left_out) == (1, ["d/0", "d/1", "d/2"])
    assert os.listdir(tmp_path / "target" / "d") == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "victim").write_text("as it was")
    (tmp_path / "target" / "file").symlink_to("../victim")
    take(tmp_path, ("file", tarfile.REGTYPE, "new"))
    assert (tmp_path / "victim").read_text() == "as it was"
    assert (tmp_path / "target" / "file").read_text() == "new"


def test_what_is_sent_is_what_is_taken(tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("text")
    os.link(source / "deep" / "file", source / "twin")
    (source / "link").symlink_to("deep/file")
    os.utime(source / "deep", (1, 1))
    (tmp_path / "target").mkdir()
    place = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    out = io.BytesIO()
    try:
        assert stream.send(place, "source", "copy", out) == 4
    finally:
        os.close(place)
    out.seek(0)
    root = os.open(tmp_path / "target", os.O_RDONLY | os.O_DIRECTORY)
    stream.take(out, lambda path: _below(root, path), stream.Taken(None, True))
    os.close(root)
    copy = tmp_path / "target" / "copy"
    assert (copy / "deep" / "file").read_text() == "text"
    assert os.stat(copy / "twin").st_ino == os.stat(copy / "deep" / "file").st_ino
    assert os.readlink(copy / "link") == "deep/file"
    assert os.stat(copy / "deep").st_mtime == 1


def test_links_are_resolved_inside_the_root(tmp_path):
    (tmp_path / "root" / "real").mkdir(parents=True)
    (tmp_path / "root" / "way").symlink_to("/real")
    (tmp_path / "root" / "up").symlink_to("../../../real")
    (tmp_path / "root" / "round").symlink_to("round")
    (tmp_path / "root" / "new").symlink_to("/real/made")
    side = Side(os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY), "the container")
    assert side.find("/way", follows=True) == Found("/real", True, True)
    assert side.find("/way", follows=False) == Found("/way", True, False)
    assert side.find("/way/", follows=False) == Found("/real", True, True)
    assert side.find("/new", follows=True) == Found("/real/made", False)
    assert side.find("/up", follows=True) == Found("/../../../real", True, True)
    for path in ("/round", "/nowhere/x", "/nowhere/..", "/round/.."):
        with pytest.raises(EstibaError):
            side.find(path, follows=True)
    os.close(side.root)


@pytest.fixture
def hostile(tmp_path):
    """A root with links that lead above it, where a secret is; in `real/deep` is `here`."""
    (tmp_path / "secret").write_text("of the host")
    (tmp_path / "root" / "real" / "deep").mkdir(parents=True)
    (tmp_path / "root" / "real" / "deep" / "here").write_text("inside")
    for name, target in (
        ("up", ".."),
        ("higher", "../.."),
        ("absolute", "/.."),
        ("chain", "up"),
        ("around", "real/deep/../../.."),
        ("away", "/real/deep/.."),
        ("inner", "/real/deep"),
    ):
        (tmp_path / "root" / name).symlink_to(target)
    side = Side(os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY), "the container")
    yield side
    os.close(side.root)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/..", "/.."),
        ("/../", "/.."),
        ("/../..", "/../.."),
        ("/.", "/"),
        ("/up/.", "/.."),
        ("/up/..", "/up/.."),
        ("/up/up/", "/up/.."),
        ("/higher/.", "/../.."),
        ("/absolute/", "/.."),
        ("/chain/.", "/.."),
        ("/around/", "/real/deep/../../.."),
        ("/away/", "/real/deep/.."),
        ("/inner/..", "/inner/.."),
    ],
)
def test_what_leads_to_the_directory_above_is_sent_from_inside_the_root(hostile, path, expected):
    found = hostile.find(path, follows=False)
    assert found == hostile.find(path, follows=True) == Found(expected, True, True)
    directory, name = _split(found.resolved)
    place = hostile.directory(directory)
    out = io.BytesIO()
    try:
        stream.send(place, name, "sent", out)
    finally:
        os.close(place)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        names = tar.getnames()
    is_below = path in ("/away/", "/inner/..")
    assert "sent/secret" not in names
    assert ("sent/deep/here" if is_below else "sent/real/deep/here") in names


@pytest.mark.parametrize("name", ["..", "../secret", "real/../../secret"])
def test_nothing_is_sent_by_a_name_that_leads_elsewhere(hostile, name):
    place = hostile.directory("/")
    try:
        for as_name in ("sent", ""):
            with pytest.raises(InvalidInput):
                stream.send(place, name, as_name, io.BytesIO())
    finally:
        os.close(place)


def test_a_files_capability_goes_with_it_and_no_entry_is_kept_in_memory(tmp_path, monkeypatch):
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    (tmp_path / "ping").write_bytes(b"ping")
    monkeypatch.setattr(os, "getxattr", lambda _file, name: value if name == "security.capability" else b"")
    monkeypatch.setattr(os, "listdir", lambda _directory: ["gone", "ping"])
    out = io.BytesIO()
    kept = []
    clear = stream._Walk._add

    def add(walk, *words):
        clear(walk, *words)
        kept.extend(walk._tar.members)

    monkeypatch.setattr(stream._Walk, "_add", add)
    place = os.open(tmp_path, os.O_RDONLY)
    try:
        assert stream.send(place, ".", "", out) == 4
    finally:
        os.close(place)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        (member,) = tar
    assert member.pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == value
    assert kept == []


def sent(root, name: str = ".", as_name: str = "sent") -> list[str]:
    """The names of what is sent from the directory `root`."""
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    out = io.BytesIO()
    try:
        stream.send(place, name, as_name, out)
    finally:
        os.close(place)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return tar.getnames()


@pytest.mark.parametrize("way", ["directory", "file"])
def test_what_becomes_a_link_after_it_was_looked_at_is_left_out(tmp_path, monkeypatch, way):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("of the host")
    (tmp_path / "root" / "b").mkdir(parents=True)
    (tmp_path / "root" / "b" / "secret").write_text("inside")
    (tmp_path / "root" / "a").write_text("text")
    victim, target = ("b", "../out") if way == "directory" else ("a", "../out/secret")
    look = os.stat

    def exchanging(path, **options):
        status = look(path, **options)
        if path == victim and not os.path.islink(tmp_path / "root" / victim):
            os.rename(tmp_path / "root" / victim, tmp_path / "away")
            os.symlink(target, tmp_path / "root" / victim)
        return status

    monkeypatch.setattr(stream.os, "stat", exchanging)
    names = sent(tmp_path / "root")
    monkeypatch.undo()
    assert os.path.islink(tmp_path / "root" / victim)
    assert names == (["sent", "sent/a"] if way == "directory" else ["sent", "sent/b", "sent/b/secret"])


def test_what_becomes_a_device_after_it_was_looked_at_is_not_opened(tmp_path, monkeypatch):
    """To open a device may do something: a pipe stands for it here, whose writer would learn of a reader."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_text("text")
    look = os.stat

    def exchanging(path, **options):
        status = look(path, **options)
        if path == "a":
            os.unlink(tmp_path / "root" / "a")
            os.mkfifo(tmp_path / "root" / "a")
        return status

    opened: list[str] = []
    really = os.open

    def watched(path, flags, *more, **options):
        if not flags & os.O_PATH:
            opened.append(path)
        return really(path, flags, *more, **options)

    monkeypatch.setattr(stream.os, "stat", exchanging)
    monkeypatch.setattr(stream.os, "open", watched)
    assert sent(tmp_path / "root") == ["sent"]
    assert "a" not in opened


def test_a_link_that_is_none_any_more_is_looked_at_once_more(hostile, tmp_path, monkeypatch):
    read_link = os.readlink

    def exchanging(path, **options):
        (tmp_path / "root" / "inner").unlink()
        (tmp_path / "root" / "inner").mkdir()
        monkeypatch.setattr(os, "readlink", read_link)
        return read_link(path, **options)

    monkeypatch.setattr(os, "readlink", exchanging)
    assert hostile.find("/inner", follows=True) == Found("/inner", True, True)


def test_what_lies_too_deep_is_told(tmp_path):
    (tmp_path / "root").mkdir()
    place = os.open(tmp_path / "root", os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    try:
        with pytest.raises(InvalidInput, match="too deep"):
            sent(tmp_path / "root")
    finally:
        remove_tree(str(tmp_path / "root"))


@pytest.mark.parametrize("length", [3, 4, 10, 11, 20, 60])
def test_a_compressed_stream_that_is_cut_is_told_as_one(length):
    data = gzip.compress(archive(("file", tarfile.REGTYPE, "x" * 9999)).getvalue())
    for head in (data, b"\x1f\x8b\x08\x04" + data[4:]):
        with pytest.raises(InvalidInput, match="no tar"):
            stream.take(io.BytesIO(head[:length]), lambda path: -1, stream.Taken(None, False))


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, Unavailable, "d/file cannot be written: no space left on device"),
        (errno.EROFS, Conflict, "d/file cannot be written: its place is read-only"),
        (errno.EACCES, Conflict, "d/file cannot be written: permission denied"),
        (errno.ENOTDIR, Conflict, "d/file cannot be written: not a directory"),
        (errno.EIO, Unavailable, "d/file cannot be written: input/output error"),
    ],
)
def test_why_a_file_cannot_be_written_is_told_with_its_name(number, kind, words):
    def fail(_: str) -> int:
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=words):
        stream.take(archive(("d/file", tarfile.REGTYPE, "x")), fail, stream.Taken(None, False))


class OtherEnd:
    """The container's side of a copy, which has failed with `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def answer(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("theirs", "told"),
    [(BrokenPipeError(errno.EPIPE, "Broken pipe"), "no space here"), (Conflict("it is a socket"), "it is a socket")],
)
def test_the_end_that_failed_first_is_told(theirs, told):
    def act() -> list[str]:
        raise Unavailable("no space here")

    with pytest.raises(EstibaError, match=told):
        _both(OtherEnd(theirs), act, io.BytesIO())


def test_what_cannot_be_read_is_told_with_its_name(tmp_path, monkeypatch):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "file")

    monkeypatch.setattr(stream, "open_regular", refused)
    place = os.open(tmp_path, os.O_RDONLY)
    writer = os.open(os.devnull, os.O_WRONLY)
    try:
        with pytest.raises(InvalidInput, match=r"given \(new/file\) cannot be read: permission denied"):
            copying._given(OtherEnd(EOFError()), place, "tree", "new", writer, "given")
    finally:
        os.close(place)
        os.close(writer)


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    with House(read({}, root=str(tmp_path / "root"), run=str(tmp_path / "run"))) as house:
        yield house


def test_a_container_that_is_just_being_started_is_waited_for(house, monkeypatch):
    engine = house.engine
    record = engine.create(ContainerOptions("busybox"), busybox_image(engine.store))
    found, lock = inside._living_or_locked(engine, record)
    assert found == record and lock is not None, "it does not run: its lock is ours"
    engine.containers.set_state(record.id, lifecycle.STARTING)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            engine.containers.set_running(record.id, durable=False, pid=1, pid_start=1)

    monkeypatch.setattr(inside.time, "sleep", sleep)
    with lock:  # as its monitor holds it
        found, none = inside._living_or_locked(engine, engine.find(record.id))
        assert (found.state, none, len(waits)) == (lifecycle.RUNNING, None, 3)
        engine.containers.set_state(record.id, lifecycle.RESTARTING)
        with pytest.raises(lifecycle.WrongState):
            inside._living_or_locked(engine, engine.find(record.id))
        assert len(waits) == 3, "one that is restarted again and again is refused at once"
        engine.containers.set_exited(record.id, durable=False)
        monkeypatch.setattr(inside, "_PATIENCE", 0)
        with pytest.raises(Unavailable, match="has been another process's"):
            inside._living_or_locked(engine, engine.find(record.id))
    assert try_lock(engine.paths(record.id).lock) is not None


def test_one_whose_process_is_another_now_leaves_no_descriptor_open(house):
    engine = house.engine
    record = engine.create(ContainerOptions("busybox"), busybox_image(engine.store))
    before = sorted(os.listdir("/proc/self/fd"))
    for pid, start in ((os.getpid(), 1), (2**22 + 1, 1)):
        with pytest.raises(Conflict, match="just ended"):
            inside._of_running(record._replace(pid=pid, pid_start=start), "")
    assert sorted(os.listdir("/proc/self/fd")) == before
    for descriptor in inside._of_running(record._replace(pid=os.getpid(), pid_start=start_time(os.getpid()) or 0), ""):
        os.close(descriptor)
