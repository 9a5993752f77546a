"""Login, push and pull with the registries of the field, each as its public description has its tokens.

Each is played by a front that checks tokens, before a real registry that keeps the images.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
from typing import NamedTuple
from urllib.parse import unquote

import aiohttp
import pytest
from aiohttp import web

from waiting import wait_until

registries = sys.modules["estiba_test_registries"]


class Kind(NamedTuple):
    """What is peculiar to one registry: where tokens are given, for which service, in which field, to whom."""

    realm: str
    service: str
    user: str
    field: str = "token"
    answer: tuple[tuple[str, object], ...] = ()
    relative: bool = False
    refusal: int = 401


KINDS = {
    "Docker Hub": Kind("/token", "registry.docker.io", "ana", answer=(("expires_in", 300), ("issued_at", "2026"))),
    "GHCR": Kind("/token", "ghcr.io", "ana", refusal=403),
    "Quay": Kind("/v2/auth", "quay.io", "team+robot", relative=True),
    "Harbor": Kind("/service/token", "harbor-registry", "robot$a+ci", answer=(("access_token", ""), ("expires_in", 9))),
    "GitLab": Kind("/jwt/auth", "container_registry", "gitlab-ci-token"),
    "ACR, a service principal": Kind("/oauth2/token", "{address}", "7a2c0d52-app-id", field="access_token"),
}  # fmt: skip


class Front:
    """Gives tokens to those who know the password; lets pass what a token is for, and what says so."""

    def __init__(self, kind: Kind, behind: str) -> None:
        self.kind = kind
        self.behind = behind
        self.address = ""
        self.given: list[tuple[str, str]] = []

    @property
    def service(self) -> str:
        return self.kind.service.format(address=self.address)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == self.kind.realm:
            return await self._token(request)
        missing = self._missing(request)
        if missing is not None:
            challenge = f'Bearer realm="http://{self.address}{self.kind.realm}",service="{self.service}"'
            challenge += f',scope="{missing}"' if missing else ""
            errors = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
            return web.json_response(errors, status=401, headers={"WWW-Authenticate": challenge})
        return await self._forward(request)

    async def _token(self, request: web.Request) -> web.Response:
        assert request.query["service"] == self.service
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        user = base64.b64decode(value).decode() if scheme == "Basic" else ""
        scopes = request.query.getall("scope", [])
        if user != f"{self.kind.user}:secret" and (user or not all(scope.endswith(":pull") for scope in scopes)):
            errors = {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}
            return web.json_response(errors, status=self.kind.refusal)
        self.given.append((user, " ".join(scopes)))
        token = base64.urlsafe_b64encode(json.dumps(scopes).encode()).decode()
        return web.json_response({**dict(self.kind.answer), self.kind.field: token})

    def _missing(self, request: web.Request) -> str | None:
        """The scope that a request's token has not; None where it has all."""
        header = request.headers.get("Authorization", "")
        if not header.startswith("Bearer "):
            return self._wanted(request)[0] if self._wanted(request) else ""
        granted = set()
        for scope in json.loads(base64.urlsafe_b64decode(header.removeprefix("Bearer "))):
            _, name, actions = scope.split(":")
            granted |= {f"repository:{name}:{action}" for action in actions.split(",")}
        missing = [one for one in self._wanted(request) if one not in granted]
        return missing[0] if missing else None

    def _wanted(self, request: web.Request) -> list[str]:
        name = request.path.removeprefix("/v2/")
        for end in ("/manifests/", "/blobs/", "/tags/", "/referrers/"):
            name = name.partition(end)[0]
        if not name:
            return []
        wanted = [f"repository:{name}:{'pull' if request.method in ('GET', 'HEAD') else 'push'}"]
        source = request.query.get("from")
        return wanted + ([f"repository:{source}:pull"] if source else [])

    async def _forward(self, request: web.Request) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("Host", "Authorization", "Accept-Encoding", "Transfer-Encoding", "Content-Length")
        }
        data = await request.read()
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, f"http://{self.behind}{request.raw_path}", headers=headers, data=data or None
            ) as answer,
        ):
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name in ("Content-Type", "Docker-Content-Digest", "Location", "Range", "Link")
            }
            if "Location" in kept:
                path = "/" + kept["Location"].split("/", 3)[3] if "://" in kept["Location"] else kept["Location"]
                kept["Location"] = path if self.kind.relative else f"http://{self.address}{path}"
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
                return web.Response(status=answer.status, headers=kept)
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


@pytest.fixture
def front(request, server, misbehave):
    kind = getattr(request, "param", "Quay")
    made = Front(KINDS[kind], server.address)
    made.address = misbehave(made, takes_all=True).address
    return made


def with_config(home) -> dict[str, str]:
    return {**os.environ, "DOCKER_CONFIG": f"{home.directory}/docker"}


