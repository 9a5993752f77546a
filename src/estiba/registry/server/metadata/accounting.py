"""Where the bytes are: exact sums over the catalogue.

A blob that several repositories hold is *charged* to the oldest of them. So the charges, and what no repository
holds any more, add up to the bytes on the disk. For a repository:

    size    bytes of the different blobs that it holds
    unique  those of them that no other repository holds
    shared  the rest
    copies  what its images would take if each had its own copy of every layer
    saved   copies - charged
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from estiba.registry.server.metadata.schema import (
    blobs,
    manifest_blobs,
    manifests,
    repositories,
    repository_blobs,
    tags,
)


class RepositoryUsage(NamedTuple):
    name: str
    tags: int
    manifests: int
    blobs: int
    size: int
    unique: int
    shared: int
    copies: int
    charged: int
    saved: int


class Usage(NamedTuple):
    """`bytes` is the sum over `repositories` of what is charged, and `unreferenced`, which gc will take."""

    repositories: tuple[RepositoryUsage, ...]
    blobs: int
    bytes: int
    unreferenced: int
    copies: int
    saved: int
    manifest_bytes: int


def usage(connection: sa.Connection) -> Usage:
    """Measure everything, in one view of the database."""
    tag_counts = _pairs(connection, sa.select(tags.c.repository_id, sa.func.count()).group_by(tags.c.repository_id))
    manifest_counts = _pairs(
        connection, sa.select(manifests.c.repository_id, sa.func.count()).group_by(manifests.c.repository_id)
    )
    copies = _pairs(
        connection,
        sa.select(manifests.c.repository_id, sa.func.sum(blobs.c.size))
        .select_from(
            manifest_blobs.join(manifests, manifests.c.id == manifest_blobs.c.manifest_id).join(
                blobs, blobs.c.id == manifest_blobs.c.blob_id
            )
        )
        .group_by(manifests.c.repository_id),
    )
    found = []
    for row in connection.execute(_holdings()):
        charged, held = int(row.charged), copies.get(row.id, 0)
        held = max(held, int(row.size))
        found.append(
            RepositoryUsage(
                row.name,
                tag_counts.get(row.id, 0),
                manifest_counts.get(row.id, 0),
                row.blobs,
                int(row.size),
                int(row.unique),
                int(row.size) - int(row.unique),
                held,
                charged,
                held - charged,
            )
        )
    total = connection.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(blobs.c.size), 0))).one()
    manifest_bytes = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(manifests.c.size), 0))).scalar_one()
    charged_bytes = sum(repository.charged for repository in found)
    all_copies = sum(repository.copies for repository in found)
    return Usage(
        tuple(found),
        total[0],
        int(total[1]),
        int(total[1]) - charged_bytes,
        all_copies,
        sum(repository.saved for repository in found),
        int(manifest_bytes),
    )


def _holdings() -> sa.Select[tuple[int, str, int, int, int, int]]:
    """For each repository: its blobs, their bytes, those nobody else holds, those charged to it."""
    holders = (
        sa.select(
            repository_blobs.c.blob_id,
            sa.func.count().label("holders"),
            sa.func.min(repository_blobs.c.repository_id).label("first"),
        )
        .group_by(repository_blobs.c.blob_id)
        .subquery()
    )
    zero = sa.literal(0)
    return (
        sa.select(
            repositories.c.id,
            repositories.c.name,
            sa.func.count(blobs.c.id).label("blobs"),
            sa.func.coalesce(sa.func.sum(blobs.c.size), 0).label("size"),
            sa.func.coalesce(sa.func.sum(sa.case((holders.c.holders == 1, blobs.c.size), else_=zero)), 0).label(
                "unique"
            ),
            sa.func.coalesce(
                sa.func.sum(sa.case((holders.c.first == repositories.c.id, blobs.c.size), else_=zero)), 0
            ).label("charged"),
        )
        .select_from(
            repositories.outerjoin(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
            .outerjoin(blobs, blobs.c.id == repository_blobs.c.blob_id)
            .outerjoin(holders, holders.c.blob_id == blobs.c.id)
        )
        .group_by(repositories.c.id, repositories.c.name)
        .order_by(repositories.c.name)
    )


def _pairs(connection: sa.Connection, statement: sa.Select[int, int]) -> dict[int, int]:
    return {row[0]: int(row[1]) for row in connection.execute(statement)}
