"""Push and pull with our client against our server, and against servers that misbehave."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

import pytest
from aiohttp import web

from estiba.errors import Corrupt, InvalidInput, NotFound, NotThereYet, PermissionDenied, Unavailable
from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client import progress as statuses
from estiba.registry.client.connection import Patience
from estiba.registry.client.credentials import CredentialFile, Login, NoCredentials, OneLogin
from estiba.registry.client.login import login
from estiba.registry.client.manifests import NoSuchPlatform
from estiba.registry.client.pull import pull
from estiba.registry.client.push import EXISTS, MOUNTED, PUSHED, push
from estiba.store.store import Store

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256
AMD64 = Platform.parse("linux/amd64")
QUICK = Patience(attempts=4, first_wait=0.01)


def _load_images():
    spec = util.spec_from_file_location("estiba_test_images_of_registry", Path(__file__).parents[2] / "images.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


images = _load_images()


@pytest.fixture
def make_store(tmp_path) -> Iterator[Callable[[str], Store]]:
    opened = []

    def make(name: str = "store") -> Store:
        opened.append(Store.open(str(tmp_path / name)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.statuses: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        self.statuses.append(status)


def fetch(store: Store, name: str, **options):
    options = {"platform": AMD64, "credentials": NoCredentials(), "patience": QUICK} | options
    return pull(store, Reference.parse(name), **options)


def send(store: Store, image, name: str, **options):
    options = {"credentials": NoCredentials(), "patience": QUICK} | options
    return push(store, image.id, Reference.parse(name), **options)


# With our server


@pytest.mark.root
def test_an_image_goes_to_the_registry_and_comes_back_the_same(server, make_store, repository):
    here, there = make_store("here"), make_store("there")
    image = images.busybox_image(here)
    name = f"{server.address}/{repository}:1"
    result = send(here, image, name)
    assert [blob.how for blob in (*result.layers, result.config)] == [PUSHED, PUSHED]
    recorder = Recorder()
    record = fetch(there, name, progress=recorder)
    assert record.id == image.id
    assert record.manifest == result.digest
    assert there.images.find(name).id == image.id
    assert there.references.get(Reference.parse(name)).manifest == result.digest
    chain = there.images.config(record.id).chain_id
    assert os.path.exists(f"{there.snapshots.directories(chain)[0]}/bin/busybox")
    assert recorder.lines[-1] == f"Status: Downloaded newer image for {name}"
    assert recorder.statuses[-1] == statuses.UNPACKED
    again = Recorder()
    fetch(there, name, progress=again)
    assert again.statuses == [statuses.EXISTS_HERE]
    assert again.lines[-1] == f"Status: Image is up to date for {name}"


@pytest.mark.root
def test_only_what_the_registry_does_not_have_travels(server, make_store, repository):
    store = make_store()
    image = images.busybox_image(store)
    first = send(store, image, f"{server.address}/{repository}/a:1")
    assert first.bytes_sent == sum(blob.size for blob in (*first.layers, first.config))
    same = send(store, image, f"{server.address}/{repository}/a:2")
    assert {blob.how for blob in (*same.layers, same.config)} == {EXISTS}
    other = send(store, image, f"{server.address}/{repository}/b:1")
    assert {blob.how for blob in (*other.layers, other.config)} == {MOUNTED}
    assert same.bytes_sent == other.bytes_sent == 0
    assert first.digest == same.digest == other.digest


@pytest.mark.root
def test_a_source_that_has_gone_is_only_a_hint(server, make_store, repository):
    store = make_store()
    image = images.busybox_image(store)
    result = send(store, image, f"{server.address}/{repository}/a:1")
    server.request("DELETE", f"/v2/{repository}/a/manifests/{result.digest}")
    for blob in (*result.layers, result.config):
        assert server.request("DELETE", f"/v2/{repository}/a/blobs/{blob.digest}").status == 202
    again = send(store, image, f"{server.address}/{repository}/b:1")
    assert {blob.how for blob in (*again.layers, again.config)} == {PUSHED}
    assert server.request("GET", f"/v2/{repository}/b/manifests/1").status == 200


@pytest.mark.root
def test_a_pull_by_digest_is_held_to_it(server, make_store, repository):
    here, there = make_store("here"), make_store("there")
    image = images.busybox_image(here)
    result = send(here, image, f"{server.address}/{repository}:1")
    assert fetch(there, f"{server.address}/{repository}@{result.digest}").id == image.id


@pytest.mark.root
def test_an_index_is_pulled_for_the_platform(server, make_store, repository):
    here, there = make_store("here"), make_store("there")
    image = images.busybox_image(here)
    result = send(here, image, f"{server.address}/{repository}:amd64")
    entry = {"mediaType": registries.OCI_MANIFEST, "digest": str(result.digest), "size": result.manifest_size}
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": registries.OCI_INDEX,
            "manifests": [entry | {"platform": {"os": "linux", "architecture": "amd64"}}],
        }
    ).encode()
    assert server.push_manifest(repository, "all", index, registries.OCI_INDEX).status == 201
    name = f"{server.address}/{repository}:all"
    assert fetch(there, name).id == image.id
    assert str(there.references.get(Reference.parse(name)).manifest) == sha256(index)
    with pytest.raises(NoSuchPlatform, match="it is for linux/amd64"):
        fetch(there, name, platform=Platform.parse("linux/s390x"))


def test_what_is_not_there_is_told(server, make_store, repository):
    server.push_image(repository, "1")
    with pytest.raises(NotFound, match="MANIFEST_UNKNOWN"):
        fetch(make_store(), f"{server.address}/{repository}:missing")
    with pytest.raises(NotFound, match="NAME_UNKNOWN"):
        fetch(make_store(), f"{server.address}/nobody/made/this")


def test_an_artifact_is_no_image(server, make_store, repository):
    server.push_blob(repository, b"{}")
    manifest = json.loads(registries.image_manifest(b"{}"))
    manifest["config"]["mediaType"] = registries.OCI_EMPTY
    manifest["artifactType"] = "application/x-chart"
    server.push_manifest(repository, "chart", json.dumps(manifest).encode())
    with pytest.raises(InvalidInput, match="artifact of type application/x-chart"):
        fetch(make_store(), f"{server.address}/{repository}:chart")


def test_a_registry_that_does_not_run_is_told(make_store):
    with pytest.raises(Unavailable, match=r"cannot reach the registry http://127\.0\.0\.1:1"):
        fetch(make_store(), "127.0.0.1:1/a", patience=Patience(attempts=2, first_wait=0.01))


def test_a_login_is_tried_out_and_kept(make_server, make_store, tmp_path):
    users = tmp_path / "htpasswd"
    users.write_text("ana:" + _bcrypt("secret") + "\n")
    server = make_server("--htpasswd", str(users))
    file = CredentialFile(str(tmp_path / "config.json"))
    with pytest.raises(PermissionDenied, match="wrong user or password"):
        login(server.address, user="ana", password="wrong", file=file)
    assert file.get(server.address) is None
    assert login(server.address, user="ana", password="secret", file=file) == file.path
    with pytest.raises(PermissionDenied, match="estiba login"):
        fetch(make_store(), f"{server.address}/a")
    with pytest.raises(NotFound):
        fetch(make_store(), f"{server.address}/a", credentials=file)


def _bcrypt(password: str) -> str:
    import ctypes

    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()


# With servers that misbehave

Content = registries.Content
Handler = registries.Handler


async def _cut(request: web.Request, data: bytes, total: int) -> web.StreamResponse:
    """Promise `total` bytes, send `data`, and hang up."""
    response = web.StreamResponse(headers={"Content-Length": str(total)})
    await response.prepare(request)
    await response.write(data)
    request.transport.close()
    return response


@pytest.mark.root
def test_a_download_that_is_cut_goes_on_where_it_stopped(misbehave, make_store):
    content = Content()
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        small = content.small(request)
        if small is not None:
            return small
        asked.append(request.headers.get("Range", ""))
        start = int(asked[-1].removeprefix("bytes=").removesuffix("-") or 0)
        rest = content.layer[start:]
        if len(asked) < 4:
            response = web.StreamResponse(status=206 if start else 200)
            response.content_length = len(rest)
            if start:
                response.headers["Content-Range"] = f"bytes {start}-{len(content.layer) - 1}/{len(content.layer)}"
            await response.prepare(request)
            await response.write(rest[:700_000])
            request.transport.close()
            return response
        headers = {"Content-Range": f"bytes {start}-{len(content.layer) - 1}/{len(content.layer)}"}
        return web.Response(status=206, body=rest, headers=headers)

    registry = misbehave(handler)
    store = make_store()
    fetch(store, f"{registry.address}/a")
    assert store.blobs.read(Digest.of(content.layer), limit=len(content.layer)) == content.layer
    assert asked[0] == ""
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in asked[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0


@pytest.mark.root
def test_a_server_that_ignores_ranges_is_read_from_the_start_again(misbehave, make_store):
    content = Content()
    attempts = []

    async def handler(request: web.Request) -> web.StreamResponse:
        small = content.small(request)
        if small is not None:
            return small
        attempts.append(1)
        if len(attempts) == 1:
            return await _cut(request, content.layer[:1_000_000], len(content.layer))
        return web.Response(body=content.layer)

    store = make_store()
    fetch(store, f"{misbehave(handler).address}/a")
    assert store.blobs.has(Digest.of(content.layer))


def test_a_download_that_is_always_cut_fails_and_keeps_nothing(misbehave, make_store):
    content = Content()

    async def handler(request: web.Request) -> web.StreamResponse:
        return content.small(request) or await _cut(request, b"", len(content.layer))

    store = make_store()
    with pytest.raises(Unavailable, match="cannot reach"):
        fetch(store, f"{misbehave(handler).address}/a")
    assert not store.blobs.has(Digest.of(content.layer))
    assert os.listdir(store.paths.tmp) == []


@pytest.mark.parametrize("how", ["other bytes", "fewer bytes", "more bytes"])
def test_bytes_that_are_not_the_digest_are_not_kept(misbehave, make_store, how):
    content = Content()
    body = {"other bytes": b"x" * len(content.layer), "fewer bytes": b"x", "more bytes": content.layer + b"x"}[how]

    async def handler(request: web.Request) -> web.StreamResponse:
        return content.small(request) or web.Response(body=body)

    store = make_store()
    with pytest.raises((Corrupt, Unavailable)):
        fetch(store, f"{misbehave(handler).address}/a")
    assert not store.blobs.has(Digest.of(content.layer))
    assert store.images.list() == []
    assert os.listdir(store.paths.tmp) == []


def test_a_manifest_that_is_not_its_digest_is_refused(misbehave, make_store):
    content = Content(10)

    async def handler(request: web.Request) -> web.StreamResponse:
        return content.small(request) or web.Response(status=404)

    with pytest.raises(Corrupt, match="expected sha256:"):
        fetch(make_store(), f"{misbehave(handler).address}/a@{sha256(b'another')}")


def test_a_manifest_without_an_end_is_refused(misbehave, make_store):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b" " * (5 << 20), content_type=registries.OCI_MANIFEST)

    with pytest.raises(Corrupt, match="larger than"):
        fetch(make_store(), f"{misbehave(handler).address}/a")


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_asked_again(misbehave, make_store, status):
    attempts = []

    async def handler(request: web.Request) -> web.StreamResponse:
        attempts.append(1)
        if len(attempts) < 3:
            return web.Response(status=status)
        return web.Response(status=404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}')

    with pytest.raises(NotFound, match="MANIFEST_UNKNOWN: no"):
        fetch(make_store(), f"{misbehave(handler).address}/a")
    assert len(attempts) == 3


def test_a_server_that_stays_in_trouble_is_given_up(misbehave, make_store):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    registry = misbehave(handler)
    with pytest.raises(Unavailable, match="status 503"):
        fetch(make_store(), f"{registry.address}/a")
    assert len(registry.seen) == QUICK.attempts


class TokenServer:
    """A registry with Docker's token scheme in front of what `inner` answers."""

    def __init__(self, inner: Handler) -> None:
        self.inner = inner
        self.asked: list[tuple[str, list[str], str]] = []
        self.address = ""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return await self._token(request)
        if request.headers.get("Authorization") != f"Bearer t{len(self.asked)}":
            realm = f'Bearer realm="http://{self.address}/token",service="us"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return await self.inner(request)

    async def _token(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            form = await request.post()
            self.asked.append(("identity " + form["refresh_token"], form["scope"].split(), form["service"]))
        else:
            header = request.headers.get("Authorization", "")
            user = base64.b64decode(header.removeprefix("Basic ")).decode()
            self.asked.append((user, request.query.getall("scope", []), request.query["service"]))
            if user == "ana:wrong":
                self.asked.pop()
                return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}, status=401)
        return web.json_response({"token": f"t{len(self.asked)}", "expires_in": 300})


