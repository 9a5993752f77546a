"""Whoever reaches the registry's port may send it anything: it answers in a sentence, quickly, and keeps its files."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time

import pytest


def _raw(server, request: bytes) -> bytes:
    """Bytes on a socket, as no client library would send them; gives the whole answer."""
    host, _, port = server.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def _ask(server, method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[int, bytes]:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    answer = _raw(server, head.encode() + body)
    return int(answer.split(b" ")[1]), answer.partition(b"\r\n\r\n")[2]


_UP = [
    "..",
    "%2e%2e",
    "%2E%2e",
    "..%2f..",
    "..%2F..%2F",
    "%2e%2e%2f%2e%2e",
    "....//",
    "%252e%252e%252f",
    "..%5c..",
    "%00",
]


@pytest.mark.parametrize("up", _UP)
def test_no_path_leads_out_of_the_storage(server, up):
    """A name, tag, digest or session that climbs: nothing outside is read, written or removed."""
    canary = os.path.join(os.path.dirname(server.storage), "canary")
    with open(canary, "w", encoding="ascii") as file:
        file.write("secret")
    target = "/".join([up] * 6)
    paths = [
        f"/v2/{target}/manifests/latest",
        f"/v2/a/manifests/{target}%2fcanary",
        f"/v2/a/blobs/sha256:{target}%2fcanary",
        f"/v2/a/blobs/sha256:{up}/{up}/canary",
        f"/v2/a/blobs/uploads/{up}%2fcanary",
        f"/v2/a/blobs/uploads/{target}/canary",
        f"/v2/a/referrers/sha256:{up}",
        f"/{target}/canary",
        f"/v2/{target}/blobs/uploads/",
    ]
    for path in paths:
        for method in ("GET", "PUT", "PATCH", "POST", "DELETE"):
            status, body = _ask(server, method, path, body=b"attacked")
            assert 400 <= status < 500, (method, path)
            assert b"secret" not in body
    with open(canary, encoding="ascii") as file:
        assert file.read() == "secret"
    assert not os.path.exists(os.path.join(os.path.dirname(server.storage), "attacked"))


def test_a_session_belongs_to_its_repository(server, repository):
    """Somebody else's upload is neither seen, nor written, nor closed, nor cancelled through another repository."""
    session = server.begin(repository).rpartition("/")[2]
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        query = "?digest=sha256:" + "0" * 64 if method == "PUT" else ""
        assert _ask(server, method, f"/v2/other/blobs/uploads/{session}{query}", body=b"x")[0] == 404
    assert _ask(server, "GET", f"/v2/{repository}/blobs/uploads/{session}")[0] == 204


def test_a_blob_of_one_repository_is_not_read_through_another(server, repository):
    digest = server.push_blob(repository, b"private")
    assert _ask(server, "GET", f"/v2/{repository}/blobs/{digest}") == (200, b"private")
    assert _ask(server, "GET", f"/v2/{repository}x/blobs/{digest}")[0] == 404
    assert _ask(server, "HEAD", f"/v2/{repository}x/blobs/{digest}")[0] == 404


def test_hostile_documents_do_not_hold_up_the_others(server, repository):
    """Each is refused at once, while another client is served."""
    many = b"{" + b"".join(b'"%d":0,' % number for number in range(250_000)) + b'"249999":1}'
    documents = {
        "a key twice behind many": many,
        "arrays in arrays": b"[" * 1_000_000,
        "objects in objects": b'{"a":' * 200_000,
        "a long number": b'{"schemaVersion":' + b"9" * 1_000_000 + b"}",
        "too large": b" " * (5 << 20),
        "half a surrogate": b'{"schemaVersion":2,"mediaType":"\\ud800"}',
        "not a number": b'{"schemaVersion":NaN}',
        "negative sizes": json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
            "config": {"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": -1},
        }).encode(),
    }  # fmt: skip
    for what, document in documents.items():
        begun = time.monotonic()
        status, _ = _ask(server, "PUT", f"/v2/{repository}/manifests/latest", body=document)
        assert status in (400, 413), what
        assert _ask(server, "GET", "/v2/")[0] == 200
        assert time.monotonic() - begun < 10, what


@pytest.mark.parametrize(
    "query",
    ["n=-1", "n=0", "n=1e9", "n=" + "9" * 5000, "n=5&last=%00", "last=%ff%fe", "n=1%0d%0aX:y", "last=" + "a" * 4000],
)
def test_absurd_pages_are_answered(server, query):
    status, _ = _ask(server, "GET", f"/v2/_catalog?{query}")
    assert status in (200, 400)


def test_no_answer_carries_a_header_of_the_attackers(server):
    for path in (
        "/v2/a%0d%0aX-Evil:%201/blobs/uploads/",
        "/v2/a/blobs/uploads/?mount=sha256:" + "0" * 64 + "%0d%0aX-Evil:1",
    ):
        answer = _raw(
            server, f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"x-evil" not in answer.partition(b"\r\n\r\n")[0].lower()


def test_chunks_cannot_be_put_anywhere_but_at_the_end(server, repository):
    """Ranges that overlap, leave a hole, lie, or overflow: the upload is what was sent in order, or nothing."""
    place = server.begin(repository)
    assert _ask(server, "PATCH", place, "Content-Range: 0-4\r\n", b"12345")[0] == 202
    for text in (
        "0-4",
        "10-14",
        "4-8",
        "5-3",
        "5-1000",
        f"5-{'9' * 18}",
        "-5-0",
        "5-",
        "a-b",
        f"{'9' * 30}-{'9' * 31}",
    ):
        assert _ask(server, "PATCH", place, f"Content-Range: {text}\r\n", b"67890")[0] in (400, 416), text
    digest = "sha256:" + hashlib.sha256(b"1234567890").hexdigest()
    assert _ask(server, "PUT", f"{place}?digest={digest}", "Content-Range: 5-9\r\n", b"67890")[0] == 201


def test_what_the_registry_keeps_is_for_its_owner(server):
    for place in (
        server.storage,
        os.path.join(server.storage, "uploads"),
        os.path.join(server.storage, "blobs/sha256"),
    ):
        assert os.stat(place).st_mode & 0o022 == 0
    assert os.stat(os.path.join(server.storage, "uploads")).st_mode & 0o077 == 0
