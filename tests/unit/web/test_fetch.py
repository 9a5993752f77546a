"""Whoever reads what a URL gives hears why it ended early, and never takes a part for the whole."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator

import pytest

from estiba.errors import InvalidInput, NotFound, Unavailable
from estiba.web import fetch
from estiba.web.fetch import fetched
from estiba.web.proxies import Proxies

_BODY = b"x" * 100_000


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/whole", "/cut") else int(self.path[1:]))
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY[: 5000 if self.path == "/cut" else None])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read(url: str) -> bytes:
    with fetched(url, proxies=Proxies.of({}), agent="test") as stream:
        return stream.read()


def test_all_of_it_comes(address):
    assert read(f"{address}/whole") == _BODY


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [("404", NotFound, "there is no"), ("500", Unavailable, "answered 500"), ("cut", Unavailable, "cannot fetch")],
)
def test_what_the_server_does_not_give_is_told(address, path, kind, words):
    with pytest.raises(kind, match=words):
        read(f"{address}/{path}")


@pytest.mark.parametrize("url", ["http://", "http://[::1/x", "nothing"])
def test_what_is_no_address_is_told(url):
    with pytest.raises(InvalidInput, match="cannot be fetched"):
        read(url)


def test_nobody_takes_a_transfer_that_broke_for_an_empty_file(monkeypatch):
    async def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(fetch, "_fetch", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        read("http://127.0.0.1/")


def test_why_the_transfer_failed_is_told_and_not_what_that_led_to(address):
    with (
        pytest.raises(Unavailable, match="cannot fetch"),
        fetched(f"{address}/cut", proxies=Proxies.of({}), agent="test") as stream,
    ):
        while stream.read(1 << 16):
            pass
        raise ValueError("the archive is cut")


def test_who_reads_no_more_ends_the_transfer(address):
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(ValueError, match="enough"), fetched(f"{address}/whole", proxies=Proxies.of({}), agent="test"):
        raise ValueError("enough")
    assert len(os.listdir("/proc/self/fd")) <= len(before)
