"""Lists that are being composed: their directory is private, and a draft that cannot be written stays as it was."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from estiba.errors import Unavailable
from estiba.oci.reference import Reference
from estiba.registry.client.lists.drafts import Drafts
from estiba.store import scratch
from estiba.store.paths import StorePaths

NAME = Reference.parse("example/both:1")


@pytest.fixture
def paths(tmp_path):
    return StorePaths(f"{tmp_path}/above/root")


def test_the_first_draft_on_a_machine_makes_a_private_root(paths):
    Drafts(paths).add(NAME, (), amends=False)
    for path in (os.path.dirname(paths.root), paths.root, paths.manifests, paths.tmp):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert Drafts(paths).get(NAME).name == NAME
    assert os.listdir(paths.tmp) == []


def test_a_draft_that_cannot_be_written_stays_as_it_was(paths, monkeypatch):
    drafts = Drafts(paths)
    drafts.add(NAME, (), amends=False)
    before = os.listdir(paths.manifests)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(Unavailable, match="no space is left"):
        patch.setattr(scratch.os, "fsync", full)
        drafts.change(NAME, lambda draft: draft._replace(name=Reference.parse("example/other:1")))
    assert (os.listdir(paths.manifests), os.listdir(paths.tmp)) == (before, [])
    assert drafts.get(NAME).name == NAME


def test_a_draft_is_durable_with_its_name(paths, monkeypatch):
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(scratch.os, "fsync", fsync)
    Drafts(paths).add(NAME, (), amends=False)
    assert (os.path.dirname(synced[0]), synced[1:]) == (paths.tmp, [paths.manifests])
