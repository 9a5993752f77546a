"""A container with an attacker in it: root with the default capabilities, and a whole Python to attack with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import estiba.runtime
from bundles import busybox_rootfs, write_bundle
from estiba.runtime.client import RuntimeClient
from estiba.runtime.spec import SpecMount, SpecOptions

LAUNCHER = os.path.join(os.path.dirname(estiba.runtime.__file__), "launcher.py")
PYTHON = os.path.realpath(sys.executable)

# What `attack` scripts begin with: a system call by its number, and its answer as a name of errno.
_PRELUDE = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def attempt(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
"""


class Cell:
    """A root filesystem, the runtime, and what an attacker inside may try."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.root = os.path.join(directory, "runtime")
        self.rootfs = busybox_rootfs(os.path.join(directory, "rootfs"))
        self.command = [sys.executable, "-I", "-S", LAUNCHER, "--root", self.root]
        self.client = RuntimeClient.ours(root=self.root)
        self._mark = f"est-{os.path.basename(os.path.dirname(directory))}-{os.path.basename(directory)}"
        self._number = 0

    def name(self) -> str:
        """A container's name that nobody else has."""
        self._number += 1
        return f"{self._mark}-{self._number}"

    def bundle(self, *args: str, change: Callable[[dict[str, Any]], object] | None = None, **options: Any) -> str:
        """A new bundle whose program is `args`."""
        self._number += 1
        directory = os.path.join(self.directory, f"bundle{self._number}")
        return write_bundle(directory, SpecOptions(args=args, rootfs=self.rootfs, **options), change)

    def call(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """The runtime's command line to its end."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run([*self.command, *words], check=False, **options)

    def run(self, *args: str, stdin: int = subprocess.DEVNULL, **options: Any) -> subprocess.CompletedProcess[str]:
        """A program in a new container, to its end."""
        return self.call("run", "-b", self.bundle(*args, **options), self.name(), stdin=stdin)

    def attack(self, script: str, *, stdin: int = subprocess.DEVNULL, **options: Any) -> str:
        """A Python script in a new container, to its end; gives what it printed.

        The interpreter is the host's, seen through read-only mounts.
        """
        mounts = (*python_mounts(), *options.pop("mounts", ()))
        done = self.run(PYTHON, "-IS", "-c", _PRELUDE + textwrap.dedent(script), stdin=stdin, mounts=mounts, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *args: str, stdin: int | None = None, **options: Any) -> str:
        """A container that runs; gives its name."""
        name, bundle = self.name(), self.bundle(*args, **options)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            streams = {"stdin": null if stdin is None else stdin, "stdout": null, "stderr": null}
            self.client.create(name, bundle=bundle, pid_file=os.path.join(bundle, "pid"), **streams)
        finally:
            os.close(null)
        self.client.start(name)
        return name

    def remove_everything(self) -> None:
        if os.path.isdir(self.root):
            for name in os.listdir(self.root):
                self.client.delete(name, force=True)


def python_mounts() -> tuple[SpecMount, ...]:
    """The host's Python and its libraries, read-only."""
    library = os.path.dirname(os.path.dirname(PYTHON))
    places = dict.fromkeys(path for path in (library, "/lib", "/lib64", "/usr/lib") if os.path.isdir(path))
    return tuple(SpecMount(place, "bind", place, ("rbind", "ro", "nosuid", "nodev")) for place in places)
