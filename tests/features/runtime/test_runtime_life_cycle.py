"""create, start, state, kill, delete, exec and run, as the spec has them and as callers of runc expect them."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess

import pytest

from estiba.runtime.client import ContainerMissing, RuntimeFailed
from estiba.runtime.spec import SpecOptions, process_spec

pytestmark = pytest.mark.root


def test_the_program_begins_at_start_and_not_before(box, wait_until):
    mark = os.path.join(box.rootfs, "tmp/began")
    pid = box.create("est-life", "sh", "-c", "touch /tmp/began; exec sleep 1000")
    state = box.client.state("est-life")
    assert (state.status, state.pid) == ("created", pid)
    assert not os.path.exists(mark)
    box.client.start("est-life")
    assert box.client.state("est-life").status == "running"
    wait_until(lambda: os.path.exists(mark), "the program begins")
    with pytest.raises(RuntimeFailed, match="running"):
        box.client.delete("est-life")
    box.client.kill("est-life", signal.SIGKILL)
    wait_until(lambda: box.client.state("est-life").status == "stopped", "it ends")
    with pytest.raises(RuntimeFailed, match="not running"):
        box.client.kill("est-life", signal.SIGTERM)
    box.client.delete("est-life")
    with pytest.raises(ContainerMissing):
        box.client.state("est-life")
    assert os.listdir(box.root) == []


def test_state_is_the_specs_document(box):
    pid = box.create("est-state", "true", annotations=(("some.key", "value"),))
    document = json.loads(box.call("state", "est-state").stdout)
    expected = {"ociVersion": "1.3.0", "id": "est-state", "status": "created", "pid": pid}
    assert expected.items() <= document.items()
    assert document["annotations"] == {"some.key": "value"}


def test_an_id_is_taken_once_and_start_works_once(box):
    box.create("est-once", "sleep", "1000")
    result = box.call("create", "-b", box.bundle("true"), "est-once")
    assert result.returncode == 1
    assert "exists" in result.stderr
    box.client.start("est-once")
    with pytest.raises(RuntimeFailed, match="running"):
        box.client.start("est-once")


def test_run_gives_the_programs_exit_code(box):
    assert box.run("exit 9").returncode == 9
    assert box.run("sleep 100 & kill -9 $!; wait $!").returncode == 137


@pytest.mark.parametrize(
    ("program", "code", "fact"),
    [
        ("nope", 127, "executable file not found in $PATH"),
        ("/no/such", 127, "no such file or directory"),
        ("/etc/passwd", 126, "permission denied"),
        ("/etc", 126, "is a directory"),
    ],
)
def test_a_program_that_cannot_be_run_is_told_at_create(box, program, code, fact):
    result = box.call("run", "-b", box.bundle(program), "est-missing")
    assert result.returncode == code
    assert f'exec: "{program}": ' in result.stderr
    assert fact in result.stderr
    with pytest.raises(RuntimeFailed) as caught:
        box.create("est-missing", program)
    assert caught.value.exit_code == code
    assert os.listdir(box.root) == []


def test_a_file_in_a_wrong_format_is_told_by_the_exit_code(box):
    with open(os.path.join(box.rootfs, "bin/text"), "w", encoding="ascii") as file:
        file.write("neither a script nor a program\n")
    os.chmod(os.path.join(box.rootfs, "bin/text"), 0o755)
    result = box.call("run", "-b", box.bundle("text"), "est-format")
    assert result.returncode == 126
    assert "exec format error" in result.stderr


def test_exec_runs_in_every_namespace_and_limit_of_the_container(box):
    pid = box.start("est-exec", "sleep", "1000", hostname="box")
    script = "hostname; readlink /proc/self/ns/net; grep -c '/$' /proc/self/cgroup"
    script += "; grep -E 'Seccomp:|CapE' /proc/self/status"
    result = box.call("exec", "-e", "A=b", "--cwd", "/tmp", "est-exec", "sh", "-c", script + "; echo $A; pwd; exit 5")
    lines = result.stdout.split("\n")
    assert result.returncode == 5
    assert lines[:2] == ["box", os.readlink(f"/proc/{pid}/ns/net")]
    with open("/proc/self/cgroup", encoding="ascii") as file:
        assert int(lines[2]) == len(file.readlines())
    assert "Seccomp:\t2" in lines
    assert "CapEff:\t00000000a80425fb" in lines
    assert lines[-3:-1] == ["b", "/tmp"]


def test_exec_as_a_user_with_a_process_document(box):
    box.start("est-doc", "sleep", "1000")
    process = process_spec(SpecOptions(args=("sh", "-c", "id -u; echo $HOME; grep CapEff /proc/self/status"), uid=1000))
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    code = box.client.exec("est-doc", process, detach=False, stdin=null, stdout=writing, stderr=null)
    os.close(writing)
    os.close(null)
    with os.fdopen(reading) as file:
        assert file.read() == "1000\n/home/user\nCapEff:\t0000000000000000\n"
    assert code == 0


def test_exec_of_a_missing_program_is_told(box):
    box.start("est-execmiss", "sleep", "1000")
    result = box.call("exec", "est-execmiss", "nope")
    assert result.returncode == 127
    assert 'exec: "nope": executable file not found in $PATH' in result.stderr


def test_a_detached_exec_gives_its_pid(box, wait_until):
    box.start("est-det", "sleep", "1000")
    pid_file = os.path.join(box.directory, "exec.pid")
    process = process_spec(SpecOptions(args=("sleep", "77")))
    pid = box.client.exec("est-det", process, pid_file=pid_file)
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        assert file.read() == b"sleep\x0077\x00"


def test_the_terminal_goes_to_the_console_socket(box):
    """SCM_RIGHTS, as conmon and containerd take it; and it is a real terminal, of the size asked for."""
    path = os.path.join(box.directory, "console.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    bundle = box.bundle("sh", "-c", "tty; stty size; read x; echo got $x", terminal=True, console_size=(30, 90))
    result = box.call("create", "-b", bundle, "--console-socket", path, "est-tty")
    assert result.returncode == 0, result.stderr
    connection, _ = listener.accept()
    _, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
    master = array.array("i", ancillary[0][2])[0]
    box.client.start("est-tty")
    output = b""
    while b"30 90" not in output:
        output += os.read(master, 1000)
    os.write(master, b"word\n")
    while b"got word" not in output:
        output += os.read(master, 1000)
    assert b"/dev/pts/0" in output
    os.close(master)
    connection.close()
    listener.close()


def test_a_terminal_without_a_socket_is_served_in_the_foreground(box):
    result = box.call("run", "-b", box.bundle("sh", "-c", "tty; ls -l /dev/console", terminal=True), "est-fg")
    assert "/dev/pts/0" in result.stdout
    assert "136,   0" in result.stdout
    box.start("est-fg2", "sleep", "1000")
    assert "/dev/pts/" in box.call("exec", "-t", "est-fg2", "tty").stdout


def test_a_detached_terminal_without_a_socket_is_refused(box):
    result = box.call("create", "-b", box.bundle("true", terminal=True), "est-nosock")
    assert result.returncode == 1
    assert "--console-socket" in result.stderr


def test_descriptors_are_passed_on_when_asked(box):
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    bundle = box.bundle("sh", "-c", "echo through >&3")
    box.client.create(
        "est-pass", bundle=bundle, pid_file=bundle + "/pid", stdin=null, stdout=null, stderr=null, pass_fds=(writing,)
    )
    os.close(writing)
    os.close(null)
    box.client.start("est-pass")
    with os.fdopen(reading) as file:
        assert file.read() == "through\n"


def test_hooks_run_at_their_points_in_order(box):
    log = os.path.join(box.directory, "hooks.log")
    points = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")

    def add(spec):
        spec["hooks"] = {
            point: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {point} $(cat | tr -d ' \\n') >> {log}"]}]
            for point in points
        }
        spec["hooks"]["startContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", "echo inside > /tmp/hook"]}]

    result = box.run("cat /tmp/hook", change=add)
    assert result.stdout == "inside\n", result.stderr
    with open(log, encoding="utf-8") as file:
        lines = [line.split(" ", 1) for line in file.read().splitlines()]
    assert [point for point, _ in lines] == list(points)
    assert [json.loads(state)["status"] for _, state in lines] == [
        "creating",
        "creating",
        "creating",
        "running",
        "stopped",
    ]


def test_a_failing_hook_ends_the_creation_and_leaves_nothing(box):
    def add(spec):
        spec["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}

    result = box.call("create", "-b", box.bundle("true", change=add), "est-badhook")
    assert result.returncode == 1
    assert "createRuntime hook" in result.stderr
    assert os.listdir(box.root) == []


def test_signals_to_a_foreground_run_reach_the_program(box, wait_until):
    ready = os.path.join(box.rootfs, "tmp/ready")
    bundle = box.bundle("sh", "-c", "trap 'exit 42' TERM; touch /tmp/ready; while true; do sleep 0.05; done")
    process = subprocess.Popen([*box.command, "run", "-b", bundle, "est-sig"], stdin=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(ready), "the program is ready")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 42


def test_after_a_kill_of_the_creating_runtime_delete_force_leaves_nothing(box, wait_until):
    """kill -9 at whatever point: the id can be removed, and with it every process and control group."""

    def slow(spec):
        spec["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "30"]}]}

    bundle = box.bundle("sleep", "1000", change=slow)
    process = subprocess.Popen(
        [*box.command, "create", "-b", bundle, "est-killed"], stdin=subprocess.DEVNULL, start_new_session=True
    )
    children = f"/proc/{process.pid}/task/{process.pid}/children"

    def hook_runs() -> bool:
        return any(_read(f"/proc/{child}/cmdline").startswith("sleep\x0030") for child in _read(children).split())

    wait_until(hook_runs, "the hook runs")
    family = [int(child) for child in _read(children).split()]
    process.kill()
    process.wait()
    box.client.delete("est-killed", force=True)
    os.killpg(process.pid, signal.SIGKILL)  # the hook, which is the caller's own
    wait_until(lambda: not any(_read(f"/proc/{pid}/cmdline") for pid in family), "no process is left")
    assert os.listdir(box.root) == []


def test_deleting_what_is_not_there_is_an_error_but_not_by_force(box):
    assert box.call("delete", "est-none").returncode == 1
    assert box.call("delete", "--force", "est-none").returncode == 0
    assert "does not exist" in box.call("state", "est-none").stderr


def test_the_log_is_json_lines_when_asked(box):
    log = os.path.join(box.directory, "log.json")
    box.call("--log", log, "--log-format", "json", "create", "-b", box.bundle("nope"), "est-log")
    with open(log, encoding="utf-8") as file:
        entry = json.loads(file.readlines()[-1])
    assert entry["level"] == "error"
    assert "executable file not found in $PATH" in entry["msg"]


def test_list_version_features_and_spec(box, tmp_path):
    pid = box.start("est-list", "sleep", "1000")
    [entry] = json.loads(box.call("list", "--format", "json").stdout)
    assert (entry["id"], entry["pid"], entry["status"]) == ("est-list", pid, "running")
    assert box.call("list", "-q").stdout == "est-list\n"
    assert "spec: 1.3.0" in box.call("--version").stdout
    assert "CAP_CHOWN" in json.loads(box.call("features").stdout)["linux"]["capabilities"]
    box.call("spec", "-b", str(tmp_path))
    assert json.loads((tmp_path / "config.json").read_text())["process"]["args"] == ["sh"]


@pytest.mark.parametrize(
    "words", [("fly",), ("create", "--wings"), ("kill", "x", "NOSIG"), ("--cgroup-manager", "no", "list")]
)
def test_what_is_not_understood_is_refused(box, words):
    result = box.call(*words)
    assert result.returncode == 1
    assert result.stderr.startswith("estiba-runtime: ")


@pytest.mark.parametrize(
    ("property_path", "value"),
    [
        ("linux.intelRdt", {"closID": "x"}),
        ("process.selinuxLabel", "x"),
        ("linux.timeOffsets", {"boottime": {"secs": 1}}),
    ],
)
def test_a_property_that_is_not_supported_is_refused(box, property_path, value):
    part, name = property_path.split(".")
    result = box.run("true", change=lambda spec: spec[part].update({name: value}))
    assert result.returncode == 125
    assert property_path in result.stderr


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_container_without_a_process_is_created_and_cannot_be_started(box):
    """config.md, "Process": it is required when `start` is called, and not before."""
    box.create("est-noproc", "true", change=lambda spec: spec.pop("process"))
    done = box.call("start", "est-noproc")
    assert done.returncode == 1
    assert "its config.json has no process" in done.stderr
    assert box.client.state("est-noproc").status == "created"
