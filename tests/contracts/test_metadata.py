"""What the registry's catalogue promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from estiba.oci.digest import Digest
from estiba.registry.protocol import errors
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.protocol.pagination import Page
from estiba.registry.server.metadata import schema, upgrade
from estiba.registry.server.metadata.catalogue import Catalogue
from estiba.registry.server.metadata.database import Database
from estiba.registry.server.metadata.upgrade import TooNew
from estiba.registry.server.metadata.values import LinkedBlob, Listing, NewManifest, StoredManifest


class Clock:
    def __init__(self) -> None:
        self.now = 1000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "catalogue.db"))
    yield opened
    opened.close()


@pytest.fixture
def catalogue(database) -> Catalogue:
    return Catalogue(database, clock=Clock())


async def link(catalogue: Catalogue, repository: str, *contents: bytes) -> None:
    for data in contents:
        await catalogue.link_blob(repository, Digest.of(data), len(data), session="", restore=lambda: None)


def manifest(content: bytes, *blobs: bytes, tag: str = "", children: tuple[bytes, ...] = ()) -> NewManifest:
    return NewManifest(
        Digest.of(content),
        "type/manifest",
        content,
        tuple(Digest.of(blob) for blob in blobs),
        tuple(Digest.of(child) for child in children),
        None,
        "",
        tag,
    )


async def test_a_linked_blob_is_seen_through_its_repository_alone(catalogue):
    await link(catalogue, "a", b"data")
    assert catalogue.blob("a", Digest.of(b"data")) == LinkedBlob(4, 1000)
    await link(catalogue, "b", b"other")
    for repository, code in (("b", errors.BLOB_UNKNOWN), ("c", errors.NAME_UNKNOWN)):
        with pytest.raises(ProtocolError) as caught:
            catalogue.blob(repository, Digest.of(b"data"))
        assert caught.value.code == code


async def test_a_manifest_is_found_by_tag_and_digest(catalogue):
    await link(catalogue, "a", b"config")
    await catalogue.put_manifest("a", manifest(b"{1}", b"config", tag="Latest"), by="ana")
    expected = StoredManifest(str(Digest.of(b"{1}")), "type/manifest", b"{1}")
    assert catalogue.manifest("a", "Latest") == catalogue.manifest("a", Digest.of(b"{1}")) == expected
    with pytest.raises(ProtocolError):
        catalogue.manifest("a", "latest")


async def test_a_manifest_whose_blobs_are_missing_leaves_no_trace(catalogue):
    with pytest.raises(ProtocolError) as caught:
        await catalogue.put_manifest("a", manifest(b"{1}", b"config", tag="1"), by="")
    assert caught.value.code == errors.MANIFEST_BLOB_UNKNOWN
    assert catalogue.repositories(Page(10, "")) == Listing((), False)


async def test_moves_of_a_tag_are_remembered(catalogue, database):
    await link(catalogue, "a", b"config")
    for content in (b"{1}", b"{1}", b"{2}"):
        await catalogue.put_manifest("a", manifest(content, b"config", tag="t"), by="ana")
    await catalogue.delete_manifest("a", "t", by="bob")
    await catalogue.put_manifest("a", manifest(b"{2}", b"config", tag="t"), by="ana")
    await catalogue.delete_manifest("a", Digest.of(b"{2}"), by="eve")
    one, two = str(Digest.of(b"{1}")), str(Digest.of(b"{2}"))
    history = schema.tag_history
    rows = await database.write(
        lambda connection: connection.execute(
            sa.select(history.c.from_digest, history.c.to_digest, history.c.by).order_by(history.c.id)
        ).all()
    )
    assert [tuple(row) for row in rows] == [
        (None, one, "ana"),
        (one, two, "ana"),
        (two, None, "bob"),
        (None, two, "ana"),
        (two, None, "eve"),
    ]


async def test_changes_at_once_are_done_in_turn_and_one_that_fails_harms_no_other(catalogue):
    await link(catalogue, "a", b"config")
    changes = [catalogue.put_manifest("a", manifest(b"%d" % n, b"config", tag=f"t{n}"), by="") for n in range(50)]
    changes[25:25] = [catalogue.put_manifest("a", manifest(b"bad", b"missing"), by="")]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert [index for index, outcome in enumerate(outcomes) if outcome is not None] == [25]
    assert len(catalogue.tags("a", Page(100, "")).names) == 50


async def test_what_restore_raises_undoes_the_link(catalogue):
    def fail() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await catalogue.link_blob("a", Digest.of(b"x"), 1, session="", restore=fail)
    with pytest.raises(ProtocolError):
        catalogue.blob("a", Digest.of(b"x"))


async def test_an_upload_is_known_to_its_repository_until_it_ends(catalogue):
    await catalogue.begin_upload("a", "s")
    catalogue.check_upload("a", "s")
    with pytest.raises(ProtocolError):
        catalogue.check_upload("b", "s")
    await catalogue.end_upload("s")
    with pytest.raises(ProtocolError):
        catalogue.check_upload("a", "s")


async def test_a_catalogue_is_there_after_a_restart(tmp_path):
    path = str(tmp_path / "c.db")
    database = Database(path)
    await link(Catalogue(database, clock=Clock()), "a", b"data")
    database.close()
    again = Database(path)
    assert Catalogue(again, clock=Clock()).blob("a", Digest.of(b"data")).size == 4
    again.close()


async def test_manifests_are_found_by_indexes_alone(catalogue, database):
    """On the data path no query walks a table."""
    from estiba.registry.server.metadata import reads

    for query in (reads.MANIFEST_BY_TAG, reads.MANIFEST_BY_DIGEST, reads.BLOB, reads.TAGS, reads.REFERRERS):
        plan = database.read_all(query.explained(), **dict.fromkeys(query.parameters, 1))
        steps = [str(row[3]) for row in plan]
        assert steps and all(step.startswith(("SEARCH", "USE TEMP B-TREE")) for step in steps), steps


def test_migrations_make_what_the_schema_says(database, tmp_path):
    """alembic finds no difference between the database that migrations made and the tables in schema.py."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = sa.create_engine(f"sqlite:///{database.path}", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_the_newest_revision_is_the_last_file():
    versions = Path(upgrade.__file__).parent / "migrations" / "versions"
    assert max(path.name.split("_")[0] for path in versions.glob("r*.py")) == upgrade.NEWEST


def test_a_catalogue_of_a_later_version_is_refused(tmp_path):
    path = str(tmp_path / "c.db")
    Database(path).close()
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'r9999'"))
    engine.dispose()
    with pytest.raises(TooNew):
        Database(path)
