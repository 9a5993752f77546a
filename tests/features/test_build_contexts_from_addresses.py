"""`estiba build ADDRESS`: the files of a commit, an archive or a Dockerfile alone, from a server."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addresses import Server, archive, member
from agents import Forge
from estiba.builder.context.elsewhere import Elsewhere
from estiba.cli.build_context import Context
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation
from estiba.store.scratch import Scratch

pytestmark = pytest.mark.root

DOCKERFILE = "FROM scratch\nCOPY . /\n"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    forge = Forge(tmp_path / "forge")
    yield forge
    forge.close()


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    (tmp_path / "scratch").mkdir()
    yield Scratch(str(tmp_path / "scratch"))
    assert os.listdir(tmp_path / "scratch") == []


@pytest.fixture
def context(scratch: Scratch, tmp_path: Path) -> Any:
    elsewhere = Elsewhere({"HOME": str(tmp_path)}, Cancellation(), lambda words: None)
    return lambda path, file="": Context(path, file, scratch, elsewhere)


def test_a_directory_of_a_repository_is_all_that_a_build_sees(context: Any, forge: Forge) -> None:
    source = forge.repository(
        {"secret": "s", "app/Dockerfile": DOCKERFILE, "app/other": "FROM other\n", "app/.dockerignore": "page\n"}
    )
    (source._copy / "app/leak").symlink_to("../secret")
    (source._copy / "out").symlink_to("/etc")
    source.commit("links")
    source.push()
    with context(f"{source.url}#main:app") as sources:
        assert sorted(os.listdir(sources.directory)) == [".dockerignore", "Dockerfile", "leak", "other"]
        assert (sources.dockerfile, sources.filename, sources.ignore) == (DOCKERFILE, "Dockerfile", "page\n")
    with context(f"{source.url}?branch=main&subdir=app", "other") as sources:
        assert (sources.dockerfile, sources.filename) == ("FROM other\n", "other")
    for address, said in (("#main:none", "no directory 'none'"), ("#main:out", "no directory"), ("#x", "has no x")):
        with pytest.raises(EstibaError, match=said), context(f"{source.url}{address}"):
            pass
    with pytest.raises(EstibaError, match="leads out of the build context"), context(f"{source.url}#main:app", "leak"):
        pass


def test_a_file_is_an_archive_of_the_files_or_a_dockerfile_alone(context: Any) -> None:
    data = archive((member("Dockerfile"), DOCKERFILE.encode()), (member("sub/x"), b"x"))
    with Server({"/context.tar.gz": data, "/Dockerfile": DOCKERFILE.encode()}) as server:
        with context(f"{server.url}/context.tar.gz") as sources:
            assert sorted(os.listdir(sources.directory)) == ["Dockerfile", "sub"]
            assert sources.dockerfile == DOCKERFILE
        with context(f"{server.url}/Dockerfile") as sources:
            assert (os.listdir(sources.directory), sources.dockerfile) == ([], DOCKERFILE)
        with pytest.raises(EstibaError, match="answered 404"), context(f"{server.url}/none"):
            pass


def test_a_hostile_archive_writes_and_reads_nothing_outside(context: Any, tmp_path: Path) -> None:
    link = archive((member("Dockerfile", tarfile.SYMTYPE, "/etc/passwd"), b""))
    climbing = archive((member("../../escaped"), b"x"))
    with Server({"/link": link, "/climbing": climbing}) as server:
        for name in ("link", "climbing"):
            with pytest.raises(EstibaError), context(f"{server.url}/{name}"):
                pass
    assert not list(tmp_path.rglob("escaped"))


def test_a_directory_of_that_name_is_meant_where_there_is_one(context: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "github.com/a/b").mkdir(parents=True)
    (tmp_path / "github.com/a/b/Dockerfile").write_text(DOCKERFILE)
    monkeypatch.chdir(tmp_path)
    with context("github.com/a/b") as sources:
        assert sources.directory == str(tmp_path / "github.com/a/b")


def test_the_command_line_builds_what_an_address_gives(estiba_home: Any, forge: Forge) -> None:
    source = forge.repository({"Dockerfile": DOCKERFILE, "page": "one"})
    source.push()
    done = estiba_home.estiba("build", "-t", "page", source.url)
    assert f"context {source.url} is commit {source.head()}" in done.stderr
    assert estiba_home.estiba("build", "-q", source.url).stderr == ""
    assert os.listdir(f"{estiba_home.root}/tmp") == []
