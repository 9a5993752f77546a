"""Getting files with the real git, from a directory: no server is needed."""

from __future__ import annotations

import os
import threading

import pytest
from demo.repository import Repository as Source

from agents import Forge
from estiba.agent.clone import Git
from estiba.agent.config import Repository
from estiba.errors import NotFound, Unavailable
from estiba.graph.cancellation import Cancellation, Cancelled

NEVER = Cancellation()


@pytest.fixture
def source(tmp_path) -> Source:
    files = tmp_path / "sources"
    files.mkdir()
    (files / "run.sh").write_text("#!/bin/sh\n")
    (files / "run.sh").chmod(0o755)
    (files / "page").write_text("the first page")
    source = Source(bare=tmp_path / "quotes.git", working_copy=tmp_path / "copy", url=str(tmp_path / "quotes.git"))
    source.create_from(files)
    source.push()
    return source


def watched(url: str, branch: str = "main") -> Repository:
    return Repository("ana/quotes", url, branch, b"s", ".", "Dockerfile", "localhost:5000/q", ("latest",), (), (), None)


@pytest.fixture
def git(tmp_path) -> Git:
    return Git({"HOME": str(tmp_path), "PATH": "/nowhere", "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere"})


def test_a_commit_comes_as_files_alone_with_the_modes_that_git_knows(git, source, tmp_path) -> None:
    """No .git, and whatever the caller's umask."""
    repository = watched(source.url)
    head = git.head(repository, cancellation=NEVER)
    assert head == source.head()
    before = os.umask(0o077)
    try:
        git.fetch(repository, head, f"{tmp_path}/tree", cancellation=NEVER)
    finally:
        os.umask(before)
    found = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "tree").iterdir()}
    assert found == {"run.sh": "0o755", "page": "0o644"}
    assert not (tmp_path / "tree.git").exists()


def test_an_older_commit_of_the_branch_can_be_had_too(git, source, tmp_path) -> None:
    old = source.head()
    source.change("page", lambda _: "the second page")
    source.commit("change")
    source.push()
    git.fetch(watched(source.url), old, f"{tmp_path}/tree", cancellation=NEVER)
    assert (tmp_path / "tree/page").read_text() == "the first page"


def test_a_branch_whose_name_only_ends_alike_is_another(git, source) -> None:
    """`git ls-remote` takes a pattern: refs/heads/refs/heads/other would match it."""
    source._git("push", "--quiet", "origin", "HEAD:refs/heads/refs/heads/other")
    with pytest.raises(NotFound, match="has no branch other"):
        git.head(watched(source.url, "other"), cancellation=NEVER)


def test_a_commit_that_is_gone_is_told(git, source, tmp_path) -> None:
    with pytest.raises(NotFound, match=f"has no commit {'1' * 40}"):
        git.fetch(watched(source.url), "1" * 40, f"{tmp_path}/tree", cancellation=NEVER)


def test_a_repository_that_is_not_there_is_told(git, tmp_path) -> None:
    with pytest.raises(Unavailable, match=r"git ls-remote failed: .*nowhere"):
        git.head(watched(f"{tmp_path}/nowhere"), cancellation=NEVER)


def test_giving_up_ends_git_at_once(git) -> None:
    """The server takes the connection and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        cancellation = Cancellation()

        def hang() -> None:
            connection, _ = server.accept()
            cancellation.set()
            with connection:
                connection.recv(1 << 16)
                while connection.recv(1 << 16):
                    pass

        thread = threading.Thread(target=hang)
        thread.start()
        with pytest.raises(Cancelled):
            git.head(watched(f"http://127.0.0.1:{server.getsockname()[1]}/q.git"), cancellation=cancellation)
        thread.join(10)
        assert not thread.is_alive()


def test_a_server_that_asks_who_it_is_gets_the_credentials_of_the_address(git, tmp_path) -> None:
    forge = Forge(tmp_path / "forge", account="ana:p@ss")
    try:
        source = forge.repository({"page": "the first page"})
        head = source.push().after
        repository = watched(f"http://ana:p%40ss@{forge.address}/quotes.git")
        assert git.head(repository, cancellation=NEVER) == head
        git.fetch(repository, head, f"{tmp_path}/tree", cancellation=NEVER)
        assert (tmp_path / "tree/page").read_text() == "the first page"
        with pytest.raises(Unavailable) as caught:
            git.head(watched(f"http://ana:wrong@{forge.address}/quotes.git"), cancellation=NEVER)
    finally:
        forge.close()
    assert "wrong" not in str(caught.value)
