"""The catalogue's changes: functions over a connection, each within one transaction that the database opens."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from estiba.oci.digest import Digest
from estiba.registry.protocol import errors
from estiba.registry.protocol.errors import ProtocolError
from estiba.registry.server.metadata.schema import (
    blobs,
    manifest_blobs,
    manifest_children,
    manifests,
    repositories,
    repository_blobs,
    tag_history,
    tags,
    uploads,
)
from estiba.registry.server.metadata.values import NewManifest

# Uploads


def begin_upload(connection: sa.Connection, *, repository: str, session: str, now: int) -> None:
    repository_id = _repository(connection, repository, now=now)
    connection.execute(uploads.insert().values(session=session, repository_id=repository_id, started_at=now))


def end_upload(connection: sa.Connection, *, session: str) -> None:
    connection.execute(uploads.delete().where(uploads.c.session == session))


def link_blob(connection: sa.Connection, *, repository: str, digest: Digest, size: int, session: str, now: int) -> None:
    """A stored blob becomes readable through `repository`; the session that brought it ends."""
    repository_id = _repository(connection, repository, now=now)
    text = str(digest)
    blob_id = connection.execute(sa.select(blobs.c.id).where(blobs.c.digest == text)).scalar()
    if blob_id is None:
        added = connection.execute(blobs.insert().values(digest=text, size=size, touched_at=now))
        blob_id = _key(added)
    _link(connection, repository_id, blob_id, now=now)
    end_upload(connection, session=session)


def mount_blob(connection: sa.Connection, *, repository: str, digest: Digest, source: str | None, now: int) -> bool:
    """Make a blob of another repository readable here; False where it is not there.

    Without `source` any repository will do.
    """
    found = (
        sa.select(blobs.c.id)
        .select_from(blobs.join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id))
        .where(blobs.c.digest == str(digest))
        .limit(1)
    )
    if source is not None:
        found = found.join(repositories, repositories.c.id == repository_blobs.c.repository_id).where(
            repositories.c.name == source
        )
    blob_id = connection.execute(found).scalar()
    if blob_id is None:
        return False
    _link(connection, _repository(connection, repository, now=now), blob_id, now=now)
    return True


def touch_blob(connection: sa.Connection, *, repository: str, digest: Digest, now: int) -> bool:
    """Begin the grace period of a blob's link anew; False where the link has gone."""
    repository_id = _known(connection, repository)
    blob_id = sa.select(blobs.c.id).where(blobs.c.digest == str(digest)).scalar_subquery()
    touched = connection.execute(
        repository_blobs.update()
        .where(repository_blobs.c.repository_id == repository_id, repository_blobs.c.blob_id == blob_id)
        .values(linked_at=now)
    )
    return touched.rowcount > 0


def unlink_blob(connection: sa.Connection, *, repository: str, digest: Digest) -> None:
    """A blob is no longer readable through `repository`.

    Raises:
        ProtocolError: NAME_UNKNOWN, BLOB_UNKNOWN, or UNSUPPORTED where a manifest of the repository needs it.
    """
    repository_id = _known(connection, repository)
    blob_id = _linked(connection, repository_id, (digest,)).get(str(digest))
    if blob_id is None:
        raise ProtocolError(errors.BLOB_UNKNOWN, detail={"digest": str(digest)})
    user = connection.execute(
        sa.select(manifests.c.digest)
        .select_from(manifest_blobs.join(manifests, manifests.c.id == manifest_blobs.c.manifest_id))
        .where(manifest_blobs.c.blob_id == blob_id, manifests.c.repository_id == repository_id)
        .limit(1)
    ).scalar()
    if user is not None:
        raise ProtocolError(
            errors.UNSUPPORTED,
            f"the blob is needed by the manifest {user}; delete that first",
            detail={"manifest": user},
        )
    connection.execute(
        repository_blobs.delete().where(
            repository_blobs.c.repository_id == repository_id, repository_blobs.c.blob_id == blob_id
        )
    )


