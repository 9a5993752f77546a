"""Where a benchmark works, and the contexts and images that its rows share."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path


class CommandFailed(Exception):
    """A contender's command did not work: a row without it is better than a wrong number."""


def call(command: Sequence[str], *, environment: dict[str, str] | None = None, timeout: float = 900) -> str:
    """Runs a command to its end and gives its standard output.

    Raises:
        CommandFailed: an exit code other than 0, or no end within `timeout` seconds.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=None if environment is None else os.environ | environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{os.path.basename(command[0])}: did not end within {timeout:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CommandFailed(f"{os.path.basename(command[0])}: {said[-1] if said else done.returncode}")
    return done.stdout


def calling(*command: str) -> Callable[[], None]:
    """A function that runs a command and drops what it says."""

    def run() -> None:
        call(command)

    return run


class Workspace:
    """A directory with a busybox root filesystem (Debian's busybox-static) and build contexts made on demand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def root_filesystem(self) -> Path:
        """A tar of a root filesystem with busybox's usual commands, which every engine can import."""
        archive = self.directory / "busybox-root.tar"
        if not archive.exists():
            tree = self.directory / "busybox-root"
            (tree / "bin").mkdir(parents=True)
            for name in ("etc", "tmp", "proc", "sys", "dev"):
                (tree / name).mkdir()
            (tree / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
            call(["cp", call(["sh", "-c", "command -v busybox"]).strip(), str(tree / "bin/busybox")])
            for applet in ("sh", "true", "cat", "echo", "ls", "mkdir", "cp", "wc", "sleep"):
                (tree / "bin" / applet).symlink_to("busybox")
            call(["tar", "-C", str(tree), "--numeric-owner", "-cf", str(archive), "."])
        return archive

    def context(self, name: str, dockerfile: str) -> Path:
        """An empty build context with this Dockerfile."""
        directory = self.directory / "contexts" / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile)
        return directory


def fill(directory: Path, *, files: int, size: int, seed: int = 1) -> None:
    """Small files in directories of 100, with the content of this seed."""
    source = random.Random(seed)
    for number in range(files):
        place = directory / f"d{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number:05}.txt").write_bytes(source.randbytes(size // 2).hex().encode())


def payload(path: Path, *, size: int) -> None:
    """A file of which no registry has seen the like: half random, half text that compresses well."""
    half = size // 2
    line = os.urandom(32).hex().encode() + b"\n"
    with path.open("wb") as file:
        file.write(os.urandom(half))
        file.write((line * (half // len(line) + 1))[:half])
