"""`estiba registry serve`: the parts joined, from the first line to the last.

DIR/
  catalogue.db   the catalogue (SQLite)
  blobs/ …       the storage (see storage/directory.py)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from estiba.errors import InvalidInput
from estiba.linux.private_directories import make_private
from estiba.registry.server.access import Access, read_htpasswd
from estiba.registry.server.application import Application
from estiba.registry.server.gc import Collected, Collector
from estiba.registry.server.log import Log
from estiba.registry.server.metadata.catalogue import Catalogue
from estiba.registry.server.metadata.database import Database
from estiba.registry.server.registry import Registry
from estiba.registry.server.storage.directory import DirectoryStorage
from estiba.web.listen import Address
from estiba.web.server import HttpServer, run_until_signal, tls_context

DEFAULT_GRACE = 3600
DEFAULT_UPLOAD_GRACE = 24 * 3600
_WORKERS = 16


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where and how to serve. Times are seconds; `gc_interval` 0 turns the background collection off."""

    listen: Address
    directory: str
    tls_certificate: str = ""
    tls_key: str = ""
    htpasswd: str = ""
    grace: int = DEFAULT_GRACE
    upload_grace: int = DEFAULT_UPLOAD_GRACE
    gc_interval: int = 600
    patience: float = 20.0


def serve(options: ServerOptions, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets the URL once connections are taken."""
    asyncio.run(_serve(options, announce))


def open_database(directory: str) -> Database:
    """The catalogue under a registry's directory.

    Raises:
        InvalidInput: the directory cannot be made. DatabaseFailed.
    """
    try:
        make_private(directory)
    except OSError as error:
        raise InvalidInput(
            f"cannot use {directory} as a registry's storage: {error.strerror}", remedy="Give another --storage DIR."
        ) from error
    return Database(os.path.join(directory, "catalogue.db"))


def collect_garbage(directory: str, *, grace: int, upload_grace: int) -> Collected:
    """`estiba registry gc`: one run, also while a server works on the same directory."""
    database = open_database(directory)
    try:
        return Collector(database, DirectoryStorage(directory), clock=_now).run(grace=grace, upload_grace=upload_grace)
    finally:
        database.close()


async def _serve(options: ServerOptions, announce: Callable[[str], None]) -> None:
    tls = tls_context(certificate=options.tls_certificate, key=options.tls_key) if options.tls_certificate else None
    access = read_htpasswd(options.htpasswd) if options.htpasswd else Access()
    log = Log()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_WORKERS, thread_name_prefix="registry"))
    database = open_database(options.directory)
    try:
        storage = DirectoryStorage(options.directory)
        collector = Collector(database, storage, clock=_now)
        collector.recover()
        registry = Registry(storage, Catalogue(database, clock=_now), options.grace, _now)
        application = Application(registry, access=access, log=log)
        server = HttpServer(application.handle, address=options.listen, tls=tls)
        collecting = asyncio.create_task(_collect_always(collector, options, log))
        try:
            await run_until_signal(server, announce=announce, patience=options.patience)
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
    finally:
        await asyncio.get_running_loop().shutdown_default_executor()
        database.close()


async def _collect_always(collector: Collector, options: ServerOptions, log: Log) -> None:
    """Collect now and then; what goes wrong is logged and tried again."""
    loop = asyncio.get_running_loop()
    while options.gc_interval:
        await asyncio.sleep(options.gc_interval)
        run = loop.run_in_executor(None, lambda: collector.run(grace=options.grace, upload_grace=options.upload_grace))
        try:
            done = await asyncio.shield(run)
        except Exception as error:  # noqa: BLE001 - the server goes on; the log tells
            log.error("gc failed", error=f"{type(error).__name__}: {error}")
            continue
        if any(done):
            log.info("gc", **done._asdict())


def _now() -> int:
    return int(time.time())
