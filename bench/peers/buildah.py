"""Buildah: builds in private directories."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.peers.processes import unmount_below
from bench.workspace import CommandFailed, call

# Where its default does not start a step: another runtime, limits that need no CAP_SYS_RESOURCE, no runtime at all.
_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
_VARIANTS = (
    ("--network=none",),
    ("--network=none", *_LIMITS),
    ("--network=none", *_LIMITS, "--runtime=runc"),
    ("--network=host", "--isolation=chroot"),
)
_BASE = "docker.io/library/busybox:latest"


class Buildah:
    name = "Buildah"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._problem = ""
        self._command = ["buildah", f"--root={directory}/root", f"--runroot={directory}/runroot", "--log-level=error"]
        self._way: tuple[str, ...] = ()

    def problem(self) -> str:
        return self._problem

    def start(self, base: Path) -> None:
        if shutil.which("buildah") is None:
            self._problem = "buildah is not installed"
            return
        self._directory.mkdir(parents=True)
        context = self._directory / "base"
        context.mkdir()
        shutil.copy(base, context / "root.tar")
        (context / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        probe = self._directory / "probe"
        probe.mkdir()
        (probe / "Dockerfile").write_text("FROM busybox\nRUN true\n")
        try:
            self.build(context, _BASE, cached=True)
        except CommandFailed as failure:
            self._problem = str(failure)
            return
        for self._way in _VARIANTS:
            try:
                self.build(probe, "probe", cached=False)
            except CommandFailed as failure:
                self._problem = str(failure)
            else:
                self._problem = ""
                return

    def stop(self) -> None:
        if self._directory.exists():
            call([*self._command, "rm", "--all"])
            unmount_below(self._directory)
            shutil.rmtree(self._directory)

    def run(self, *, network: bool) -> None:
        raise CommandFailed("buildah does not run containers")

    def keep_one(self) -> None:
        raise CommandFailed("buildah keeps no containers")

    def enter(self) -> None:
        raise CommandFailed("buildah keeps no containers")

    def list(self) -> None:
        raise CommandFailed("buildah keeps no containers")

    def build(self, context: Path, tag: str, *, cached: bool) -> None:
        cache = ["--layers"] if cached else ["--layers", "--no-cache"]
        call([*self._command, "bud", "-q", *self._way, *cache, "-t", tag, str(context)])

    def push(self, reference: str) -> None:
        call([*self._command, "push", "-q", "--tls-verify=false", reference])

    def pull(self, reference: str) -> None:
        call([*self._command, "pull", "-q", "--tls-verify=false", reference])

    def remove_image(self, reference: str) -> None:
        call([*self._command, "rmi", "-f", reference])

    def load(self, archive: Path) -> None:
        raise CommandFailed("buildah loads no archives")

    def save(self, reference: str, archive: Path) -> None:
        raise CommandFailed("buildah saves no archives")

    def images(self) -> None:
        call([*self._command, "images"])

    def inspect(self, reference: str) -> None:
        call([*self._command, "inspect", "--type", "image", reference])

    def disk_use(self) -> None:
        raise CommandFailed("buildah does not tell its disk use")
