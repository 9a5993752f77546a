"""Estiba: its command line, in an installation of its own, and its registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.peers.docker import CLIENT
from bench.peers.processes import end, free_port, is_open, serve
from bench.workspace import call


class Estiba:
    name = "Estiba"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keeps = False
        self._daemon: subprocess.Popen[bytes] | None = None
        self.command = [
            os.path.join(os.path.dirname(sys.executable), "estiba"),
            *("--root", str(directory / "root"), "--run", str(directory / "run")),
        ]

    def problem(self) -> str:
        return ""

    def start(self, base: Path) -> None:
        (self._directory / "run").mkdir(parents=True, mode=0o700)
        call([*self.command, "bootstrap", "busybox"])

    def docker_command(self) -> list[str]:
        """Docker's command line on a daemon of this installation; empty where there is none."""
        if shutil.which(CLIENT) is None:
            return []
        socket = f"unix://{self._directory}/s"
        if self._daemon is None:
            place = self._directory / "s"
            command = [*self.command, "daemon", "--host", socket]
            self._daemon = serve(command, log=self._directory / "daemon.log", until=place.exists)
        return [CLIENT, "--host", socket]

    def stop(self) -> None:
        if self._daemon is not None:
            end(self._daemon)
        if self._keeps:
            call([*self.command, "rm", "-f", "kept"])
        call([*self.command, "network", "prune", "-f"])
        shutil.rmtree(self._directory)

    def run(self, *, network: bool) -> None:
        call([*self.command, "run", "--rm", "--network", "bridge" if network else "none", "busybox", "true"])

    def keep_one(self) -> None:
        if not self._keeps:
            call([*self.command, "run", "-d", "--name", "kept", "--network", "none", "busybox", "sleep", "100000"])
            self._keeps = True

    def enter(self) -> None:
        call([*self.command, "exec", "kept", "true"])

    def list(self) -> None:
        call([*self.command, "ps"])

    def build(self, context: Path, tag: str, *, cached: bool) -> None:
        call([*self.command, "build", "-q", *([] if cached else ["--no-cache"]), "-t", tag, str(context)])

    def push(self, reference: str) -> None:
        call([*self.command, "push", reference])

    def pull(self, reference: str) -> None:
        call([*self.command, "pull", reference])

    def remove_image(self, reference: str) -> None:
        call([*self.command, "rmi", "-f", reference])
        call([*self.command, "gc"])

    def load(self, archive: Path) -> None:
        call([*self.command, "load", "-i", str(archive)])

    def save(self, reference: str, archive: Path) -> None:
        call([*self.command, "save", "-o", str(archive), reference])

    def images(self) -> None:
        call([*self.command, "images"])

    def inspect(self, reference: str) -> None:
        call([*self.command, "image", "inspect", reference])

    def disk_use(self) -> None:
        call([*self.command, "df"])

    def copy(self, source: str, destination: str) -> None:
        call([*self.command, "copy", source, destination])


class EstibaRegistry:
    name = "Estiba's registry"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: subprocess.Popen[bytes] | None = None
        self.address = ""

    def problem(self) -> str:
        return ""

    def start(self) -> None:
        self._directory.mkdir(parents=True)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        estiba = os.path.join(os.path.dirname(sys.executable), "estiba")
        home = ["--root", str(self._directory / "root"), "--run", str(self._directory / "run")]
        command = [estiba, *home, "registry", "serve", "--listen", self.address]
        self._server = serve(
            [*command, "--storage", str(self._directory / "storage")],
            log=self._directory / "log",
            until=lambda: is_open(port),
        )

    def stop(self) -> None:
        if self._server is not None:
            end(self._server)
        shutil.rmtree(self._directory, ignore_errors=True)
