"""dockerd, containerd and its shim with `--default-runtime estiba-runtime`: Docker's own life cycle on our runtime."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from bundles import busybox_rootfs

pytestmark = [pytest.mark.root, pytest.mark.slow]

RUNTIME = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")


class Docker:
    """The docker command line of one daemon."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.command = ["docker", "-H", f"unix://{directory}/d.sock"]

    def __call__(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            pytest.fail(f"docker {' '.join(words)}: {done.stderr}")
        return done

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self("run", "--rm", "--network", "none", *words)


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    for program in ("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not os.path.exists(RUNTIME):
        pytest.skip("the command estiba-runtime is not installed beside this interpreter")
    directory = tempfile.mkdtemp(prefix="est-dk-")  # short: it holds unix sockets
    had_cgroup = os.path.isdir("/sys/fs/cgroup/pids/docker")
    # In a mount namespace of its own, without bridge and firewall rules: nothing of the machine's changes.
    command = ["unshare", "-m", "dockerd", "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"]
    command += ["-p", f"{directory}/pid", "-H", f"unix://{directory}/d.sock", "--storage-driver", "vfs"]
    command += ["--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"]
    command += ["--add-runtime", f"estiba={RUNTIME}", "--default-runtime", "estiba"]
    command += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
    docker = Docker(directory)
    with open(f"{directory}/log", "wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_until_up(docker, daemon)
        tree = busybox_rootfs(f"{directory}/tree")
        subprocess.run(["tar", "-C", tree, "-cf", f"{directory}/tree.tar", "."], check=True)
        docker("import", f"{directory}/tree.tar", "bb", check=True)
        yield docker
        ids = docker("ps", "-aq").stdout.split()
        if ids:
            docker("rm", "-f", *ids)
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        shutil.rmtree(directory)
        if not had_cgroup:
            _remove_cgroups("docker")


def _wait_until_up(docker: Docker, daemon: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if docker("version").returncode == 0:
            return
        if daemon.poll() is not None:
            break
        select.poll().poll(100)
    with open(f"{docker.directory}/log", encoding="utf-8") as log:
        pytest.skip(f"dockerd does not run here: {log.read()[-500:]}")


def _remove_cgroups(name: str) -> None:
    for hierarchy in os.listdir("/sys/fs/cgroup"):
        for directory, _, _ in os.walk(os.path.join("/sys/fs/cgroup", hierarchy, name), topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                continue


def test_run_gives_output_exit_code_and_dockers_guards(docker: Docker) -> None:
    done = docker.run("bb", "sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status; echo err >&2; exit 7")
    assert done.stdout == "CapEff:\t00000000a80425fb\nSeccomp:\t2\n"
    assert (done.stderr, done.returncode) == ("err\n", 7)


def test_a_container_lives_is_entered_paused_updated_and_stopped(docker: Docker) -> None:
    script = "trap 'exit 3' TERM; while true; do sleep 0.1; done"
    docker("run", "-d", "--name", "life", "--network", "none", "bb", "sh", "-c", script, check=True)
    assert docker("exec", "life", "sh", "-c", "echo in; exit 5").returncode == 5
    assert "/dev/pts/" in docker("exec", "-t", "life", "tty").stdout
    assert docker("exec", "-u", "1000", "-w", "/tmp", "life", "sh", "-c", "id -u; pwd").stdout == "1000\n/tmp\n"
    # 126 in Docker 20.10, 127 later, with every runtime.
    assert docker("exec", "life", "nope").returncode in (126, 127)
    assert "sleep" in docker("top", "life").stdout
    docker("pause", "life", check=True)
    assert docker("inspect", "-f", "{{.State.Status}}", "life").stdout == "paused\n"
    docker("unpause", "life", check=True)
    docker("update", "--memory", "30m", "--memory-swap", "30m", "life", check=True)
    docker("stop", "life", check=True)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "life").stdout == "3\n"
    docker("start", "life", check=True)
    docker("kill", "life", check=True)
    docker("rm", "-f", "life", check=True)


def test_a_terminal_is_a_terminal(docker: Docker) -> None:
    assert "/dev/pts/0" in docker.run("-t", "bb", "tty").stdout


def test_limits_bite(docker: Docker) -> None:
    assert docker.run("-m", "20m", "bb", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1").returncode == 137


def test_read_only_with_tmpfs_and_init(docker: Docker) -> None:
    done = docker.run(
        "--read-only", "--tmpfs", "/scratch", "--init", "bb", "sh", "-c", "echo $$; touch /scratch/x; touch /x"
    )
    assert done.stdout != "1\n"
    assert "/x: Read-only file system" in done.stderr


@pytest.mark.parametrize(("program", "code"), [("nope", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_run_has_dockers_codes(docker: Docker, program: str, code: int) -> None:
    assert docker.run("bb", program).returncode == code
