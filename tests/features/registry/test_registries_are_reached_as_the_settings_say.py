"""Mirrors, proxies, certificates, insecure registries, rate limits, and Azure's tokens."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest
from aiohttp import web

from estiba.errors import EstibaError, InvalidInput, NotFound, PermissionDenied, Unavailable
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.ask import Registries
from estiba.registry.client.connection import Patience
from estiba.registry.client.credentials import CredentialFile, NoCredentials
from estiba.registry.client.login import login_to_azure
from estiba.registry.client.pull import pull
from estiba.registry.client.routes import Mirror, Routes
from estiba.store.store import Store
from estiba.web.proxies import Proxies

registries = sys.modules["estiba_test_registries"]
QUICK = Patience(attempts=3, first_wait=0.01)


class Recorder:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def blob(self, digest, status: str, *, done: int = 0, total: int = 0) -> None:
        pass


def ask(**options) -> Registries:
    return Registries(**{"credentials": NoCredentials(), "patience": QUICK} | options)


def tags(reference: str, **options) -> tuple[str, ...]:
    return ask(**options).tags(Reference.parse(reference))


async def one_tag(request: web.Request) -> web.StreamResponse:
    return web.json_response({"name": "a", "tags": ["1"]})


# Mirrors


@pytest.mark.root
def test_an_image_comes_from_the_first_mirror_that_has_it_and_keeps_its_name(misbehave, tmp_path):
    content = registries.Content(1000)

    async def has_it(request: web.Request) -> web.StreamResponse:
        assert request.path.startswith("/v2/hub/library/a/")
        return content.small(request) or web.Response(body=content.layer)

    async def has_nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    empty, full = misbehave(has_nothing), misbehave(has_it)
    mirrors = (Mirror("127.0.0.1:1"), Mirror(empty.address), Mirror(full.address, "hub"))
    recorder = Recorder()
    with Store.open(str(tmp_path / "store")) as store:
        record = pull(
            store,
            Reference.parse("a:1"),
            platform=Platform.parse("linux/amd64"),
            credentials=NoCredentials(),
            patience=QUICK,
            progress=recorder,
            routes=Routes(mirrors={"docker.io": mirrors}),
        )
        assert store.images.find("a:1").id == record.id
    assert recorder.lines[0].startswith("The mirror 127.0.0.1:1 is passed over: cannot reach")
    assert recorder.lines[1].startswith(f"The mirror {empty.address} is passed over")


def test_where_no_mirror_has_it_the_registry_itself_is_asked(misbehave, tmp_path):
    async def has_nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    mirror, origin = misbehave(has_nothing), misbehave(has_nothing)
    routes = Routes(mirrors={origin.address: (Mirror(mirror.address),)})
    with Store.open(str(tmp_path / "store")) as store, pytest.raises(NotFound, match=origin.address):
        pull(
            store,
            Reference.parse(f"{origin.address}/a:1"),
            platform=Platform.parse("linux/amd64"),
            credentials=NoCredentials(),
            routes=routes,
        )
    assert origin.seen == mirror.seen == ["GET /v2/a/manifests/1"]


# Proxies


def test_requests_go_through_the_proxy(misbehave):
    proxy = misbehave(one_tag)  # a proxy for plain HTTP gets the whole URL and answers it
    routes = Routes(insecure=("registry.example",), proxies=Proxies(http=f"http://{proxy.address}"))
    assert tags("registry.example/a", routes=routes) == ("1",)
    assert "GET /v2/a/tags/list" in proxy.seen


def test_a_proxy_that_does_not_answer_is_told():
    routes = Routes(insecure=("registry.example",), proxies=Proxies("http://127.0.0.1:1", "http://127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"cannot reach the registry"):
        tags("registry.example/a", routes=routes)


# Certificates


class Secure:
    """A registry with TLS whose certificate comes from an authority of its own; it may want one from its client."""

    def __init__(self, directory, *, wants_client: bool = False) -> None:
        self.directory = str(directory)
        self._make_certificates()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        if wants_client:
            self._context.load_verify_locations(self.path("ca.pem"))
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def certificates(self, *, client: bool = False) -> str:
        """A directory as ``/etc/docker/certs.d`` that trusts this registry."""
        place = self.path(f"certs.d-{client}")
        os.makedirs(f"{place}/{self.address}")
        self._copy("ca.pem", f"{place}/{self.address}/ca.crt")
        if client:
            self._copy("client.pem", f"{place}/{self.address}/client.cert")
            self._copy("client.key", f"{place}/{self.address}/client.key")
        return place

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _copy(self, name: str, target: str) -> None:
        with open(self.path(name), "rb") as source, open(target, "wb") as out:
            out.write(source.read())

    def _make_certificates(self) -> None:
        self._openssl("req", "-x509", *self._new_key("ca"), "-subj", "/CN=authority", "-days", "2", "-out", "ca.pem")
        with open(self.path("names"), "w", encoding="ascii") as names:
            names.write("subjectAltName=IP:127.0.0.1\n")
        for name in ("server", "client"):
            self._openssl("req", *self._new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
            self._openssl(
                *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
                *("-days", "2", "-extfile", "names", "-out", f"{name}.pem"),
            )

    @staticmethod
    def _new_key(name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", one_tag)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context).start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()


@pytest.fixture
def make_secure(tmp_path) -> Iterator[Callable]:
    made: list[Secure] = []

    def make(**options) -> Secure:
        made.append(Secure(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_authority_of_the_registrys_own_is_trusted_for_it_alone(make_secure):
    secure = make_secure()
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        tags(f"{secure.address}/a")
    assert tags(f"{secure.address}/a", routes=Routes(certificates=(secure.certificates(),))) == ("1",)


def test_a_client_certificate_is_shown_where_there_is_one(make_secure):
    secure = make_secure(wants_client=True)
    with pytest.raises(EstibaError):
        tags(f"{secure.address}/a", routes=Routes(certificates=(secure.certificates(),)))
    assert tags(f"{secure.address}/a", routes=Routes(certificates=(secure.certificates(client=True),))) == ("1",)


def test_a_file_that_is_no_certificate_is_named(make_secure, tmp_path):
    secure = make_secure()
    place = secure.certificates(client=True)
    os.unlink(f"{place}/{secure.address}/client.key")
    with pytest.raises(InvalidInput, match=r"client\.cert: is a client certificate whose key .* is missing"):
        tags(f"{secure.address}/a", routes=Routes(certificates=(place,)))
    with open(f"{place}/{secure.address}/ca.crt", "w", encoding="ascii") as file:
        file.write("nonsense")
    with pytest.raises(InvalidInput, match=r"ca\.crt: is no authority's certificate"):
        tags(f"{secure.address}/a", routes=Routes(certificates=(place,)))


def test_an_insecure_registry_may_have_any_certificate(make_secure):
    secure = make_secure()
    assert tags(f"{secure.address}/a", routes=Routes(insecure=(secure.address,))) == ("1",)
    assert tags(f"{secure.address}/a", routes=Routes(insecure=("127.0.0.0/8",))) == ("1",)


# The settings file


def test_one_file_says_it_for_every_command(misbehave, estiba_home, tmp_path):
    proxy = misbehave(one_tag)
    file = tmp_path / "registries.toml"
    file.write_text('insecure = ["registry.example"]\n')
    environment = os.environ | {"ESTIBA_REGISTRIES": str(file), "http_proxy": f"http://{proxy.address}"}
    assert estiba_home.estiba("tags", "registry.example/a", env=environment).stdout == "1\n"
    file.write_text("insecure = 3\n")
    done = estiba_home.estiba("tags", "registry.example/a", env=environment, check=False)
    assert done.stderr.startswith(f"estiba: {file}: insecure is no list of strings")
    file.write_text("mirror = []\n")
    done = estiba_home.estiba("tags", "registry.example/a", env=environment, check=False)
    assert "unknown key 'mirror'" in done.stderr


# Limits


def test_a_registry_that_asks_for_patience_gets_it(misbehave):
    asked: list[float] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(time.monotonic())
        if len(asked) == 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return await one_tag(request)

    assert tags(f"{misbehave(handler).address}/a") == ("1",)
    assert asked[1] - asked[0] >= 0.95


@pytest.mark.parametrize("when", ["seconds", "date"])
def test_nobody_waits_for_an_hour_and_the_limit_is_told(misbehave, when):
    async def handler(request: web.Request) -> web.StreamResponse:
        wait = "3600" if when == "seconds" else formatdate(time.time() + 3600, usegmt=True)
        limit = {"Retry-After": wait, "RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}
        return web.Response(status=429, headers=limit)

    with pytest.raises(Unavailable, match=r"before 60 minutes have passed \(0 of 100 pulls left in 6 h\)"):
        tags(f"{misbehave(handler).address}/a")


# Lists in pages


def test_a_list_is_read_page_after_page(misbehave):
    async def handler(request: web.Request) -> web.StreamResponse:
        last = int(request.query.get("last", "0"))
        link = {"Link": f'</v2/a/tags/list?n=1000&last={last + 1}>; rel="next"'} if last < 3 else {}
        return web.json_response({"tags": [str(last)]}, headers=link)

    assert tags(f"{misbehave(handler).address}/a") == ("0", "1", "2", "3")


def test_a_list_that_leads_to_itself_ends(misbehave):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"tags": ["1"]}, headers={"Link": f'<{request.path_qs}>; rel="next"'})

    assert tags(f"{misbehave(handler).address}/a") == ("1",)


# Azure Container Registry, as its public description has it


class Azure:
    """Refuses everything without an access token; gives one for a refresh token; gives that for an Entra token."""

    def __init__(self) -> None:
        self.address = ""
        self.exchanges = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/oauth2/exchange":
            form = await request.post()
            assert form["grant_type"] == "access_token"
            assert form["service"] == self.address
            if form["access_token"] != "entra":
                return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "bad token"}]}, status=401)
            assert form["tenant"] == "contoso"
            self.exchanges += 1
            return web.json_response({"refresh_token": "refresh"})
        if request.path == "/oauth2/token":
            form = await request.post()
            assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "refresh")
            return web.json_response({"access_token": f"for {form['scope']}"})
        if request.headers.get("Authorization") != "Bearer for repository:team/app:pull":
            realm = f'Bearer realm="http://{self.address}/oauth2/token",service="{self.address}"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return await one_tag(request)


def test_a_token_of_entra_is_changed_for_one_of_the_registry(misbehave, tmp_path):
    azure = Azure()
    azure.address = misbehave(azure).address
    file = CredentialFile(str(tmp_path / "config.json"))
    with pytest.raises(PermissionDenied, match="bad token"):
        login_to_azure(azure.address, access_token="wrong", tenant="contoso", file=file, patience=QUICK)
    assert file.get(azure.address) is None
    where = login_to_azure(azure.address, access_token="entra", tenant="contoso", file=file, patience=QUICK)
    assert where == file.path
    with open(file.path, encoding="utf-8") as text:
        assert json.load(text)["auths"] == {azure.address: {"identitytoken": "refresh"}}
    assert tags(f"{azure.address}/team/app", credentials=file) == ("1",)
    assert azure.exchanges == 1


def test_a_registry_that_is_not_azures_is_told(misbehave, tmp_path):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    with pytest.raises(NotFound, match="no Azure Container Registry"):
        login_to_azure(
            misbehave(handler).address,
            access_token="entra",
            file=CredentialFile(str(tmp_path / "config.json")),
            patience=QUICK,
        )
