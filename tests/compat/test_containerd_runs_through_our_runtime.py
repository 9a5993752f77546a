"""containerd's own client, `ctr --runc-binary estiba-runtime`: its shim creates, enters, limits and ends containers."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import pytest

from bundles import busybox_rootfs

pytestmark = [pytest.mark.root, pytest.mark.slow]

RUNTIME = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")
# A namespace of containerd's, which is the parent of its control groups too.
NAMESPACE = "estiba-test"
_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{directory}/c.sock"
[ttrpc]
address = "{directory}/t.sock"
"""


class Ctr:
    """The command line of one containerd."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.tree = f"{directory}/tree"
        self.command = ["ctr", "-a", f"{directory}/c.sock", "-n", NAMESPACE]

    def __call__(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            pytest.fail(f"ctr {' '.join(words)}: {done.stderr}")
        return done

    def run(self, name: str, *program: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return self("run", "--runc-binary", RUNTIME, *flags, "--rootfs", self.tree, name, *program)

    def on_terminal(self, *words: str) -> tuple[str, int]:
        """The command on a terminal of the test's own; gives what came there, and the exit code."""
        master, slave = pty.openpty()
        try:
            process = subprocess.Popen([*self.command, *words], stdin=slave, stdout=slave, stderr=slave)
            os.close(slave)
            seen = b""
            while select.select([master], [], [], 60)[0]:
                try:
                    seen += os.read(master, 65536)
                except OSError:  # EIO: the last process on its other side has ended
                    break
            return seen.decode(), process.wait(timeout=60)
        finally:
            os.close(master)

    def status(self, name: str) -> str:
        found = re.search(rf"^{name}\s+\d+\s+(\w+)", self("tasks", "ls", check=True).stdout, re.MULTILINE)
        return found[1] if found else ""


