"""dockerd, containerd and its shim with `--default-runtime estiba-runtime`: Docker's own life cycle on our runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bundles import busybox_rootfs
from docker_daemons import Docker, dockerd
from waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]

RUNTIME = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")


class Containers(Docker):
    """The same command line, for containers without a network."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self("run", "--rm", "--network", "none", *words)

    def start(self, name: str, *words: str) -> str:
        """A container that lives until it is asked to end, then with exit code 3; gives its id."""
        script = "trap 'exit 3' TERM; while true; do sleep 0.1; done"
        flags = ("-d", "--name", name, "--network", "none", *words)
        return self("run", *flags, "bb", "sh", "-c", script, check=True).stdout.strip()

    def says(self, name: str, template: str) -> str:
        return self("inspect", "-f", template, name, check=True).stdout.strip()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    if not os.path.exists(RUNTIME):
        pytest.skip("the command estiba-runtime is not installed beside this interpreter")
    directory = tmp_path_factory.mktemp("image")
    ours = ("--add-runtime", f"estiba={RUNTIME}", "--default-runtime", "estiba")
    with dockerd(*ours, "--experimental") as daemon:  # checkpoints are an experiment
        docker = Containers(daemon.address)
        tree = busybox_rootfs(str(directory / "tree"))
        subprocess.run(["tar", "-C", tree, "-cf", str(directory / "tree.tar"), "."], check=True)
        docker("import", str(directory / "tree.tar"), "bb", check=True)
        yield docker


def test_run_gives_output_exit_code_and_dockers_guards(docker: Containers) -> None:
    done = docker.run("bb", "sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status; echo err >&2; exit 7")
    assert done.stdout == "CapEff:\t00000000a80425fb\nSeccomp:\t2\n"
    assert (done.stderr, done.returncode) == ("err\n", 7)


def test_a_container_lives_is_entered_paused_updated_and_stopped(docker: Containers) -> None:
    docker.start("life")
    assert docker("exec", "life", "sh", "-c", "echo in; exit 5").returncode == 5
    assert "/dev/pts/" in docker("exec", "-t", "life", "tty").stdout
    assert docker("exec", "-u", "1000", "-w", "/tmp", "life", "sh", "-c", "id -u; pwd").stdout == "1000\n/tmp\n"
    # 126 in Docker 20.10, 127 later, with every runtime.
    assert docker("exec", "life", "nope").returncode in (126, 127)
    assert "sleep" in docker("top", "life").stdout
    docker("pause", "life", check=True)
    assert docker.says("life", "{{.State.Status}}") == "paused"
    refused = docker("exec", "life", "true")
    assert refused.returncode != 0 and "paused" in refused.stderr
    docker("unpause", "life", check=True)
    docker("stop", "life", check=True)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "life").stdout == "3\n"
    docker("start", "life", check=True)
    docker("kill", "life", check=True)
    docker("rm", "-f", "life", check=True)


def test_a_terminal_is_a_terminal(docker: Containers) -> None:
    assert "/dev/pts/0" in docker.run("-t", "bb", "tty").stdout


