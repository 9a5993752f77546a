"""The catalogue's questions, each one statement over indexes."""

from __future__ import annotations

import sqlalchemy as sa

from estiba.registry.server.metadata.database import Query
from estiba.registry.server.metadata.schema import blobs, manifests, repositories, repository_blobs, tags, uploads

_p = sa.bindparam
_here = repositories.c.name == _p("repository")

_manifest = sa.select(manifests.c.digest, manifests.c.media_type, manifests.c.content)
_of_repository = manifests.join(repositories, repositories.c.id == manifests.c.repository_id)

MANIFEST_BY_DIGEST = Query(_manifest.select_from(_of_repository).where(_here, manifests.c.digest == _p("digest")))

MANIFEST_BY_TAG = Query(
    _manifest.select_from(
        repositories.join(tags, tags.c.repository_id == repositories.c.id).join(
            manifests, manifests.c.id == tags.c.manifest_id
        )
    ).where(_here, tags.c.folded == _p("folded"), tags.c.name == _p("tag"))
)

BLOB = Query(
    sa.select(blobs.c.size, repository_blobs.c.linked_at)
    .select_from(
        blobs.join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id).join(
            repositories, repositories.c.id == repository_blobs.c.repository_id
        )
    )
    .where(_here, blobs.c.digest == _p("digest"))
)

REPOSITORY = Query(sa.select(repositories.c.id).where(_here))

TAGS = Query(
    sa.select(tags.c.name)
    .where(
        tags.c.repository_id == _p("repository_id"),
        sa.tuple_(tags.c.folded, tags.c.name) > sa.tuple_(_p("folded"), _p("last")),
    )
    .order_by(tags.c.folded, tags.c.name)
    .limit(_p("number"))
)

REPOSITORIES = Query(
    sa.select(repositories.c.name)
    .where(repositories.c.name > _p("last"))
    .order_by(repositories.c.name)
    .limit(_p("number"))
)

REFERRERS = Query(
    _manifest.select_from(_of_repository).where(_here, manifests.c.subject == _p("subject")).order_by(manifests.c.id)
)

UPLOAD = Query(
    sa.select(uploads.c.session)
    .select_from(uploads.join(repositories, repositories.c.id == uploads.c.repository_id))
    .where(_here, uploads.c.session == _p("session"))
)
