"""What a source pattern selects from a directory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiba.builder.context import ignore
from estiba.builder.context.hashes import FileHashes, _key
from estiba.builder.context.tree import SourceTree
from estiba.errors import Conflict, NotFound
from estiba.store.database import Database


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "a.txt": "A",
        "b.md": "B",
        "src/main.py": "print()",
        "src/deep/er/x": "x",
        "src/.hidden": "h",
        "odd \u00e9/file with space": "o",
    }.items():
        (tmp_path / "ctx" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ctx" / path).write_text(text)
    os.symlink("src/main.py", tmp_path / "ctx" / "link")
    os.symlink("/etc", tmp_path / "ctx" / "away")
    os.symlink("../../../etc/passwd", tmp_path / "ctx" / "src" / "up")
    return tmp_path / "ctx"


@pytest.fixture
def tree(root: Path) -> Iterator[SourceTree]:
    found = SourceTree(str(root), label="the build context")
    yield found
    found.close()


def paths(tree: SourceTree, pattern: str) -> list[str]:
    return [entry.source for item in tree.select(pattern) for entry in item.entries]


def test_a_file_is_selected_alone(tree: SourceTree) -> None:
    (item,) = tree.select("a.txt")
    assert (item.name, item.is_directory, item.entries[0].size) == ("a.txt", False, 1)


def test_a_directory_comes_with_all_below_it_in_order(tree: SourceTree) -> None:
    assert paths(tree, "src") == [
        "src",
        "src/.hidden",
        "src/deep",
        "src/deep/er",
        "src/deep/er/x",
        "src/main.py",
        "src/up",
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a.txt"]),
        ("s*/ma?n.py", ["src/main.py"]),
        ("[ab].*", ["a.txt", "b.md"]),
        ("./src/../a.txt", ["a.txt"]),
        ("/a.txt", ["a.txt"]),
        ("../../a.txt", ["a.txt"]),
        ("odd \u00e9/file*", ["odd \u00e9/file with space"]),
    ],
)
def test_patterns_match_component_by_component_and_never_leave_the_root(
    tree: SourceTree, pattern: str, found: list[str]
) -> None:
    assert paths(tree, pattern) == found


def test_a_link_that_is_named_is_followed_inside_the_root_and_others_stay_links(tree: SourceTree) -> None:
    (item,) = tree.select("link")
    assert (item.name, item.entries[0].source, item.entries[0].is_file) == ("link", "src/main.py", True)
    up = next(entry for item in tree.select("src") for entry in item.entries if entry.source == "src/up")
    assert up.target == "../../../etc/passwd"


def test_a_link_out_of_the_context_leads_nowhere(tree: SourceTree) -> None:
    """`/etc` is taken relative to the context, where there is none: the host's files are never read."""
    (item,) = tree.select("away")
    assert (item.entries[0].target, len(item.entries)) == ("/etc", 1)
    with pytest.raises(NotFound):
        tree.select("away/passwd")


def test_a_missing_source_names_near_ones(tree: SourceTree) -> None:
    with pytest.raises(NotFound) as caught:
        tree.select("a.text")
    assert "the build context" in caught.value.message
    assert "'a.txt'" in caught.value.remedy
    assert tree.select("*.nothing") == ()
    assert tree.select("no/*.nothing", keeps_parents=True) == ()


def test_an_ignored_source_names_the_rule(root: Path) -> None:
    tree = SourceTree(str(root), label="the build context", ignore=ignore.parse("x\n*.txt\nsrc\n!src/main.py"))
    try:
        with pytest.raises(NotFound) as caught:
            tree.select("a.txt")
        assert "Line 2 of .dockerignore ('*.txt')" in caught.value.remedy
        assert paths(tree, "src") == ["src", "src/main.py"]
        assert "a.txt" not in paths(tree, ".")
    finally:
        tree.close()


def test_unchanged_files_are_not_read_again_and_changed_ones_are(root: Path, tree: SourceTree, tmp_path: Path) -> None:
    old = (1_000_000_000, 1_000_000_000)
    database = Database.open(str(tmp_path / "state.db"))
    hashes = FileHashes(database)
    entries = tree.select("a.txt")[0].entries
    first = hashes.of(tree, entries)
    os.chmod(root / "b.md", 0)
    assert hashes.of(tree, entries) == first
    (root / "a.txt").write_text("Z")
    os.utime(root / "a.txt", ns=old)
    changed = hashes.of(tree, tree.select("a.txt")[0].entries)
    assert changed != first
    database.close()


def test_a_tree_may_be_as_deep_as_a_path_is_long(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        following = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    tree = SourceTree(str(tmp_path), label="the build context")
    try:
        (item,) = tree.select("d")
        assert len(item.entries) == 1500
    finally:
        tree.close()
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path, tree: SourceTree, root: Path) -> None:
    """Of the same size too: what is in the layer must be what the cache was asked about."""
    entries = [entry for item in tree.select("a.txt") for entry in item.entries]
    (root / "a.txt").write_text("Z")
    os.utime(root / "a.txt", ns=(entries[0].identity[3],) * 2)
    database = Database.open(str(tmp_path / "state.db"))
    try:
        with pytest.raises(Conflict, match=r"a\.txt in the build context changed while it was read"):
            FileHashes(database).of(tree, entries)
    finally:
        database.close()


def test_inodes_and_times_beyond_what_the_database_takes_are_remembered(tmp_path: Path, tree: SourceTree) -> None:
    database = Database.open(str(tmp_path / "state.db"))
    try:
        (item,) = tree.select("a.txt")
        odd = item.entries[0]._replace(identity=(1, 2**64 - 1, 1, 2**63 + 5, 2**63 + 5))
        assert FileHashes(database)._known([_key(odd)]) == {}
    finally:
        database.close()


def test_a_pattern_with_stars_keeps_parents(tree: SourceTree) -> None:
    (item,) = tree.select("**/x", keeps_parents=True)
    assert [entry.path for entry in item.entries] == ["", "src", "src/deep", "src/deep/er", "src/deep/er/x"]
    (item,) = tree.select("src/./deep", keeps_parents=True)
    assert [entry.path for entry in item.entries] == ["", "deep", "deep/er", "deep/er/x"]
    with pytest.raises(NotFound, match="is not in the build context"):
        tree.select("src/./nothing", keeps_parents=True)
