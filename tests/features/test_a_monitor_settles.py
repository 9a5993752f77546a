"""A monitor whose container runs on gives back most of its memory, and nobody notices: it executes itself anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import estiba
from monitors import descriptors, is_settled, monitor_of, own_memory, settle

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("settles_soon")]

MOST = 5000  # kB


def start(host, *words: str) -> int:
    """Run the container `one`; gives its settled monitor."""
    host.estiba("run", "-d", "--name", "one", *words)
    return settle(host, "one")


def test_it_holds_less_than_five_megabytes(busybox_host):
    """So does that of a container in a network. What it holds alone counts, whoever shares the rest."""
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    busybox_host.estiba("run", "-d", "--name", "two", "-p", "80", "busybox", "sleep", "1000")
    for name in ("one", "two"):
        assert own_memory(settle(busybox_host, name)) < MOST


def test_it_keeps_its_number_its_children_and_what_is_open_but_nothing_more(busybox_host, monkeypatch):
    monkeypatch.setenv("ESTIBA_SETTLE_AFTER", "1.5")  # it is looked at before
    busybox_host.estiba("run", "-d", "--name", "one", "-p", "80", "busybox", "sleep", "1000")
    monitor = monitor_of(busybox_host, "one")
    place = os.readlink(f"/proc/{monitor}/ns/mnt")
    before = descriptors(monitor)
    assert settle(busybox_host, "one") == monitor
    assert os.readlink(f"/proc/{monitor}/ns/mnt") == place
    after = [os.readlink(f"/proc/{monitor}/fd/{name}") for name in os.listdir(f"/proc/{monitor}/fd")]
    assert len(after) < before and not [path for path in after if "state.db" in path]
    assert len([path for path in after if path.endswith("-json.log")]) == 1
    listing = busybox_host.estiba("exec", "one", "ls", "/proc/self/fd").stdout.split()
    assert listing == ["0", "1", "2", "3"]  # the last is of `ls`


def test_the_interpreter_that_it_executes_again_is_out_of_reach(busybox_host):
    """By the same read-only mount as before, which has no name (CVE-2019-5736)."""
    monitor = start(busybox_host, "busybox", "sleep", "1000")
    assert os.statvfs(f"/proc/{monitor}/exe").f_flag & os.ST_RDONLY
    with open(f"/proc/{monitor}/mountinfo", encoding="utf-8") as file:
        assert os.path.realpath(sys.executable) not in file.read()


def test_output_is_kept_over_it_also_in_the_midst_of_a_line(busybox_host):
    script = "printf 'begun and '; read x </tmp/go; echo ended; read x </tmp/go; exit 7"
    start(busybox_host, "busybox", "sh", "-c", f"mkfifo /tmp/go; {script}")
    busybox_host.estiba("exec", "one", "sh", "-c", "echo >/tmp/go")
    busybox_host.wait_until(
        lambda: busybox_host.estiba("logs", "one").stdout == "begun and ended\n", "the line is whole"
    )
    busybox_host.estiba("exec", "one", "sh", "-c", "echo >/tmp/go", check=False)  # the container may end before it
    assert busybox_host.estiba("wait", "one").stdout == "7\n"
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 7


def test_who_is_attached_stays_so(busybox_host):
    command = busybox_host.start("run", "-i", "--rm", "--name", "one", "busybox", "cat", stdin=subprocess.PIPE)
    busybox_host.wait_until(lambda: "one" in busybox_host.estiba("ps").stdout, "it runs")
    settle(busybox_host, "one")
    output, _ = command.communicate("words\n", timeout=20)
    assert (output, command.returncode) == ("words\n", 0)
    assert busybox_host.estiba("ps", "-aq").stdout == ""


def test_a_process_that_was_brought_in_before_is_waited_for_after(busybox_host, monkeypatch):
    monkeypatch.setenv("ESTIBA_SETTLE_AFTER", "1.5")
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    words = ("exec", "-i", "one", "sh", "-c", "echo begun; read x; exit 9")
    command = busybox_host.start(*words, stdin=subprocess.PIPE)
    assert command.stdout.readline() == "begun\n" and not is_settled(monitor_of(busybox_host, "one"))
    settle(busybox_host, "one")
    command.communicate("go\n", timeout=20)
    assert command.returncode == 9


def test_a_container_is_started_again_and_its_monitor_settles_again(busybox_host):
    monitor = start(busybox_host, "--restart", "always", "-p", "80", "busybox", "sleep", "1000")
    pid = busybox_host.inspect("one")["State"]["Pid"]
    os.kill(pid, signal.SIGKILL)
    busybox_host.wait_until(lambda: busybox_host.inspect("one")["State"]["Pid"] not in (0, pid), "it runs again")
    assert busybox_host.inspect("one")["RestartCount"] == 1
    assert monitor_of(busybox_host, "one") == monitor
    busybox_host.wait_until(lambda: is_settled(monitor) and own_memory(monitor) < MOST, "the monitor settles again")
    busybox_host.estiba("stop", "-t", "0", "one")
    assert busybox_host.state("one") == "exited"


def test_its_end_gives_everything_back(busybox_host):
    monitor = start(busybox_host, "--rm", "--userns", "auto", "-v", "/data", "-p", "80", "busybox", "sleep", "1000")
    busybox_host.estiba("stop", "-t", "0", "one")
    busybox_host.wait_until(lambda: not os.path.exists(f"/proc/{monitor}"), "the monitor ends")
    assert busybox_host.estiba("ps", "-aq").stdout == ""
    assert busybox_host.estiba("volume", "ls", "-q").stdout == ""
    assert os.listdir(f"{busybox_host.run_directory}/containers") == []


def test_a_newer_package_clears_up_after_the_older(busybox_host, tmp_path):
    """Installed while the container runs: the end is that of the new one, in a program of its own."""
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["cp", "-rp", os.path.dirname(estiba.__file__), str(source)], check=True)
    places = ["--root", busybox_host.root, "--run", busybox_host.run_directory]
    program = f"import sys; sys.path.insert(0, {str(source)!r}); from estiba.cli.main import main; main()"

    def copy(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", program, *places, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    copy("network", "create", "inner")
    network = ("--network", "inner", "--cap-add", "SYS_PTRACE")
    script = "trap 'exit 6' TERM; while :; do sleep 0.05; done"
    copy("run", "-d", "--name", "one", *network, "busybox", "sh", "-c", script)
    monitor = settle(busybox_host, "one")
    (source / "estiba" / "__init__.py").write_text((source / "estiba" / "__init__.py").read_text() + "\n")
    assert copy("exec", "one", "echo", "hello").stdout == "hello\n"  # by the new one's runtime
    assert is_settled(monitor) and own_memory(monitor) < MOST, "it has loaded nothing for that"
    assert "Address" in copy("exec", "one", "nslookup", "one").stdout
    assert is_settled(monitor) and busybox_host.state("one") == "running"
    copy("stop", "one")
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 6
    log = f"{busybox_host.root}/containers/{busybox_host.inspect('one')['Id']}/monitor.log"
    with open(log, encoding="utf-8") as file:
        assert file.read() == ""


def test_one_that_answers_for_names_settles_too(busybox_host):
    """It loads what answers when it is asked, in whatever version is installed then."""
    busybox_host.estiba("network", "create", "inner")
    monitor = start(busybox_host, "--network", "inner", "--network-alias", "www", "busybox", "sleep", "1000")
    assert own_memory(monitor) < MOST
    for name in ("one", "www", "one.inner"):
        found = busybox_host.estiba("exec", "one", "nslookup", name).stdout
        assert busybox_host.inspect("one")["NetworkSettings"]["Networks"]["inner"]["IPAddress"] in found
    assert is_settled(monitor)
    busybox_host.estiba("network", "create", "other")
    busybox_host.estiba("network", "connect", "--alias", "far", "other", "one")
    assert "Address" in busybox_host.estiba("exec", "one", "nslookup", "far").stdout
    os.kill(busybox_host.inspect("one")["State"]["Pid"], signal.SIGKILL)
    busybox_host.wait_until(lambda: busybox_host.state("one") == "exited", "it has ended")
    assert busybox_host.inspect("one")["State"]["ExitCode"] == 137