async def _nothing(request: web.Request) -> web.StreamResponse:
    return web.Response(status=404)


@pytest.mark.parametrize(
    ("login_", "who"),
    [(None, ""), (Login("ana", "secret"), "ana:secret"), (Login("", "", "id"), "identity id")],
)
def test_a_token_is_fetched_once_for_what_is_needed(misbehave, make_store, login_, who):
    tokens = TokenServer(_nothing)
    registry = misbehave(tokens)
    tokens.address = registry.address
    credentials = OneLogin(login_) if login_ else NoCredentials()
    with pytest.raises(NotFound):
        fetch(make_store(), f"{registry.address}/team/app:1", credentials=credentials)
    assert tokens.asked == [(who, ["repository:team/app:pull"], "us")]


def test_a_wrong_password_at_the_token_server_is_told(misbehave, make_store):
    tokens = TokenServer(_nothing)
    registry = misbehave(tokens)
    tokens.address = registry.address
    with pytest.raises(PermissionDenied, match="who\\?"):
        fetch(make_store(), f"{registry.address}/a", credentials=OneLogin(Login("ana", "wrong")))


def test_a_password_is_not_sent_in_the_open_to_another_host(misbehave, make_store):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="ftp://elsewhere.example/token"'})

    with pytest.raises(Corrupt, match=r"names 'ftp://elsewhere\.example/token' as its token server"):
        fetch(make_store(), f"{misbehave(handler).address}/a", credentials=OneLogin(Login("ana", "secret")))