# Manifests and tags


def put_manifest(connection: sa.Connection, new: NewManifest, *, repository: str, now: int, by: str) -> None:
    """Keep a manifest and let its tag point at it.

    Raises:
        ProtocolError: MANIFEST_BLOB_UNKNOWN, naming every blob or manifest that is missing.
    """
    repository_id = _repository(connection, repository, now=now)
    needed = _linked(connection, repository_id, (*new.blobs, *new.children))
    children = _manifests(connection, repository_id, new.children)
    missing = [str(digest) for digest in new.blobs if str(digest) not in needed]
    missing += [str(digest) for digest in new.children if str(digest) not in children and str(digest) not in needed]
    if missing:
        raise ProtocolError(
            errors.MANIFEST_BLOB_UNKNOWN,
            f"the manifest needs {', '.join(missing)}, which {repository} does not have",
            detail=[{"digest": digest} for digest in missing],
        )
    manifest_id = _manifests(connection, repository_id, (new.digest,)).get(str(new.digest))
    if manifest_id is None:
        blob_ids = {value for key, value in needed.items() if key not in children}
        manifest_id = _add_manifest(connection, new, repository_id, blob_ids, set(children.values()), now=now)
    if new.tag:
        _move_tag(connection, repository_id, new.tag, manifest_id, str(new.digest), now=now, by=by)


def _add_manifest(
    connection: sa.Connection,
    new: NewManifest,
    repository_id: int,
    blob_ids: Iterable[int],
    child_ids: Iterable[int],
    *,
    now: int,
) -> int:
    added = connection.execute(
        manifests.insert().values(
            repository_id=repository_id,
            digest=str(new.digest),
            media_type=new.media_type,
            size=len(new.content),
            subject=str(new.subject) if new.subject else None,
            artifact_type=new.artifact_type,
            pushed_at=now,
            content=new.content,
        )
    )
    manifest_id = _key(added)
    blob_rows = [{"manifest_id": manifest_id, "blob_id": blob_id} for blob_id in sorted(blob_ids)]
    if blob_rows:
        connection.execute(manifest_blobs.insert(), blob_rows)
    child_rows = [{"parent_id": manifest_id, "child_id": child_id} for child_id in sorted(child_ids)]
    if child_rows:
        connection.execute(manifest_children.insert(), child_rows)
    return manifest_id


def _move_tag(
    connection: sa.Connection, repository_id: int, tag: str, manifest_id: int, digest: str, *, now: int, by: str
) -> None:
    mine = _tag(repository_id, tag)
    before = connection.execute(
        sa.select(tags.c.manifest_id, manifests.c.digest)
        .select_from(tags.join(manifests, manifests.c.id == tags.c.manifest_id))
        .where(mine)
    ).one_or_none()
    if before is not None and before.manifest_id == manifest_id:
        return
    if before is None:
        connection.execute(
            tags.insert().values(
                repository_id=repository_id, folded=tag.lower(), name=tag, manifest_id=manifest_id, moved_at=now
            )
        )
    else:
        connection.execute(tags.update().where(mine).values(manifest_id=manifest_id, moved_at=now))
    _remember(connection, repository_id, tag, before.digest if before else None, digest, now=now, by=by)


def delete_tag(connection: sa.Connection, *, repository: str, tag: str, now: int, by: str) -> None:
    """Raises: ProtocolError: NAME_UNKNOWN or MANIFEST_UNKNOWN."""
    repository_id = _known(connection, repository)
    mine = _tag(repository_id, tag)
    digest = connection.execute(
        sa.select(manifests.c.digest)
        .select_from(tags.join(manifests, manifests.c.id == tags.c.manifest_id))
        .where(mine)
    ).scalar()
    if digest is None:
        raise ProtocolError(errors.MANIFEST_UNKNOWN, detail={"tag": tag})
    connection.execute(tags.delete().where(mine))
    _remember(connection, repository_id, tag, digest, None, now=now, by=by)


