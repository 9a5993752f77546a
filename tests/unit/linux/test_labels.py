"""What SELinux and AppArmor are told, on recorded files: neither runs on every machine that runs the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from estiba.linux import labels

LABEL = "system_u:system_r:container_t:s0:c1,c2"


@pytest.fixture
def attr(tmp_path: Path) -> Callable[..., int]:
    """Opens files of a recorded /proc/thread-self, which has those of AppArmor and of SELinux."""
    (tmp_path / "attr" / "apparmor").mkdir(parents=True)
    for name in ("exec", "current", "keycreate", "apparmor/exec", "apparmor/current"):
        (tmp_path / "attr" / name).write_text("")
    (tmp_path / "attr" / "apparmor" / "current").write_text("unconfined\n")

    def opened(name: str, flags: int = os.O_WRONLY) -> int:
        return os.open(tmp_path / name, flags | os.O_CLOEXEC)

    return opened


def _text(tmp_path: Path, name: str) -> str:
    return (tmp_path / "attr" / name).read_text()


def test_a_profile_is_that_of_the_next_program(attr, tmp_path):
    labels.set_profile("docker-default", has_no_new_privileges=False, opened=attr)
    assert _text(tmp_path, "apparmor/exec") == "exec docker-default"
    assert _text(tmp_path, "exec") == "", "the other module's file stays as it is"


def test_stacked_profiles_are_given_as_they_are(attr, tmp_path):
    labels.set_profile("one//&two", has_no_new_privileges=True, opened=attr)
    assert _text(tmp_path, "apparmor/exec") == "exec one//&two"


def test_who_is_confined_and_gains_nothing_is_only_confined_further(attr, tmp_path):
    (tmp_path / "attr" / "apparmor" / "current").write_text("outer (enforce)\n")
    labels.set_profile("inner", has_no_new_privileges=True, opened=attr)
    assert _text(tmp_path, "apparmor/exec") == "stack inner"
    (tmp_path / "attr" / "apparmor" / "exec").write_text("")
    labels.set_profile("inner", has_no_new_privileges=False, opened=attr)
    assert _text(tmp_path, "apparmor/exec") == "exec inner"


def test_a_kernel_with_one_module_has_the_old_name(attr, tmp_path):
    for name in ("apparmor/exec", "apparmor/current"):
        (tmp_path / "attr" / name).unlink()
    labels.set_profile("docker-default", has_no_new_privileges=False, opened=attr)
    assert _text(tmp_path, "exec") == "exec docker-default"


def test_labels_of_the_program_and_of_its_keyring(attr, tmp_path):
    labels.set_program_label(LABEL, opened=attr)
    labels.set_keyring_label(LABEL, opened=attr)
    assert (_text(tmp_path, "exec"), _text(tmp_path, "keycreate")) == (LABEL, LABEL)


def test_files_that_are_not_of_procfs_take_no_word(tmp_path):
    """CVE-2025-52881: an image's own /proc, or a file of it, in the place of the kernel's."""
    (tmp_path / "thread-self").symlink_to("1")
    (tmp_path / "1" / "attr").mkdir(parents=True)
    (tmp_path / "1" / "attr" / "exec").write_text("")
    with pytest.raises(NotADirectoryError):
        labels.open_own("attr/exec", proc=str(tmp_path))
    with pytest.raises(OSError, match=r"Too many levels|cross-device"):
        labels.open_own("cwd/x")
    os.close(labels.open_own("comm"))


@pytest.mark.root
def test_what_is_mounted_over_a_file_of_procfs_takes_no_word(tmp_path):
    from estiba.linux import mounts
    from estiba.linux.machine import tried

    (tmp_path / "fake").write_text("")

    def act() -> None:
        mounts.make_private_namespace()
        mounts.bind(str(tmp_path / "fake"), f"/proc/{os.getpid()}/task/{os.getpid()}/comm")
        labels.open_own("comm")

    assert "cross-device" in tried(act)


def test_the_modules_are_seen_in_sysfs(tmp_path):
    assert not labels.has_apparmor(str(tmp_path)) and not labels.has_selinux(str(tmp_path / "none"))
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "enabled").write_text("N\n")
    assert not labels.has_apparmor(str(tmp_path))
    (tmp_path / "parameters" / "enabled").write_text("Y\n")
    assert labels.has_apparmor(str(tmp_path))
    (tmp_path / "enforce").write_text("0")
    assert not labels.has_selinux(str(tmp_path)), "a directory of that name is not selinuxfs"


def test_a_new_mount_has_its_label_once_and_in_quotes():
    assert labels.labelled(["mode=755"], LABEL) == ["mode=755", f'context="{LABEL}"']
    assert labels.labelled(["mode=755"], "") == ["mode=755"]
    assert labels.labelled(["context=a"], LABEL) == ["context=a"]
