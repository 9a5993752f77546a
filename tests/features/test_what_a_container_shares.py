"""Devices, namespaces and mounts of the host or of others reach a container where asked, and no further."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

OTHER_RUNTIME = os.environ.get("ESTIBA_RUNTIME", "")
FUSE = os.path.exists("/dev/fuse")


def run(host, *words: str, check: bool = True):
    return host.estiba("run", "--rm", "--network", "none", *words, check=check)


def shell(host, *words: str, check: bool = True):
    return run(host, *words[:-1], "busybox", "sh", "-c", words[-1], check=check)


def refusal(host, *words: str) -> str:
    done = run(host, *words, "busybox", "true", check=False)
    assert done.returncode == 125
    return done.stderr


@pytest.mark.skipif(not FUSE, reason="this machine has no /dev/fuse")
def test_a_device_is_there_with_the_access_that_was_given(busybox_host):
    script = "stat -c '%t:%T' /dev/mine; head -c0 /dev/mine && echo read; (: > /dev/mine) 2>/dev/null || echo refused"
    done = shell(busybox_host, "--device", "/dev/fuse:/dev/mine:r", script)
    assert done.stdout == "a:e5\nread\nrefused\n"


def test_a_directory_of_devices_is_given_whole(busybox_host, tmp_path):
    nodes = tmp_path / "nodes"
    (nodes / "deep").mkdir(parents=True)
    for path, minor in ((nodes / "one", 3), (nodes / "deep" / "two", 5)):
        os.mknod(path, 0o20666, os.makedev(1, minor))
    (nodes / "text").write_text("no device")
    script = "find /dev/all -type c | sort; head -c1 /dev/all/deep/two | wc -c"
    done = shell(busybox_host, "--device", f"{nodes}:/dev/all", script)
    assert done.stdout == "/dev/all/deep/two\n/dev/all/one\n1\n"


def test_what_is_no_device_is_refused(busybox_host, tmp_path):
    assert "neither a device" in refusal(busybox_host, "--device", "/etc")
    assert "neither a device" in refusal(busybox_host, "--device", "/etc/passwd")
    assert "/dev/nothing" in refusal(busybox_host, "--device", "/dev/nothing")
    assert "plain absolute path" in refusal(busybox_host, "--device", "/dev/../etc")
    assert "not a block device" in refusal(busybox_host, "--device-read-bps", "/dev/null:1m")


@pytest.mark.host_ids("a privileged container with ids of its own sees no device of the host")
@pytest.mark.skipif(not FUSE, reason="this machine has no /dev/fuse")
def test_a_privileged_container_sees_the_hosts_devices_and_another_does_not(busybox_host):
    script = "ls /dev/fuse 2>/dev/null; ls -d /dev/pts/ptmx /dev/null"
    assert shell(busybox_host, "--privileged", script).stdout == "/dev/fuse\n/dev/null\n/dev/pts/ptmx\n"
    assert shell(busybox_host, script).stdout == "/dev/null\n/dev/pts/ptmx\n"


@pytest.mark.host_ids("a privileged container with ids of its own has no right over the host")
def test_a_privileged_container_has_every_capability_that_the_machine_can_give(busybox_host):
    """With any runtime: crun and runc refuse a set of which one cannot be given."""
    with open("/proc/self/status", encoding="ascii") as file:
        ours = next(line for line in file if line.startswith("CapBnd:"))
    assert shell(busybox_host, "--privileged", "grep CapBnd /proc/self/status").stdout == ours
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    entered = busybox_host.estiba("exec", "--privileged", "one", "grep", "CapBnd", "/proc/self/status")
    assert entered.stdout == ours


@pytest.mark.host_ids("no device node is made inside, whatever its rules allow")
def test_a_rule_opens_devices_whose_nodes_it_makes_itself(busybox_host):
    script = "mknod /tmp/d c 10 229; head -c0 /tmp/d && echo opened"
    if FUSE:
        assert shell(busybox_host, "--device-cgroup-rule", "c 10:229 r", script).stdout == "opened\n"
    assert shell(busybox_host, script, check=False).stdout == ""


def test_processes_of_the_host_are_seen_only_where_asked(busybox_host):
    script = f"test -d /proc/{os.getpid()} && echo seen || echo hidden"
    assert shell(busybox_host, "--pid", "host", script).stdout == "seen\n"
    assert shell(busybox_host, script).stdout == "hidden\n"


def test_the_hosts_name_is_shown_where_asked(busybox_host):
    assert shell(busybox_host, "--uts", "host", "hostname").stdout == socket.gethostname() + "\n"


@pytest.mark.skipif(bool(OTHER_RUNTIME), reason=f"{OTHER_RUNTIME} leaves the parent that it has made")
def test_a_parent_of_the_control_group_is_made_and_goes_away_again(busybox_host):
    words = ("--cgroupns", "host", "--cgroup-parent", "/estiba/a")
    groups = shell(busybox_host, *words, "cat /proc/self/cgroup").stdout.splitlines()
    assert any(":/estiba/a/" in line for line in groups)
    assert [path for path, _, _ in os.walk("/sys/fs/cgroup") if path.endswith("/estiba/a")] == []


def test_processes_and_memory_of_another_container_are_shared(busybox_host):
    start = ("run", "-d", "--network", "none")
    busybox_host.estiba(
        *start, "--name", "giver", "--ipc", "shareable", "busybox", "sh", "-c", "echo kept > /dev/shm/x; exec sleep 97"
    )
    busybox_host.estiba(*start, "--name", "alone", "busybox", "sleep", "97")
    busybox_host.wait_until(
        lambda: shell(busybox_host, "--ipc", "container:giver", "cat /dev/shm/x", check=False).stdout == "kept\n",
        "the other container's memory is seen",
    )
    shell(busybox_host, "--ipc", "container:giver", "echo more > /dev/shm/y")
    assert busybox_host.estiba("exec", "giver", "cat", "/dev/shm/y").stdout == "more\n"
    assert "sleep 97" in shell(busybox_host, "--pid", "container:giver", "ps").stdout
    assert "is its own" in refusal(busybox_host, "--ipc", "container:alone")
    assert "nobody" in refusal(busybox_host, "--pid", "container:nobody")
    busybox_host.estiba("stop", "-t", "0", "giver")
    assert "not running" in refusal(busybox_host, "--pid", "container:giver")


def test_a_link_in_the_other_container_does_not_lead_its_memory_out(busybox_host):
    """Whoever may mount in the giving container puts a link where its memory was: nothing of the host is shown."""
    script = "umount /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm && echo ready; exec sleep 97"
    words = ("--ipc", "shareable", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
    busybox_host.estiba("run", "-d", "--name", "giver", "--network", "none", *words, "busybox", "sh", "-c", script)
    busybox_host.wait_until(lambda: busybox_host.estiba("logs", "giver").stdout == "ready\n", "the link is there")
    assert "no /dev/shm to share" in refusal(busybox_host, "--ipc", "container:giver")


def test_without_ipc_there_is_no_place_for_shared_memory(busybox_host):
    assert shell(busybox_host, "--ipc", "none", "grep -c /dev/shm /proc/mounts", check=False).stdout == "0\n"


def test_a_part_of_a_volume_is_shown_and_no_link_leads_out_of_it(busybox_host):
    fill = "mkdir -p /v/a/b; echo deep > /v/a/b/file; ln -s /etc /v/out; ln -s a/b /v/in"
    shell(busybox_host, "-v", "cargo:/v", fill)
    part = "type=volume,source=cargo,target=/v,volume-subpath="
    assert shell(busybox_host, "--mount", part + "a/b", "cat /v/file; echo x > /v/new").stdout == "deep\n"
    assert shell(busybox_host, "--mount", part + "a/b/new", "cat /v").stdout == "x\n"
    assert shell(busybox_host, "--mount", part + "in", "cat /v/file").stdout == "deep\n"
    assert "has no 'out'" in refusal(busybox_host, "--mount", part + "out")
    assert "leads out" in refusal(busybox_host, "--mount", part + "../x")


def test_mounts_of_another_container_are_taken_over(busybox_host, tmp_path):
    (tmp_path / "in").write_text("bound\n")
    words = ("--network", "none", "-v", f"{tmp_path}:/bound", "-v", "cargo:/named", "-v", "/anonymous")
    busybox_host.estiba("create", "--name", "giver", *words, "busybox")
    shell(busybox_host, "--volumes-from", "giver", "echo 1 > /named/x; echo 2 > /anonymous/x")
    script = "cat /bound/in /named/x /anonymous/x; touch /named/y 2>/dev/null || echo refused"
    done = shell(busybox_host, "--volumes-from", "giver:ro", script)
    assert done.stdout == "bound\n1\n2\nrefused\n"


PROPAGATION = """
import subprocess, sys
from estiba.linux.mounts import make_private_namespace
from estiba.linux.mountpoints import MS_SHARED, mount_at, set_propagation
place, command = sys.argv[1], sys.argv[2:]
make_private_namespace()
mount_at("tmpfs", "tmpfs", place, ())
import os
for name in ("a", "b", "below"):
    os.mkdir(f"{place}/{name}")
