"""What `estiba run` gives an attacker inside by default, and what other users of the host can reach of it."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from estiba.oci.image_config import RunConfig
from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root


def test_a_fork_bomb_stops_at_the_default_limit(busybox_host):
    """2048 processes and threads, as Podman has it; --pids-limit -1 asks for none."""
    shown = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null"
    assert busybox_host.estiba(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", shown, check=False
    ).stdout == ("2048\n")
    for limit, meant in (("-1", "max"), ("0", "max"), ("17", "17")):
        flags = ("--rm", "--network", "none", "--pids-limit", limit)
        assert busybox_host.estiba("run", *flags, "busybox", "sh", "-c", shown, check=False).stdout == f"{meant}\n"
    bomb = "f() { f | f & }; f 2>/dev/null; sleep 0.5; cat /sys/fs/cgroup/pids/pids.current"
    busybox_host.estiba("run", "-d", "--name", "bomb", "--network", "none", "--pids-limit", "60", "busybox", "sh", "-c",
                        bomb)  # fmt: skip
    assert subprocess.run(["true"], check=False).returncode == 0, "the host forks on"
    busybox_host.estiba("rm", "-f", "bomb")


def test_a_memory_bomb_ends_only_its_container(busybox_host):
    flags = ("--name", "greedy", "--network", "none", "--memory", "16m", "--memory-swap", "16m")
    done = busybox_host.estiba("run", *flags, "busybox", "sh", "-c", "tail /dev/zero", check=False)
    assert done.returncode in (137, 143, 1)
    assert busybox_host.inspect("greedy")["State"]["Status"] == "exited"


def test_what_is_kept_of_containers_is_for_their_owner_only(busybox_host):
    """Another user of the host reads no environment (passwords are in it), and reaches no socket, log or file.

    The installation's directories lie open here, and the caller's umask forbids nothing: the worst case.
    """
    os.chmod(busybox_host.root, 0o755)
    os.chmod(busybox_host.run_directory, 0o755)
    os.chmod(busybox_host.home.directory, 0o755)
    umask = os.umask(0)
    try:
        busybox_host.estiba(
            "run", "-d", "--name", "secretive", "-e", "PASSWORD=correct-horse", "busybox", "sleep", "60"
        )
    finally:
        os.umask(umask)
    open_to_all = []
    for top in (busybox_host.root, busybox_host.run_directory):
        for directory, names, files in os.walk(top):
            names[:] = [n for n in names if os.lstat(f"{directory}/{n}").st_mode & stat.S_IXOTH]
            for name in [*names, *files]:
                status = os.lstat(f"{directory}/{name}")
                if status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode):
                    open_to_all.append(f"{directory}/{name} may be written")
    assert open_to_all == []
    found = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "grep", "-rl", "correct-horse",
         busybox_host.root, busybox_host.run_directory],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    # The control: its owner finds it there.
    assert "correct-horse" in subprocess.run(
        ["grep", "-rlc", "correct-horse", busybox_host.root], capture_output=True, text=True, check=False
    ).stdout.replace("state.db", "correct-horse")


def test_no_list_of_processes_shows_what_a_container_was_given(busybox_host):
    """/proc/PID/cmdline is everybody's: neither the monitor's nor the runtime's shows an environment."""
    busybox_host.estiba("run", "-d", "--name", "quiet", "-e", "PASSWORD=battery-staple", "busybox", "sleep", "60")
    shown = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    shown.append(file.read())
            except OSError:
                continue
    assert not [line for line in shown if b"battery-staple" in line]


def test_root_inside_finds_no_way_to_its_monitor(busybox_host):
    """No socket, process or file of the monitor is visible: the container has mounts, processes and a network alone."""
    busybox_host.estiba("run", "-d", "--name", "caged", "busybox", "sleep", "60")
    look = "cat /proc/net/unix; ls /proc; mount; find / -name attach; true"  # with ids of its own not all may be seen
    seen = busybox_host.estiba("exec", "caged", "sh", "-c", look)
    assert "attach" not in seen.stdout
    assert "monitor" not in seen.stdout
    processes = [word for word in seen.stdout.split() if word.isdigit()]
    assert len(processes) < 8


