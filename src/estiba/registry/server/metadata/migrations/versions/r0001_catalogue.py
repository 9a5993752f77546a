"""The first catalogue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    digest = sa.String(135)
    op.create_table(
        "repositories",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("name", name="uq_repositories_name"),
    )
    op.create_table(
        "blobs",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("digest", digest, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("touched_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", name="uq_blobs_digest"),
    )
    op.create_table(
        "repository_blobs",
        sa.Column("repository_id", row_id, sa.ForeignKey("repositories.id"), primary_key=True),
        sa.Column("blob_id", row_id, sa.ForeignKey("blobs.id"), primary_key=True),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_repository_blobs_blob_id", "repository_blobs", ["blob_id"])
    op.create_table(
        "manifests",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("repository_id", row_id, sa.ForeignKey("repositories.id"), nullable=False),
        sa.Column("digest", digest, nullable=False),
        sa.Column("media_type", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("subject", digest, nullable=True),
        sa.Column("artifact_type", sa.String(255), nullable=False),
        sa.Column("pushed_at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("repository_id", "digest", name="uq_manifests_repository_id_digest"),
    )
    op.create_index("ix_manifests_repository_id_subject", "manifests", ["repository_id", "subject"])
    manifest = sa.ForeignKey("manifests.id", ondelete="CASCADE")
    op.create_table(
        "manifest_blobs",
        sa.Column("manifest_id", row_id, manifest, primary_key=True),
        sa.Column("blob_id", row_id, sa.ForeignKey("blobs.id"), primary_key=True),
    )
    op.create_index("ix_manifest_blobs_blob_id", "manifest_blobs", ["blob_id"])
    op.create_table(
        "manifest_children",
        sa.Column("parent_id", row_id, sa.ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("child_id", row_id, sa.ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_index("ix_manifest_children_child_id", "manifest_children", ["child_id"])
    op.create_table(
        "tags",
        sa.Column("repository_id", row_id, sa.ForeignKey("repositories.id"), primary_key=True),
        sa.Column("folded", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("manifest_id", row_id, sa.ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
        sa.Column("moved_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_tags_manifest_id", "tags", ["manifest_id"])
    op.create_table(
        "tag_history",
        sa.Column("id", row_id, primary_key=True),
        sa.Column("repository_id", row_id, sa.ForeignKey("repositories.id"), nullable=False),
        sa.Column("tag", sa.String(128), nullable=False),
        sa.Column("from_digest", digest, nullable=True),
        sa.Column("to_digest", digest, nullable=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )
    op.create_index("ix_tag_history_repository_id_tag_id", "tag_history", ["repository_id", "tag", "id"])
    op.create_table(
        "uploads",
        sa.Column("session", sa.String(32), primary_key=True),
        sa.Column("repository_id", row_id, sa.ForeignKey("repositories.id"), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
    )
