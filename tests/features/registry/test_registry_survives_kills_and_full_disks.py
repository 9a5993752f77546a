"""Whatever ends a server or its disk: nothing corrupt is kept, and the next start goes on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from waiting import wait_until

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256


def begin_body(server, method: str, target: str, length: int, first: bytes) -> socket.socket:
    """A request whose body has only begun: the caller sends the rest, or cuts it."""
    host, _, port = server.address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"{method} {target} HTTP/1.1\r\nHost: {server.address}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + first)
    return connection


def upload_sizes(server) -> list[int]:
    directory = f"{server.storage}/uploads"
    return [os.stat(f"{directory}/{name}").st_size for name in os.listdir(directory)]


def test_an_upload_that_was_cut_goes_on_where_it_stopped(make_server):
    server = make_server()
    data = os.urandom(3_000_000)
    location = server.begin("a")
    connection = begin_body(server, "PATCH", location, len(data), data[:2_000_000])
    wait_until(lambda: sum(upload_sizes(server)) >= 1_000_000, "the upload has begun")
    connection.close()
    wait_until(lambda: upload_sizes(server) == [2_000_000], "all that was sent is there")
    status = server.request("GET", location)
    received = int(status.headers["Range"].split("-")[1]) + 1
    assert received == 2_000_000
    answer = server.request("PATCH", location, data[received:], {"Content-Range": f"{received}-{len(data) - 1}"})
    assert answer.status == 202
    assert server.request("PUT", f"{location}?digest={sha256(data)}").status == 201
    assert server.request("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_a_client_that_comes_back_takes_its_upload_over(make_server):
    """The first connection hangs, as it does behind a dead router; the second goes on."""
    server = make_server()
    data = os.urandom(3_000_000)
    location = server.begin("a")
    hanging = begin_body(server, "PATCH", location, len(data), data[:1_500_000])
    wait_until(lambda: sum(upload_sizes(server)) >= 1_000_000, "the upload has begun")
    received = int(server.request("GET", location).headers["Range"].split("-")[1]) + 1
    answer = server.request("PUT", f"{location}?digest={sha256(data)}", data[received:])
    assert answer.status == 201
    hanging.sendall(data[1_500_000:])
    assert hanging.recv(65536).startswith(b"HTTP/1.1 4")
    hanging.close()
    assert server.request("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_a_whole_blob_that_was_cut_is_not_kept(make_server):
    server = make_server()
    data = os.urandom(3_000_000)
    target = f"/v2/a/blobs/uploads/?digest={sha256(data)}"
    connection = begin_body(server, "POST", target, len(data), data[:2_000_000])
    wait_until(lambda: sum(upload_sizes(server)) > 0, "the upload has begun")
    connection.close()
    wait_until(lambda: upload_sizes(server) == [], "the upload is gone")
    assert os.listdir(f"{server.storage}/blobs/sha256") == []


def test_kill_9_in_an_upload_leaves_a_valid_registry(make_server):
    server = make_server()
    manifest = server.push_image("a", "1", b"before")
    data = os.urandom(3_000_000)
    location = server.begin("a")
    connection = begin_body(server, "PATCH", location, len(data), data[:2_000_000])
    wait_until(lambda: sum(upload_sizes(server)) >= 1_000_000, "the upload has begun")
    server.kill()
    connection.close()
    server.start()
    assert server.request("GET", "/v2/a/manifests/1").body == manifest
    assert server.request("GET", f"/v2/a/blobs/{sha256(b'before')}").body == b"before"
    status = server.request("GET", location)
    assert status.status == 204, "the session is resumable"
    received = int(status.headers["Range"].split("-")[1]) + 1
    answer = server.request("PATCH", location, data[received:], {"Content-Range": f"{received}-{len(data) - 1}"})
    assert answer.status == 202
    assert server.request("PUT", f"{location}?digest={sha256(data)}").status == 201
    assert server.request("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_kill_9_at_any_point_of_a_push_keeps_what_was_acknowledged(make_server):
    server = make_server()
    acknowledged: dict[str, bytes] = {}
    for round_number in range(6):
        stop_at = time.monotonic() + 0.05 + 0.03 * round_number
        number = 0
        try:
            while time.monotonic() < stop_at:
                tag = f"r{round_number}n{number}"
                acknowledged[tag] = server.push_image("a", tag, f"layer of {tag}".encode() * 100)
                number += 1
            target = f"/v2/a/blobs/uploads/?digest={sha256(b'x' * 4_000_000)}"
            connection = begin_body(server, "POST", target, 4_000_000, b"x" * 1_000_000)
        finally:
            server.kill()
        connection.close()
        server.start()
    for tag, manifest in acknowledged.items():
        assert server.request("GET", f"/v2/a/manifests/{tag}").body == manifest
        layer = json.loads(manifest)["layers"][0]["digest"]
        assert sha256(server.request("GET", f"/v2/a/blobs/{layer}").body) == layer
    for name in os.listdir(f"{server.storage}/blobs/sha256"):
        with open(f"{server.storage}/blobs/sha256/{name}", "rb") as file:
            assert sha256(file.read()) == f"sha256:{name}"


def test_sigterm_lets_an_upload_in_flight_end(make_server):
    server = make_server()
    data = os.urandom(2_000_000)
    target = f"/v2/a/blobs/uploads/?digest={sha256(data)}"
    connection = begin_body(server, "POST", target, len(data), data[:1_500_000])
    wait_until(lambda: sum(upload_sizes(server)) > 0, "the upload has begun")
    server.terminate()
    wait_until(lambda: not _accepts(server), "it takes no new connection")
    connection.sendall(data[1_500_000:])
    assert connection.recv(65536).startswith(b"HTTP/1.1 201")
    connection.close()
    assert server.wait() == 0
    server.start()
    assert server.request("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_a_second_sigterm_ends_the_patience_and_keeps_the_session(make_server):
    server = make_server()
    location = server.begin("a")
    connection = begin_body(server, "PATCH", location, 3_000_000, b"x" * 1_500_000)
    wait_until(lambda: sum(upload_sizes(server)) >= 1_000_000, "the upload has begun")
    server.terminate()
    wait_until(lambda: not _accepts(server), "it takes no new connection")
    server.terminate()
    assert server.wait() == 0
    connection.close()
    server.start()
    status = server.request("GET", location)
    assert (status.status, status.headers["Range"]) == (204, "0-1499999")


def test_sigterm_with_idle_connections_ends_at_once(make_server):
    server = make_server()
    connection = server.connect()
    connection.request("GET", "/v2/")
    connection.getresponse().read()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    connection.close()


@pytest.mark.root
def test_a_full_disk_is_told_and_nothing_is_kept(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=True)
    server = registries.Server(str(disk / "storage"))
    server.log_path = str(tmp_path / "log")
    try:
        server.start()
        small = server.push_image("a", "1", b"small")
        data = os.urandom(8_000_000)
        location = server.begin("a")
        answer = server.request("PUT", f"{location}?digest={sha256(data)}", data)
        assert (answer.status, answer.code) == (507, "UNAVAILABLE")
        whole = server.request("POST", f"/v2/a/blobs/uploads/?digest={sha256(data)}", data)
        assert whole.status == 507
        assert upload_sizes(server) == []
        assert server.request("GET", location).status == 404
        assert server.request("GET", "/v2/a/manifests/1").body == small
        server.push_image("a", "2", os.urandom(100_000))
        assert "no space left" in server.log.lower()
    finally:
        server.stop()
        subprocess.run(["umount", str(disk)], check=True)


def test_what_failed_is_logged_as_one_json_line(make_server):
    server = make_server()
    digest = server.push_blob("a", b"data")
    os.unlink(f"{server.storage}/blobs/sha256/{digest.removeprefix('sha256:')}")
    os.mkdir(f"{server.storage}/blobs/sha256/{digest.removeprefix('sha256:')}")
    answer = server.request("GET", f"/v2/a/blobs/{digest}")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    line = json.loads(server.log.splitlines()[-1])
    assert (line["level"], line["status"], line["path"]) == ("error", 500, f"/v2/a/blobs/{digest}")
    assert line["error"].startswith("IsADirectoryError")


def _accepts(server) -> bool:
    host, _, port = server.address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
