"""A hostile image: whatever lies where the runtime mounts, masks or makes something, the host stays as it is."""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
import subprocess

import pytest

import estiba
from estiba.runtime.spec import SpecMount
from watching import OpenedFiles, mounts_of_the_host

pytestmark = pytest.mark.root

SECRET = "only-the-host-knows-this"
# Where a container's root filesystem gets mounts, nodes, links and masks, and what is read there.
_PLACES = (
    *("proc", "sys", "dev", "etc", "run", "tmp"),
    *("dev/null", "dev/console", "dev/pts", "dev/shm", "dev/mqueue", "dev/ptmx", "dev/fd", "dev/core"),
    *("etc/passwd", "etc/hosts", "etc/hostname", "etc/resolv.conf", "sys/fs/cgroup", "proc/self", "data", "data/file"),
)


@pytest.fixture
def canary(tmp_path) -> str:
    """A directory of the host with a file that nobody in a container may read or change."""
    directory = tmp_path / "host"
    directory.mkdir()
    (directory / "secret").write_text(SECRET)
    os.chmod(directory / "secret", 0o600)
    return str(directory)


def _state(canary: str) -> tuple[object, ...]:
    status, above = os.stat(f"{canary}/secret"), os.stat(canary)
    with open(f"{canary}/secret", encoding="utf-8") as file:
        return os.listdir(canary), file.read(), status[:6], above[:6], status.st_mtime_ns, above.st_mtime_ns