def delete_manifest(connection: sa.Connection, *, repository: str, digest: Digest, now: int, by: str) -> None:
    """Delete a manifest and every tag that points at it.

    Raises:
        ProtocolError: NAME_UNKNOWN or MANIFEST_UNKNOWN.
    """
    repository_id = _known(connection, repository)
    manifest_id = _manifests(connection, repository_id, (digest,)).get(str(digest))
    if manifest_id is None:
        raise ProtocolError(errors.MANIFEST_UNKNOWN, detail={"digest": str(digest)})
    named = connection.execute(sa.select(tags.c.name).where(tags.c.manifest_id == manifest_id)).scalars().all()
    for tag in named:
        _remember(connection, repository_id, tag, str(digest), None, now=now, by=by)
    connection.execute(manifests.delete().where(manifests.c.id == manifest_id))


def _remember(
    connection: sa.Connection,
    repository_id: int,
    tag: str,
    before: str | None,
    after: str | None,
    *,
    now: int,
    by: str,
) -> None:
    connection.execute(
        tag_history.insert().values(
            repository_id=repository_id, tag=tag, from_digest=before, to_digest=after, at=now, by=by
        )
    )


def _tag(repository_id: int, tag: str) -> sa.ColumnElement[bool]:
    return sa.and_(tags.c.repository_id == repository_id, tags.c.folded == tag.lower(), tags.c.name == tag)


# What the changes have in common


def _repository(connection: sa.Connection, name: str, *, now: int) -> int:
    found = connection.execute(sa.select(repositories.c.id).where(repositories.c.name == name)).scalar()
    if found is not None:
        return int(found)
    return _key(connection.execute(repositories.insert().values(name=name, created_at=now)))


def _known(connection: sa.Connection, name: str) -> int:
    found = connection.execute(sa.select(repositories.c.id).where(repositories.c.name == name)).scalar()
    if found is None:
        raise ProtocolError(errors.NAME_UNKNOWN, detail={"name": name})
    return int(found)


def _link(connection: sa.Connection, repository_id: int, blob_id: int, *, now: int) -> None:
    touched = connection.execute(
        repository_blobs.update()
        .where(repository_blobs.c.repository_id == repository_id, repository_blobs.c.blob_id == blob_id)
        .values(linked_at=now)
    )
    if touched.rowcount == 0:
        connection.execute(
            repository_blobs.insert().values(repository_id=repository_id, blob_id=blob_id, linked_at=now)
        )
    connection.execute(blobs.update().where(blobs.c.id == blob_id).values(touched_at=now))


def _linked(connection: sa.Connection, repository_id: int, digests: tuple[Digest, ...]) -> dict[str, int]:
    """Which of the blobs can be read through the repository: digest -> row."""
    joined = blobs.join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
    found: dict[str, int] = {}
    for some in _portions(digests):
        rows = connection.execute(
            sa.select(blobs.c.digest, blobs.c.id)
            .select_from(joined)
            .where(repository_blobs.c.repository_id == repository_id, blobs.c.digest.in_(some))
        )
        found.update((row.digest, row.id) for row in rows)
    return found


def _manifests(connection: sa.Connection, repository_id: int, digests: tuple[Digest, ...]) -> dict[str, int]:
    """Which of the manifests the repository has: digest -> row."""
    found: dict[str, int] = {}
    for some in _portions(digests):
        rows = connection.execute(
            sa.select(manifests.c.digest, manifests.c.id).where(
                manifests.c.repository_id == repository_id, manifests.c.digest.in_(some)
            )
        )
        found.update((row.digest, row.id) for row in rows)
    return found


def _portions(digests: tuple[Digest, ...], *, of: int = 500) -> Iterable[list[str]]:
    """The databases bound how many values one statement may have."""
    texts = sorted({str(digest) for digest in digests})
    return (texts[start : start + of] for start in range(0, len(texts), of))


def _key(added: sa.CursorResult[tuple[()]]) -> int:
    key = added.inserted_primary_key
    assert key is not None
    return int(key[0])
