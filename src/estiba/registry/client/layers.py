"""The layers of one image on their way: each is fetched, verified, decompressed and unpacked at the same time.

    registry ──▶ partial file in the store ──▶ pipe ──▶ process: digest, decompress, diff ID, tree
                          └──────── a blob, as soon as that process has found its digest right

The file is what makes the two ends independent: a slow disk does not hold up the network, and what has come when
something breaks is there for the next pull.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from dataclasses import dataclass

from estiba.errors import Corrupt, InvalidInput
from estiba.image.unpack import Unpacking
from estiba.oci.descriptor import Descriptor
from estiba.oci.image_config import ImageConfig
from estiba.oci.manifest import Manifest
from estiba.registry.client import progress as statuses
from estiba.registry.client.connection import Connection
from estiba.registry.client.download import claim, download, fetch_blob
from estiba.registry.client.progress import Progress
from estiba.registry.client.space import check_space, space_line, space_needed
from estiba.registry.client.tokens import Scopes
from estiba.store.blobs.partial import Partial
from estiba.store.store import Store

_PARALLEL = 3
_PIPE = 1 << 20


@dataclass(frozen=True, slots=True)
class LayerTransfer:
    """Brings every layer of one image into `store`."""

    store: Store
    connection: Connection
    repository: str
    manifest: Manifest
    config: ImageConfig
    progress: Progress
    scopes: Scopes

    async def bring(self) -> None:
        """Every blob is in the store and every snapshot committed, or nothing half done is left.

        Raises:
            NoSpaceFor, what `download` and `Unpacking` raise. A blob that proves to be damaged, and had been begun
            by an earlier process, is fetched from its start, once.
        """
        self._check_space()
        resumed: list[Partial] = []
        try:
            await self._bring(resumed)
        except Corrupt:
            if not resumed:
                raise
            await self._bring([])

    async def _bring(self, resumed: list[Partial]) -> None:
        pairs = list(zip(self.config.diff_ids, self.manifest.layers, strict=True))
        with Unpacking(self.store, pairs) as unpacking:
            await _Run(self, unpacking, resumed).all()
            await asyncio.get_running_loop().run_in_executor(None, unpacking.finish)
        with self.store.database.transaction():  # one wait for the disk
            for diff_id, layer in pairs:
                self.store.layer_blobs.add(diff_id, layer)
        for layer in dict.fromkeys(self.manifest.layers[position] for position in unpacking.needed):
            self.progress.blob(layer.digest, statuses.UNPACKED)

    def _check_space(self) -> None:
        """Before a byte is fetched; and said, where something is."""
        needed = space_needed(self.store, self.manifest, self.config)
        free = check_space(self.store, needed)
        if needed.fetched:
            self.progress.line(space_line(needed, free=free))


class _Run:
    """One attempt at all layers; what it holds lives within one event loop."""

    def __init__(self, transfer: LayerTransfer, unpacking: Unpacking, resumed: list[Partial]) -> None:
        self._it = transfer
        self._unpacking = unpacking
        self._resumed = resumed
        self._downloads = asyncio.Semaphore(_PARALLEL)
        self._workers = asyncio.Semaphore(unpacking.workers)

    async def all(self) -> None:
        """Several at a time; one that fails stops the others."""
        positions: dict[Descriptor, list[int]] = {layer: [] for layer in self._it.manifest.layers}
        for position in self._unpacking.needed:
            positions[self._it.manifest.layers[position]].append(position)
        try:
            async with asyncio.TaskGroup() as group:
                for layer, needed in positions.items():
                    group.create_task(self._bring(layer, needed))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _bring(self, layer: Descriptor, positions: list[int]) -> None:
        progress = self._it.progress
        if self._it.store.blobs.has(layer.digest):
            progress.blob(layer.digest, statuses.EXISTS_HERE)
        else:
            progress.blob(layer.digest, statuses.WAITING)
            if positions and self._unpacking.takes_streams:
                if await self._stream(layer, positions[0]):
                    positions = positions[1:]
            else:
                await self._fetch(layer)
        for position in positions:
            with self._it.store.blobs.open(layer.digest) as blob:
                if not self._unpacking.takes_streams:
                    self._unpacking.start(position, blob.fileno())  # `finish` does the work
                    continue
                async with self._workers:
                    self._unpacking.start(position, blob.fileno())
                    await self._verdict(position)

    async def _fetch(self, layer: Descriptor) -> None:
        """The blob alone."""
        it = self._it
        async with self._downloads:
            await fetch_blob(
                it.connection,
                it.repository,
                layer,
                it.store,
                scopes=it.scopes,
                on_bytes=lambda done: self._tell(layer, done),
                on_wait=lambda: it.progress.blob(layer.digest, statuses.ELSEWHERE),
            )
        it.progress.blob(layer.digest, statuses.DOWNLOADED)

    async def _stream(self, layer: Descriptor, position: int) -> bool:
        """The blob, unpacked while it comes; False: another process has fetched it meanwhile."""
        it = self._it
        arrival = _Arrival()
        async with self._downloads:
            partial = await claim(it.store, layer, on_wait=lambda: it.progress.blob(layer.digest, statuses.ELSEWHERE))
            if partial is None:
                it.progress.blob(layer.digest, statuses.EXISTS_HERE)
                return False
            unpacking = asyncio.create_task(self._unpack(partial, position, arrival))
            try:
                # A layer that cannot be unpacked is not fetched to its end.
                await _both(unpacking, asyncio.create_task(self._download(layer, partial, arrival)))
            except BaseException:
                partial.close()
                raise
        it.progress.blob(layer.digest, statuses.DOWNLOADED)
        with partial:
            syncing = asyncio.get_running_loop().run_in_executor(None, partial.sync)
            try:
                await unpacking
                await syncing
            except BaseException:
                await _end(unpacking)
                await _end(syncing)
                raise
            partial.commit()
        return True

    async def _download(self, layer: Descriptor, partial: Partial, arrival: _Arrival) -> None:
        it = self._it

        def on_bytes(done: int) -> None:
            arrival.tell(done)
            self._tell(layer, done)

        await download(it.connection, it.repository, layer, partial, scopes=it.scopes, on_bytes=on_bytes)
        arrival.tell(layer.size)

    async def _unpack(self, partial: Partial, position: int, arrival: _Arrival) -> None:
        """Start the process, feed it, and take its verdict; what it finds damaged is not kept."""
        async with self._workers:
            reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                _prepare(reading)
                self._unpacking.start(position, reading)
            except BaseException:
                os.close(writing)
                raise
            finally:
                os.close(reading)
            try:
                await _feed(writing, partial, arrival)
            finally:
                os.close(writing)
            try:
                await self._verdict(position)
            except (Corrupt, InvalidInput):
                if partial.resumed:
                    self._resumed.append(partial)
                partial.discard()
                raise

    async def _verdict(self, position: int) -> None:
        """Wait for the end of the process that unpacks a layer; raise what it raises."""
        await _readable(self._unpacking.answer(position))
        self._unpacking.collect(position)

    def _tell(self, layer: Descriptor, done: int) -> None:
        self._it.progress.blob(layer.digest, statuses.DOWNLOADING, done=done, total=layer.size)


class _Arrival:
    """How many bytes of a blob have come, for one who waits for more."""

    def __init__(self) -> None:
        self.size = 0
        self._more = asyncio.Event()

    def tell(self, size: int) -> None:
        if size > self.size:
            self.size = size
            self._more.set()

    async def beyond(self, size: int) -> None:
        """Wait until there are more than `size`."""
        while self.size <= size:
            self._more.clear()
            await self._more.wait()


async def _feed(writing: int, partial: Partial, arrival: _Arrival) -> None:
    """Move the file into the pipe as far as it has come, to its end or until the reader goes (its answer says why)."""
    done = 0
    while done < partial.size:
        await arrival.beyond(done)
        try:
            done += os.sendfile(writing, partial.descriptor, done, min(arrival.size - done, _PIPE))
        except BlockingIOError:
            await _writable(writing)
        except BrokenPipeError:
            return


def _prepare(reading: int) -> None:
    """The process reads and waits; and a large pipe saves turns, where this user may have one."""
    os.set_blocking(reading, True)
    try:
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE)
    except OSError:
        pass


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _both(unpacking: asyncio.Task[None], downloading: asyncio.Task[None]) -> None:
    """Wait for the download; if the unpacking ends before it, that can only be an error, which ends both."""
    try:
        await asyncio.wait((unpacking, downloading), return_when=asyncio.FIRST_COMPLETED)
        if unpacking.done():
            unpacking.result()
        await downloading
    except BaseException:
        await _end(downloading)
        await _end(unpacking)
        raise


async def _end(task: asyncio.Future[None]) -> None:
    """Cancel `task`, wait for its end, and forget what it raises: another error is on its way."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