def test_a_scheme_that_nobody_knows_is_named(misbehave, make_store):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=401, headers={"WWW-Authenticate": "Negotiate"})

    with pytest.raises(NotThereYet, match="negotiate"):
        fetch(make_store(), f"{misbehave(handler).address}/a")


@pytest.mark.root
def test_an_upload_that_breaks_is_begun_again(misbehave, make_store):
    stored: dict[str, bytes] = {}
    puts = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(status=404)
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": f"/upload/{len(puts)}?state=a%2Fb"})
        if request.path.startswith("/upload/"):
            assert request.query["state"] == "a/b"
            if request.method == "GET":
                return web.Response(status=404)
            puts.append(request.path)
            if len(puts) == 1:
                await request.content.readany()
                request.transport.close()
                return web.Response()
            stored[request.query["digest"]] = await request.read()
            return web.Response(status=201)
        stored["manifest"] = await request.read()
        return web.Response(status=201)

    store = make_store()
    result = send(store, images.busybox_image(store), f"{misbehave(handler).address}/a:1")
    for blob in (*result.layers, result.config):
        assert Digest.of(stored[str(blob.digest)]) == blob.digest
    assert Digest.of(stored["manifest"]) == result.digest
    assert len(puts) == 3


# Layers that a registry does not distribute (image-spec, layer.md, "Non-Distributable Layers")


