"""`estiba exec` runs one more process in a running container, with its streams and its own exit code."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.without_root_too


@pytest.fixture
def running(busybox_host):
    """A host with the running container `one`."""
    busybox_host.estiba("run", "-d", "--name", "one", "-e", "OWN=1", "-w", "/var/www", "busybox", "sleep", "1000")
    return busybox_host


def test_output_error_output_and_exit_code_are_the_processs(running):
    done = running.estiba("exec", "one", "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 5)


def test_a_process_ended_by_a_signal_gives_128_and_its_number(running):
    assert running.estiba("exec", "one", "sh", "-c", "kill -9 $$", check=False).returncode == 137


def test_input_reaches_the_process_and_its_end_too(running):
    data = os.urandom(3 << 20)
    done = running.estiba("exec", "-i", "one", "cat", stdin=None, input=data, text=False)
    assert done.stdout == data


def test_it_has_the_containers_environment_directory_and_user(running):
    script = "echo $OWN $GIVEN $HOME; pwd; id -un"
    done = running.estiba("exec", "-e", "GIVEN=2", "one", "sh", "-c", script)
    assert done.stdout.splitlines() == ["1 2 /root", "/var/www", "root"]


def test_it_may_have_another_user_and_directory(running):
    done = running.estiba("exec", "-u", "app", "-w", "/tmp", "one", "sh", "-c", "echo $HOME; pwd; id -u; id -G")
    assert done.stdout.splitlines() == ["/home/app", "/tmp", "1000", "1000 29"]


def test_it_sees_the_containers_processes_and_no_others(running):
    assert "sleep 1000" in running.estiba("exec", "one", "ps").stdout
    assert running.estiba("exec", "one", "cat", "/proc/1/cmdline").stdout == "sleep\x001000\x00"


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc", 126)])
def test_a_program_that_is_missing_or_cannot_run_is_told_apart(running, program, code):
    done = running.estiba("exec", "one", program, check=False)
    assert done.returncode == code
    assert program in done.stderr


def test_a_detached_process_goes_on_by_itself(running):
    running.estiba("exec", "-d", "one", "sh", "-c", "sleep 0.1; touch /tmp/done; sleep 1000")
    running.wait_until(
        lambda: running.estiba("exec", "one", "test", "-e", "/tmp/done", check=False).returncode == 0,
        "the file is there",
    )


def test_no_process_is_started_in_a_container_that_does_not_run(busybox_host):
    busybox_host.estiba("create", "--name", "one", "busybox")
    done = busybox_host.estiba("exec", "one", "true", check=False)
    assert done.returncode == 125
    assert "not running" in done.stderr


def test_the_process_ends_with_its_container(running):
    command = running.start("exec", "one", "sh", "-c", "echo ready; sleep 1000")
    assert command.stdout is not None
    command.stdout.readline()
    running.estiba("kill", "one")
    command.communicate(timeout=20)
    assert command.returncode == 137


def test_top_lists_the_containers_processes_as_the_host_sees_them(running):
    pid = running.inspect("one")["State"]["Pid"]
    heading, *lines = running.estiba("top", "one").stdout.splitlines()
    assert "PID" in heading.split()
    assert [line.split()[-2:] for line in lines] == [["sleep", "1000"]]
    assert running.estiba("top", "one", "-e", "-o", "pid,comm").stdout.split() == ["PID", "COMMAND", str(pid), "sleep"]


def test_exec_leaves_no_descriptor_of_the_host_open_inside(running):
    listing = running.estiba("exec", "one", "sh", "-c", "ls -l /proc/self/fd").stdout
    assert "/tmp/" not in listing and running.root not in listing
