"""Servers that a benchmark starts, and the traces that some engines leave on a machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.workspace import CommandFailed, call


def serve(
    command: Sequence[str], *, log: Path, until: Callable[[], bool], patience: float = 30
) -> subprocess.Popen[bytes]:
    """Starts a server and waits until it answers.

    Raises:
        CommandFailed: it ended, or did not answer in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + patience
    while not until():
        if process.poll() is not None or time.monotonic() > deadline:
            end(process)
            lines = log.read_text(errors="replace").strip().splitlines()
            raise CommandFailed(f"{command[0]} does not start: {lines[-1] if lines else 'it says nothing'}")
        time.sleep(0.05)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether something listens on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def unmount_below(directory: Path) -> None:
    """Takes away what an engine has mounted in its directory, the last first."""
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in reversed(targets):
        if target.startswith(f"{directory}/"):
            call(["umount", target])


# What Podman, Buildah and Docker make on a machine and leave there.
_LINKS = {"cni-podman0", "podman0"}
_TABLES = {"ip nat", "ip filter", "ip6 nat", "ip6 filter", "inet netavark"}
_CGROUPS = {"libpod_parent", "docker", "buildah"}


class Traces:
    """What the peers leave on a machine: to be removed at the end, if it was not there when this was made."""

    def __init__(self) -> None:
        self._before = _links() | _tables() | _cgroups()

    def remove(self) -> None:
        for link in _links() - self._before:
            call(["ip", "link", "delete", link])
        for table in _tables() - self._before:
            call(["nft", "delete", "table", *table.split()])
        for top in _cgroups() - self._before:
            for directory, _, _ in os.walk(top, topdown=False):
                os.rmdir(directory)


def _links() -> set[str]:
    return _LINKS.intersection(os.listdir("/sys/class/net"))


def _tables() -> set[str]:
    try:
        listing = call(["nft", "list", "tables"])
    except (FileNotFoundError, CommandFailed):
        return set()
    return _TABLES.intersection(line.removeprefix("table ").strip() for line in listing.splitlines())


def _cgroups() -> set[str]:
    """Their directories at the top of each hierarchy (version 2 has one)."""
    tops = ["/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())]
    return {f"{top}/{name}" for top in tops for name in _CGROUPS if os.path.isdir(f"{top}/{name}")}
