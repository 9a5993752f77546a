"""Where the labels of a config.json go; the calls are recorded, since not every kernel has SELinux."""

from __future__ import annotations

import os

import pytest

from estiba.linux import labels
from estiba.runtime import bundle
from estiba.runtime.errors import BadBundle
from estiba.runtime.process import init, program
from estiba.runtime.process.plan import Plan
from estiba.runtime.rootfs import guards, mounts

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"
CONTEXT = f'context="{LABEL}"'


def test_new_filesystems_have_the_label_and_views_of_the_kernel_do_not(tmp_path, monkeypatch):
    made: list[tuple[str, list[str]]] = []
    labelled: list[str] = []
    monkeypatch.setattr(mounts, "_mount", lambda root, kind, source, place, destination, options: made.append(
        (kind, [option for option in options if option.startswith("context")])))  # fmt: skip
    monkeypatch.setattr(labels, "set_file_label", lambda path, label: labelled.append(label))
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for kind in ("proc", "sysfs", "tmpfs", "devpts", "mqueue"):
            mounts.make(root, {"destination": f"/{kind}", "type": kind}, bundle="/", group=None, label=LABEL)
    finally:
        os.close(root)
    assert made == [("proc", []), ("sysfs", []), ("tmpfs", [CONTEXT]), ("devpts", [CONTEXT]), ("mqueue", [])]
    assert labelled == [LABEL]


def test_the_cover_of_a_directory_has_the_label(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(guards.mp, "raw_mount", lambda *words: made.append(words[4]))
    (tmp_path / "masked").mkdir()
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        guards.mask(root, ["/masked"], label=LABEL)
    finally:
        os.close(root)
    assert made == [f"nr_inodes=1,{CONTEXT}"]


def test_the_keyring_has_the_label_of_the_program_and_later_ones_have_not(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(labels, "set_keyring_label", said.append)
    monkeypatch.setattr(init, "join_new_session_keyring", said.append)
    init._take_keyring(Plan(container_id="one", process={"selinuxLabel": LABEL}, config=None))
    assert said == [LABEL, "_ses.one", ""]
    said.clear()
    init._take_keyring(Plan(container_id="one", process={}, config=None))
    assert said == ["_ses.one"]


def test_the_program_has_its_profile_and_its_label(monkeypatch):
    said: list[object] = []
    monkeypatch.setattr(labels, "set_profile", lambda name, *, has_no_new_privileges: said.append(
        (name, has_no_new_privileges)))  # fmt: skip
    monkeypatch.setattr(labels, "set_program_label", said.append)
    program._set_labels({"apparmorProfile": "mine", "noNewPrivileges": True, "selinuxLabel": LABEL})
    assert said == [("mine", True), LABEL]
    program._set_labels({})
    assert len(said) == 2


def test_a_label_that_the_policy_does_not_know_is_told(monkeypatch):
    def refuse(label: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(labels, "set_program_label", refuse)
    with pytest.raises(BadBundle, match="the SELinux label 'x' was refused: Invalid argument"):
        program._set_labels({"selinuxLabel": "x"})


@pytest.mark.parametrize("name", ["selinuxLabel", "apparmorProfile"])
def test_a_kernel_that_has_the_module_takes_the_property(monkeypatch, name):
    process = {"args": ["true"], "cwd": "/", name: "x"}
    for answer in (True, False):
        monkeypatch.setattr(labels, "has_selinux", lambda answer=answer: answer)
        monkeypatch.setattr(labels, "has_apparmor", lambda answer=answer: answer)
        if answer:
            bundle.check_process(process)
        else:
            with pytest.raises(BadBundle, match=f"process.{name} is given"):
                bundle.check_process(process)