def test_limits_bite(docker: Containers) -> None:
    assert docker.run("-m", "20m", "bb", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1").returncode == 137


def test_read_only_with_tmpfs_and_init(docker: Containers) -> None:
    done = docker.run(
        "--read-only", "--tmpfs", "/scratch", "--init", "bb", "sh", "-c", "echo $$; touch /scratch/x; touch /x"
    )
    assert done.stdout != "1\n"
    assert "/x: Read-only file system" in done.stderr


@pytest.mark.parametrize(("program", "code"), [("nope", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_run_has_dockers_codes(docker: Containers, program: str, code: int) -> None:
    assert docker.run("bb", program).returncode == code


def control_file(container_id: str, controller: str, name: str) -> str:
    """A file of the container's control group of version 1, which dockerd keeps below `docker`."""
    path = f"/sys/fs/cgroup/{controller}/docker/{container_id}/{name}"
    if not os.path.exists(path):
        pytest.skip(f"no control group of version 1 with {controller}")
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def test_limits_arrive_and_update_changes_them(docker: Containers) -> None:
    container = docker.start("limited", "-m", "50m", "--pids-limit", "20", "--cpus", "0.5")
    assert control_file(container, "memory", "memory.limit_in_bytes") == str(50 << 20)
    assert control_file(container, "pids", "pids.max") == "20"
    assert control_file(container, "cpu", "cpu.cfs_quota_us") == "50000"
    assert "50MiB" in docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "limited").stdout
    flags = ("-m", "30m", "--memory-swap", "30m", "--pids-limit", "10", "--cpus", "0.25", "--cpu-shares", "100")
    docker("update", *flags, "--cpuset-cpus", "0", "limited", check=True)
    assert control_file(container, "memory", "memory.limit_in_bytes") == str(30 << 20)
    assert control_file(container, "pids", "pids.max") == "10"
    assert control_file(container, "cpu", "cpu.cfs_quota_us") == "25000"
    assert control_file(container, "cpu", "cpu.shares") == "100"
    assert control_file(container, "cpuset", "cpuset.cpus") == "0"
    forks = "i=0; while [ $i -lt 15 ]; do sleep 1 & i=$((i+1)); done; echo all"
    assert "can't fork" in docker("exec", "limited", "sh", "-c", forks).stderr
    docker("rm", "-f", "limited", check=True)


def test_what_exec_is_asked_for_arrives(docker: Containers) -> None:
    docker.start("entered")
    given = subprocess.run(
        [*docker.command, "exec", "-i", "entered", "cat"], input="x\n", capture_output=True, text=True, timeout=60
    )
    assert (given.stdout, given.returncode) == ("x\n", 0)
    assert docker("exec", "-e", "GIVEN=2", "entered", "sh", "-c", "echo $GIVEN").stdout == "2\n"
    mine = docker("exec", "--privileged", "entered", "grep", "CapEff", "/proc/self/status").stdout
    assert mine != "CapEff:\t00000000a80425fb\n"
    assert docker("exec", "entered", "sh", "-c", "kill -9 $$").returncode == 137
    docker("exec", "-d", "entered", "sh", "-c", "touch /tmp/made; sleep 1000", check=True)
    wait_until(lambda: docker("exec", "entered", "cat", "/tmp/made").returncode == 0, "the detached process works")
    docker("rm", "-f", "entered", check=True)


def test_a_paused_container_is_killed_restarted_and_removed(docker: Containers) -> None:
    docker.start("stubborn")
    docker("pause", "stubborn", check=True)
    docker("kill", "stubborn", check=True)
    assert docker.says("stubborn", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"
    docker("start", "stubborn", check=True)
    before = docker.says("stubborn", "{{.State.Pid}}")
    docker("restart", "-t", "5", "stubborn", check=True)
    assert docker.says("stubborn", "{{.State.Pid}}") not in (before, "0")
    assert docker("rm", "stubborn").returncode != 0
    docker("rm", "-f", "stubborn", check=True)


def test_the_logs_restarts_and_want_of_memory_are_told(docker: Containers) -> None:
    failing = ("--restart", "on-failure:2", "bb", "sh", "-c", "echo ran; exit 3")
    docker("run", "-d", "--name", "failing", "--network", "none", *failing, check=True)
    wait_until(lambda: docker.says("failing", "{{.RestartCount}} {{.State.Status}}") == "2 exited", "two restarts")
    assert docker("logs", "failing").stdout == "ran\n" * 3
    eater = ("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    assert docker("run", "--name", "eater", "--network", "none", "-m", "20m", "bb", *eater).returncode == 137
    assert docker.says("eater", "{{.State.OOMKilled}}") == "true"
    docker("rm", "failing", "eater", check=True)


def test_a_checkpoint_is_refused_and_the_container_goes_on(docker: Containers) -> None:
    docker.start("kept")
    refused = docker("checkpoint", "create", "kept", "one")
    assert refused.returncode != 0
    assert "checkpoint is not there yet" in refused.stderr
    assert docker.says("kept", "{{.State.Status}}") == "running", refused.stderr
    docker("rm", "-f", "kept", check=True)


def test_capabilities_are_dropped_added_or_all(docker: Containers) -> None:
    def effective(*flags: str) -> int:
        return int(docker.run(*flags, "bb", "grep", "CapEff", "/proc/self/status").stdout.split()[1], 16)

    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "ALL", "--cap-add", "NET_RAW", "--cap-add", "SYS_ADMIN") == 1 << 13 | 1 << 21
    done = docker.run(
        "--privileged", "bb", "sh", "-c", "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp && echo mounted"
    )
    assert done.stdout == "Seccomp:\t0\nmounted\n"


def test_mounts_devices_limits_and_sysctls_arrive(docker: Containers, tmp_path: object) -> None:
    flags = ("-v", f"{tmp_path}:/data", "-v", f"{tmp_path}:/fixed:ro", "--tmpfs", "/t:size=1m,mode=1770,noexec")
    flags += ("--device", "/dev/null:/dev/mine", "--ulimit", "nofile=100:200", "--shm-size", "3m")
    flags += ("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=1111", "--oom-score-adj", "500")
    script = """
        echo hi > /data/file; cat /fixed/file; echo x > /fixed/other || echo refused
        grep ' /t ' /proc/mounts; echo a > /dev/mine && echo device
        ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/self/oom_score_adj
        ls /sys/class/net; hostname
    """
    done = docker.run(*flags, "--hostname", "named", "bb", "sh", "-c", script)
    assert done.stdout.splitlines() == [
        "hi", "refused", "tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=1770 0 0", "device",
        "100", "200", "1", "1111", "500", "lo", "named",
    ], done.stderr  # fmt: skip


def test_users_groups_and_directories_are_as_asked(docker: Containers) -> None:
    script = "id -u; id -g; id -G; pwd; grep NoNew /proc/self/status"
    flags = ("--user", "1000:7", "--group-add", "33", "--workdir", "/new/place", "--security-opt", "no-new-privileges")
    done = docker.run(*flags, "bb", "sh", "-c", script)
    assert done.stdout.splitlines() == ["1000", "7", "7 33", "/new/place", "NoNewPrivs:\t1"]


def test_a_device_rule_allows_one_more_device(docker: Containers) -> None:
    script = "mknod /tmp/fuse c 10 229; dd if=/tmp/fuse of=/dev/null bs=8k count=0 2>&1 | grep -c permitted"
    assert docker.run("bb", "sh", "-c", script).stdout == "1\n"
    assert docker.run("--device-cgroup-rule", "c 10:229 rwm", "bb", "sh", "-c", script).stdout == "0\n"


def test_the_init_of_docker_is_the_first_process(docker: Containers) -> None:
    assert docker.run("--init", "bb", "sh", "-c", "cat /proc/1/cmdline").stdout.startswith("/sbin/docker-init")