@pytest.fixture(scope="module")
def ctr() -> Iterator[Ctr]:
    for program in ("ctr", "containerd", "containerd-shim-runc-v2", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not os.path.exists(RUNTIME):
        pytest.skip("the command estiba-runtime is not installed beside this interpreter")
    directory = tempfile.mkdtemp(prefix="est-ctr-")  # short: it holds unix sockets
    with open(f"{directory}/config.toml", "w", encoding="utf-8") as file:
        file.write(_CONFIG.format(directory=directory))
    client = Ctr(directory)
    busybox_rootfs(client.tree)
    with open(f"{directory}/log", "wb") as log:
        command = ["unshare", "-m", "containerd", "--config", f"{directory}/config.toml"]
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(lambda: client("version").returncode == 0 or daemon.poll() is not None)
        if daemon.poll() is not None:
            with open(f"{directory}/log", encoding="utf-8") as text:
                pytest.skip(f"containerd does not run here: {text.read()[-500:]}")
        yield client
        for name in client("containers", "ls", "-q").stdout.split():
            client("tasks", "rm", "-f", name)
            client("containers", "rm", name)
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        shutil.rmtree(directory)
        _remove_cgroups(NAMESPACE)


def _wait(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        select.poll().poll(100)
    pytest.fail("what was waited for did not come within ten seconds")


def _remove_cgroups(name: str) -> None:
    for hierarchy in os.listdir("/sys/fs/cgroup"):
        place = os.path.join("/sys/fs/cgroup", hierarchy, name)
        if os.path.isdir(place):
            os.rmdir(place)


def _control_file(container: str, controller: str, name: str) -> str:
    for place in (f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"):
        path = f"{place}/{NAMESPACE}/{container}/{name}"
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                return file.read().strip()
    return ""


def test_run_gives_output_and_exit_code(ctr: Ctr) -> None:
    done = ctr.run("one", "sh", "-c", "echo out; echo err >&2; exit 7", flags=("--rm",))
    assert (done.stdout, done.returncode) == ("out\n", 7)
    assert "err\n" in done.stderr
    assert ctr("containers", "ls", "-q").stdout == ""


def test_a_container_lives_is_entered_paused_and_stopped(ctr: Ctr) -> None:
    ctr.run("life", "sh", "-c", "trap 'exit 3' TERM; while true; do sleep 0.1; done", flags=("-d",))
    assert ctr.status("life") == "RUNNING"
    done = ctr("tasks", "exec", "--exec-id", "first", "life", "sh", "-c", "echo in; exit 5")
    assert (done.stdout, done.returncode) == ("in\n", 5)
    done = ctr(
        "tasks", "exec", "--exec-id", "second", "--user", "1000", "--cwd", "/tmp", "life", "sh", "-c", "id -u; pwd"
    )
    assert done.stdout == "1000\n/tmp\n"
    ctr("tasks", "pause", "life", check=True)
    assert ctr.status("life") == "PAUSED"
    ctr("tasks", "resume", "life", check=True)
    assert ctr.status("life") == "RUNNING"
    assert len(ctr("tasks", "ps", "life", check=True).stdout.splitlines()) >= 2
    assert "pids.current" in ctr("tasks", "metrics", "life", check=True).stdout
    ctr("tasks", "kill", "life", check=True)
    _wait(lambda: ctr.status("life") == "STOPPED")
    assert "exit code 3" in ctr("tasks", "rm", "life").stderr
    ctr("containers", "rm", "life", check=True)
    assert not any(os.path.exists(f"/sys/fs/cgroup/{c}/{NAMESPACE}/life") for c in ("pids", "memory", "."))


def test_a_killed_task_is_removed_with_all_its_processes(ctr: Ctr) -> None:
    ctr.run("many", "sh", "-c", "sleep 1000 & sleep 1000 & wait", flags=("-d",))
    ctr("tasks", "kill", "-a", "-s", "SIGKILL", "many", check=True)
    _wait(lambda: ctr.status("many") == "STOPPED")
    assert "exit code 137" in ctr("tasks", "rm", "many").stderr
    ctr("containers", "rm", "many", check=True)


def test_limits_arrive_and_bite(ctr: Ctr) -> None:
    flags = ("-d", "--memory-limit", "20971520", "--cpus", "0.5")
    ctr.run("limited", "sh", "-c", "sleep 1000", flags=flags)
    limit = _control_file("limited", "memory", "memory.limit_in_bytes") or _control_file("limited", "", "memory.max")
    assert limit == "20971520"
    quota = _control_file("limited", "cpu", "cpu.cfs_quota_us") or _control_file("limited", "", "cpu.max").split()[0]
    assert quota == "50000"
    eater = ("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    assert ctr("tasks", "exec", "--exec-id", "eater", "limited", *eater).returncode == 137
    ctr("tasks", "rm", "-f", "limited", check=True)
    ctr("containers", "rm", "limited", check=True)


def test_guards_are_containerds(ctr: Ctr) -> None:
    flags = ("--rm", "--seccomp", "--read-only", "--cap-drop", "CAP_CHOWN")
    done = ctr.run("guarded", "sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status; touch /x", flags=flags)
    assert done.stdout == "CapEff:\t00000000a80425fa\nSeccomp:\t2\n"
    assert "Read-only file system" in done.stderr


def test_a_terminal_is_a_terminal(ctr: Ctr) -> None:
    words = ("run", "--rm", "-t", "--runc-binary", RUNTIME, "--rootfs", ctr.tree, "term")
    output, code = ctr.on_terminal(*words, "sh", "-c", "tty; exit 4")
    assert (output.split()[0], code) == ("/dev/pts/0", 4)
    ctr.run("entered", "sleep", "1000", flags=("-d",))
    output, code = ctr.on_terminal("tasks", "exec", "-t", "--exec-id", "one", "entered", "sh", "-c", "tty; exit 5")
    assert (output.split()[0], code) == ("/dev/pts/0", 5)
    ctr("tasks", "rm", "-f", "entered", check=True)
    ctr("containers", "rm", "entered", check=True)


def test_a_paused_container_takes_no_program_and_no_container_a_checkpoint(ctr: Ctr) -> None:
    ctr.run("held", "sleep", "1000", flags=("-d",))
    refused = ctr("tasks", "checkpoint", "held")
    assert refused.returncode != 0
    assert "checkpoint is not there yet" in refused.stderr
    ctr("tasks", "pause", "held", check=True)
    refused = ctr("tasks", "exec", "--exec-id", "one", "held", "true")
    assert refused.returncode != 0
    assert "paused" in refused.stderr
    ctr("tasks", "resume", "held", check=True)
    assert ctr.status("held") == "RUNNING"
    ctr("tasks", "rm", "-f", "held", check=True)
    ctr("containers", "rm", "held", check=True)


def test_a_container_is_started_again(ctr: Ctr) -> None:
    ctr.run("again", "sh", "-c", "exit 6", flags=("-d",))
    _wait(lambda: ctr.status("again") == "STOPPED")
    ctr("tasks", "rm", "again")
    assert ctr("tasks", "start", "again").returncode == 6
    ctr("containers", "rm", "again", check=True)


def test_a_program_that_is_missing_is_told(ctr: Ctr) -> None:
    done = ctr.run("wrong", "nope", flags=("--rm",))
    assert done.returncode != 0
    assert "executable file not found" in done.stderr
