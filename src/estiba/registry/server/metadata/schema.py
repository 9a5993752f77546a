"""The tables, in SQLAlchemy Core, fit for SQLite and PostgreSQL. Times are Unix seconds; sizes are bytes.

    repositories ─┬─ repository_blobs ── blobs          which blobs can be read through a repository
                  ├─ manifests ─┬─ manifest_blobs ── blobs        which blobs a manifest needs
                  │             └─ manifest_children ── manifests which manifests an index needs
                  ├─ tags ── manifests
                  ├─ tag_history                        every move of a tag, kept after the tag
                  └─ uploads                            sessions that are open

The migrations in `migrations/versions` make these tables; a test holds the two together.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts rows only in a column of the type INTEGER; PostgreSQL needs the wide one.
_Id = BigInteger().with_variant(Integer(), "sqlite")
_DIGEST = 7 + 128

repositories = Table(
    "repositories",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", String(_DIGEST), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    # When the blob was stored, mounted or asked for by a push last: the grace period of gc begins here.
    Column("touched_at", BigInteger, nullable=False),
)

repository_blobs = Table(
    "repository_blobs",
    metadata,
    Column("repository_id", _Id, ForeignKey("repositories.id"), primary_key=True),
    Column("blob_id", _Id, ForeignKey("blobs.id"), primary_key=True),
    Column("linked_at", BigInteger, nullable=False),
    Index(None, "blob_id"),
)

manifests = Table(
    "manifests",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("repository_id", _Id, ForeignKey("repositories.id"), nullable=False),
    Column("digest", String(_DIGEST), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("subject", String(_DIGEST), nullable=True),
    Column("artifact_type", String(255), nullable=False),
    Column("pushed_at", BigInteger, nullable=False),
    # The exact bytes that came; the last column, so that SQLite need not step over them.
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("repository_id", "digest"),
    Index(None, "repository_id", "subject"),
)

manifest_blobs = Table(
    "manifest_blobs",
    metadata,
    Column("manifest_id", _Id, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("blob_id", _Id, ForeignKey("blobs.id"), primary_key=True),
    Index(None, "blob_id"),
)

manifest_children = Table(
    "manifest_children",
    metadata,
    Column("parent_id", _Id, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("child_id", _Id, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "child_id"),
)

tags = Table(
    "tags",
    metadata,
    Column("repository_id", _Id, ForeignKey("repositories.id"), primary_key=True),
    # The name in lower case: the order of a listing (distribution-spec, "Listing Tags") is the order of the key.
    Column("folded", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("manifest_id", _Id, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("moved_at", BigInteger, nullable=False),
    Index(None, "manifest_id"),
)

tag_history = Table(
    "tag_history",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("repository_id", _Id, ForeignKey("repositories.id"), nullable=False),
    Column("tag", String(128), nullable=False),
    Column("from_digest", String(_DIGEST), nullable=True),
    Column("to_digest", String(_DIGEST), nullable=True),
    Column("at", BigInteger, nullable=False),
    Column("by", String(255), nullable=False),
    Index(None, "repository_id", "tag", "id"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("session", String(32), primary_key=True),
    Column("repository_id", _Id, ForeignKey("repositories.id"), nullable=False),
    Column("started_at", BigInteger, nullable=False),
)
