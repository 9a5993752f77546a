"""Labels of containers from the policy's words and the user's."""

from __future__ import annotations

import os

import pytest

from estiba.engine import selinux
from estiba.engine.monitor import labelling
from estiba.engine.mount_syntax import parse_volume
from estiba.errors import InvalidInput, NotThereYet, Unavailable
from estiba.linux import labels
from estiba.linux.mounts import Mount

CONTEXTS = """\
# of the policy
process = "system_u:system_r:container_t:s0"
content = "system_u:object_r:virt_var_lib_t:s0"
file = "system_u:object_r:container_file_t:s0"
"""
BASE = selinux.Labels("system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0")


def test_the_policys_words_are_read():
    assert selinux.contexts(CONTEXTS) == BASE
    assert selinux.contexts("") is None


def test_a_level_is_two_different_categories():
    assert selinux.level(0) == "s0:c0,c1"
    assert selinux.level(5 + 1024 * 5) == "s0:c5,c6"
    assert selinux.level(1023 + 1024 * 1022) == "s0:c1022,c1023"


@pytest.mark.parametrize(
    ("options", "process", "files"),
    [
        (("type:spc_t",), "system_u:system_r:spc_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2"),
        (
            ("user:me", "role:r", "level:s0:c7", "filetype:mine_t"),
            "me:r:container_t:s0:c7",
            "me:object_r:mine_t:s0:c7",
        ),
    ],
)
def test_the_users_words_change_them(options, process, files):
    assert selinux.with_options(BASE, options, own_level="s0:c1,c2") == selinux.Labels(process, files)


def test_what_is_no_part_of_a_label_is_refused():
    for option, kind in (("colour:red", InvalidInput), ("type:", InvalidInput), ("nested", NotThereYet)):
        with pytest.raises(kind):
            selinux.with_options(BASE, (option,), own_level="s0")


def test_files_of_all_containers_have_no_category():
    assert selinux.shared("system_u:object_r:container_file_t:s0:c1,c2") == BASE.files


def test_the_root_of_a_container_has_the_label_and_a_plain_directory_cannot():
    mounts = (Mount("overlay", "overlay", "", ("lowerdir=/a",)),)
    assert labelling.labelled_rootfs(mounts, "a:b:c:s0:c1,c2")[0].options[-1] == "context=a:b:c:s0:c1,c2"
    with pytest.raises(Unavailable, match="label=disable"):
        labelling.labelled_rootfs((Mount("bind", "/a", "", ("bind",)),), "a:b:c:s0")


def test_the_letters_of_a_volume_ask_for_labels():
    assert [parse_volume(f"/a:/b:{letter}", current_directory="/").relabels for letter in ("ro", "z", "Z")] == [
        *("", "z", "Z"),
    ]


@pytest.mark.root
def test_every_file_of_a_tree_gets_the_label_and_links_are_not_followed(tmp_path):
    """The attribute is kept by filesystems whether or not SELinux is on."""
    outside = tmp_path / "outside"
    outside.write_text("")
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_text("")
    (tree / "link").symlink_to(outside)
    labels.relabel(str(tree), BASE.files)
    for path in (tree, tree / "below", tree / "below" / "file", tree / "link"):
        assert os.getxattr(path, "security.selinux", follow_symlinks=False).decode().rstrip("\0") == BASE.files
    with pytest.raises(OSError, match="No data"):
        os.getxattr(outside, "security.selinux")