mount_at("tmpfs", "tmpfs", f"{place}/below", ())
set_propagation(place, MS_SHARED)

def run(*words):
    return subprocess.run([*command, "run", "--rm", "--network", "none", *words], capture_output=True, text=True)

def bind(more, *script):
    return run("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
               "--mount", f"type=bind,source={place},target=/p,{more}", "busybox", "sh", "-c", script[0])

mounts = "mount -t tmpfs x /p/a && touch /p/a/made && echo done"
first = bind("bind-propagation=rshared", mounts)
print(first.stdout.strip(), os.path.exists(f"{place}/a/made"), first.stderr)
second = bind("bind-propagation=rslave", mounts.replace("/a", "/b"))
print(second.stdout.strip(), os.path.exists(f"{place}/b/made"), second.stderr)
strict = bind("readonly", "touch /p/below/x 2>/dev/null || echo refused")
loose = bind("readonly,bind-recursive=writable", "touch /p/below/x && touch /p/x 2>/dev/null || echo half")
alone = bind("bind-recursive=disabled", "ls /p/below | wc -l")
print(strict.stdout.strip(), loose.stdout.strip(), alone.stdout.strip())
"""


def test_mounts_travel_as_far_as_the_bind_says_and_read_only_means_all_below(busybox_host, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROPAGATION, str(tmp_path), *busybox_host.home.command],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    below = "1" if OTHER_RUNTIME == "crun" else "0"  # crun binds what lies below in any case
    assert done.stdout.splitlines() == ["done True ", "done False ", f"refused half {below}"]


def test_a_bind_that_is_to_share_needs_a_shared_mount(busybox_host, tmp_path):
    keys = f"type=bind,source={tmp_path},target=/p,bind-propagation=rshared"
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        is_shared = any(line.split()[4] == "/" and "shared:" in line for line in file)
    if not is_shared:
        assert "not a shared mount" in refusal(busybox_host, "--mount", keys)


def test_a_profile_of_ones_own_decides_about_system_calls(busybox_host, tmp_path):
    profile = tmp_path / "profile.json"
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {
            "names": ["chmod", "fchmodat", "fchmodat2"],
            "action": "SCMP_ACT_ERRNO",
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
        },
    ]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    chosen = ("--security-opt", f"seccomp={profile}")
    done = shell(busybox_host, *chosen, "mkdir /tmp/a; chmod 700 /tmp", check=False)
    assert "No space left" in done.stderr
    assert "chmod: /tmp" in done.stderr
    assert shell(busybox_host, *chosen, "--cap-add", "SYS_ADMIN", "chmod 700 /tmp && echo may").stdout == "may\n"


def test_system_paths_are_bare_only_where_asked(busybox_host):
    script = "grep -c ' /proc/' /proc/mounts; exit 0"
    assert shell(busybox_host, "--security-opt", "systempaths=unconfined", script).stdout == "0\n"
    assert int(shell(busybox_host, script).stdout) > 3
