"""The steps of composing: find what is to be in a list, and push the list with all that it names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from estiba.errors import InvalidInput
from estiba.oci.digest import Digest
from estiba.oci.reference import Reference
from estiba.registry.client.ask import Registries
from estiba.registry.client.connection import Connection
from estiba.registry.client.copy.copy import transfer
from estiba.registry.client.copy.destinations import RegistryDestination
from estiba.registry.client.copy.sources import RegistrySource
from estiba.registry.client.lists.describe import Described, describe
from estiba.registry.client.lists.draft import Draft, Entry
from estiba.registry.client.progress import Progress


def list_name(text: str) -> Reference:
    """The name of a list. Raises InvalidReference; InvalidInput: it has a digest, which a list gets at its end."""
    name = Reference.parse(text)
    if name.digest is not None:
        raise InvalidInput(f"{text!r} cannot name a list: it has a digest", remedy="Write NAME[:TAG].")
    return name.tagged


def find(registries: Registries, references: Sequence[Reference]) -> tuple[Entry, ...]:
    """What these names mean now, in their order; an index gives each of its manifests.

    Raises:
        As `describe`.
    """

    async def run() -> tuple[Entry, ...]:
        entries: list[Entry] = []
        async with AsyncExitStack() as stack:
            connections: dict[str, Connection] = {}
            for reference in references:
                connection = await _connected(stack, connections, registries, reference.registry)
                entries += (await describe(connection, reference)).entries
        return tuple(entries)

    return asyncio.run(run())


def look(registries: Registries, reference: Reference) -> Described:
    """The same for one name, with the document that it names. Raises as `describe`."""

    async def run() -> Described:
        async with registries.connect(reference.registry) as connection:
            return await describe(connection, reference)

    return asyncio.run(run())


def push(registries: Registries, draft: Draft, *, progress: Progress, on_manifest: Callable[[Entry], None]) -> Digest:
    """Bring every manifest of the list, with its blobs, into the list's repository, then the index; gives its digest.

    What is in the same registry is mounted, what is there already does not travel. `on_manifest` hears of each that is
    there.

    Raises:
        InvalidInput: an entry says no platform. NotInRegistry, AccessDenied, RegistryUnreachable, RegistryFailed.
    """
    draft.check_complete()
    index = draft.to_index()

    async def run() -> None:
        async with AsyncExitStack() as stack:
            connections: dict[str, Connection] = {}
            there = await _connected(stack, connections, registries, draft.name.registry)
            destination = RegistryDestination(there, draft.name, progress)
            for entry in draft.entries:
                here = await _connected(stack, connections, registries, entry.source.registry)
                await transfer(RegistrySource(here, entry.source), destination, entry.document)
                await destination.document(entry.document)
                on_manifest(entry)
            await destination.finish(index)

    asyncio.run(run())
    return index.digest


async def _connected(
    stack: AsyncExitStack, connections: dict[str, Connection], registries: Registries, registry: str
) -> Connection:
    if registry not in connections:
        connections[registry] = await stack.enter_async_context(registries.connect(registry))
    return connections[registry]