def _foreign_image(content, urls: list[str]) -> bytes:
    value = json.loads(content.manifest)
    value["layers"][0] |= {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "urls": urls}
    return json.dumps(value).encode()


@pytest.mark.root
def test_a_foreign_layer_is_fetched_from_its_own_address(misbehave, make_store):
    content = registries.Content(100_000)
    asked = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.Response(body=content.layer)

    url = f"http://{misbehave(elsewhere).address}/layer"

    async def registry(request: web.Request) -> web.Response:
        if "/manifests/" in request.path:
            return web.Response(body=_foreign_image(content, [url]), content_type=registries.OCI_MANIFEST)
        return content.small(request) or web.Response(status=404)

    store = make_store()
    name = Reference.parse(f"{misbehave(registry).address}/windows:1")
    record = pull(store, name, platform=AMD64, credentials=NoCredentials(), patience=QUICK)
    assert asked == [None], "and the registry's credentials do not go there"
    assert store.blobs.has(Digest.parse(sha256(content.layer)))
    assert record.id == Digest.of(content.config)


def test_a_foreign_layer_without_an_address_is_not_there(misbehave, make_store):
    content = registries.Content(1000)

    async def registry(request: web.Request) -> web.Response:
        if "/manifests/" in request.path:
            data = _foreign_image(content, ["ftp://127.0.0.1/layer"])
            return web.Response(body=data, content_type=registries.OCI_MANIFEST)
        return content.small(request) or web.Response(status=404)

    name = Reference.parse(f"{misbehave(registry).address}/windows:1")
    with pytest.raises(NotFound):
        pull(make_store(), name, platform=AMD64, credentials=NoCredentials(), patience=QUICK)
