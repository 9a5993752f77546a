"""Where the story plays: directories, installations, services; and how all of it goes away again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Failed(Exception):
    """A step of the story did not work; the message says which command, and shows what it said."""


class Done(NamedTuple):
    """A command that ran to its end."""

    output: str
    seconds: float


class Installation(NamedTuple):
    """One machine's Estiba: a store and its run-time state."""

    name: str
    root: str
    run: str

    @property
    def command(self) -> list[str]:
        estiba = os.path.join(os.path.dirname(sys.executable), "estiba")
        return [estiba, "--root", self.root, "--run", self.run]

    def estiba(self, *arguments: str) -> Done:
        """Runs an `estiba` command to its end.

        Raises:
            Failed: its exit code was not 0.
        """
        started = time.monotonic()
        process = subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = process.communicate()
        except BaseException:
            # Ctrl-C reached it too; a SIGTERM did not. It cleans up after itself, if it is given the time.
            process.terminate()
            process.communicate()
            raise
        if process.returncode != 0:
            last = "\n".join(output.splitlines()[-30:])
            raise Failed(f"estiba {' '.join(arguments)}\nended with exit code {process.returncode}:\n{last}")
        return Done(output, time.monotonic() - started)


class Stage:
    """Made by `set_up` or `find`, taken down by `strike`.

    What it has made is written down in its directory, so that another process can strike it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.services: dict[str, int] = {}
        self.installations: dict[str, Installation] = {}

    @classmethod
    def set_up(cls) -> Stage:
        # Short, since the paths of unix sockets are.
        return cls(Path(tempfile.mkdtemp(prefix="estiba-demo-")))

    @classmethod
    def find(cls, directory: Path) -> Stage:
        """The stage that an earlier demo left with KEEP=1."""
        stage = cls(directory)
        written = json.loads((directory / "stage.json").read_text())
        stage.services = written["services"]
        stage.installations = {name: Installation(name, *paths) for name, paths in written["installations"].items()}
        return stage

    def write_down(self) -> None:
        installations = {one.name: [one.root, one.run] for one in self.installations.values()}
        written = {"services": self.services, "installations": installations}
        (self.directory / "stage.json").write_text(json.dumps(written))

    def installation(self, name: str) -> Installation:
        home = self.directory / name
        (home / "root").mkdir(parents=True)
        (home / "run").mkdir(mode=0o700)
        self.installations[name] = Installation(name, str(home / "root"), str(home / "run"))
        self.write_down()
        return self.installations[name]

    def serve(self, name: str, command: list[str], *, until: Callable[[], bool], patience: float = 20) -> None:
        """Starts a service that outlives this process, and waits until it answers.

        Raises:
            Failed: it ended, or did not answer in time; with what it said.
        """
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.services[name] = process.pid
        self.write_down()
        try:
            wait_for(lambda: process.poll() is not None or until(), f"the {name} to answer", patience=patience)
        except Failed as failure:
            raise Failed(f"{failure}; it said:\n{log.read_text(errors='replace')[-2000:]}") from None
        if process.poll() is not None:
            raise Failed(f"the {name} ended at once; it said:\n{log.read_text(errors='replace')[-2000:]}")

    def strike(self) -> None:
        """Ends what was started and removes what was made. May be called again, and after a failure anywhere.

        Raises:
            Failed: something could not be removed; all else was.
        """
        for pid in self.services.values():
            _end(pid)
        self.services = {}
        problems = [problem for installation in self.installations.values() for problem in _empty(installation)]
        self.installations = {}
        shutil.rmtree(self.directory)
        if problems:
            raise Failed("While cleaning up: " + "\n".join(problems))


def _end(pid: int) -> None:
    """Ends a service: politely, and if that is in vain, with all that it started (it leads a group of its own)."""
    for number, patience in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number) if number == signal.SIGTERM else os.killpg(pid, number)
            wait_for(lambda: _is_gone(pid), f"process {pid} to end", patience=patience)
        except ProcessLookupError:
            return
        except Failed:
            continue
        return


def _is_gone(pid: int) -> bool:
    try:
        os.waitpid(pid, os.WNOHANG)  # our child
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _empty(installation: Installation) -> list[str]:
    """Removes an installation's containers and its network; gives what did not work."""
    problems = []
    try:
        containers = installation.estiba("ps", "-a", "-q").output.split()
        if containers:
            installation.estiba("rm", "-f", *containers)
    except Failed as failure:
        problems.append(str(failure))
    try:
        installation.estiba("network", "prune", "-f")
    except Failed as failure:
        problems.append(str(failure))
    return problems


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def get(url: str, *, timeout: float = 5) -> str:
    """The body of a page, or "" while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return ""


def answers(url: str) -> bool:
    """Whether a server answers at all, with whatever status."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait_for(condition: Callable[[], bool], what: str, *, patience: float) -> None:
    """Waits until a condition holds.

    Raises:
        Failed: it did not within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.05)


def disk_usage(directory: str) -> int:
    """The bytes of the files below a directory."""
    return sum(os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(directory) for name in names)
