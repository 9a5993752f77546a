"""Neither an image nor a volume that another container changes meanwhile leads a mount of the runtime astray."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import threading

import pytest

from escapes import PYTHON, python_mounts
from estiba.runtime.spec import ALL_CAPABILITIES, SpecMount

pytestmark = pytest.mark.root


@pytest.fixture
def canary(tmp_path) -> str:
    """A file of the host that nobody in a container may read or change."""
    path = tmp_path / "host" / "shadow"
    path.parent.mkdir()
    path.write_text("the host's secret\n")
    return str(path)


def test_links_in_the_image_lead_nowhere_on_the_host(cell, canary):
    """/etc/hosts of the image is a link to the host's /etc/shadow: the bind lies inside the root, at the same path."""
    os.symlink(canary, f"{cell.rootfs}/etc/hosts")
    os.symlink("../../../../../../../.." + canary, f"{cell.rootfs}/etc/hostname")
    source = os.path.join(cell.directory, "hosts")
    open(source, "w").close()
    mounts = tuple(SpecMount(f"/etc/{name}", "bind", source, ("bind",)) for name in ("hosts", "hostname"))
    done = cell.run(
        "sh", "-c", "echo attacked > /etc/hosts; echo attacked >> /etc/hostname; cat /etc/hosts", mounts=mounts
    )
    assert done.stdout == "attacked\nattacked\n", done.stderr
    with open(canary, encoding="utf-8") as file:
        assert file.read() == "the host's secret\n"


def test_a_link_for_the_console_into_procfs_is_refused(cell):
    """CVE-2025-52565: the terminal would be mounted over a file that the runtime or the kernel relies on."""
    dev = os.path.join(cell.directory, "dev")
    os.makedirs(f"{dev}/pts")
    os.symlink("/proc/sys/kernel/core_pattern", f"{dev}/console")
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    bundle = cell.bundle("true", terminal=True, masked_paths=(), mounts=(SpecMount("/dev", "bind", dev, ("rbind",)),
        SpecMount("/dev/pts", "devpts", "devpts", ("newinstance", "ptmxmode=0666"))))  # fmt: skip
    master, slave = pty.openpty()
    try:
        done = cell.call("run", "-b", bundle, cell.name(), stdin=slave)
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode != 0
    assert "a file of the kernel" in done.stderr


def test_a_file_in_place_of_procfs_does_not_take_the_profile(cell):
    """CVE-2025-52881: the program would run without the AppArmor profile that its config names."""
    fake = os.path.join(cell.directory, "proc")
    os.makedirs(f"{fake}/self/attr/apparmor")
    for name in ("exec", "apparmor/exec"):
        open(f"{fake}/self/attr/{name}", "w").close()
    done = cell.call("run", "-b", cell.bundle(
        "true",
        masked_paths=(),
        readonly_paths=(),
        mounts=(SpecMount("/proc", "bind", fake, ("rbind",)),),
        change=lambda config: config["process"].update(apparmorProfile="docker-default"),
    ), cell.name())  # fmt: skip
    assert done.returncode != 0
    assert "AppArmor" in done.stderr


def test_a_volume_that_changes_while_it_is_mounted_leads_nowhere(cell, canary):
    """CVE-2021-30465: another container swaps a directory of a shared volume for a link, again and again."""
    volume = os.path.join(cell.directory, "volume")
    os.makedirs(f"{volume}/place/inner")
    os.symlink("/" + "../" * 12, f"{volume}/link")
    source = os.path.join(cell.directory, "source")
    os.makedirs(f"{source}/marked")
    enough = threading.Event()

    def swap() -> None:
        while not enough.is_set():
            _exchange(f"{volume}/place", f"{volume}/link")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(10):
            target = "/volume/place" + os.path.dirname(canary)
            mounts = (
                SpecMount("/volume", "bind", volume, ("rbind",)),
                SpecMount(target, "bind", source, ("rbind",)),
            )
            # Either outcome is right; what may not be is a mount at the host's own path.
            cell.run("ls", os.path.dirname(canary), mounts=mounts)
            assert os.listdir(os.path.dirname(canary)) == ["shadow"]
    finally:
        enough.set()
        swapping.join()
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert source not in file.read()