def build(home, name: str, tmp_path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    home.estiba("build", "-q", "-t", name, str(tmp_path))


@pytest.mark.parametrize("front", list(KINDS), indirect=True)
def test_a_user_logs_in_pushes_and_everybody_pulls(front, make_estiba_home, repository, tmp_path):
    home, other = make_estiba_home(), make_estiba_home()
    environment = with_config(home)
    name = f"{front.address}/{repository}:1"
    build(home, name, tmp_path)
    refused = home.estiba("push", name, check=False, env=environment)
    assert "denied" in refused.stderr
    words = ("login", "-u", front.kind.user, "--password-stdin", front.address)
    wrong = home.estiba(*words, check=False, env=environment, input="wrong", stdin=None)
    assert (wrong.returncode, "does not take this login" in wrong.stderr) == (1, True)
    assert "Login Succeeded" in home.estiba(*words, env=environment, input="secret\n", stdin=None).stdout
    home.estiba("push", name, env=environment)
    assert (f"{front.kind.user}:secret", f"repository:{repository}:pull,push") in front.given
    second = name.replace(":1", "/again:1")
    home.estiba("tag", name, second)
    assert "Mounted from" in home.estiba("push", second, env=environment).stdout, "one token for both repositories"
    assert other.estiba("pull", "-q", name, env=with_config(other)).stdout == f"{name}\n"


def test_what_is_no_registry_is_told(misbehave, estiba_home):
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    for handler, reason in ((page, "it answered with a web page"), (nothing, "it has no /v2/")):
        address = misbehave(handler, takes_all=True).address
        done = estiba_home.estiba(
            "login", "-u", "a", "--password-stdin", address, check=False, input="b", stdin=None,
            env=with_config(estiba_home),
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.splitlines()[0] == f"estiba: {address} is no registry of images: {reason}"
    assert not os.path.exists(f"{estiba_home.directory}/docker")


# Amazon ECR: its API is moto's, its registry a front that wants the password which that gives.

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """The address of a server that answers as AWS does."""
    program = shutil.which("moto_server", path=os.path.dirname(sys.executable))
    if program is None:
        pytest.skip("moto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("w") as out:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=out, stderr=out)
    wait_until(lambda: "Running on" in log.read_text(), "moto serves", patience=60)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


@pytest.fixture
def ecr(misbehave):
    """A proxy behind which ECR's registry answers."""
    asked: list[str] = []

    async def registry(request: web.Request) -> web.StreamResponse:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="https://{ECR}/"'})
        asked.append(base64.b64decode(value).decode())
        if not asked[-1].startswith("AWS:") or len(asked[-1]) < 10:
            return web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="https://{ECR}/"'})
        return web.json_response({"name": unquote(request.path), "tags": ["1"]})

    return misbehave(registry, takes_all=True).address, asked


def of_aws(home, aws: str, proxy: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in with_config(home).items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ENDPOINT_URL": aws, "NO_PROXY": "127.0.0.1", "HTTP_PROXY": f"http://{proxy}",
        "HTTPS_PROXY": "http://127.0.0.1:1", "ESTIBA_INSECURE_REGISTRIES": ECR, "HOME": home.directory, **more,
    }  # fmt: skip


@pytest.mark.slow
def test_ecr_is_asked_with_the_password_that_aws_gives(aws, ecr, estiba_home):
    proxy, asked = ecr
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    environment = of_aws(estiba_home, aws, proxy, **keys)
    assert estiba_home.estiba("tags", f"{ECR}/team/app", env=environment).stdout == "1\n"
    assert asked == ["AWS:123456789012-auth-token"]
    told = estiba_home.estiba("login", ECR, env=environment).stdout
    assert told == "Login Succeeded (nothing is kept: each command asks AWS for a password)\n"
    assert not os.path.exists(f"{estiba_home.directory}/docker")


@pytest.mark.slow
def test_ecr_takes_the_credentials_of_a_profile(aws, ecr, estiba_home):
    proxy, asked = ecr
    os.makedirs(f"{estiba_home.directory}/.aws")
    with open(f"{estiba_home.directory}/.aws/credentials", "w") as file:
        file.write("[work]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n")
    environment = of_aws(estiba_home, aws, proxy, AWS_PROFILE="work")
    assert estiba_home.estiba("tags", f"{ECR}/team/app", env=environment).stdout == "1\n"
    assert asked == ["AWS:123456789012-auth-token"]
    missing = of_aws(estiba_home, aws, proxy, AWS_PROFILE="none")
    done = estiba_home.estiba("tags", f"{ECR}/team/app", check=False, env=missing)
    assert done.stderr.startswith(f"estiba: AWS gives no login for {ECR}: The config profile (none) could not be found")
    nothing = of_aws(estiba_home, aws, proxy)
    done = estiba_home.estiba("tags", f"{ECR}/team/app", check=False, env=nothing)
    assert "Unable to locate credentials" in done.stderr


def test_a_login_that_is_kept_goes_before_what_aws_gives(ecr, estiba_home):
    proxy, asked = ecr
    environment = of_aws(estiba_home, "http://127.0.0.1:1", proxy)
    words = ("login", "-u", "AWS", "--password-stdin", ECR)
    assert "Login Succeeded" in estiba_home.estiba(*words, env=environment, input="from the helper", stdin=None).stdout
    estiba_home.estiba("tags", f"{ECR}/team/app", env=environment)
    assert set(asked) == {"AWS:from the helper"}
