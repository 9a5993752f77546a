"""ADD of a git repository: the files of one commit, the same for everybody, and nothing of it is executed."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from demo.repository import Repository

from addresses import Builder, built_in
from agents import Forge
from estiba.errors import EstibaError
from estiba.graph.cancellation import Cancellation, Cancelled

pytestmark = pytest.mark.root


@pytest.fixture
def builder(estiba_home: Any, tmp_path: Path) -> Iterator[Builder]:
    with built_in(estiba_home, tmp_path / "context", {"HOME": str(tmp_path)}) as builder:
        yield builder


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    forge = Forge(tmp_path / "forge")
    yield forge
    forge.close()


@pytest.fixture
def source(forge: Forge) -> Repository:
    source = forge.repository({"page": "one", "docs/guide": "read me"})
    run = source._copy / "run.sh"
    run.write_text("#!/bin/sh\n")
    run.chmod(0o755)
    (source._copy / "docs/link").symlink_to("../page")
    source.commit("more")
    source.push()
    return source


def files(builder: Builder, text: str, **options: Any) -> Path:
    return builder.directory(builder.build(f"FROM scratch\n{text}\n", **options))


def test_the_files_of_the_default_branch_come_without_git_s_own(builder: Builder, source: Repository) -> None:
    found = files(builder, f"ADD {source.url} /src") / "src"
    assert sorted(os.listdir(found)) == ["docs", "page", "run.sh"]
    assert [oct((found / name).stat().st_mode & 0o7777) for name in ("page", "run.sh", "docs")] == [
        "0o644",
        "0o755",
        "0o755",
    ]
    assert os.readlink(found / "docs/link") == "../page"


def test_a_branch_a_tag_a_commit_and_a_directory_can_be_named_in_both_ways(
    builder: Builder, source: Repository
) -> None:
    first = source.head()
    source._git("tag", "-a", "v1", "-m", "the first")
    source._git("push", "--quiet", "origin", "v1")
    source._git("checkout", "--quiet", "-b", "dev/two")
    source.change("page", lambda _: "two")
    source.commit("two")
    source._git("push", "--quiet", "origin", "dev/two")
    for suffix, page in (
        ("#dev/two", "two"),
        ("?tag=v1", "one"),
        (f"#{first}", "one"),
        (f"?ref=dev/two&commit={source.head()[:9]}", "two"),
    ):
        assert (files(builder, f"ADD {source.url}{suffix} /src") / "src/page").read_text() == page, suffix
    for suffix in ("#v1:docs", "?tag=v1&subdir=docs"):
        assert sorted(os.listdir(files(builder, f"ADD {source.url}{suffix} /src") / "src")) == ["guide", "link"]


def test_what_did_not_change_is_not_fetched_again(builder: Builder, forge: Forge, source: Repository) -> None:
    """A branch is asked for each time, a commit by its name never: here no server is left to ask."""
    by_name = f"FROM scratch\nADD --checksum={source.head()} {source.url} /src\n"
    first = builder.build(f"FROM scratch\nADD {source.url}#main /src\n")
    again = builder.build(f"FROM scratch\nADD {source.url}#main /src\n")
    assert (again.image_id, len(builder.shown.cached_steps)) == (first.image_id, 1)
    forge._server.server_close()
    by_commit = f"FROM scratch\nADD {source.url}#{source.head()} /src\n"
    assert builder.build(by_commit).config.diff_ids == first.config.diff_ids
    assert builder.build(by_name).config.diff_ids == first.config.diff_ids


def test_a_change_outside_of_the_directory_that_is_named_changes_no_step(builder: Builder, source: Repository) -> None:
    text = f"FROM scratch\nADD {source.url}#main:docs /src\n"
    first = builder.build(text)
    source.change("page", lambda _: "two")
    source.commit("two")
    source.push()
    again = builder.build(text)
    assert (again.image_id, len(builder.shown.cached_steps)) == (first.image_id, 1)


def test_another_commit_than_the_checksum_names_is_told(builder: Builder, source: Repository) -> None:
    with pytest.raises(EstibaError, match=f"expected 0123456789, got {source.head()}"):
        builder.build(f"FROM scratch\nADD --checksum=0123456789 {source.url}#main /src\n")
    assert builder.store.snapshots.list() == ()


@pytest.mark.parametrize(
    ("suffix", "said"), [("#none", "has no none"), (f"#{'1' * 40}", "has no commit 1111"), ("#main:none", "'none' is")]
)
def test_what_is_not_there_is_told(builder: Builder, source: Repository, suffix: str, said: str) -> None:
    with pytest.raises(EstibaError, match=said):
        builder.build(f"FROM scratch\nADD {source.url}{suffix} /src\n")


def test_a_kept_git_directory_is_the_same_each_time_and_names_where_it_is_from(
    make_estiba_home: Any, tmp_path: Path, source: Repository
) -> None:
    found = []
    for number in range(2):
        with built_in(make_estiba_home(), tmp_path / f"context{number}", {"HOME": str(tmp_path)}) as builder:
            result = builder.build(f"FROM scratch\nADD --keep-git-dir {source.url} /src\n")
            found.append(result.image_id)
            place = builder.directory(result) / "src"
            git = partial(source._git, "-c", f"safe.directory={place}", where=place)
            assert git("rev-parse", "HEAD").strip() == source.head()
            assert git("status", "--porcelain") == ""
            assert git("remote", "get-url", "origin").strip() == source.url
    assert found[0] == found[1]


def test_times_that_are_kept_are_those_of_the_commit(builder: Builder, source: Repository) -> None:
    time = int(source._git("log", "-1", "--format=%ct"))
    found = files(builder, f"ADD {source.url} /src", epoch=None) / "src"
    assert {(found / name).stat().st_mtime for name in ("page", "docs/guide")} == {time}


def test_submodules_come_too_unless_they_come_from_this_machine(
    builder: Builder, forge: Forge, source: Repository, tmp_path: Path
) -> None:
    """The repository says where they come from: a path of the builder's own machine is none of its business."""
    inner = forge.repository({"part": "p"}, "inner")
    inner.push()
    source._git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../inner.git", "lib")
    source.commit("with a submodule")
    source.push()
    found = files(builder, f"ADD {source.url} /src") / "src"
    assert sorted(os.listdir(found / "lib")) == ["part"]
    assert os.listdir(files(builder, f"ADD {source.url}?submodules=false /src") / "src/lib") == []
    (source._copy / ".gitmodules").write_text(
        f'[submodule "lib"]\n\tpath = lib\n\turl = file://{forge.directory}/inner.git\n'
    )
    source.commit("from here")
    source.push()
    with pytest.raises(EstibaError, match="transport 'file' not allowed"):
        builder.build(f"FROM scratch\nADD {source.url} /src\n")


