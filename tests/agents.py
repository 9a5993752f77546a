"""A real agent for tests: a forge that serves a repository over HTTP, signed webhooks, and the agent's own process."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

from demo import git_server, webhook
from demo.repository import Repository

from waiting import wait_until

SECRET = "it is signed with this"

DOCKERFILE = """\
FROM busybox
COPY page /www/index.html
RUN echo "the command of a build"
STOPSIGNAL SIGKILL
CMD ["httpd", "-f", "-p", "8000", "-h", "/www"]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url: str) -> str:
    """The page at `url`; "" while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return ""


class _Handler(git_server.Handler):
    """Says nothing; with `account` it wants to know who asks (RFC 7617)."""

    account = ""

    def log_message(self, *_: object) -> None:
        pass

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        wanted = "Basic " + base64.b64encode(self.account.encode()).decode()
        if not self.account or self.headers.get("Authorization") == wanted:
            return True
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False


class Forge:
    """Serves repositories over git's smart HTTP protocol, in a thread of this process."""

    def __init__(self, directory: Path, *, account: str = "") -> None:
        self.directory = directory
        directory.mkdir()
        handler = type("RepositoryHandler", (_Handler,), {"directory": str(directory), "account": account})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def repository(self, files: dict[str, str], name: str = "quotes") -> Repository:
        sources = self.directory / f"{name}.sources"
        sources.mkdir()
        for path, text in files.items():
            (sources / path).parent.mkdir(parents=True, exist_ok=True)
            (sources / path).write_text(text)
        repository = Repository(
            bare=self.directory / f"{name}.git",
            working_copy=self.directory / f"{name}.copy",
            url=f"http://{self.address}/{name}.git",
        )
        repository.create_from(sources)
        return repository

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Agent:
    """`estiba agent serve` for one repository of `forge`, deployed as ``web`` to a port of its own."""

    def __init__(self, home, repository: Repository, registry: str) -> None:
        self.home = home
        self.repository = repository
        self.port = free_port()
        self.page = f"http://127.0.0.1:{self.port}/"
        self.config = f"{home.directory}/agent.toml"
        self.process: subprocess.Popen[str] | None = None
        self.address = ""
        Path(self.config).write_text(
            f"""
[[repository]]
name = "ana/quotes"
url = "{repository.url}"
secret = "{SECRET}"
image = "{registry}/ana/quotes"
tags = ["latest", "{{short_sha}}"]

[repository.deploy]
name = "web"
publish = ["127.0.0.1:{self.port}:8000"]
probe = "{self.page}"
ready_within = 20
"""
        )

    def start(self) -> Agent:
        command = [*self.home.command, "agent", "serve", "--listen", "127.0.0.1:0", "--config", self.config]
        with open(f"{self.home.directory}/agent.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on http"), f"the agent said {line!r}: {self.said}"
        self.address = line.split("//")[1].strip()
        return self

    @property
    def said(self) -> str:
        return Path(f"{self.home.directory}/agent.log").read_text()

    def change_config(self, old: str, new: str) -> None:
        path = Path(self.config)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def push(self, page: str | None = None, **files: str) -> webhook.Push:
        """Commits and pushes; gives what the forge would tell."""
        changes = files | ({"page": page} if page is not None else {})
        for name, text in changes.items():
            self.repository.change(name, lambda _, text=text: text)
        if changes:
            self.repository.commit(f"now {page}")
        return self.repository.push()

    def deliver(self, push: webhook.Push, *, secret: str = SECRET) -> tuple[int, dict[str, object]]:
        try:
            status, body = webhook.deliver(f"http://{self.address}/webhooks/github", push, secret=secret)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        return status, json.loads(body)

    def jobs(self) -> list[tuple[str, str]]:
        """Pairs of a commit and its state, the oldest first."""
        with sqlite3.connect(f"file:{self.home.root}/agent/queue.db?mode=ro", uri=True) as database:
            rows = database.execute("SELECT head, state FROM jobs ORDER BY id").fetchall()
        database.close()
        return rows

    def wait_for(self, push: webhook.Push, state: str, *, patience: float = 60) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None, "the agent has ended"
            now = dict(self.jobs()).get(push.after, "")
            assert now == state or now not in ("succeeded", "failed"), f"it has {now}: {self.log(len(self.jobs()))}"
            return now == state

        try:
            wait_until(is_there, f"{push.after[:7]} to be {state}", patience=patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {self.jobs()}; the agent said {self.said}") from None

    def log(self, number: int = 1) -> str:
        return self.home.estiba("agent", "logs", str(number)).stdout

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def stop(self) -> int:
        """Asks it to end; gives its exit code."""
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        self.process.stdout.close()
        return status

    def container_names(self) -> list[str]:
        return sorted(self.home.estiba("ps", "-a", "--format", "{{.Names}}").stdout.split())

    def strike(self) -> None:
        """Ends all that it has started."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        for name in self.container_names():
            self.home.estiba("rm", "-f", name)


def processes_with(text: str) -> list[str]:
    """Command lines of processes that hold `text`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found
