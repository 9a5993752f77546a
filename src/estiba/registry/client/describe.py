"""What a registry has under a name: the descriptor of its document, and the platforms that it is for."""

from __future__ import annotations

import asyncio

from estiba.oci.descriptor import Descriptor
from estiba.oci.image_config import MAXIMUM_SIZE, ImageConfig
from estiba.oci.manifest import Index
from estiba.oci.mediatypes import CONFIGS
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client import manifests
from estiba.registry.client.ask import Registries
from estiba.registry.client.download import read_small
from estiba.registry.client.tokens import pull_scope
from estiba.store.store import Store


def describe(registries: Registries, reference: Reference, store: Store) -> tuple[Descriptor, tuple[Platform, ...]]:
    """Ask; of a single image the configuration is fetched into `store`, for it alone knows the platform.

    Raises:
        NotInRegistry, AccessDenied, RegistryUnreachable, RegistryFailed, UnexpectedContent.
    """

    async def ask() -> tuple[Descriptor, tuple[Platform, ...]]:
        scopes = frozenset({pull_scope(reference.repository)})
        named = reference.digest or reference.tagged.tag or ""
        async with registries.connect(reference.registry) as connection:
            document, digest = await manifests.fetch(connection, reference, named, scopes=scopes)
            found = Descriptor(document.media_type, digest, len(document.raw))
            if isinstance(document, Index):
                return found, tuple(one.platform for one in document.manifests if one.platform is not None)
            if document.config.media_type not in CONFIGS:
                return found, ()
            config = document.config
            raw = await read_small(connection, reference.repository, config, store, limit=MAXIMUM_SIZE, scopes=scopes)
            return found, (ImageConfig.parse(raw).platform,)

    with store.leases.hold(f"describe {reference}"):
        return asyncio.run(ask())