def test_nothing_that_a_repository_says_is_executed_and_no_link_leads_out(
    builder: Builder, source: Repository, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    (source._copy / ".gitattributes").write_text("* filter=trap diff=trap\n")
    (source._copy / ".gitconfig").write_text(f'[filter "trap"]\n\tsmudge = touch {trap}\n')
    (source._copy / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::touch% {trap}\n\tupdate = !touch {trap}\n'
    )
    (source._copy / "out").symlink_to("/etc")
    (source._copy / "up").symlink_to("../../../../../../etc")
    source.commit("a trap")
    source.push()
    assert "page" in os.listdir(files(builder, f"ADD {source.url} /src") / "src")
    assert not trap.exists()
    for name in ("out", "up"):
        with pytest.raises(EstibaError, match=f"'{name}/ssh|'{name}' is|{name}"):
            builder.build(f"FROM scratch\nADD {source.url}#main:{name}/apt /src\n")


def test_a_server_of_plain_files_will_do(builder: Builder, forge: Forge, source: Repository) -> None:
    source._git("update-server-info", where=source._bare)
    handler = partial(_Quiet, directory=str(forge.directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/quotes.git"
            assert (files(builder, f"ADD {address}#main /src") / "src/page").read_text() == "one"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None: ...


def test_giving_up_ends_git_and_leaves_nothing(builder: Builder) -> None:
    """The server takes the connection and never answers."""
    cancellation = Cancellation()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang() -> None:
            connection, _ = server.accept()
            cancellation.set()
            with connection:
                while connection.recv(1 << 16):
                    pass

        thread = threading.Thread(target=hang)
        thread.start()
        with pytest.raises(Cancelled):
            builder.build(
                f"FROM scratch\nADD git://127.0.0.1:{server.getsockname()[1]}/x /\n", cancellation=cancellation
            )
        thread.join(10)
    assert builder.store.snapshots.list() == ()
    assert os.listdir(f"{builder.house.settings.root}/tmp") == []
