"""Servers on loopback that a build fetches from, kind ones and hostile ones, and a build in this process."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from estiba.builder.build import build
from estiba.builder.request import BuildRequest, BuildResult
from estiba.graph.cancellation import Cancellation
from estiba.graph.vertex import Vertex
from estiba.oci.digest import Digest
from estiba.store.store import Store
from estiba.wiring.house import House
from estiba.wiring.settings import read

OLD = "Mon, 06 Nov 2000 08:49:37 GMT"


class Server:
    """`pages` maps a path to what answers it: bytes, or a function of the handler. `asked` are the requests so far."""

    def __init__(self, pages: dict[str, Any]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, dict(self.headers)))
                page = server.pages.get(self.path.partition("?")[0])
                try:
                    if page is None:
                        self.send_error(404)
                    elif callable(page):
                        page(self)
                    else:
                        answer(self, page)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *words: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def tagged(body: bytes, etag: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A page that knows its entity tag."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("If-None-Match") == etag:
            answer(handler, b"", 304)
        else:
            answer(handler, body, ETag=etag)

    return page


def redirect(target: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: answer(handler, b"", 302, Location=target)


class Shown:
    """A progress that keeps what it hears."""

    def __init__(self) -> None:
        self.cached_steps: list[str] = []
        self.said = b""

    def started(self, vertex: Vertex, reason: str) -> None: ...

    def cached(self, vertex: Vertex, reason: str) -> None:
        self.cached_steps.append(vertex.name)

    def output(self, vertex: Vertex, data: bytes) -> None:
        self.said += data

    def done(self, vertex: Vertex) -> None: ...

    def failed(self, vertex: Vertex, error: Exception) -> None: ...

    def cancelled(self, vertex: Vertex) -> None: ...


class Builder:
    """Builds in this process, in an installation of its own."""

    def __init__(self, home: Any, context: Path, environment: dict[str, str] | None = None) -> None:
        self.house = House(read({"PATH": "/usr/bin:/bin", **(environment or {})}, root=home.root, run=home.run))
        self.context = context
        self.shown = Shown()

    @property
    def store(self) -> Store:
        return self.house.store

    def build(self, dockerfile: str, *, cancellation: Cancellation | None = None, **options: Any) -> BuildResult:
        self.shown = Shown()
        request = BuildRequest(
            context=str(self.context),
            dockerfile=dockerfile,
            filename="Dockerfile",
            ignore="",
            platform=self.house.settings.platform,
            **options,
        )
        return build(
            request,
            store=self.store,
            surroundings=self.house.build_surroundings,
            images=self.house.images,
            progress=self.shown,
            cancellation=cancellation,
        )

    def directory(self, result: BuildResult) -> Path:
        """Where the files of an image of one layer lie."""
        (directory,) = self.store.snapshots.directories(Digest.parse(str(result.config.chain_id)))
        return Path(directory)

    def keys_of_active(self) -> list[str | None]:
        """The snapshots that are being written."""
        return [each.key for each in self.store.snapshots.list() if each.key is not None]


@contextmanager
def built_in(home: Any, context: Path, environment: dict[str, str] | None = None) -> Iterator[Builder]:
    builder = Builder(home, context, environment)
    context.mkdir(exist_ok=True)
    with builder.house:
        yield builder


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info
