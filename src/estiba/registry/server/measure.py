"""`estiba registry df`: where a registry's bytes are, held against what lies on the disk."""

from __future__ import annotations

from typing import NamedTuple

from estiba.registry.server.metadata import accounting
from estiba.registry.server.serve import open_database
from estiba.registry.server.storage.directory import DirectoryStorage


class Measured(NamedTuple):
    """`on_disk` are the bytes of the blob files, `uploads` those of uploads that are under way."""

    usage: accounting.Usage
    on_disk: int
    uploads: int


def measure(directory: str) -> Measured:
    """Count; a server may work on the same directory."""
    database = open_database(directory)
    try:
        storage = DirectoryStorage(directory)
        usage = database.view(accounting.usage)
        on_disk = sum(blob.size for blob in storage.blobs())
        return Measured(usage, on_disk, sum(upload.size for upload in storage.uploads()))
    finally:
        database.close()
