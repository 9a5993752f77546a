"""Podman: in private directories."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.peers.processes import unmount_below
from bench.workspace import CommandFailed, call

# Without CAP_SYS_RESOURCE, or with cgroups of both versions, Podman's own defaults do not start a container.
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
_VARIANTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((), ()),
    ((), _LIMITS),
    (("--runtime", "crun"), _LIMITS),
    (("--runtime", "runc"), _LIMITS),
)


class Podman:
    name = "Podman"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keeps = False
        self._problem = ""
        places = [f"--{name}={directory}/{name}" for name in ("root", "runroot", "tmpdir")]
        self.command = ["podman", *places, "--cgroup-manager=cgroupfs", "--events-backend=none", "--log-level=error"]
        self._limits: tuple[str, ...] = ()

    def problem(self) -> str:
        return self._problem

    def start(self, base: Path) -> None:
        if shutil.which("podman") is None:
            self._problem = "podman is not installed"
            return
        self._directory.mkdir(parents=True)
        try:
            call([*self.command, "import", str(base), "docker.io/library/busybox:latest"])
            self._choose_variant()
        except CommandFailed as failure:
            self._problem = str(failure)

    def _choose_variant(self) -> None:
        """The first way to start a container that works here."""
        plain = self.command
        for flags, limits in _VARIANTS:
            self.command, self._limits = [*plain, *flags], limits
            try:
                self.run(network=False)
            except CommandFailed as failure:
                problem = failure
            else:
                return
        raise problem

    def stop(self) -> None:
        if self._directory.exists():
            call([*self.command, "rm", "--all", "--force"])
            unmount_below(self._directory)
            shutil.rmtree(self._directory)

    def run(self, *, network: bool) -> None:
        place = ["--network", "podman" if network else "none"]
        call([*self.command, "run", "--rm", *self._limits, *place, "busybox", "true"])

    def keep_one(self) -> None:
        if not self._keeps:
            call(
                [
                    *self.command,
                    "run",
                    "-d",
                    "--name",
                    "kept",
                    *self._limits,
                    "--network",
                    "none",
                    "busybox",
                    "sleep",
                    "100000",
                ]
            )
            self._keeps = True

    def enter(self) -> None:
        call([*self.command, "exec", "kept", "true"])

    def list(self) -> None:
        call([*self.command, "ps"])

    def build(self, context: Path, tag: str, *, cached: bool) -> None:
        cache = ["--layers"] if cached else ["--layers", "--no-cache"]
        call([*self.command, "build", "-q", *self._limits, "--network=none", *cache, "-t", tag, str(context)])

    def push(self, reference: str) -> None:
        call([*self.command, "push", "-q", "--tls-verify=false", reference])

    def pull(self, reference: str) -> None:
        call([*self.command, "pull", "-q", "--tls-verify=false", reference])

    def remove_image(self, reference: str) -> None:
        call([*self.command, "rmi", "-f", reference])

    def load(self, archive: Path) -> None:
        call([*self.command, "load", "-i", str(archive)])

    def save(self, reference: str, archive: Path) -> None:
        call([*self.command, "save", "-o", str(archive), reference])

    def images(self) -> None:
        call([*self.command, "images"])

    def inspect(self, reference: str) -> None:
        call([*self.command, "image", "inspect", reference])

    def disk_use(self) -> None:
        call([*self.command, "system", "df"])
