"""`podman --runtime estiba-runtime`: conmon, libpod and our runtime agree on every verb that a day's work needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bundles import busybox_rootfs

pytestmark = pytest.mark.root

RUNTIME = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")


class Podman:
    """podman with storage and state of the test's own, without network."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.command = ["podman", "--root", f"{directory}/root", "--runroot", f"{directory}/run"]
        self.command += ["--tmpdir", f"{directory}/tmp", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        self.command += ["--storage-driver", "vfs", "--runtime", RUNTIME]

    def __call__(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *words],
            cwd=self.directory,  # conmon leaves a file `oom` where it is
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"podman {' '.join(words)}: {done.stderr}")
        return done

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self("run", "--rm", "--network", "none", *words)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if shutil.which("podman") is None or shutil.which("conmon") is None:
        pytest.skip("podman or conmon is not installed")
    if not os.path.exists(RUNTIME):
        pytest.skip("the command estiba-runtime is not installed beside this interpreter")
    directory = tmp_path_factory.mktemp("pod")
    parent = "/sys/fs/cgroup/pids/libpod_parent"
    had_parent = os.path.isdir(parent)
    podman = Podman(str(directory))
    tree = busybox_rootfs(str(directory / "tree"))
    archive = str(directory / "tree.tar")
    subprocess.run(["tar", "-C", tree, "-cf", archive, "."], check=True)
    podman("import", archive, "bb", check=True)
    podman.run("bb", "true")  # makes conmon's parent group, so that no test seems to leave it
    yield podman
    podman("rm", "-af")
    if not had_parent:
        _remove_cgroups("libpod_parent")  # conmon's, which podman leaves with every runtime


def _remove_cgroups(name: str) -> None:
    for hierarchy in os.listdir("/sys/fs/cgroup"):
        top = os.path.join("/sys/fs/cgroup", hierarchy, name)
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                continue


