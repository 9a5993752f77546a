"""Files of an image are read through its layers, and nothing in a layer leads out of it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from estiba.errors import Corrupt, InvalidInput
from estiba.image.tree import ImageTree, PathNotFound
from estiba.oci.digest import Digest


def _write(root, files: dict[str, str]) -> str:
    """`files`: path -> text; one that begins with -> is a link; one that ends with / a directory."""
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            place.mkdir(exist_ok=True)
        elif text.startswith("->"):
            os.symlink(text[2:], place)
        else:
            place.write_text(text)
    return str(root)


@pytest.fixture
def tree_of(tmp_path):
    """Makes the tree of layers, the lowest first."""

    def make(*layers: dict[str, str], prepare=None) -> ImageTree:
        places = [_write(tmp_path / str(number), files) for number, files in enumerate(layers)]
        if prepare:
            prepare(tmp_path)
        store = SimpleNamespace(snapshots=SimpleNamespace(directories=lambda _: tuple(reversed(places))))
        return ImageTree(store, Digest.of(b"chain"))  # type: ignore[arg-type]

    return make


def _text(tree: ImageTree, path: str) -> str:
    return tree.read_file(path, limit=1000).decode()


def test_the_upper_layer_wins_and_the_lower_shines_through(tree_of):
    tree = tree_of({"etc/a": "low", "etc/b": "low"}, {"etc/a": "high"})
    assert (_text(tree, "/etc/a"), _text(tree, "etc/b")) == ("high", "low")
    assert list(tree.list("/etc")) == ["a", "b"]


def test_links_are_resolved_within_the_image(tree_of):
    tree = tree_of({"data/passwd": "ours", "etc/passwd": "->/data/passwd", "x/up": "->../../../../data/passwd"})
    assert _text(tree, "/etc/passwd") == "ours"
    assert _text(tree, "/x/up") == "ours"
    assert tree.stat("/etc/passwd", follow=False).status.st_size == len("/data/passwd")


def test_a_link_in_one_layer_may_lead_into_another(tree_of):
    tree = tree_of({"real/file": "here"}, {"alias": "->real"})
    assert _text(tree, "/alias/file") == "here"
    assert _text(tree, "/alias/../real/file") == "here"


def test_a_link_to_the_host_finds_nothing_of_the_host(tree_of):
    tree = tree_of({"etc/passwd": "->/proc/self/root/etc/passwd", "up": "->/../../../../etc/hostname"})
    for path in ("/etc/passwd", "/up"):
        with pytest.raises(PathNotFound):
            tree.read_file(path, limit=1000)


def test_a_ring_of_links_ends(tree_of):
    tree = tree_of({"a": "->b", "b": "->a"})
    with pytest.raises(InvalidInput, match="too many levels"):
        tree.stat("/a")


def test_a_file_hides_the_directory_below_it_and_the_other_way_round(tree_of):
    tree = tree_of({"x/inner": "low", "y": "low"}, {"x": "high", "y/inner": "high"})
    assert _text(tree, "/x") == "high"
    assert not tree.exists("/x/inner")
    assert list(tree.list("/y")) == ["inner"]


def test_what_is_too_large_or_no_file_is_refused(tree_of):
    tree = tree_of({"big": "x" * 1001, "dir/": ""})
    with pytest.raises(Corrupt, match="1001 bytes"):
        tree.read_file("/big", limit=1000)
    with pytest.raises(InvalidInput, match="not a regular file"):
        tree.read_file("/dir", limit=1000)
    with pytest.raises(InvalidInput, match="not a directory"):
        tree.list("/big")


def test_a_missing_text_is_empty_and_an_image_without_layers_has_nothing(tree_of):
    assert tree_of({"a": "b"}).read_text("/etc/passwd") == ""
    empty = ImageTree(SimpleNamespace(), None)  # type: ignore[arg-type]
    assert not empty.exists("/")


@pytest.mark.root
def test_whiteouts_remove_and_opaque_directories_hide(tree_of):
    def prepare(place) -> None:
        os.mknod(place / "1" / "gone", 0o20000, os.makedev(0, 0))
        os.setxattr(place / "1" / "opaque", "trusted.overlay.opaque", b"y")

    tree = tree_of({"gone": "low", "opaque/old": "low"}, {"opaque/new": "high"}, prepare=prepare)
    assert not tree.exists("/gone")
    assert list(tree.list("/opaque")) == ["new"]
    assert list(tree.list("/")) == ["opaque"]
