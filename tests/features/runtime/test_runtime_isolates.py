"""What a container sees, and what it may not touch."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.root


def test_every_namespace_is_its_own(box):
    """Not one namespace of the program is the host's."""
    kinds = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
    inside = box.run("for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done").stdout.split()
    host = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert len(inside) == len(kinds)
    assert not set(inside) & set(host)


def test_the_program_is_process_one_and_sees_only_its_own(box):
    result = box.run("echo $$; ls /proc | grep -c '^[0-9]*$'")
    assert result.stdout.split()[0] == "1"
    assert int(result.stdout.split()[1]) <= 3


def test_the_root_is_the_image_and_nothing_of_the_host_is_left(box):
    """After pivot_root no mount of the host is in the list, and `..` of / is /."""
    result = box.run("ls /; cd /; ls ../..; cat /proc/self/mountinfo")
    assert "bin" in result.stdout.split()
    assert "usr" not in result.stdout.split("\n")
    places = [line.split()[4] for line in result.stdout.splitlines() if " - " in line]
    assert all(place == "/" or place.startswith(("/proc", "/dev", "/sys")) for place in places)


def test_no_descriptor_leaks_into_the_program(box):
    """CVE-2024-21626: only the three standard streams, and the one of `ls` itself."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    bundle = box.bundle("ls", "/proc/self/fd")
    result = box.call("run", "-b", bundle, "est-fds", pass_fds=(reading, writing))
    os.close(reading)
    os.close(writing)
    assert result.stdout.split() == ["0", "1", "2", "3"]


def test_a_working_directory_behind_a_descriptor_is_refused(box):
    """CVE-2024-21626 used cwd=/proc/self/fd/7, where the host's directory had leaked."""
    for number in range(3, 12):
        result = box.run("pwd", cwd=f"/proc/self/fd/{number}")
        assert result.returncode != 0
        assert "working directory" in result.stderr


def test_capabilities_are_dockers_default_and_cannot_grow(box):
    lines = box.run("grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status").stdout.split("\n")
    values = dict(line.split(":\t") for line in lines if line)
    assert values["CapBnd"] == values["CapEff"] == values["CapPrm"] == "00000000a80425fb"
    assert values["CapInh"] == values["CapAmb"] == "0000000000000000"
    assert values["NoNewPrivs"] == "1"
    assert values["Seccomp"] == "2"


def test_a_user_other_than_root_has_no_capability(box):
    result = box.run("id -u; id -g; id -G; grep CapEff /proc/self/status", uid=1000, gid=1001, additional_gids=(5, 7))
    assert result.stdout.split("\n")[:2] == ["1000", "1001"]
    assert set(result.stdout.split("\n")[2].split()) == {"1001", "5", "7"}
    assert "CapEff:\t0000000000000000" in result.stdout


def test_an_ambient_capability_is_kept_by_a_user(box):
    result = box.run(
        "grep -E 'CapEff|CapAmb' /proc/self/status",
        uid=1000,
        capabilities=("CAP_NET_BIND_SERVICE",),
        ambient_capabilities=("CAP_NET_BIND_SERVICE",),
    )
    assert result.stdout.count("0000000000000400") == 2


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ("unshare -U true", "Operation not permitted"),
        ("unshare -m true", "Operation not permitted"),
        ("mount -t tmpfs x /tmp", "denied|not permitted"),
        ("umount /proc", "not permitted|denied|Operation"),
    ],
)
def test_seccomp_refuses_what_could_leave(box, command, refusal):
    result = box.run(f"{command}; echo code $?")
    assert "code 0" not in result.stdout
    assert any(word in result.stderr for word in refusal.split("|"))


def test_without_rules_and_with_the_capability_the_same_call_works(box):
    """The other side of the test above: it is the rules that refuse."""
    result = box.run("unshare -m true", seccomp="unconfined", capabilities=("CAP_SYS_ADMIN",))
    assert result.returncode == 0, result.stderr


def test_masked_paths_are_empty_and_read_only_ones_refuse_writing(box):
    result = box.run(
        "wc -c < /proc/keys; wc -c < /proc/timer_list; ls -A /proc/acpi /sys/firmware | grep -v : | grep -c .;"
        "echo x > /proc/sys/kernel/domainname; touch /sys/x"
    )
    assert result.stdout.split() == ["0", "0", "0"]
    assert result.stderr.count("Read-only file system") == 2


