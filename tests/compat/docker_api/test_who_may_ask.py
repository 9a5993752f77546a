"""Whoever reaches the API owns the machine: who does not."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import subprocess

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def _ask(ours, method: str, path: str, headers: dict[str, str]) -> int:
    connection = _Unix(ours.docker.address.removeprefix("unix://"))
    try:
        connection.request(method, path, body="{}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_web_page_is_refused(ours) -> None:
    assert _ask(ours, "GET", "/_ping", {}) == 200
    assert _ask(ours, "GET", "/_ping", {"Sec-Fetch-Site": "same-origin"}) == 403
    for origin in ("https://example.org", "null"):
        assert _ask(ours, "GET", "/_ping", {"Origin": origin}) == 403
        assert _ask(ours, "POST", "/containers/create", {"Origin": origin, "Content-Type": "text/plain"}) == 403


def test_the_socket_is_closed_to_others(ours) -> None:
    mode = os.stat(ours.docker.address.removeprefix("unix://")).st_mode
    assert stat.S_IMODE(mode) & 0o007 == 0


@pytest.mark.parametrize("host", ["tcp://0.0.0.0:0", "tcp://[::]:0"])
def test_an_address_that_others_reach_needs_certificates(ours, host: str) -> None:
    done = subprocess.run([*ours.command, "daemon", "-H", host], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "take this machine over" in done.stderr
