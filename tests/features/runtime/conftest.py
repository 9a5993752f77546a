"""A root for the runtime's records, a busybox tree, and containers that are gone after the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import estiba.runtime
from bundles import busybox_rootfs, write_bundle
from estiba.runtime.client import RuntimeClient
from estiba.runtime.spec import SpecOptions
from waiting import wait_until

LAUNCHER = os.path.join(os.path.dirname(estiba.runtime.__file__), "launcher.py")


class Box:
    """The runtime as a command line and as a client, with one root filesystem."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.root = os.path.join(directory, "runtime")
        self.rootfs = busybox_rootfs(os.path.join(directory, "rootfs"))
        self.command = [sys.executable, "-I", "-S", LAUNCHER, "--root", self.root]
        self.client = RuntimeClient.ours(root=self.root)
        self._bundles = 0

    def bundle(self, *args: str, change: Callable[[dict[str, Any]], object] | None = None, **options: Any) -> str:
        """A new bundle whose program is `args`."""
        self._bundles += 1
        directory = os.path.join(self.directory, f"bundle{self._bundles}")
        return write_bundle(directory, SpecOptions(args=args, rootfs=self.rootfs, **options), change)

    def call(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """The command line to its end."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run([*self.command, *words], check=False, **options)

    def run(
        self, script: str, change: Callable[[dict[str, Any]], object] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """A shell script in a new container, in the foreground."""
        bundle = self.bundle("sh", "-c", script, change=change, **options)
        return self.call("run", "-b", bundle, f"est-{os.path.basename(self.directory)}-{self._bundles}")

    def create(
        self, name: str, *args: str, change: Callable[[dict[str, Any]], object] | None = None, **options: Any
    ) -> int:
        """A created container; gives its pid."""
        bundle = self.bundle(*args, change=change, **options)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            pid_file = os.path.join(bundle, "pid")
            return self.client.create(name, bundle=bundle, pid_file=pid_file, stdin=null, stdout=null, stderr=null)
        finally:
            os.close(null)

    def start(self, name: str, *args: str, **options: Any) -> int:
        """A running container; gives its pid."""
        pid = self.create(name, *args, **options)
        self.client.start(name)
        return pid

    def remove_everything(self) -> None:
        if os.path.isdir(self.root):
            for name in os.listdir(self.root):
                self.client.delete(name, force=True)


@pytest.fixture
def box(tmp_path: Any) -> Iterator[Box]:
    box = Box(str(tmp_path))
    yield box
    box.remove_everything()


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until
