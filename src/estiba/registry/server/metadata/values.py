"""What the catalogue tells, as values."""

from __future__ import annotations

from typing import NamedTuple

from estiba.oci.digest import Digest


class StoredManifest(NamedTuple):
    """A manifest of a repository: `content` are the exact bytes that were pushed."""

    digest: str
    media_type: str
    content: bytes


class LinkedBlob(NamedTuple):
    """A blob that can be read through a repository. `linked_at` is when that was last confirmed, in Unix seconds."""

    size: int
    linked_at: int


class Listing(NamedTuple):
    """One page of names; `more` tells whether others follow."""

    names: tuple[str, ...]
    more: bool


class NewManifest(NamedTuple):
    """A manifest to be kept, with what it needs.

    `blobs` must be linked in the repository, `children` are manifests or blobs of it. `tag` is "" for none.
    """

    digest: Digest
    media_type: str
    content: bytes
    blobs: tuple[Digest, ...]
    children: tuple[Digest, ...]
    subject: Digest | None
    artifact_type: str
    tag: str
