"""What an attacker's root can do with the descriptors that it is given: nothing to the host's files behind them."""

from __future__ import annotations

import os
import pty
import stat
import subprocess

import pytest

from escapes import PYTHON, python_mounts
from estiba.runtime.spec import IdMapping, SpecMount

pytestmark = pytest.mark.root


@pytest.fixture
def null(tmp_path):
    """A null device that stands for the host's own: chmod and chown of it can be seen, and hurt nobody."""
    path = str(tmp_path / "null")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.chmod(path, 0o666)
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def test_the_hosts_null_device_cannot_be_changed_through_standard_input(cell, null):
    """A detached container gets the host's /dev/null, whose owner the container's root is: chmod 0 would hurt all."""
    answers = cell.attack(
        """
        print(os.readlink("/proc/self/fd/0"))
        print(attempt(os.read, 0, 1), attempt(os.write, os.open("/proc/self/fd/0", os.O_WRONLY), b"x"))
        for change in (lambda: os.fchmod(0, 0), lambda: os.fchown(0, 1000, 1000), lambda: os.utime(0, (1, 1))):
            attempt(change)
        attempt(os.chmod, "/proc/self/fd/0", 0)
        """,
        stdin=null,
    ).split()
    status = os.fstat(null)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o666, 0)
    assert status.st_mtime > 1
    assert answers == ["/dev/null", "ok", "ok"], "what it has is the container's own"


def test_without_a_null_device_of_its_own_the_hosts_cannot_be_changed_either(cell, null):
    """In /dev another file has that name: what is left is the host's, through a read-only mount."""
    dev = os.path.join(cell.directory, "dev")
    os.makedirs(dev)
    os.symlink("/etc/passwd", f"{dev}/null")
    answers = cell.attack(
        """
        print(attempt(os.fchmod, 0, 0), attempt(os.fchown, 0, 1000, 1000), attempt(os.utime, 0, (1, 1)))
        print(attempt(os.chmod, "/proc/self/fd/0", 0))
        print(attempt(os.read, 0, 1), attempt(os.write, os.open("/proc/self/fd/0", os.O_WRONLY), b"x"))
        """,
        stdin=null,
        masked_paths=(),
        mounts=(SpecMount("/dev", "bind", dev, ("rbind",)),),
    ).split()
    status = os.fstat(null)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o666, 0)
    assert answers == ["EROFS"] * 4 + ["ok", "ok"]


def test_where_roots_id_is_mapped_the_hosts_devices_cannot_be_changed(cell):
    """In a user namespace nodes cannot be made, so the host's are bound; with 0:0 in the map root owns them."""
    before = [os.stat(f"/dev/{name}")[:6] for name in ("null", "zero", "full", "tty")]
    ids = (IdMapping(0, 0, 65536),)
    answers = cell.attack(
        """
        for name in ("null", "zero", "full", "tty"):
            print(attempt(os.chmod, f"/dev/{name}", 0o666), attempt(os.chown, f"/dev/{name}", 0, 0))
        print(attempt(os.write, os.open("/dev/null", os.O_WRONLY), b"x"), len(os.read(os.open("/dev/zero", 0), 9)))
        """,
        uid_mappings=ids,
        gid_mappings=ids,
    ).split()
    assert [os.stat(f"/dev/{name}")[:6] for name in ("null", "zero", "full", "tty")] == before
    assert answers == ["EROFS"] * 8 + ["ok", "9"]


