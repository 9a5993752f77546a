"""Files of containers as tars, out and in (ContainerArchive), each by a process that reaches into the container."""

from __future__ import annotations

import base64
import io
import json
import os
import posixpath
import stat
import subprocess
import tarfile
import time
from collections.abc import Sequence

from aiohttp import web

from estiba.docker_api.descriptors import Descriptor
from estiba.docker_api.exchange import Exchange, nothing
from estiba.docker_api.handlers.containers import find
from estiba.docker_api.threads import Threads
from estiba.errors import Conflict, Corrupt, EstibaError, InvalidInput, NotFound, Unavailable
from estiba.values import NamedTuple

_LONGEST_TOLD = 1 << 16
_LONGEST_HEADER = 1 << 21
_KINDS: tuple[type[EstibaError], ...] = (NotFound, InvalidInput, Conflict)
# What Go's os.FileMode has in other places than the kernel.
_KINDS_OF_FILES = (
    (tarfile.TarInfo.isdir, 1 << 31),
    (tarfile.TarInfo.issym, 1 << 27),
    (tarfile.TarInfo.isblk, 1 << 26),
    (tarfile.TarInfo.ischr, 1 << 26 | 1 << 21),
    (tarfile.TarInfo.isfifo, 1 << 25),
)
_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


async def get(exchange: Exchange) -> web.StreamResponse:
    """The tar of a path; HEAD gives what the path is alone."""
    record = await find(exchange)
    path = _path(exchange)
    copying = await _Copying.begin(exchange, f"{record.id}:{path}", "-")
    try:
        first = await copying.read()
        if not first:
            await copying.finish()
        while (described := _described(first, path)) is None and len(first) < _LONGEST_HEADER:
            more = await copying.read()
            if not more:
                await copying.finish()
                break
            first += more
        if described is None:
            raise Corrupt(f"what was read of {path} does not begin as a tar does")
        headers = {"X-Docker-Container-Path-Stat": described}
        if exchange.request.method == "HEAD":
            return web.Response(headers=headers)
        return await _passed_on(exchange, copying, first, "application/x-tar", headers)
    finally:
        await copying.close()


async def export(exchange: Exchange) -> web.StreamResponse:
    """All files of a container (ContainerExport)."""
    record = await find(exchange)
    copying = await _Copying.begin(exchange, record.id)
    try:
        first = await copying.read()
        if not first:
            await copying.finish()
        response = await _passed_on(exchange, copying, first, "application/octet-stream")
    finally:
        await copying.close()
    exchange.api.events.tell_of(record, "export")
    return response


async def _passed_on(
    exchange: Exchange, copying: _Copying, first: bytes, kind: str, headers: dict[str, str] | None = None
) -> web.StreamResponse:
    """The tar whose beginning is `first`, as it comes. A copy that fails ends the connection in the midst of it."""
    response = await exchange.begin(kind, headers)
    data = first
    while data:
        await response.write(data)
        data = await copying.read()
    await copying.finish()
    await response.write_eof()
    return response


async def put(exchange: Exchange) -> web.Response:
    """Unpack a tar, plain or compressed, in a directory."""
    record = await find(exchange)
    copying = await _Copying.begin(exchange, "-", f"{record.id}:{_path(exchange)}")
    try:
        while part := await exchange.request.content.readany():
            if not await copying.write(part):
                break
        await copying.finish()
    finally:
        await copying.close()
    while await exchange.request.content.readany():  # what pads the tar
        pass
    return nothing(200)


def _path(exchange: Exchange) -> str:
    path = exchange.text("path")
    if not path:
        raise InvalidInput("bad parameter: 'path' cannot be empty")
    return path if path.startswith("/") else f"/{path}"


def _described(first: bytes, path: str) -> str | None:
    """What the first file of a tar is, as clients want to hear of a path.

    None where its header is not whole yet, which a long name or attributes can make longer than one block.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(first), mode="r:") as tar:
            info = tar.next()
    except tarfile.TarError:
        return None
    if info is None:
        raise NotFound(f"Could not find the file {path}")
    mode = info.mode & 0o777
    for is_kind, bit in _KINDS_OF_FILES:
        mode |= bit if is_kind(info) else 0
    for kernels, gos in _BITS:
        mode |= gos if info.mode & kernels else 0
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path.rstrip("/")), info.linkname))
    value = {
        "name": posixpath.basename(path.rstrip("/")) or "/",
        "size": info.size,
        "mode": mode,
        "mtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.mtime)),
        "linkTarget": target if info.issym() else "",
    }
    return base64.b64encode(json.dumps(value).encode()).decode()


class _Launched(NamedTuple):
    """A process that copies, our end of its pipe, and what it says."""

    process: subprocess.Popen[bytes]
    pipe: int
    said: int

    def end(self) -> None:
        """Blocks until it has ended."""
        self.process.terminate()
        os.close(self.pipe)
        os.close(self.said)
        self.process.wait()


def _launch(words: Sequence[str], *, reads: bool) -> _Launched:
    """Start it; it `reads` what comes by the pipe, or writes there. What fails leaves no descriptor open. Blocks."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    theirs, ours = (reading, writing) if reads else (writing, reading)
    said = -1
    try:
        said = os.memfd_create("said", os.MFD_CLOEXEC)
        stdin, stdout = (theirs, subprocess.DEVNULL) if reads else (subprocess.DEVNULL, theirs)
        process = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=said)
    except BaseException:
        os.close(ours)
        if said >= 0:
            os.close(said)
        raise
    finally:
        os.close(theirs)
    return _Launched(process, ours, said)


class _Copying:
    """A process that copies. When that is closed, it ends."""

    def __init__(self, launched: _Launched, threads: Threads) -> None:
        self._process = launched.process
        self._pipe = Descriptor(launched.pipe)
        self._said = launched.said
        self._threads = threads

    @classmethod
    async def begin(cls, exchange: Exchange, source: str, target: str = "-") -> _Copying:
        """As `Backends.copy_command`; without a path in the `source` all files of the container come."""
        places = (source, target) if ":" in source or target != "-" else (source,)
        words = exchange.api.backends.copy_command(*places)
        threads = exchange.api.threads
        return cls(await threads.made(_launch, _Launched.end, words, reads=target != "-"), threads)

    async def read(self) -> bytes:
        """At least one byte, b"" at the end."""
        return await self._pipe.read()

    async def write(self, data: bytes) -> bool:
        """False where nobody reads any more."""
        return await self._pipe.write(data)

    async def finish(self) -> None:
        """Wait for its end. Raises what it failed with."""
        self._pipe.close()
        if await self._threads.slow(self._process.wait) == 0:
            return
        said = os.pread(self._said, _LONGEST_TOLD, 0)
        try:
            told = json.loads(said)
        except ValueError:
            raise Unavailable(f"the copy failed: {said.decode(errors='replace')[-500:]}") from None
        kind = next((kind for kind in _KINDS if kind.__name__ in told["kinds"]), Unavailable)
        raise kind(told["message"], remedy=told["remedy"])

    async def close(self) -> None:
        """End it, where it has not ended."""
        if self._process.returncode is None:
            self._process.terminate()
        self._pipe.close()
        os.close(self._said)
        if self._process.returncode is None:
            await self._threads.slow(self._process.wait)
