"""Packing: one pass over a tree gives the layer's tar, its diff ID, its compressed form and that form's digest.

The walk fills blocks of the tar. Once there is more than one block, a thread takes the diff ID, others compress, one
writes in order; a block comes round again when all are done with it, so memory stays flat and a slow disk slows the
walk. A layer of less than a block is packed without threads.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from estiba.layers import compression as compressions
from estiba.layers import diff
from estiba.layers.decompress import Readable
from estiba.layers.tar.blocks import BLOCK_SIZE, BlockWriter, SizeCounter, Writable
from estiba.layers.tar.writer import TarPolicy, write_layer
from estiba.oci.digest import Digest
from estiba.values import NamedTuple

_BLOCKS_IN_FLIGHT = 8


class LayerTar(NamedTuple):
    """A layer as a tar: its `diff_id`, its size in bytes, how many entries it has, and the bytes of its files."""

    diff_id: Digest
    size: int
    entries: int
    content: int


class PackedLayer(NamedTuple):
    """A layer and its compressed form: `digest` and `size` are those of the blob that was written."""

    diff_id: Digest
    tar_size: int
    entries: int
    digest: Digest
    size: int
    content: int = 0


def diff_id_of(tree: str, policy: TarPolicy, *, base: str = "") -> LayerTar:
    """The diff ID of the layer of `tree`, without storing a byte; `base` as in `pack`.

    Raises:
        as `write_layer`.
    """
    packed = pack(tree, None, policy, base=base, compression=compressions.NONE)
    return LayerTar(packed.diff_id, packed.tar_size, packed.entries, packed.content)


def tar_size(tree: str, policy: TarPolicy, *, base: str = "") -> int:
    """The bytes of the tar that `pack` makes, from names and sizes alone: no file is read. Raises as `write_layer`."""
    only = diff.changes_between(base, tree, times=_times(policy)) if base else None
    return write_layer(tree, SizeCounter(), policy, only=only).size


def pack(
    tree: str, sink: Writable | None, policy: TarPolicy, *, base: str = "", compression: str = compressions.GZIP
) -> PackedLayer:
    """Write the layer of `tree` to `sink`, compressed with ``gzip``, ``zstd`` or ``none``.

    `tree` holds just the change, with an overlay's whiteouts; or, with `base`, both are whole trees and the layer is
    what makes `tree` out of `base`.
    The bytes depend on the tree and the policy only. `sink` must be committed or dropped by the caller; after an
    exception what it got is not a layer.

    Raises:
        UnknownCompression, and as `write_layer`; what `sink.write` raises.
    """
    line = _Line(None if compression == compressions.NONE else compressions.compressor(compression), sink)
    try:
        only = diff.changes_between(base, tree, times=_times(policy)) if base else None
        summary = write_layer(tree, BlockWriter(line.take, line.emit), policy, only=only)
        return line.finish(entries=summary.entries, content=summary.content)
    finally:
        line.close()


def _times(policy: TarPolicy) -> str:
    """What another time alone means between two trees: nothing where all times become one."""
    if policy.epoch is None:
        return diff.COMPARE
    return diff.RESTORE if policy.set_times else diff.IGNORE


def compress_tar(tar: Readable, sink: Writable, *, compression: str) -> PackedLayer:
    """Write a layer that is a `tar` already to `sink`, compressed: the same bytes as `pack` of its tree would give.

    `entries` and `content` are 0 in the result, for nobody looks.

    Raises:
        UnknownCompression, what `tar.read` and `sink.write` raise.
    """
    line = _Line(None if compression == compressions.NONE else compressions.compressor(compression), sink)
    try:
        out = BlockWriter(line.take, line.emit)
        while piece := tar.read(BLOCK_SIZE):
            out.write(piece)
        out.finish()
        return line.finish(entries=0)
    finally:
        line.close()


class _Line:
    """The stations that a block passes, each a pool of threads, made when the second block comes."""

    def __init__(self, compressor: compressions.BlockCompressor | None, sink: Writable | None) -> None:
        self._compressor = compressor
        self._sink = sink
        self._tar_digest = hashlib.sha256()
        self._blob_digest = hashlib.sha256()
        self._tar_size = 0
        self._blob_size = 0
        self._made = 0
        self._in_flight: deque[tuple[bytearray, tuple[Future[None], ...]]] = deque()
        self._pools: tuple[ThreadPoolExecutor, ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._waiting: tuple[bytearray, int] | None = None

    def take(self) -> bytearray:
        """An empty block, when there is one."""
        if self._made < _BLOCKS_IN_FLIGHT:
            self._made += 1
            return bytearray(BLOCK_SIZE)
        block, jobs = self._in_flight.popleft()
        for job in jobs:
            job.result()
        return block

    def emit(self, block: bytearray, length: int) -> None:
        """Take the next `length` bytes of the tar."""
        self._tar_size += length
        if self._waiting is None and self._pools is None:
            self._waiting = (block, length)  # perhaps the only one
            return
        if self._waiting is not None:
            self._pools = (ThreadPoolExecutor(1), ThreadPoolExecutor(os.cpu_count() or 1), ThreadPoolExecutor(1))
            first, self._waiting = self._waiting, None
            self._start(*first)
        self._start(block, length)

    def finish(self, *, entries: int, content: int = 0) -> PackedLayer:
        """Wait for every block and write the end of the stream."""
        for _, jobs in self._in_flight:
            for job in jobs:
                job.result()
        if self._waiting is not None:
            view = memoryview(self._waiting[0])[: self._waiting[1]]
            self._tar_digest.update(view)
            self._write(self._compressor.compress(view) if self._compressor else view)
        elif self._compressor and not self._tar_size:
            self._write(self._compressor.compress(b""))
        diff_id = Digest("sha256", self._tar_digest.hexdigest())
        if self._compressor is None:
            return PackedLayer(diff_id, self._tar_size, entries, diff_id, self._tar_size, content)
        blob = Digest("sha256", self._blob_digest.hexdigest())
        return PackedLayer(diff_id, self._tar_size, entries, blob, self._blob_size, content)

    def close(self) -> None:
        """End the threads; without `finish` before, whatever they were doing is dropped."""
        for pool in self._pools or ():
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, block: bytearray, length: int) -> None:
        assert self._pools is not None
        hashing, compressing, writing = self._pools
        view = memoryview(block)[:length]
        jobs = [hashing.submit(self._tar_digest.update, view)]
        if self._compressor:
            compressed = compressing.submit(self._compressor.compress, view)
            jobs.append(writing.submit(self._write_later, compressed))
        elif self._sink is not None:
            jobs.append(writing.submit(self._write, view))
        self._in_flight.append((block, tuple(jobs)))

    def _write_later(self, compressed: Future[bytes | bytearray]) -> None:
        self._write(compressed.result())

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        if self._compressor:
            self._blob_digest.update(data)
            self._blob_size += len(data)
        if self._sink is not None:
            self._sink.write(memoryview(data))