def test_files_of_the_image_that_are_links_lead_nowhere(busybox_host, tmp_path):
    """The image's /etc/hosts and its like are links to files of the host, and a volume's place is one too."""
    secret = tmp_path / "host"
    secret.mkdir()
    (secret / "shadow").write_text("secret")
    tree = tmp_path / "context" / "tree"
    (tree / "etc").mkdir(parents=True)
    os.symlink(secret / "shadow", tree / "etc/hosts")
    os.symlink(f"../../../../../../../..{secret}/shadow", tree / "etc/resolv.conf")
    os.symlink("/proc/self/root/etc/passwd", tree / "etc/hostname")
    os.symlink(secret, tree / "data")
    (tmp_path / "context" / "Dockerfile").write_text("FROM busybox\nCOPY tree/ /\n")
    busybox_host.estiba("build", "-q", "-t", "linked", str(tmp_path / "context"))
    script = "echo attacked > /etc/hosts; echo attacked > /etc/resolv.conf; echo attacked > /data/file; cat /etc/hosts"
    flags = ("--rm", "--network", "none", "-v", "named:/data")
    done = busybox_host.estiba("run", *flags, "linked", "sh", "-c", script, check=False)
    busybox_host.estiba("volume", "rm", "named")
    assert done.stdout == "attacked\n" or "hostname" in done.stderr
    assert os.listdir(secret) == ["shadow"]
    assert (secret / "shadow").read_text() == "secret"


@pytest.mark.parametrize(
    "run",
    [
        RunConfig(cmd=("sh",), working_dir="/proc/self/fd/3"),
        RunConfig(cmd=("sh", "-c", "id"), user="\x1b[2J:evil"),
        RunConfig(cmd=("sh", "-c", "id"), user="99999999999999999999"),
        RunConfig(cmd=("sh", "-c", "id"), user="-1"),
        RunConfig(cmd=("sh", "-c", "id"), user="4294967295"),
        RunConfig(cmd=("sh", "-c", "id"), user="../../etc/passwd"),
        RunConfig(entrypoint=("\x1b]0;evil\x07",)),
        RunConfig(entrypoint=("a" * 5000,)),
        RunConfig(cmd=("sh\0-c",)),
        RunConfig(cmd=("true",), env=("A=1\0B=2",)),
        RunConfig(cmd=("true",), working_dir="/a\0b"),
        RunConfig(cmd=("true",), working_dir="relative/../.."),
        RunConfig(cmd=("true",), volumes=("/../../..", "relative", "/proc", "/a\0b")),
        RunConfig(cmd=("true",), stop_signal="SIGEVIL\n"),
    ],
    ids=lambda run: repr(run.user or run.entrypoint or run.working_dir or run.volumes or run.env or run.cmd)[:30],
)
def test_an_image_with_an_absurd_configuration_gives_one_clear_error(host, run):
    """No traceback, nothing left, nothing that a terminal would obey; or it runs, inside."""
    with Store.open(host.root) as store:
        busybox_image(store, "absurd", run=run)
    done = host.estiba("run", "--rm", "--network", "none", "absurd", check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    assert done.returncode == 0 or done.stderr
    assert "uid=0" not in done.stdout


def test_whoever_makes_a_container_runs_from_a_file_that_no_container_can_write(busybox_host):
    """CVE-2019-5736 through the engine: the monitor forks the container's first process, which has its executable."""
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "60")
    monitor = parent_of(busybox_host.inspect("one")["State"]["Pid"])
    assert os.statvfs(f"/proc/{monitor}/exe").f_flag & os.ST_RDONLY
    # The control: a process that was started in the ordinary way could be written through.
    assert not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_root_with_ids_of_its_own_owns_nothing_of_the_host(busybox_host, tmp_path):
    """`--userns=auto`: what root inside makes, reads and changes is done by a user that the host does not know."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "secret").write_text("only-root-reads-this")
    os.chmod(given, 0o755)
    os.chmod(given / "secret", 0o600)
    null = os.stat("/dev/null")[:6]
    script = (
        "cat /given/secret; chmod 666 /given/secret; touch /given/made; chmod 0 /dev/null /proc/self/fd/0;"
        " cat /proc/self/uid_map; echo 1 > /proc/sys/kernel/core_pattern; mknod /tmp/disk b 8 0; echo $?"
    )
    flags = ("--network", "none", "-v", f"{given}:/given")
    done = busybox_host.estiba("run", "--rm", "--userns=auto", *flags, "busybox", "sh", "-c", script, check=False)
    if "cannot be mapped" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip(done.stderr)
    inside, outside, _, last = done.stdout.split()
    assert (inside, last) == ("0", "1")
    assert int(outside) >= 65536
    assert os.listdir(given) == ["secret"]
    assert stat.S_IMODE(os.stat(given / "secret").st_mode) == 0o600
    assert os.stat("/dev/null")[:6] == null
    # The control: the host's own root does all of it.
    done = busybox_host.estiba("run", "--rm", "--userns=host", *flags, "busybox", "sh", "-c", script, check=False)
    assert done.stdout.startswith("only-root-reads-this")
    assert sorted(os.listdir(given)) == ["made", "secret"]
