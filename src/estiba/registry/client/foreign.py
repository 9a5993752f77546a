"""Where a blob may be fetched: its repository, and for a layer that registries do not distribute its own addresses.

Image-spec, descriptor.md, `urls`; layers of Windows' base images are of this kind.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.registry.client.connection import Connection
from estiba.registry.protocol.endpoints import blob_path


def places(connection: Connection, repository: str, blob: Descriptor) -> tuple[str, ...]:
    """Paths and URLs in the order in which they are to be asked: a registry may well have what it need not have.

    An image must not make us ask in the open what its registry would be asked over TLS: plain HTTP only goes with plain
    HTTP.
    """
    here = blob_path(repository, blob.digest)
    if blob.media_type not in mediatypes.FOREIGN_LAYERS:
        return (here,)
    schemes = ("https",) if connection.address.is_encrypted else ("https", "http")
    return (here, *(url for url in blob.urls if urlsplit(url).scheme in schemes))
