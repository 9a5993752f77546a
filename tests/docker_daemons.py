"""Servers of the Docker Engine API, ours and Debian's, each with Docker's own command line in front."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest


class Docker:
    """The docker command line of one daemon."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.command = ["docker", "-H", address]

    def __call__(
        self, *words: str, check: bool = False, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        feed = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        environment = os.environ | {"DOCKER_CLI_HINTS": "false", "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(
            [*self.command, *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment,
            **feed,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            pytest.fail(f"docker {' '.join(words)}: {done.stderr}")
        return done


@contextmanager
def estiba_daemon(command: Sequence[str], directory: str) -> Iterator[Docker]:
    """`estiba daemon` of an installation; `command` is how to call it. The socket is in `directory`."""
    docker = Docker(f"unix://{directory}/e.sock")
    with open(f"{directory}/daemon.log", "wb") as log:
        daemon = subprocess.Popen(
            [*command, "daemon", "-H", docker.address], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait_until_up(docker, daemon, f"{directory}/daemon.log")
        yield docker
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        with open(f"{directory}/daemon.log", encoding="utf-8") as log:
            told = log.read()
    assert "Traceback" not in told, told


@contextmanager
def dockerd(*options: str) -> Iterator[Docker]:
    """Debian's dockerd in namespaces of its own, so that nothing of the machine changes; with more `options`."""
    for program in ("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "unshare", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    directory = tempfile.mkdtemp(prefix="est-dk-")  # short: it holds unix sockets
    had_cgroup = os.path.isdir("/sys/fs/cgroup/pids/docker")
    docker = Docker(f"unix://{directory}/d.sock")
    words = ["dockerd", "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "-H", docker.address]
    words += ["-p", f"{directory}/pid", "--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs"]
    script = f"ip link set lo up && exec {shlex.join([*words, *options])}"
    with open(f"{directory}/log", "wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "-m", "-n", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait_until_up(docker, daemon, f"{directory}/log", may_skip=True)
        yield docker
        ids = docker("ps", "-aq").stdout.split()
        if ids:
            docker("rm", "-f", "-v", *ids)
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        shutil.rmtree(directory)
        if not had_cgroup:
            _remove_cgroups("docker")


def _wait_until_up(docker: Docker, daemon: subprocess.Popen[bytes], log: str, *, may_skip: bool = False) -> None:
    for _ in range(300):
        if docker("version").returncode == 0:
            return
        if daemon.poll() is not None:
            break
        select.poll().poll(100)
    with open(log, encoding="utf-8") as file:
        message = f"the daemon does not run: {file.read()[-500:]}"
    if may_skip:
        pytest.skip(message)
    pytest.fail(message)


def _remove_cgroups(name: str) -> None:
    for hierarchy in os.listdir("/sys/fs/cgroup"):
        for directory, _, _ in os.walk(os.path.join("/sys/fs/cgroup", hierarchy, name), topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                continue
