"""What gc may take: plan and deed in one transaction, which is the proof that nothing refers to a blob."""

from __future__ import annotations

import sqlalchemy as sa

from estiba.oci.digest import Digest
from estiba.registry.server.metadata.schema import blobs, manifest_blobs, manifests, repository_blobs, uploads
from estiba.registry.server.storage.base import StoredBlob

_LARGEST_PORTION = 200


def drop_unused_links(connection: sa.Connection, *, before: int) -> int:
    """Forget that repositories hold blobs which no manifest of theirs has needed since `before`; gives how many."""
    used = (
        sa.select(sa.literal(1))
        .select_from(manifest_blobs.join(manifests, manifests.c.id == manifest_blobs.c.manifest_id))
        .where(
            manifest_blobs.c.blob_id == repository_blobs.c.blob_id,
            manifests.c.repository_id == repository_blobs.c.repository_id,
        )
    )
    dropped = connection.execute(
        repository_blobs.delete().where(repository_blobs.c.linked_at <= before, ~sa.exists(used))
    )
    return dropped.rowcount


def unreferenced(connection: sa.Connection, *, before: int, limit: int = _LARGEST_PORTION) -> list[StoredBlob]:
    """Blobs that no repository holds and that were not touched since `before`."""
    rows = connection.execute(
        sa.select(blobs.c.digest, blobs.c.size)
        .where(
            blobs.c.touched_at <= before,
            ~sa.exists(sa.select(sa.literal(1)).where(repository_blobs.c.blob_id == blobs.c.id)),
        )
        .limit(limit)
    )
    return [StoredBlob(Digest.parse(row.digest), row.size) for row in rows]


def forget(connection: sa.Connection, digests: list[Digest]) -> None:
    connection.execute(blobs.delete().where(blobs.c.digest.in_([str(digest) for digest in digests])))


def known(connection: sa.Connection, digests: list[Digest]) -> set[Digest]:
    """Which of the blobs have a row."""
    texts = [str(digest) for digest in digests]
    rows = connection.execute(sa.select(blobs.c.digest).where(blobs.c.digest.in_(texts))).scalars()
    return {Digest.parse(row) for row in rows}


def old_uploads(connection: sa.Connection, *, before: int) -> list[str]:
    """Sessions that began before `before`; whether they still grow, the storage knows."""
    return list(connection.execute(sa.select(uploads.c.session).where(uploads.c.started_at <= before)).scalars())


def end_uploads(connection: sa.Connection, sessions: list[str]) -> None:
    connection.execute(uploads.delete().where(uploads.c.session.in_(sessions)))
