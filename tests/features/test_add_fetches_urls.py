"""ADD of a URL: what comes is in the image, by content; what a server says decides neither its name nor its place."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addresses import OLD, Builder, Server, answer, built_in, redirect, tagged
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation, Cancelled

pytestmark = pytest.mark.root


@pytest.fixture
def builder(estiba_home: Any, tmp_path: Path) -> Iterator[Builder]:
    with built_in(estiba_home, tmp_path / "context") as builder:
        yield builder


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("inside")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"yes"))
    return gzip.compress(buffer.getvalue(), mtime=0)


def test_the_file_is_private_dated_alike_and_named_by_its_address(builder: Builder) -> None:
    """As in BuildKit: mode 0600, root's, the name from the path that was asked for, whatever the server calls it."""

    def page(handler: Any) -> None:
        answer(handler, b"tool", Content_Disposition='attachment; filename="../../etc/passwd"', Last_Modified=OLD)

    with Server({"/a/tool.bin": page, "/go": redirect("/a/tool.bin"), "/": page}) as server:
        result = builder.build(f"FROM scratch\nADD {server.url}/a/tool.bin?x=1 {server.url}/go {server.url}/ /opt/\n")
    files = {each.name: each for each in (builder.directory(result) / "opt").iterdir()}
    assert sorted(files) == ["__unnamed__", "go", "tool.bin"]
    for each in files.values():
        status = each.stat()
        assert (each.read_bytes(), status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (
            b"tool",
            0o600,
            0,
            315532800,
        )


def test_mode_and_owner_are_as_asked_for_and_a_path_without_slash_is_the_file_itself(builder: Builder) -> None:
    with Server({"/x": b"x"}) as server:
        result = builder.build(f"FROM scratch\nADD --chmod=755 --chown=7:8 {server.url}/x /bin/tool\n")
    status = (builder.directory(result) / "bin/tool").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o755, 7, 8)


def test_with_times_kept_the_server_s_date_is_the_file_s(builder: Builder) -> None:
    with Server({"/x": lambda handler: answer(handler, b"x", Last_Modified=OLD), "/y": b"y"}) as server:
        result = builder.build(f"FROM scratch\nADD {server.url}/x {server.url}/y /d/\n", epoch=None)
    found = builder.directory(result) / "d"
    assert ((found / "x").stat().st_mtime, (found / "y").stat().st_mtime) == (973500577, 0)


def test_an_archive_is_extracted_only_where_that_is_asked_for(builder: Builder) -> None:
    data = archive()
    (builder.context / "local.tgz").write_bytes(data)
    with Server({"/a.tgz": data}) as server:
        plain = builder.build(f"FROM scratch\nADD {server.url}/a.tgz /d/\n")
        unpacked = builder.build(f"FROM scratch\nADD --unpack {server.url}/a.tgz /d/\n")
        both = builder.build(f"FROM scratch\nADD local.tgz {server.url}/a.tgz /d/\n")
        neither = builder.build(f"FROM scratch\nADD --unpack=false local.tgz {server.url}/a.tgz /d/\n")
    names = [sorted(os.listdir(builder.directory(each) / "d")) for each in (plain, unpacked, both, neither)]
    assert names == [["a.tgz"], ["inside"], ["a.tgz", "inside"], ["a.tgz", "local.tgz"]]


def test_what_did_not_change_is_neither_sent_again_nor_copied_again(builder: Builder) -> None:
    """By an entity tag; by a date that is old enough; else by the content that comes, which is the same."""

    def dated(handler: Any) -> None:
        if handler.headers.get("If-Modified-Since") == OLD:
            answer(handler, b"", 304)
        else:
            answer(handler, b"dated", Last_Modified=OLD)

    with Server({"/t": tagged(b"tagged", '"1"'), "/d": dated, "/n": b"neither"}) as server:
        text = f"FROM scratch\nADD {server.url}/t /\nADD {server.url}/d /\nADD {server.url}/n /\n"
        first = builder.build(text)
        again = builder.build(text)
        assert again.image_id == first.image_id
        assert len(builder.shown.cached_steps) == 3
        assert builder.shown.said.count(b"not changed") == 2
        server.pages["/t"] = tagged(b"changed", '"2"')
        changed = builder.build(text)
        assert changed.image_id != first.image_id
        assert (len(builder.shown.cached_steps), builder.shown.said.count(b"not changed")) == (0, 1)
        assert builder.build(text, uses_cache=False).image_id == changed.image_id
        assert b"not changed" not in builder.shown.said


