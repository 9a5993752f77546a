"""`estiba run` does what Docker's does: streams, exit codes, environment, users, names."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = pytest.mark.without_root_too


def test_the_output_the_error_output_and_the_exit_code_are_the_containers(busybox_host):
    done = busybox_host.estiba("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_standard_input_reaches_the_container_and_its_end_too(busybox_host):
    done = busybox_host.estiba("run", "--rm", "-i", "busybox", "cat", stdin=None, input="a line\nno newline")
    assert done.stdout == "a line\nno newline"


def test_without_i_the_container_has_an_empty_input(busybox_host):
    done = busybox_host.estiba("run", "--rm", "busybox", "cat", stdin=None, input="nobody reads this")
    assert done.stdout == ""


def test_ten_megabytes_pass_through_unharmed(busybox_host):
    data = os.urandom(10 << 20)
    done = busybox_host.estiba(
        "run", "--rm", "-i", "--log-driver", "none", "busybox", "cat", stdin=None, input=data, text=False
    )
    assert done.stdout == data


def test_a_missing_program_is_127_and_one_that_cannot_run_126(busybox_host):
    missing = busybox_host.estiba("run", "--rm", "busybox", "no-such-program", check=False)
    directory = busybox_host.estiba("run", "--rm", "busybox", "/etc", check=False)
    assert (missing.returncode, directory.returncode) == (127, 126)
    assert "no-such-program" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--rm", "--no-such-flag", "busybox"), "--no-such-flag"),
        (("--gpus", "all", "busybox"), "--gpus"),
        (("--memory", "much", "busybox"), "memory"),
        (("-u", "nobody-knows-me", "busybox", "true"), "nobody-knows-me"),
        (("--pull", "never", "no-such-image"), "no-such-image"),
        (("--network", "no-such-network", "busybox", "true"), "no-such-network"),
        (("--mount", "type=bind,source=/no/such/place,target=/x", "busybox", "true"), "/no/such/place"),
    ],
)
def test_what_estiba_itself_cannot_do_is_named_and_not_the_containers_fault(busybox_host, arguments, word):
    done = busybox_host.estiba("run", *arguments, check=False)
    assert done.returncode in (2, 125)
    assert word in done.stderr


def test_a_container_that_did_not_start_leaves_nothing_when_it_was_to_be_removed(busybox_host):
    busybox_host.estiba("run", "--rm", "busybox", "no-such-program", check=False)
    assert busybox_host.estiba("ps", "-aq").stdout == ""


def test_a_container_that_did_not_start_stays_as_created(busybox_host):
    busybox_host.estiba("run", "--name", "broken", "busybox", "no-such-program", check=False)
    state = busybox_host.inspect("broken")["State"]
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert "no-such-program" in state["Error"]


def test_environment_working_directory_user_and_host_name_are_as_asked(busybox_host, tmp_path):
    variables = tmp_path / "variables"
    variables.write_text("# a comment\nFROM_FILE=1\nPASSED_ON\n")
    script = "echo $FROM_FILE $PASSED_ON $GIVEN $HOME; pwd; id -u; id -G; hostname"
    done = busybox_host.estiba(
        *("run", "--rm", "--env-file", str(variables), "-e", "GIVEN=two words", "-u", "app", "-w", "/var/www"),
        *("-h", "ship", "busybox", "sh", "-c", script),
        env=os.environ | {"PASSED_ON": "yes"},
    )
    assert done.stdout.splitlines() == ["1 yes two words /home/app", "/var/www", "1000", "1000 29", "ship"]


def test_an_entry_point_of_the_user_takes_the_images_command_away(busybox_host):
    assert busybox_host.estiba("run", "--rm", "--entrypoint", "echo", "busybox", "hello").stdout == "hello\n"
    assert busybox_host.estiba("run", "--rm", "--entrypoint", "echo", "busybox").stdout == "\n"


def test_a_detached_container_prints_its_id_and_goes_on(busybox_host):
    printed = busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000").stdout.strip()
    assert busybox_host.inspect("one")["Id"] == printed
    assert busybox_host.state("one") == "running"
    assert busybox_host.estiba("ps", "-q", "--no-trunc").stdout.strip() == printed


def test_a_name_is_taken_only_once_and_found_by_the_beginning_of_its_id(busybox_host):
    first = busybox_host.estiba("create", "--name", "same", "busybox").stdout.strip()
    second = busybox_host.estiba("create", "--name", "same", "busybox", check=False)
    assert second.returncode == 125
    assert "same" in second.stderr and first[:12] in second.stderr
    assert busybox_host.inspect(first[:10])["Name"] == "/same"
    assert len(busybox_host.estiba("ps", "-aq").stdout.split()) == 1


def test_the_id_goes_to_a_file_which_must_not_exist_before(busybox_host, tmp_path):
    file = tmp_path / "id"
    busybox_host.estiba("run", "--name", "one", "--cidfile", str(file), "busybox", "true")
    assert file.read_text() == busybox_host.inspect("one")["Id"]
    again = busybox_host.estiba("run", "--cidfile", str(file), "busybox", "true", check=False)
    assert again.returncode == 125
    failed = tmp_path / "other"
    busybox_host.estiba("run", "--rm", "--cidfile", str(failed), "no-such-image", "true", "--pull=never", check=False)
    assert not failed.exists()


def test_a_signal_to_the_command_reaches_the_container(busybox_host):
    script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    command = busybox_host.start("run", "--rm", "busybox", "sh", "-c", script)
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    command.send_signal(signal.SIGTERM)
    output, _ = command.communicate(timeout=20)
    assert (output, command.returncode) == ("got it\n", 9)


def test_a_signal_to_the_command_stays_there_without_the_proxy(busybox_host):
    script = "trap 'echo heard' USR1; echo ready; while :; do sleep 0.02; done"
    command = busybox_host.start("run", "--sig-proxy=false", "--name", "one", "busybox", "sh", "-c", script)
    assert command.stdout.readline() == "ready\n"
    command.send_signal(signal.SIGUSR1)
    command.communicate(timeout=20)
    assert command.returncode != 0
    assert busybox_host.state("one") == "running"
    assert busybox_host.estiba("logs", "one").stdout == "ready\n"


@pytest.mark.parametrize("way", ["run", "exec"])
def test_a_program_may_write_after_the_end_of_its_input(busybox_host, way):
    script = "n=$(wc -c); echo $n bytes; sleep 0.1; echo late"
    words = ["run", "--rm", "-i", "busybox"]
    if way == "exec":
        busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
        words = ["exec", "-i", "one"]
    done = busybox_host.estiba(*words, "sh", "-c", script, stdin=None, input="x\n")
    assert done.stdout == "2 bytes\nlate\n"


@pytest.mark.parametrize("number", [1, 2, 9, 11, 15])
def test_a_program_ended_by_a_signal_gives_128_and_its_number(busybox_host, number):
    """The program is not process 1, which a signal of its own would not end."""
    script = f"sh -c 'kill -{number} $$'; exit $?"
    assert busybox_host.estiba("run", "--rm", "busybox", "sh", "-c", script, check=False).returncode == 128 + number


def test_the_container_goes_on_when_the_command_in_front_is_killed(busybox_host):
    command = busybox_host.start("run", "--name", "one", "busybox", "sh", "-c", "echo ready; sleep 1000")
    assert command.stdout is not None
    command.stdout.readline()
    command.kill()
    command.communicate()
    assert busybox_host.state("one") == "running"


def test_a_container_can_be_created_started_waited_for_and_started_again(busybox_host):
    busybox_host.estiba("create", "--name", "one", "busybox", "sh", "-c", "echo hello; exit 3")
    assert busybox_host.state("one") == "created"
    for _ in range(2):
        busybox_host.estiba("start", "one")
        assert busybox_host.estiba("wait", "one").stdout == "3\n"
    attached = busybox_host.estiba("start", "-a", "one", check=False)
    assert (attached.stdout, attached.returncode) == ("hello\n", 3)
    assert busybox_host.estiba("logs", "one").stdout == "hello\n" * 3


def test_attach_gets_what_comes_and_the_exit_code(busybox_host, tmp_path):
    script = "while [ ! -e /shared/go ]; do sleep 0.02; done; echo late; exit 4"
    busybox_host.estiba("run", "-d", "--name", "one", "-v", f"{tmp_path}:/shared", "busybox", "sh", "-c", script)
    command = busybox_host.start("attach", "one")
    busybox_host.wait_until(lambda: len(os.listdir(f"/proc/{command.pid}/fd")) > 5, "the command has attached")
    (tmp_path / "go").touch()
    output, _ = command.communicate(timeout=20)
    assert (output, command.returncode) in {("late\n", 4), ("", 4)}  # empty: the output was quicker than the attaching


def test_the_root_file_system_can_be_read_only_with_a_place_in_memory(busybox_host):
    script = "touch /x 2>/dev/null && echo writable; touch /tmp/x && echo in memory"
    done = busybox_host.estiba("run", "--rm", "--read-only", "--tmpfs", "/tmp:size=1m", "busybox", "sh", "-c", script)
    assert done.stdout == "in memory\n"


def test_capabilities_are_dockers_and_can_be_dropped(busybox_host):
    def capabilities(*flags: str) -> int:
        done = busybox_host.estiba("run", "--rm", *flags, "busybox", "grep", "CapEff", "/proc/self/status")
        return int(done.stdout.split()[1], 16)

    assert capabilities() == 0xA80425FB
    assert capabilities("--cap-drop", "ALL") == 0
    assert capabilities("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE") == 1 << 10


def test_files_that_a_container_changed_stay_its_own(busybox_host):
    busybox_host.estiba("run", "--name", "one", "busybox", "sh", "-c", "echo changed > /etc/passwd; rm /etc/group")
    done = busybox_host.estiba("run", "--rm", "busybox", "head", "-1", "/etc/passwd")
    assert done.stdout.startswith("root:")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_another_runtime_runs_the_same_container(busybox_host, runtime):
    if not any(os.access(f"{d}/{runtime}", os.X_OK) for d in ("/usr/bin", "/usr/sbin", "/usr/local/bin")):
        pytest.skip(f"{runtime} is not installed")
    if runtime == "crun" and busybox_host.why_not_crun():
        pytest.skip(busybox_host.why_not_crun())
    by_it = ("--runtime", runtime, "run", "--userns=host")
    assert busybox_host.estiba(*by_it, "--rm", "busybox", "echo", "hi").stdout == "hi\n"
    busybox_host.estiba(*by_it, "-d", "--name", "other", "busybox", "sleep", "1000")
    assert busybox_host.estiba("exec", "other", "echo", "inside").stdout == "inside\n"
    busybox_host.estiba("stop", "-t", "0", "other")
    assert busybox_host.state("other") == "exited"