def _exchange(one: str, other: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    libc.renameat2(-100, one.encode(), -100, other.encode(), 2)  # RENAME_EXCHANGE


def test_root_inside_changes_nothing_of_the_kernel(cell):
    """The classical ways from root in a container to code on the host, each by the file that it needs."""
    ways = {
        "a program for core dumps": "/proc/sys/kernel/core_pattern",
        "a program for modules": "/proc/sys/kernel/modprobe",
        "a program for hotplug": "/sys/kernel/uevent_helper",
        "keys to the kernel": "/proc/sysrq-trigger",
        "swappiness": "/proc/sys/vm/swappiness",
        "forwarding": "/proc/sys/net/ipv4/ip_forward",
        "a release agent": "/sys/fs/cgroup/memory/release_agent",
        "an empty group's program": "/sys/fs/cgroup/memory/notify_on_release",
        "the devices": "/sys/fs/cgroup/devices/devices.allow",
        "the limit": "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "the group": "/sys/fs/cgroup/unified/cgroup.procs",
        "binary formats": "/proc/sys/fs/binfmt_misc/register",
        "events": "/sys/devices/virtual/mem/null/uevent",
    }
    answers = cell.attack(f"for what, path in {ways}.items(): print(attempt(os.open, path, os.O_WRONLY), what)")
    refused = {"EROFS", "EACCES", "EPERM", "ENOENT"}
    assert [line for line in answers.splitlines() if line.split()[0] not in refused] == []
    assert answers.count("EROFS") > 4


def test_with_everything_allowed_the_same_files_can_be_opened(cell):
    """The control: a privileged container writes where it likes (nothing is written here)."""
    answers = cell.attack(
        "print(attempt(os.open, '/proc/sys/vm/swappiness', os.O_WRONLY))",
        privileged=True,
        capabilities=ALL_CAPABILITIES,
    )
    assert answers.split() == ["ok"]


def test_no_way_leads_above_the_root(cell):
    """Old tricks: a second chroot, `..` from a descriptor, and the root of process 1."""
    answers = cell.attack(
        """
        os.mkdir("/tmp/second")
        here = os.open("/", os.O_RDONLY)
        os.chroot("/tmp/second")
        os.fchdir(here)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        print("evil" if os.path.exists("/work") or os.path.exists("/boot") else "inside", sorted(os.listdir("/"))[0])
        """
    )
    assert answers.split() == ["inside", "bin"]


def test_raw_disks_and_kernel_memory_cannot_be_opened(cell):
    """CAP_MKNOD makes any node; the devices' rules refuse to open it. Every block device that the host has, too."""
    numbers = {(1, 1, "c"), (1, 2, "c"), (1, 4, "c"), (10, 237, "c"), (10, 229, "c"), (10, 200, "c"), (7, 0, "b")}
    for name in os.listdir("/sys/class/block"):
        with open(f"/sys/class/block/{name}/dev", encoding="ascii") as file:
            major, _, minor = file.read().strip().partition(":")
        numbers.add((int(major), int(minor), "b"))
    script = f"""
        import stat
        for major, minor, kind in {sorted(numbers)!r}:
            path = f"/tmp/{{kind}}{{major}}-{{minor}}"
            print(attempt(os.mknod, path, (stat.S_IFBLK if kind == "b" else stat.S_IFCHR) | 0o666,
                          os.makedev(major, minor)), attempt(os.open, path, os.O_RDONLY))
        """
    answers = cell.attack(script).split()
    assert set(answers[::2]) == {"ok"}
    assert set(answers[1::2]) == {"EPERM"}


def test_a_privileged_container_opens_the_devices(cell):
    """The control: without rules the same node opens (the null device under another number would prove nothing)."""
    script = """
        import stat
        os.mknod("/tmp/kmsg", stat.S_IFCHR | 0o666, os.makedev(1, 11))
        print(attempt(os.open, "/tmp/kmsg", os.O_WRONLY))
        """
    assert cell.attack(script, privileged=True, capabilities=ALL_CAPABILITIES).split() == ["ok"]
    assert cell.attack(script.replace("/tmp/kmsg", "/tmp/kmsg2")).split() == ["EPERM"]


def test_a_file_with_capabilities_or_a_setuid_bit_gives_nothing(cell):
    """no_new_privs: a user inside who runs a setuid-root program stays that user."""
    os.chmod(f"{cell.rootfs}/bin/busybox", 0o4755)
    done = cell.run("sh", "-c", "id -u; grep -E 'CapEff|NoNewPrivs' /proc/self/status", uid=1000)
    assert done.stdout.split() == ["1000", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]
    # The control: busybox drops the bit by itself, so a copy of another program shows it.
    shutil.copy(PYTHON, f"{cell.rootfs}/python")
    os.chmod(f"{cell.rootfs}/python", 0o4755)
    env = (f"PYTHONHOME={os.path.dirname(os.path.dirname(PYTHON))}",)
    for allowed, user in ((False, "1000"), (True, "0")):
        options = {"uid": 1000, "no_new_privileges": not allowed, "mounts": python_mounts(), "env": env}
        assert cell.run("/python", "-S", "-c", "import os; print(os.geteuid())", **options).stdout.strip() == user


def test_the_program_is_python_of_the_host_only_in_these_tests():
    """A check of the tests' own tool: the interpreter that attacks is seen through read-only mounts."""
    assert all("ro" in mount.options for mount in python_mounts())
    assert subprocess.run([PYTHON, "-IS", "-c", ""], check=False).returncode == 0