def test_run_gives_output_and_exit_code(podman: Podman) -> None:
    done = podman.run("bb", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_podmans_own_guards_arrive(podman: Podman) -> None:
    done = podman.run(
        "--security-opt", "no-new-privileges", "bb", "grep", "-E", "CapEff|NoNew|Seccomp:", "/proc/self/status"
    )
    values = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert values["NoNewPrivs"] == "1"
    assert values["Seccomp"] == "2"
    assert values["CapEff"] != "0000000000000000"


def test_a_container_lives_is_entered_paused_and_stopped(podman: Podman) -> None:
    script = "trap 'exit 3' TERM; while true; do sleep 0.1; done"
    podman("run", "-d", "--name", "life", "--network", "none", "bb", "sh", "-c", script, check=True)
    assert podman("exec", "life", "sh", "-c", "echo in; exit 5").returncode == 5
    assert "/dev/pts/" in podman("exec", "-t", "life", "tty").stdout
    assert podman("exec", "--user", "1000", "-w", "/tmp", "life", "sh", "-c", "id -u; pwd").stdout == "1000\n/tmp\n"
    assert podman("exec", "life", "nope").returncode == 127
    podman("pause", "life", check=True)
    assert podman("inspect", "-f", "{{.State.Status}}", "life").stdout == "paused\n"
    refused = podman("exec", "life", "true")
    assert refused.returncode != 0 and "running" in refused.stderr
    podman("unpause", "life", check=True)
    podman("stop", "-t", "10", "life", check=True)
    assert podman("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "life").stdout == "exited 3\n"
    podman("start", "life", check=True)
    podman("rm", "-f", "-t", "0", "life", check=True)


def test_a_terminal_is_a_terminal(podman: Podman) -> None:
    assert "/dev/pts/0" in podman.run("-t", "bb", "tty").stdout


def test_limits_bite(podman: Podman) -> None:
    assert podman.run("-m", "20m", "bb", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1").returncode == 137
    done = podman.run("--pids-limit", "4", "bb", "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 1 & done; kill %1")
    assert "can't fork" in done.stderr


def test_read_only_with_tmpfs_and_volumes(podman: Podman, tmp_path: object) -> None:
    done = podman.run(
        "--read-only", "--tmpfs", "/etc", "-v", f"{tmp_path}:/data", "bb",
        "sh", "-c", "touch /x || echo refused; wc -l < /etc/passwd; echo a > /etc/b; echo made > /data/file",
    )  # fmt: skip
    assert done.stdout.split() == ["refused", "2"], done.stderr
    assert os.listdir(str(tmp_path)) == ["file"]


@pytest.mark.parametrize(("program", "code"), [("nope", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_run_has_dockers_codes(podman: Podman, program: str, code: int) -> None:
    assert podman.run("bb", program).returncode == code


def test_a_user_namespace(podman: Podman) -> None:
    maps = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")
    done = podman.run(*maps, "bb", "sh", "-c", "id -u; cat /proc/self/uid_map; echo > /dev/null && echo null")
    assert done.stdout.split() == ["0", "0", "100000", "65536", "null"], done.stderr


def test_privileged_and_devices(podman: Podman) -> None:
    assert podman.run("--privileged", "bb", "unshare", "-m", "true").returncode == 0
    assert "5, " in podman.run("--device", "/dev/tty:/dev/mine", "bb", "ls", "-l", "/dev/mine").stdout


def control_file(container_id: str, controller: str, name: str) -> str:
    """A file of the container's control group of version 1, which conmon keeps below `libpod_parent`."""
    path = f"/sys/fs/cgroup/{controller}/libpod_parent/libpod-{container_id}/{name}"
    if not os.path.exists(path):
        pytest.skip(f"no control group of version 1 with {controller}")
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def test_limits_arrive_and_update_changes_them(podman: Podman) -> None:
    flags = ("--network", "none", "-m", "50m", "--pids-limit", "20", "--cpus", "0.5")
    container = podman("run", "-d", "--name", "limited", *flags, "bb", "sleep", "1000", check=True).stdout.strip()
    assert control_file(container, "memory", "memory.limit_in_bytes") == str(50 << 20)
    assert control_file(container, "pids", "pids.max") == "20"
    assert control_file(container, "cpu", "cpu.cfs_quota_us") == "50000"
    assert podman("stats", "--no-stream", "--format", "{{.PIDs}}", "limited", check=True).stdout == "1\n"
    podman("update", "-m", "30m", "--cpus", "0.25", "--cpu-shares", "100", "limited", check=True)
    assert control_file(container, "memory", "memory.limit_in_bytes") == str(30 << 20)
    assert control_file(container, "cpu", "cpu.cfs_quota_us") == "25000"
    assert control_file(container, "cpu", "cpu.shares") == "100"
    podman("rm", "-f", "-t", "0", "limited", check=True)


def test_a_container_is_entered_killed_while_paused_and_restarted(podman: Podman) -> None:
    script = "trap 'exit 3' TERM; echo begun; while true; do sleep 0.1; done"
    podman("run", "-d", "--name", "again", "--network", "none", "bb", "sh", "-c", script, check=True)
    given = subprocess.run(
        [*podman.command, "exec", "-i", "again", "cat"],
        cwd=podman.directory, input="x\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (given.stdout, given.returncode) == ("x\n", 0)
    assert podman("exec", "again", "sh", "-c", "kill -9 $$").returncode == 137
    assert "sleep 0.1" in podman("top", "again", "pid", "args", check=True).stdout
    podman("pause", "again", check=True)
    podman("kill", "again", check=True)
    assert podman("wait", "again").stdout == "137\n"
    podman("start", "again", check=True)
    podman("restart", "-t", "5", "again", check=True)
    podman("stop", "-t", "10", "again", check=True)
    assert podman("wait", "again").stdout == "3\n"
    assert podman("logs", "again").stdout.splitlines()[0] == "begun"
    podman("rm", "again", check=True)


def test_capabilities_users_limits_and_places_arrive(podman: Podman) -> None:
    flags = ("--cap-drop", "ALL", "--cap-add", "NET_RAW", "--user", "1000:7", "--group-add", "33", "--umask", "077")
    flags += ("--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_forward=1", "--oom-score-adj", "500")
    flags += ("--hostname", "named", "--cpuset-cpus", "0", "--tmpfs", "/t:size=1m,mode=1770,noexec")
    script = """
        grep -E 'CapEff|CapAmb|Cpus_allowed_list' /proc/self/status; id -u; id -G; umask
        ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; hostname
        grep ' /t ' /proc/mounts
    """
    done = podman.run(*flags, "bb", "sh", "-c", script)
    assert done.stdout.splitlines() == [
        "CapEff:\t0000000000002000", "CapAmb:\t0000000000002000", "Cpus_allowed_list:\t0", "1000", "7 33", "0077",
        "100", "200", "1", "500", "named",
        "tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=1770 0 0",
    ], done.stderr  # fmt: skip
    assert podman.run("--personality=LINUX32", "bb", "uname", "-m").stdout in ("i686\n", "armv8l\n")
