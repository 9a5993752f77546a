"""Many processes on one store: each blob is fetched once, and a garbage collection takes nothing of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import pytest

import audits
from images import busybox_image
from waiting import wait_until

registries = sys.modules["estiba_test_registries"]

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

AT_ONCE = min(int(os.environ.get("ESTIBA_STRESS_AT_ONCE", "12")), 50)


class CountingProxy:
    """Passes GET on to a registry and counts them, by path. With `cut`, an answer ends after so many bytes; with
    `hold`, all answers of blobs together wait for `go` after so many.
    """

    def __init__(self, upstream: str, *, cut: int = 0, hold: int = 0) -> None:
        self.requests: Counter[str] = Counter()
        self.sent = 0
        self.cut = cut
        self.hold = hold
        self.holding = threading.Event()
        self.go = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.pass_on(self, upstream)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def pass_on(self, handler: BaseHTTPRequestHandler, upstream: str) -> None:
        self.requests[handler.path] += 1
        headers = {key: value for key, value in handler.headers.items() if key in ("Accept", "Range")}
        with urlopen(Request(f"http://{upstream}{handler.path}", headers=headers)) as answer:
            handler.send_response(answer.status)
            for key in ("Content-Type", "Content-Length", "Content-Range", "Docker-Content-Digest"):
                if key in answer.headers:
                    handler.send_header(key, answer.headers[key])
            handler.end_headers()
            left = self.cut or 1 << 40
            while (data := answer.read(min(left, 1 << 16))) and left:
                if "/blobs/" in handler.path and self.hold and self.sent + len(data) > self.hold:
                    self.holding.set()
                    self.go.wait(60)
                try:
                    handler.wfile.write(data)
                except OSError:
                    break
                left -= len(data)
                if "/blobs/" in handler.path:
                    self.sent += len(data)
        handler.close_connection = not left or handler.close_connection

    def of_blobs(self) -> dict[str, int]:
        return {path.rpartition("/")[2]: count for path, count in self.requests.items() if "/blobs/" in path}

    def close(self) -> None:
        self.go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def proxy(server) -> Iterator[CountingProxy]:
    proxy = CountingProxy(server.address)
    yield proxy
    proxy.close()


def push(server, repository: str, *layers: bytes) -> None:
    server.push_image(repository, "1", *layers, config=registries.config_of(*layers))


def finish(*processes: subprocess.Popen) -> None:
    for process in processes:
        said, errors = process.communicate(timeout=300)
        assert process.returncode == 0, f"{process.args}: {said}{errors}"


@pytest.mark.slow
def test_many_processes_that_pull_one_image_fetch_each_blob_once(server, proxy, repository, estiba_home):
    """Fifty of them with `scripts/stress`."""
    layers = [registries.layer_of({f"data{number}": os.urandom(400_000)}) for number in range(4)]
    push(server, repository, *layers)
    command = [*estiba_home.command, "pull", "-q", f"{proxy.address}/{repository}:1"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    finish(*(subprocess.Popen(command, **quiet) for _ in range(AT_ONCE)))
    blobs = [registries.sha256(data) for data in (registries.config_of(*layers), *layers)]
    assert proxy.of_blobs() == dict.fromkeys(blobs, 1)
    audits.assert_sound(estiba_home.root, kept=audits.contents(estiba_home.root))
    assert os.listdir(f"{estiba_home.root}/tmp") == []


def test_a_pull_that_is_cut_and_killed_and_outlives_a_reboot_fetches_hardly_a_byte_twice(
    server, proxy, repository, estiba_home
):
    """A reboot forgets the run directory; what the store knows of this boot it does not believe in the next."""
    layers = [registries.layer_of({f"data{number}": os.urandom(12_000_000)}) for number in range(2)]
    push(server, repository, *layers)
    proxy.cut, proxy.hold = 5_000_000, 14_000_000
    command = [*estiba_home.command, "pull", "-q", f"{proxy.address}/{repository}:1"]
    killed = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    assert proxy.holding.wait(60)
    partials, config = f"{estiba_home.root}/tmp", len(registries.config_of(*layers))

    def kept() -> int:
        return sum(entry.stat().st_size for entry in os.scandir(partials))

    try:
        wait_until(lambda: kept() + config == proxy.sent, "what came is kept", more=lambda: f"{kept()} {proxy.sent}")
    finally:
        killed.kill()
        killed.wait()
    proxy.go.set()
    shutil.rmtree(estiba_home.run)
    os.mkdir(estiba_home.run, mode=0o700)
    estiba_home.estiba("pull", "-q", f"{proxy.address}/{repository}:1")
    assert sum(map(len, layers)) <= proxy.sent < 1.02 * sum(map(len, layers))
    assert "no problems" in estiba_home.estiba("fsck").stdout


@pytest.mark.slow
def test_gc_beside_pulls_and_builds_takes_nothing_of_theirs(server, repository, estiba_home, tmp_path):
    """One collects all the time, with the build cache; one pulls and removes, one builds, and both always succeed."""
    from estiba.store.store import Store

    push(server, repository, *(registries.layer_of({f"d{n}": os.urandom(200_000)}) for n in range(3)))
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY a /a\nRUN cp /a /b\nCOPY a /c\n")
    name = f"{server.address}/{repository}:1"
    enough = threading.Event()
    failures: list[str] = []

    def again_and_again(*commands: tuple[str, ...], times: int = 1000) -> None:
        for number in range(times):
            if "build" in commands[0]:
                (tmp_path / "a").write_text(f"{number}")
            for command in commands:
                done = estiba_home.estiba(*command, check=False)
                if done.returncode:
                    failures.append(f"{command}: {done.stderr}")
            if enough.is_set():
                return

    collector = threading.Thread(target=again_and_again, args=(("gc", "--build-cache", "--dangling", "--partial"),))
    workers = [
        threading.Thread(target=again_and_again, args=commands, kwargs={"times": 4})
        for commands in ((("pull", "-q", name), ("rmi", name)), (("build", "-q", "-t", "built", str(tmp_path)),))
    ]
    for thread in (collector, *workers):
        thread.start()
    for worker in workers:
        worker.join()
    enough.set()
    collector.join()
    assert failures == []
    assert len(estiba_home.estiba("images", "-q").stdout.split()) >= 2
    audits.assert_sound(estiba_home.root, kept=audits.contents(estiba_home.root))
