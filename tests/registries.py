"""Real registry servers for tests: a process of its own on a free port, and a plain HTTP client that hides nothing."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from aiohttp import web

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code of the specification."""
        return self.json["errors"][0]["code"]


class Server:
    """`estiba registry serve` on `storage`. Start it, stop it, kill it, start it again."""

    def __init__(self, storage: str, *flags: str) -> None:
        self.storage = storage
        self.flags = flags
        self.process: subprocess.Popen[str] | None = None
        self.address = ""
        self.log_path = f"{storage}.log"

    def start(self) -> Server:
        command = [os.path.join(os.path.dirname(sys.executable), "estiba"), "--root", f"{self.storage}.root"]
        command += ["registry", "serve", "--listen", "127.0.0.1:0", "--storage", self.storage, *self.flags]
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on http"), f"the server said {line!r}: {self.log}"
        self.address = line.split("//")[1].strip()
        return self

    @property
    def log(self) -> str:
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self, seconds: float = 30) -> int:
        status = self.process.wait(seconds)
        self.process.stdout.close()
        return status

    def stop(self) -> None:
        if self.is_running:
            self.terminate()
            self.wait()

    def connect(self) -> http.client.HTTPConnection:
        host, _, port = self.address.rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=30)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. An absolute Location is fine as `target`."""
        if "://" in target:
            target = "/" + target.split("/", 3)[3]
        connection = self.connect()
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    # What most tests begin with

    def push_blob(self, repository: str, data: bytes) -> str:
        digest = sha256(data)
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
        assert answer.status == 201, answer
        return digest

    def begin(self, repository: str) -> str:
        """A new upload's address."""
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert answer.status == 202, answer
        return answer.headers["Location"]

    def push_manifest(self, repository: str, reference: str, manifest: bytes, media_type: str = OCI_MANIFEST) -> Answer:
        return self.request("PUT", f"/v2/{repository}/manifests/{reference}", manifest, {"Content-Type": media_type})

    def push_image(self, repository: str, tag: str, *layers: bytes, config: bytes = b"{}") -> bytes:
        """An image of these layers; gives its manifest."""
        for data in (config, *layers):
            self.push_blob(repository, data)
        manifest = image_manifest(config, *layers)
        answer = self.push_manifest(repository, tag, manifest)
        assert answer.status == 201, answer
        return manifest


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(media_type: str, data: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def image_manifest(config: bytes, *layers: bytes, **more: object) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, config),
        "layers": [descriptor(OCI_LAYER, layer) for layer in layers],
        **more,
    }
    return json.dumps(value).encode()


def index(*manifests: bytes, **more: object) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(OCI_MANIFEST, manifest) for manifest in manifests],
        **more,
    }
    return json.dumps(value).encode()


def layer_of(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed layer of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def config_of(*layers: bytes) -> bytes:
    """The configuration of an image of uncompressed layers."""
    root = {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]}
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": root}).encode()


# Servers that misbehave

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Misbehaving:
    """A server in a thread, whose handler a test writes; `seen` are the requests.

    ``/v2/`` is answered for the handler, unless it `takes_all`: the client asks there whether a loopback registry wants
    TLS.
    """

    def __init__(self, handler: Handler, *, takes_all: bool = False) -> None:
        self._takes_all = takes_all
        self.seen: list[str] = []
        self._handler = handler
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.path == "/v2/" and not self._takes_all:
                return web.Response()
            self.seen.append(f"{request.method} {request.path}")
            return await self._handler(request)

        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()


class Content:
    """An image with one layer, a tar of random bytes, as a registry would serve it."""

    def __init__(self, size: int = 3_000_000) -> None:
        self.layer = layer_of({"data": os.urandom(size)})
        self.config = config_of(self.layer)
        self.manifest = image_manifest(self.config, self.layer)

    def small(self, request: web.Request) -> web.Response | None:
        """The answer to everything but the layer."""
        if "/manifests/" in request.path:
            return web.Response(body=self.manifest, content_type=OCI_MANIFEST)
        if request.path.endswith(sha256(self.config)):
            return web.Response(body=self.config)
        return None