def test_the_same_holds_for_one_more_process(cell, null):
    name = cell.start("sleep", "60")
    process = {
        "args": ["chmod", "0", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"],
        "cwd": "/",
        "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": {kind: ["CAP_FOWNER"] for kind in ("bounding", "effective", "permitted")},
    }
    status = cell.client.exec(name, process, detach=False, stdin=null, stdout=null, stderr=null)
    assert status == 0, "its own can be changed"
    assert stat.S_IMODE(os.fstat(null).st_mode) == 0o666


def test_a_file_that_the_user_passes_can_be_changed(cell, tmp_path):
    """The control: it is the null device that is guarded, not the container that could not."""
    passed = os.open(str(tmp_path / "passed"), os.O_RDWR | os.O_CREAT, 0o666)
    assert cell.attack("print(attempt(os.fchmod, 0, 0))", stdin=passed).split() == ["ok"]
    assert stat.S_IMODE(os.fstat(passed).st_mode) == 0
    os.close(passed)


def test_nothing_but_the_standard_streams_is_open_in_one_more_process(cell):
    """CVE-2024-21626 and CVE-2016-9962: the joining process is of the host until its last moment."""
    name = cell.start("sleep", "60", mounts=python_mounts())
    directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(directory, True)
    script = "import os; print([(n, os.readlink(f'/proc/self/fd/{n}')) for n in os.listdir('/proc/self/fd')[:-1]])"
    done = cell.call("exec", name, PYTHON, "-IS", "-c", script, pass_fds=(directory,))
    os.close(directory)
    assert done.returncode == 0, done.stderr
    assert [number for number, _ in eval(done.stdout)] == ["0", "1", "2"]  # noqa: S307 - our own script's list


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9, 10])
def test_a_working_directory_of_one_more_process_cannot_be_a_descriptor_of_the_host(cell, number):
    """CVE-2024-21626: `exec --cwd /proc/self/fd/N`, also through a link that the image has."""
    os.symlink(f"/proc/self/fd/{number}", f"{cell.rootfs}/way")
    name = cell.start("sleep", "60")
    for place in (f"/proc/self/fd/{number}", f"/proc/self/fd/{number}/../../..", "/way"):
        done = cell.call("exec", "--cwd", place, name, "pwd")
        assert done.returncode != 0, done.stdout


@pytest.mark.parametrize("flags", [(), ("-i",), ("-t",), ("-i", "-t"), ("-d",)], ids=" ".join)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_program_has_its_three_streams_and_no_other_descriptor(busybox_host, command, flags):
    """Not the monitor's lock, log, sockets and namespace, nor a directory of the host that the caller has open."""
    held = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    master, slave = pty.openpty()
    script = "for n in /proc/self/fd/*; do readlink $n; done > /tmp/list; mv /tmp/list /tmp/done; sleep 20"
    try:
        options = {"pass_fds": (held,), "stdin": slave if flags == ("-i", "-t") else subprocess.DEVNULL}
        busybox_host.estiba("volume", "create", "shown")
        if command == "run":
            words = ("run", "--name", "cell", "--network", "none", "-v", "shown:/tmp", *flags, "busybox", "sh", "-c")
        else:
            busybox_host.estiba("run", "-d", "--name", "cell", "-v", "shown:/tmp", "busybox", "sleep", "60", **options)
            words = ("exec", *flags, "cell", "sh", "-c")
        started = busybox_host.start(*words, script, stdout=slave, stderr=subprocess.DEVNULL, **options)
        place = f"{busybox_host.root}/volumes/shown/_data/done"
        busybox_host.wait_until(lambda: os.path.exists(place), "the program tells")
        with open(place, encoding="utf-8") as file:
            shown = file.read().split()
    finally:
        for descriptor in (held, master, slave):
            os.close(descriptor)
        busybox_host.estiba("rm", "-f", "-v", "cell", check=False)
        started.wait(timeout=20)
    busybox_host.estiba("volume", "rm", "shown")
    # 0 and 2 (1 is the list, and what follows is the shell's own view of the directory, closed when it is asked for).
    others = [link for link in shown if link != "/tmp/list" and not link.startswith("/proc/")]
    if "-t" in flags:
        assert set(others) <= {"/dev/console", "/dev/pts/0"}
    else:
        assert all(link == "/dev/null" or link.startswith("pipe:") for link in others)
    assert 2 <= len(others) <= 3


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_streams_that_the_caller_has_closed_become_no_file_of_the_runtimes(cell, closed):
    """Else the first files that it opens are the program's streams: its lock, its channel, a directory of the host."""
    list_them = "for n in 0 1 2 3 4 5 6; do readlink /proc/$$/fd/$n && echo; done > /tmp/list; true"
    name = cell.start("sleep", "60")
    for words in (
        ["run", "-b", cell.bundle("sh", "-c", list_them), cell.name()],
        ["exec", name, "sh", "-c", list_them],
    ):
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *cell.command, *words]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        with open(f"{cell.rootfs}/tmp/list", encoding="utf-8") as file:
            links = file.read().split()
        assert all(link in ("/dev/null", "/tmp/list") or link.startswith("pipe:") for link in links), links
        assert 3 <= len(links) <= 4
        assert links.count("/dev/null") >= closed.count("&-") - 1
