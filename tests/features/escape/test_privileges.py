"""What a program inside has beside its root: no capability to hand on, no key, no socket, no trace of its caller."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from escapes import PYTHON, python_mounts
from estiba.runtime.spec import ALL_CAPABILITIES
from watching import OpenedFiles

pytestmark = pytest.mark.root

_SETS = "grep -E 'CapInh|CapAmb|NoNewPrivs|Seccomp:' /proc/self/status"
_SAFE = ["CapInh:", "0000000000000000", "CapAmb:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"]


@pytest.mark.parametrize("uid", [0, 1000])
def test_no_capability_is_inheritable_or_ambient(cell, uid):
    """CVE-2022-24769, CVE-2022-29162, CVE-2022-27649, -27650, -27651: they would pass to files with capabilities."""
    assert cell.run("sh", "-c", _SETS, uid=uid).stdout.split() == _SAFE
    name = cell.start("sleep", "60")
    done = cell.call("exec", "--user", f"{uid}:{uid}", "--cap", "CAP_NET_ADMIN", name, "sh", "-c", _SETS)
    assert done.stdout.split() == _SAFE


def test_the_callers_inheritable_capabilities_are_not_passed_on(cell):
    """The same where the caller (a service manager) has them; the control: the runtime itself was given them."""
    give = (
        "import os, sys; from estiba.linux import capabilities as c; e, p, _ = c.current(); c.set_current(e, p, p);"
        "os.system('grep CapInh /proc/self/status'); os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [sys.executable, "-c", give, *cell.command, "run", "-b", cell.bundle("sh", "-c", _SETS), cell.name()]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    control, *inside = done.stdout.splitlines()
    assert int(control.split()[1], 16)
    assert " ".join(inside).split() == _SAFE


def test_the_supplementary_groups_of_the_caller_are_not_passed_on(cell):
    """CVE-2022-2995, CVE-2022-36109: a group of the caller would open files that are its group's."""
    words = ["setpriv", "--groups", "4,27", *cell.command]
    for uid in (0, 1000):
        bundle = cell.bundle("sh", "-c", "grep Groups /proc/self/status", uid=uid)
        done = subprocess.run(
            [*words, "run", "-b", bundle, cell.name()], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.split() == ["Groups:"]
    command = [*words[:3], "grep", "Groups", "/proc/self/status"]
    control = subprocess.run(command, capture_output=True, text=True, check=True)
    assert control.stdout.split() == ["Groups:", "4", "27"]


def test_the_callers_environment_is_not_passed_on(cell):
    """CVE-2024-36623 and its like; LD_PRELOAD and PYTHON* of the caller would act on what runs inside."""
    environment = {**os.environ, "SECRET": "only-the-host-knows-this", "LD_PRELOAD": "", "PYTHONSTARTUP": "/evil"}
    name = cell.start("sleep", "60", env=("PATH=/bin",))
    for words in (("run", "-b", cell.bundle("env", env=("PATH=/bin",)), cell.name()), ("exec", name, "env")):
        done = cell.call(*words, env=environment)
        assert sorted(line.partition("=")[0] for line in done.stdout.splitlines()) == ["HOME", "PATH"]
    assert "SECRET" in subprocess.run(["env"], env=environment, capture_output=True, text=True, check=True).stdout


def test_the_callers_keys_are_out_of_reach(cell):
    """A session keyring of its own, so that a container without seccomp rules finds no key of its caller's."""
    source = (
        "import ctypes, os, sys; c = ctypes.CDLL(None).syscall; c(250, 1, b'callers');"
        "c(248, b'user', b'estiba-test-key', b'secret', 6, -3);"
        "print(c(250, 10, -3, b'user', b'estiba-test-key', 0) > 0, flush=True); os.execv(sys.argv[1], sys.argv[1:])"
    )
    script = "import ctypes; print(ctypes.CDLL(None).syscall(250, 10, -3, b'user', b'estiba-test-key', 0) > 0)"
    options = {"seccomp": "unconfined", "mounts": python_mounts()}
    bundle = cell.bundle(PYTHON, "-IS", "-c", script, **options)
    found = []
    for flags in ((), ("--no-new-keyring",)):
        words = [sys.executable, "-c", source, *cell.command, "run", *flags, "-b", bundle, cell.name()]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
        found += done.stdout.split()
    if found[0] != "True":
        pytest.skip("this kernel keeps no keys")
    assert found == ["True", "False", "True", "True"], "the control: without a keyring of its own it has the caller's"


def test_with_the_network_of_the_host_no_socket_without_a_name_leads_to_us(busybox_host):
    """CVE-2020-15257: an abstract socket belongs to the network namespace, so --network host would reach it."""
    busybox_host.estiba("run", "-d", "-t", "--name", "near", "--network", "host", "busybox", "sleep", "60")
    seen = busybox_host.estiba("exec", "near", "cat", "/proc/net/unix").stdout.splitlines()
    ours = [line for line in seen if line.endswith("/attach")]
    assert ours, "the control: the monitor's socket is listed by its path"
    abstract = [line for line in seen if len(line.split()) > 7 and line.split()[7].startswith("@")]
    before = subprocess.run(["cat", "/proc/net/unix"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in abstract if "estiba" in line or line not in before]
    reached = busybox_host.estiba("exec", "near", "ls", busybox_host.run_directory, check=False)
    assert reached.returncode != 0


def test_a_process_that_names_itself_moves_no_terminal(busybox_host):
    """`top` shows the arguments of processes, which are theirs to choose; `ps` and `inspect` labels and commands."""
    evil = "\x1b]0;evil\x07\x1b[2J"
    flags = ("-d", "--name", "loud", "--network", "none", "--label", f"a={evil}")
    busybox_host.estiba("run", *flags, "busybox", "sh", "-c", "sleep 61; true", evil)
    table = ("ps", "--format", "{{.Labels}} {{.Command}}")
    for words in (("top", "loud"), table, ("inspect", "loud"), ("ps", "--format", "json", "--no-trunc")):
        shown = busybox_host.estiba(*words).stdout
        assert not {"\x1b", "\x07"} & set(shown), words
        assert "evil" in shown, "the control: it is there, made visible"


@pytest.mark.parametrize("name", ["../../etc", "a/b", "\x1b[2J", "a\nb", "-rf", ".", "..", "a b", "é"])
def test_a_name_is_no_path_and_no_flag(busybox_host, name):
    """Names become directories, host names and lines of files: they are looked at before anything is made."""
    done = busybox_host.estiba("run", "--rm", "--network", "none", f"--name={name}", "busybox", "true", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    done = busybox_host.estiba("volume", "create", "--", name, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


@pytest.mark.host_ids("its root makes no device node at all: test_no_device_node_is_made")
def test_a_file_of_users_that_is_no_file_is_not_opened_by_the_host(busybox_host):
    """Root inside may make any device node, and its device rules hold for itself alone: `exec --user` reads /etc/passwd
    from the host, where a watchdog, say, would restart the machine once it is opened and closed."""
    busybox_host.estiba("run", "-d", "--name", "barking", "--network", "none", "busybox", "sleep", "60")
    pid = busybox_host.inspect("barking")["State"]["Pid"]
    kinds = ("mknod passwd c 1 11", "mkfifo passwd", "ln -s /dev/zero passwd", "ln -s /proc/1/root/etc/shadow passwd")
    for kind in kinds:
        busybox_host.estiba("exec", "barking", "sh", "-c", f"cd /etc; rm -f passwd; {kind}")
        with OpenedFiles(f"/proc/{pid}/root/etc") as opened:
            done = busybox_host.estiba("exec", "--user", "nobody-knows", "barking", "true", check=False, timeout=20)
            assert "passwd" not in opened.names(), kind
        assert done.returncode != 0
        assert "nobody-knows" in done.stderr, kind
    busybox_host.estiba("exec", "barking", "sh", "-c", "rm /etc/passwd; echo somebody:x:7:7::/: > /etc/passwd")
    with OpenedFiles(f"/proc/{pid}/root/etc") as opened:
        assert busybox_host.estiba("exec", "--user", "somebody", "barking", "id", "-u").stdout == "7\n"
        assert "passwd" in opened.names(), "the control: a file is, and that is seen"


def test_with_every_right_a_container_shows_what_the_others_lack(cell):
    """The control of all of the above."""
    status = cell.run("sh", "-c", _SETS, privileged=True, capabilities=ALL_CAPABILITIES).stdout.split()
    assert status[5] == "0" or status[7] == "0"