def test_the_devices_are_the_default_ones(box):
    result = box.run(
        "cd /dev; ls; echo x > null && head -c 3 zero | wc -c; stat -c '%t:%T %a' null tty random; "
        "readlink ptmx; readlink fd"
    )
    listed = result.stdout.split("\n")
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout", "stderr"} <= set(
        listed
    )
    assert not {"vda", "sda", "mem", "kmsg"} & set(listed)
    assert listed[-7:-1] == ["3", "1:3 666", "5:0 666", "1:8 666", "pts/ptmx", "/proc/self/fd"]


def test_the_device_rules_of_the_control_group_bite(box):
    """A node can be made, but not opened."""
    result = box.run("mknod /tmp/disk b 254 0 && echo made; cat /tmp/disk")
    assert "made" in result.stdout
    assert "Operation not permitted" in result.stderr


def test_loopback_is_up_and_there_is_nothing_else(box):
    result = box.run("ifconfig -a | grep -c Link.encap; ifconfig lo")
    assert result.stdout.startswith("1\n")
    assert "UP LOOPBACK RUNNING" in result.stdout


def test_a_read_only_root_refuses_writing_and_mounts_in_it_do_not(box):
    result = box.run("touch /x || echo refused; touch /dev/shm/x && echo shm", read_only=True)
    assert result.stdout == "refused\nshm\n"


def test_hostname_sysctl_limits_and_umask_arrive(box):
    from estiba.runtime.spec import Rlimit

    result = box.run(
        "hostname; cat /proc/sys/net/ipv4/ip_forward; ulimit -n; umask; cat /proc/self/oom_score_adj",
        hostname="box",
        sysctl=(("net.ipv4.ip_forward", "1"),),
        rlimits=(Rlimit("RLIMIT_NOFILE", 100, 200),),
        umask=0o077,
        oom_score_adj=500,
    )
    assert result.stdout.split() == ["box", "1", "100", "0077", "500"]


def test_a_limit_above_ours_becomes_ours(box):
    from estiba.runtime.spec import Rlimit

    result = box.run("ulimit -H -n", rlimits=(Rlimit("RLIMIT_NOFILE", 1 << 30, 1 << 30),))
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 1 << 30


@pytest.mark.parametrize("name", ["kernel.pid_max", "vm.swappiness"])
def test_a_sysctl_of_the_whole_machine_is_refused(box, name):
    result = box.run("true", sysctl=((name, "1"),))
    assert result.returncode == 125
    assert "would change the host" in result.stderr


def test_a_network_sysctl_with_the_hosts_network_is_refused(box):
    result = box.run("true", sysctl=(("net.ipv4.ip_forward", "1"),), network="host")
    assert "would change the host" in result.stderr


def test_a_user_namespace_makes_root_nobody_outside(box):
    from estiba.runtime.spec import IdMapping

    os.chmod(box.directory, 0o755)
    os.chown(box.rootfs, 100000, 100000)  # what must be made in it, is made by the root of the namespace
    above = os.path.dirname(box.directory)
    while above != "/" and not os.stat(above).st_mode & 0o001:
        os.chmod(above, 0o711)
        above = os.path.dirname(above)
    ids = (IdMapping(0, 100000, 65536),)
    pid = box.start(
        "est-userns", "sh", "-c", "echo $$ > /dev/shm/x; exec sleep 1000", uid_mappings=ids, gid_mappings=ids
    )
    assert os.stat(f"/proc/{pid}").st_uid == 100000
    result = box.call("exec", "est-userns", "sh", "-c", "id -u; cat /proc/self/uid_map; echo > /dev/null && echo null")
    assert result.stdout.split() == ["0", "0", "100000", "65536", "null"], result.stderr


def test_namespaces_are_joined_by_path(box):
    pid = box.start("est-first", "sleep", "1000")
    result = box.run(
        "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc",
        network=f"path:/proc/{pid}/ns/net",
        ipc=f"path:/proc/{pid}/ns/ipc",
    )
    assert result.stdout.split() == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("net", "ipc")]
