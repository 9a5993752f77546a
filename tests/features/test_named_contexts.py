"""`--build-context NAME=…` gives a name of the Dockerfile another meaning: a directory, an image, a repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addresses import Builder, Server, archive, built_in, member
from agents import Forge
from estiba.builder.context.elsewhere import Elsewhere
from estiba.builder.request import NamedContext
from estiba.cli.build_named_contexts import NamedContexts
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation
from estiba.image.archive.save import choose
from estiba.image.layout import export_layout
from images import busybox_image

pytestmark = pytest.mark.root


@pytest.fixture
def builder(estiba_home: Any, tmp_path: Path) -> Iterator[Builder]:
    with built_in(estiba_home, tmp_path / "context", {"HOME": str(tmp_path)}) as builder:
        busybox_image(builder.store)
        yield builder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    (tmp_path / "other/sub").mkdir(parents=True)
    (tmp_path / "other/sub/page").write_text("of the other")
    (tmp_path / "other/hidden").write_text("h")
    (tmp_path / "other/.dockerignore").write_text("hidden\n")
    (tmp_path / "leak").symlink_to("/etc/passwd")
    return tmp_path / "other"


def named(builder: Builder, *words: str) -> NamedContexts:
    settings = builder.house.settings
    elsewhere = Elsewhere(settings.environment, Cancellation(), lambda said: None)
    return NamedContexts(words, builder.store, settings.platform, elsewhere)


def test_a_directory_is_copied_from_mounted_and_built_on_without_what_it_ignores(builder: Builder, other: Path) -> None:
    """As in BuildKit the name stands before a stage and before an image of that name; a rebuild reads nothing anew."""
    text = (
        "FROM busybox AS other\nFROM busybox\nCOPY --from=other sub /copied\n"
        "RUN --mount=from=other,target=/mounted ls -A /mounted > /seen && cat /mounted/sub/page >> /seen\n"
    )
    with named(builder, f"other={other}") as contexts:
        result = builder.build(text, contexts=contexts, network="none")
        builder.build(text, contexts=contexts, network="none")
        assert len(builder.shown.cached_steps) == 2
        (other / "sub/page").write_text("changed")
        builder.build(text, contexts=contexts, network="none")
        assert builder.shown.cached_steps == []
        base = builder.build("FROM busybox AS other\nFROM other\nENV A=b\n", contexts=contexts)
    top = Path(builder.store.snapshots.directories(result.config.chain_id)[0])
    assert (top / "seen").read_text() == ".dockerignore\nsub\nof the other"
    assert sorted(os.listdir(builder.directory(base))) == [".dockerignore", "sub"]
    with pytest.raises(EstibaError, match=r"Line 1 of .dockerignore"):
        builder.build("FROM scratch\nCOPY --from=other hidden /\n", contexts=contexts)


def test_an_image_stands_for_a_base_that_the_file_names(builder: Builder) -> None:
    """With or without what a name leaves out; other tags are other names."""
    with named(builder, "docker.io/library/python=docker-image://busybox") as contexts:
        plain = builder.build("FROM busybox\nENV A=b\n")
        for name in ("python", "python:latest"):
            assert builder.build(f"FROM {name}\nENV A=b\n", contexts=contexts).config.diff_ids == plain.config.diff_ids
    assert contexts == (NamedContext("python", reference="docker.io/library/busybox:latest"),)


def test_an_image_of_a_layout_is_a_base_that_no_registry_has(builder: Builder, tmp_path: Path) -> None:
    plain = builder.build("FROM busybox\nENV A=b\n")
    layout = str(tmp_path / "layout")
    export_layout(builder.store, choose(builder.store, ["busybox"]), layout)
    for word in (f"oci-layout://{layout}", f"oci-layout://{layout}:latest"):
        with named(builder, f"base={word}") as contexts:
            result = builder.build("FROM base\nENV A=b\n", contexts=contexts)
            assert result.config.diff_ids == plain.config.diff_ids
    with pytest.raises(EstibaError, match="no image 2"), named(builder, f"base=oci-layout://{layout}:2"):
        pass


def test_repositories_and_archives_are_fetched_and_taken_away(builder: Builder, tmp_path: Path) -> None:
    forge = Forge(tmp_path / "forge")
    try:
        source = forge.repository({"page": "of git", "Dockerfile": "x"})
        source.push()
        with (
            Server({"/a.tgz": archive((member("page"), b"of a tar")), "/plain": b"x"}) as server,
            named(builder, f"git={source.url}#main", f"tar={server.url}/a.tgz") as contexts,
        ):
            result = builder.build(
                "FROM scratch\nCOPY --from=git page /git\nFROM scratch AS two\nCOPY --from=tar page /tar\n",
                contexts=contexts,
            )
            assert (builder.directory(result) / "tar").read_text() == "of a tar"
            with pytest.raises(EstibaError, match="no archive"), named(builder, f"x={server.url}/plain"):
                pass
    finally:
        forge.close()
    assert os.listdir(f"{builder.house.settings.root}/tmp") == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("x", "no name and place"),
        ("x=", "no name and place"),
        ("x=/nowhere", "is not a directory"),
        ("x=target:y", "is not a directory"),
        ("x=ftp://y/z", "there is no ftp://"),
        ("scratch=/", "means something else"),
        ("x=oci-layout:///nowhere", "/nowhere"),
    ],
)
def test_what_makes_no_sense_is_told(builder: Builder, word: str, said: str) -> None:
    with pytest.raises(EstibaError, match=said), named(builder, word):
        pass