def _plant(rootfs: str, place: str, kind: int, canary: str) -> None:
    path = os.path.join(rootfs, place)
    if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path):
        return  # below a link of ours already
    if os.path.lexists(path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    if not os.path.isdir(os.path.dirname(path)):
        if os.path.lexists(os.path.dirname(path)):
            return  # a file is in the way
        os.makedirs(os.path.dirname(path))
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        # A socket's address holds 108 bytes; by a descriptor any path fits.
        directory = os.open(os.path.dirname(path), os.O_PATH)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        os.close(directory)
    elif kind == 2:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    elif kind == 3:
        with open(path, "w", encoding="ascii") as file:
            file.write("x")
    else:
        targets = (
            *(
                canary,
                f"{canary}/secret",
                f"{canary}/new",
                f"{'../' * 16}{canary.lstrip('/')}/new",
                "/",
                ".",
                "/gone/a",
            ),
            *("/proc/self/root", f"/proc/1/root{canary}/secret", "/proc/self/fd/3", "/proc/sysrq-trigger", "/dev/kmsg"),
            *("/proc/sys/kernel/core_pattern", "/proc", "/sys/kernel/uevent_helper", os.path.basename(path), "/dev"),
        )
        os.symlink(targets[(kind - 4) % len(targets)], path)


def _planted(cell, seed: int, canary: str) -> str:
    choice = random.Random(seed)
    for place in choice.sample(_PLACES, choice.randint(1, 8)):
        _plant(cell.rootfs, place, choice.randrange(40), canary)
    source = os.path.join(cell.directory, "file")
    with open(source, "w", encoding="ascii") as file:
        file.write("mine")
    data = os.path.join(cell.directory, "data")
    os.makedirs(data, exist_ok=True)
    return cell.bundle(
        "sh",
        "-c",
        "echo attacked > /etc/hosts; echo attacked > /etc/hostname; echo attacked > /data/file; echo > /dev/null;"
        f" cat {canary}/secret /data/secret /etc/passwd; chmod 0 /dev/null /proc/self/fd/0; true",
        env=("PATH=/bin",),
        masked_paths=("/proc/kcore", "/proc/keys", "/sys/firmware", "/etc/passwd", "/data/masked"),
        mounts=(
            SpecMount("/etc/hosts", "bind", source, ("bind",)),
            SpecMount("/etc/hostname", "bind", source, ("bind", "ro")),
            SpecMount("/data", "bind", data, ("rbind",)),
            SpecMount("/run", "tmpfs", "tmpfs", ("tmpcopyup",)),
            SpecMount("/tmp/below/it", "tmpfs", "tmpfs", ("tmpcopyup", "mode=700")),
        ),
    )


@pytest.mark.parametrize("seed", range(0, 48, 8))
def test_no_file_of_any_kind_at_any_place_leads_a_mount_to_the_host(cell, canary, seed):
    """Links, pipes, sockets, devices and files where directories are wanted, and the other way round; always the same
    ones for a number. Each image runs inside, or is refused with one clear sentence."""
    null, mounts = os.stat("/dev/null")[:6], mounts_of_the_host(cell.directory)
    before = _state(canary)
    pristine = os.path.join(cell.directory, "pristine")
    os.rename(cell.rootfs, pristine)
    ran = 0
    for number in range(seed, seed + 8):
        shutil.copytree(pristine, cell.rootfs, symlinks=True)
        done = cell.call("run", "-b", _planted(cell, number, canary), cell.name(), timeout=20)
        ran += done.returncode == 0
        assert "Traceback" not in done.stderr, number
        assert SECRET not in done.stdout + done.stderr, number
        assert done.returncode in (0, 1, 125, 126, 127), (number, done.stderr)
        assert _state(canary) == before, number
        assert os.stat("/dev/null")[:6] == null, number
        assert mounts_of_the_host(cell.directory) == mounts, number
        shutil.rmtree(cell.rootfs)
    assert ran, "some of them run"
    os.rename(pristine, cell.rootfs)


def test_without_a_root_of_its_own_a_link_leads_to_the_host(canary, tmp_path):
    """The control: what is planted above does lead to the host's file for those who follow it as it is."""
    rootfs = tmp_path / "rootfs"
    (rootfs / "etc").mkdir(parents=True)
    _plant(str(rootfs), "etc/hosts", 5, canary)
    with open(rootfs / "etc/hosts", encoding="utf-8") as file:
        assert file.read() == SECRET


@pytest.mark.parametrize("place", ["proc", "sys"])
@pytest.mark.parametrize("target", ["/tmp", "tmp", "/proc/self/root/tmp"])
def test_a_link_in_place_of_procfs_is_refused(cell, place, target):
    """CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: /proc, masks and labels would be the image's."""
    os.symlink(target, f"{cell.rootfs}/{place}")
    done = cell.run("sh", "-c", "echo inside")
    assert done.returncode != 0
    assert done.stdout == ""
    os.unlink(f"{cell.rootfs}/{place}")
    assert cell.run("sh", "-c", "echo inside").stdout == "inside\n", "the control: without the link it runs"


def test_a_volume_over_procfs_is_refused(cell):
    """CVE-2019-16884: an image's `VOLUME /proc` would give it files that look like the kernel's."""
    fake = os.path.join(cell.directory, "fake")
    os.makedirs(f"{fake}/self/attr")
    os.symlink("/proc", f"{cell.rootfs}/way")
    for destination in ("/proc", "/proc/self", "/proc/sys", "/way", "/way/self/attr"):
        done = cell.run("sh", "-c", "echo inside", mounts=(SpecMount(destination, "bind", fake, ("rbind",)),))
        # In place of /proc itself there is no procfs, so no mask holds either: that is for whoever writes the config.
        assert done.stdout == "" or not os.listdir(f"{fake}/self/attr")
        if destination != "/proc":
            assert "procfs" in done.stderr


@pytest.mark.parametrize("target", ["/proc/sys/kernel/core_pattern", "/etc/passwd", "/dev/zero"])
def test_a_mask_that_would_be_another_file_than_the_null_device_is_refused(cell, target):
    """CVE-2025-31133: what masks /proc/kcore would be a writable view of another file."""
    dev = os.path.join(cell.directory, "dev")
    os.makedirs(dev)
    os.symlink(target, f"{dev}/null")
    mounts = (SpecMount("/dev", "bind", dev, ("rbind",)),)
    done = cell.run("sh", "-c", "echo inside", mounts=mounts)
    assert done.returncode != 0
    assert "null" in done.stderr
    done = cell.run("sh", "-c", "echo inside", mounts=mounts, masked_paths=())
    assert done.stdout == "inside\n", "the control: it is the mask that is refused"


def test_a_tmpfs_is_filled_with_files_of_the_image_alone(cell, canary):
    """`tmpcopyup` on a link to the host, and on a directory with links and devices."""
    os.symlink(canary, f"{cell.rootfs}/way")
    os.makedirs(f"{cell.rootfs}/full/below")
    os.symlink(f"{canary}/secret", f"{cell.rootfs}/full/link")
    os.mknod(f"{cell.rootfs}/full/node", stat.S_IFCHR | 0o666, os.makedev(1, 1))
    os.mkfifo(f"{cell.rootfs}/full/pipe")
    mounts = (
        SpecMount("/way", "tmpfs", "tmpfs", ("tmpcopyup",)),
        SpecMount("/full", "tmpfs", "tmpfs", ("tmpcopyup",)),
    )
    done = cell.run("sh", "-c", "ls /way/ /full; cat /full/link /way/secret", mounts=mounts)
    assert SECRET not in done.stdout
    assert done.stdout.split() == ["/full:", "below", "link", "/way/:"]


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_cannot_be_a_descriptor_of_the_host(cell, number):
    """CVE-2024-21626: `WORKDIR /proc/self/fd/N`, every number, while the caller has a directory of the host open."""
    held = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(held, True)
    script = "ls ../../../../../../../../; cat ../../../../../../../../../proc/1/comm"
    bundle = cell.bundle("sh", "-c", script, cwd=f"/proc/self/fd/{number}")
    done = cell.call("run", "-b", bundle, cell.name(), pass_fds=(held,))
    os.close(held)
    assert done.returncode != 0
    assert done.stdout == ""


def test_a_descriptor_that_the_caller_passes_is_there_and_no_other(cell):
    """The control: with --preserve-fds a directory of the host is a way out, and 4 is not."""
    bundle = cell.bundle("sh", "-c", "for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n/. ] && echo $n; done; true")
    script = 'exec 3</ 4</ 5</; exec "$@"'
    command = ["sh", "-c", script, "sh", *cell.command, "run", "--preserve-fds", "1", "-b", bundle, cell.name()]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["3"], done.stderr


def test_a_parameter_of_the_kernel_cannot_be_reached_by_another_name(cell):
    """CVE-2022-0811: `+`, `/`, `..` and the like in what an annotation gave as a sysctl set kernel.core_pattern."""
    names = (
        *("kernel.core_pattern", "kernel/core_pattern", "kernel.shm_rmid_forced+kernel.core_pattern", "vm.swappiness"),
        *("net/../kernel/core_pattern", "net.ipv4/../../kernel/core_pattern", "net...kernel.core_pattern"),
        *("kernel.shm_rmid_forced=1\nkernel.core_pattern", "net./../../sysrq-trigger", "fs.mqueue./../suid_dumpable"),
    )
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        before = file.read()
    for name in names:
        done = cell.run("sh", "-c", "echo inside", sysctl=((name, "|/evil #"),))
        assert done.returncode != 0, name
        assert done.stdout == ""
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            assert file.read() == before
    done = cell.run("cat", "/proc/sys/kernel/shm_rmid_forced", sysctl=(("kernel.shm_rmid_forced", "1"),))
    assert done.stdout == "1\n", "the control: what is the container's own can be set"


def test_a_parameter_of_a_namespace_that_is_the_hosts_is_refused(cell):
    """A path to the host's own network namespace makes it no namespace of the container's."""
    value = (("net.ipv4.ip_unprivileged_port_start", "7"),)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        before = file.read()
    done = cell.run("true", network="path:/proc/self/ns/net", sysctl=value)
    assert done.returncode != 0
    assert "the host's" in done.stderr
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        assert file.read() == before
    done = cell.run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", sysctl=value)
    assert done.stdout == "7\n", "the control: its own can be set"


def test_the_interpreter_reads_nothing_of_the_image(cell):
    """Between pivot_root (or setns) and the exec it is a Python in a root that the image wrote: a module, a codec, a
    library or a locale that it loaded there would be the image's code with the host's rights. Everything that it could
    look for is planted, and the kernel tells of every file that is opened; the programs themselves are static."""
    places = [os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(estiba.__file__))]
    planted = ["/etc/ld.so.preload", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/localtime", "/etc/group"]
    planted += ["/etc/locale.alias", "/usr/lib/locale/locale-archive", "/usr/lib/locale/C.utf8/LC_CTYPE", "/pyvenv.cfg"]
    planted += ["/usr/lib/x86_64-linux-gnu/gconv/gconv-modules", "/sitecustomize.py", "/usercustomize.py"]
    for place in places:
        planted += [os.path.join(place, f"{name}.py") for name in ("os", "codecs", "ctypes", "traceback", "signal")]
        planted += [os.path.join(place, "encodings", f"{name}.py") for name in ("__init__", "ascii", "idna", "latin_1")]
        planted += [os.path.join(place, "estiba", name) for name in ("__init__.py", "errors.py", "runtime/hooks.py")]
    for path in planted:
        os.makedirs(os.path.dirname(cell.rootfs + path), exist_ok=True)
        with open(cell.rootfs + path, "w", encoding="ascii") as file:
            file.write("raise SystemExit('the image has the interpreter')\n")
    with OpenedFiles(cell.rootfs) as opened:
        name = cell.start("sleep", "60", env=("PATH=/bin",))
        for words in (
            ("sh", "-c", "true"),
            ("missing",),
            ("/etc/passwd",),
            ("/etc",),
            ("--cwd", "/missing", "true"),
            ("--cwd", "/etc/passwd", "true"),
            ("--user", "4711:4711", "true"),
            ("--env", "LANG=xx_XX.ISO-8859-1", "--env", "PYTHONPATH=/", "true"),
        ):
            flags, command = (words[:-1], words[-1:]) if words[0].startswith("--") else ((), words)
            done = cell.call("exec", *flags, name, *command)
            assert "the image has the interpreter" not in done.stderr
        for program in ("missing", "/etc/passwd", "/etc"):
            assert cell.run(program).returncode in (126, 127)
        cell.run("true", cwd="/etc/passwd")
        cell.run("true", uid=4711, env=("PATH=/bin", "LANG=xx_XX.ISO-8859-1", "PYTHONHOME=/"))
        seen = opened.names()
        assert seen - {"passwd", "busybox"} == set(), "the user's home stands in passwd, and busybox is the program"
        cell.run("cat", "/etc/ld.so.preload", "/etc/nsswitch.conf")
        assert {"ld.so.preload", "nsswitch.conf"} <= opened.names(), "the control: what the program reads is seen"
