"""Where what is copied goes, and a stream that would lead out of its place."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from corpus import DAMAGED_TARS
from estiba.engine.copying import stream
from estiba.engine.copying.copy import _below, _split
from estiba.engine.copying.plan import Found, Goal, Place, check_places, goal, parse_place
from estiba.engine.copying.tree import Side
from estiba.errors import EstibaError, InvalidInput


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