def test_another_address_with_the_same_content_is_the_same_step(builder: Builder) -> None:
    with Server({"/a/x": b"x", "/b/x": b"x"}) as server:
        builder.build(f"FROM scratch\nADD {server.url}/a/x /\n")
        builder.build(f"FROM scratch\nADD {server.url}/b/x /\n")
    assert len(builder.shown.cached_steps) == 1


def test_what_is_known_by_its_checksum_is_asked_of_nobody(builder: Builder) -> None:
    text = "FROM scratch\nARG SUM={}\nADD --checksum=$SUM {}/x /\n"
    with Server({"/x": b"right"}) as server:
        builder.build(text.format(digest(b"right"), server.url))
        asked = len(server.asked)
        builder.build(text.format(digest(b"right"), server.url))
        assert len(server.asked) == asked == 1


def test_a_wrong_checksum_is_told_with_both_and_keeps_nothing(builder: Builder) -> None:
    with Server({"/x": b"wrong"}) as server, pytest.raises(EstibaError) as failure:
        builder.build(f"FROM scratch\nADD --checksum={digest(b'right')} {server.url}/x /\n")
    assert f"expected {digest(b'right')}, got {digest(b'wrong')} after 5 bytes" in str(failure.value)
    assert "Dockerfile:2:" in str(failure.value)
    assert (builder.store.snapshots.list(), builder.store.cache.list()) == ((), [])


@pytest.mark.parametrize(
    ("target", "said"),
    [("file:///etc/passwd", "no web address"), ("gopher://x/", "no web address"), ("/loop", "in a circle")],
)
def test_a_redirect_leads_to_web_addresses_and_not_for_ever(builder: Builder, target: str, said: str) -> None:
    with Server({"/loop": redirect(target)}) as server, pytest.raises(EstibaError, match=said):
        builder.build(f"FROM scratch\nADD {server.url}/loop /\n")
    assert builder.store.snapshots.list() == ()


def test_what_a_server_refuses_is_told(builder: Builder) -> None:
    with Server({"/secret": lambda handler: answer(handler, b"", 403)}) as server:
        for page, said in (("none", "answered 404"), ("secret", "answered 403")):
            with pytest.raises(EstibaError, match=said):
                builder.build(f"FROM scratch\nADD {server.url}/{page} /\n")
    with pytest.raises(EstibaError, match="cannot fetch"):
        builder.build(f"FROM scratch\nADD {server.url}/x /\n")


def test_a_transfer_that_is_cut_is_an_error_and_not_a_short_file(builder: Builder) -> None:
    def cut(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"short")
        handler.close_connection = True

    with Server({"/x": cut}) as server, pytest.raises(EstibaError, match="cannot fetch"):
        builder.build(f"FROM scratch\nADD {server.url}/x /\n")
    assert builder.store.snapshots.list() == ()


def test_a_file_larger_than_the_disk_is_refused_before_it_comes(builder: Builder) -> None:
    def huge(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 60))
        handler.end_headers()

    with Server({"/x": huge}) as server, pytest.raises(EstibaError, match="no room"):
        builder.build(f"FROM scratch\nADD {server.url}/x /\n")


def test_an_endless_file_ends_when_the_build_is_given_up(builder: Builder) -> None:
    cancellation = Cancellation()
    flowing = threading.Event()

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 1000)
            flowing.set()

    def give_up() -> None:
        flowing.wait()
        cancellation.set()

    stopper = threading.Thread(target=give_up)
    with Server({"/x": endless}) as server:
        stopper.start()
        with pytest.raises(Cancelled):
            builder.build(f"FROM scratch\nADD {server.url}/x /\n", cancellation=cancellation)
    stopper.join()
    assert builder.store.snapshots.list() == ()


def test_a_password_in_an_address_is_sent_and_not_shown(builder: Builder) -> None:
    with Server({"/x": b"x"}) as server:
        address = server.url.replace("://", "://ana:canary@")
        result = builder.build(f"FROM scratch\nADD {address}/x /\n")
        assert server.asked[0][1]["Authorization"] == "Basic YW5hOmNhbmFyeQ=="
    assert "canary" not in repr(result.config)
    assert "canary" not in repr(builder.store.cache.list())
