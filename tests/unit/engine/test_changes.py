"""The changes between two whole trees, as `diff` tells them where a snapshot is a copy."""

from __future__ import annotations

import os
import shutil

from estiba.engine import changes
from estiba.engine.changes import ADDED, CHANGED, DELETED, Change


def test_a_directory_is_told_for_what_changed_in_it_or_for_itself(tmp_path):
    base, tree = tmp_path / "base", tmp_path / "tree"
    for name in ("added/deep", "gone/deep", "same/deep", "etc", "mode", "touched/deep", "touched-not"):
        (base / name).mkdir(parents=True)
    (base / "gone" / "deep" / "file").write_text("x")
    shutil.copytree(base, tree)
    for directory, _, _ in os.walk(base):
        status = os.stat(directory)
        os.utime(f"{tree}/{os.path.relpath(directory, base)}", ns=(status.st_mtime_ns, status.st_mtime_ns))
    (tree / "added" / "deep" / "new").write_text("y")
    (tree / "gone" / "deep" / "file").unlink()
    (tree / "etc" / "hosts").touch()
    (tree / "mode").chmod(0o700)
    os.utime(tree / "touched" / "deep", (1, 1))
    os.utime(tree / "touched", (1, 1))
    assert changes._of_copies(str(base), str(tree)) == [
        Change(CHANGED, "/added"),
        Change(CHANGED, "/added/deep"),
        Change(ADDED, "/added/deep/new"),
        Change(CHANGED, "/gone"),
        Change(CHANGED, "/gone/deep"),
        Change(DELETED, "/gone/deep/file"),
        Change(CHANGED, "/mode"),
    ]


def test_each_of_many_directories_is_asked_for_its_own_content_alone():
    told = {f"/d{number}": CHANGED for number in range(20_000)} | {"/d7/file": ADDED}
    assert told.keys() - changes._untold(told, told.keys() - {"/d7/file"}) == {"/d7", "/d7/file"}
