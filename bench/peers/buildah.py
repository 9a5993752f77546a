"""Buildah: builds in private directories, steps run by chroot where its default does not start."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.workspace import CommandFailed, call

_BASE = "docker.io/library/busybox:latest"


class Buildah:
    name = "Buildah"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._problem = ""
        self._command = ["buildah", f"--root={directory}/root", f"--runroot={directory}/runroot", "--log-level=error"]
        self._isolation: list[str] = []

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
            for isolation in ([], ["--isolation=chroot"]):
                self._isolation = isolation
                try:
                    self.build(probe, "probe", cached=False)
                except CommandFailed as failure:
                    self._problem = str(failure)
                else:
                    self._problem = ""
                    return
        except CommandFailed as failure:
            self._problem = str(failure)

    def stop(self) -> None:
        if self._directory.exists():
            if f" {self._directory}/root/overlay " in Path("/proc/self/mountinfo").read_text():
                call(["umount", f"{self._directory}/root/overlay"])
            shutil.rmtree(self._directory)

    def run(self, *, network: bool) -> None:
        raise CommandFailed("buildah does not run containers")

    def build(self, context: Path, tag: str, *, cached: bool) -> None:
        cache = ["--layers"] if cached else ["--layers", "--no-cache"]
        call([*self._command, "bud", "-q", *self._isolation, "--network=none", *cache, "-t", tag, str(context)])

    def push(self, reference: str) -> None:
        call([*self._command, "push", "-q", "--tls-verify=false", reference])

    def pull(self, reference: str) -> None:
        call([*self._command, "pull", "-q", "--tls-verify=false", reference])

    def remove_image(self, reference: str) -> None:
        call([*self._command, "rmi", "-f", reference])
