"""Images are hostile: links, odd files and odd configs must not lead a mount, a mask or a module out of the root."""

from __future__ import annotations

import os

import pytest

from estiba.runtime.spec import SpecMount

pytestmark = pytest.mark.root


def test_a_linked_destination_is_taken_inside_the_root(box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    os.symlink(str(outside), os.path.join(box.rootfs, "link"))
    os.symlink("../../../../../../../../tmp", os.path.join(box.rootfs, "climb"))
    mounts = (
        SpecMount("/link/deep", "bind", str(source), ("rbind", "rprivate")),
        SpecMount("/climb/here", "bind", str(source), ("bind",)),
    )
    result = box.run(f"cat {outside}/deep/file; cat /tmp/here/file", mounts=mounts)
    assert result.stdout == "contentcontent", result.stderr
    assert list(outside.iterdir()) == []
    assert not os.path.exists("/tmp/here")


@pytest.mark.parametrize("place", ["proc", "sys"])
def test_a_link_instead_of_proc_or_sys_is_refused(box, place):
    """CVE-2019-16884: procfs would be mounted elsewhere, and /proc would be the image's own files."""
    os.mkdir(os.path.join(box.rootfs, "elsewhere"))
    os.symlink("/elsewhere", os.path.join(box.rootfs, place))
    result = box.run("true")
    assert result.returncode == 125
    assert os.listdir(os.path.join(box.rootfs, "elsewhere")) == []


def test_dev_as_a_link_stays_inside(box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(str(outside), os.path.join(box.rootfs, "dev"))
    box.run("true")
    assert list(outside.iterdir()) == []


def test_a_false_null_device_masks_nothing(box, tmp_path):
    """CVE-2025-31133: a bind of /dev whose null is something else must not be used for masking."""
    devices = tmp_path / "dev"
    devices.mkdir()
    (devices / "null").write_text("not a device")
    result = box.run("true", mounts=(SpecMount("/dev", "bind", str(devices), ("rbind",)),))
    assert result.returncode == 125
    assert "null" in result.stderr


def test_nothing_is_mounted_over_files_of_procfs(box, tmp_path):
    (tmp_path / "fake").write_text("fake")
    result = box.run("true", mounts=(SpecMount("/proc/self/status", "bind", str(tmp_path / "fake"), ("bind",)),))
    assert result.returncode == 125
    assert "procfs" in result.stderr


def test_a_read_only_bind_and_its_options_hold(box, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    mounts = (SpecMount("/data", "bind", str(data), ("rbind", "ro", "nosuid", "nodev", "noexec")),)
    result = box.run("touch /data/x; grep ' /data ' /proc/self/mountinfo", mounts=mounts)
    assert "Read-only file system" in result.stderr
    assert "ro,nosuid,nodev,noexec" in result.stdout


def test_a_missing_source_is_named(box):
    result = box.run("true", mounts=(SpecMount("/data", "bind", "/nowhere/at/all", ("bind",)),))
    assert result.returncode == 125
    assert "/nowhere/at/all" in result.stderr


def test_a_file_is_bound_over_a_dangling_link(box, tmp_path):
    """Images have /etc/resolv.conf as a link to what is made at their boot."""
    (tmp_path / "resolv").write_text("nameserver")
    os.symlink("/run/resolv.conf", os.path.join(box.rootfs, "etc/resolv.conf"))
    os.mkdir(os.path.join(box.rootfs, "run"))
    mounts = (SpecMount("/etc/resolv.conf", "bind", str(tmp_path / "resolv"), ("bind",)),)
    assert box.run("cat /etc/resolv.conf", mounts=mounts).stdout == "nameserver"


def test_tmpfs_copies_what_it_covers_when_asked(box):
    os.makedirs(os.path.join(box.rootfs, "var/inner"))
    with open(os.path.join(box.rootfs, "var/inner/file"), "w", encoding="ascii") as file:
        file.write("kept")
    os.chown(os.path.join(box.rootfs, "var/inner/file"), 1000, 1000)
    mounts = (SpecMount("/var", "tmpfs", "tmpfs", ("tmpcopyup", "size=1m")),)
    result = box.run("cat /var/inner/file; stat -c ' %u %a' /var/inner/file; echo more > /var/x", mounts=mounts)
    assert result.stdout == "kept 1000 644\n", result.stderr
    assert os.listdir(os.path.join(box.rootfs, "var")) == ["inner"]


def test_no_python_of_the_image_is_ever_loaded(box):
    """A module planted where the host's interpreter looks for its own must not run before the program does."""
    import sysconfig

    library = sysconfig.get_path("stdlib")
    planted = box.rootfs + library
    os.makedirs(planted)
    for name in ("resource", "select", "json", "signal", "traceback", "encodings"):
        with open(os.path.join(planted, f"{name}.py"), "w", encoding="ascii") as file:
            file.write("open('/tmp/loaded', 'w').close()\n")
    result = box.run("ls /tmp; echo done", uid=1000, oom_score_adj=100)
    assert result.stdout == "done\n", result.stderr


def test_a_script_that_runs_the_runtime_itself_cannot_write_to_it(box):
    """CVE-2019-5736: `#!/proc/self/exe` gets our interpreter as its program, but never a writable one."""
    before = os.stat("/proc/self/exe")
    with open(os.path.join(box.rootfs, "bin/evil"), "w", encoding="ascii") as file:
        file.write("#!/proc/self/exe\n")
    os.chmod(os.path.join(box.rootfs, "bin/evil"), 0o755)
    bundle = box.bundle("/bin/evil")
    box.call("run", "-b", bundle, "est-evil")
    after = os.stat("/proc/self/exe")
    assert (before.st_mtime_ns, before.st_size, before.st_ino) == (after.st_mtime_ns, after.st_size, after.st_ino)


def test_the_waiting_init_shows_nothing_of_the_host(box):
    """Between create and start the runtime's code is in the container: not dumpable, and its file is not writable."""
    pid = box.create("est-waiting", "true")
    for entry in ("exe",):
        descriptor = os.open(f"/proc/{pid}/{entry}", os.O_PATH)
        assert os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
        os.close(descriptor)
    descriptors = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    directories = {name: link for name, link in descriptors.items() if os.path.isdir(f"/proc/{pid}/fd/{name}")}
    assert directories == {}, "an open directory of the host"
    assert os.readlink(f"/proc/{pid}/cwd") == os.readlink(f"/proc/{pid}/root")
