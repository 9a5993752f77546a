"""A file from a URL, for one who does not speak asyncio: its bytes come through a pipe."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from estiba.errors import InvalidInput, NotFound, Unavailable
from estiba.values import TYPE_CHECKING
from estiba.web.client import CONNECTION_ERRORS, open_session, reason
from estiba.web.proxies import Proxies

if TYPE_CHECKING:
    from typing import BinaryIO


@contextmanager
def fetched(url: str, *, proxies: Proxies, agent: str) -> Iterator[BinaryIO]:
    """The body that `url` gives, as a stream; leaving the context early ends the transfer.

    Raises (at the end of the context, where whoever reads has seen a short stream, in place of what that led to):
        NotFound: the server does not have it. Unavailable: it cannot be reached, or the transfer was cut.
        InvalidInput: that is no address.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    failure: list[Exception] = []
    thread = threading.Thread(target=_run, args=(url, writing, proxies, agent, failure), daemon=True)
    thread.start()
    stream = open(reading, "rb", buffering=1 << 20)
    try:
        yield stream
    except Exception as error:
        stream.close()
        thread.join()
        if failure:
            raise failure[0] from error
        raise
    finally:
        stream.close()
        thread.join()
    if failure:
        raise failure[0]


def _run(url: str, writing: int, proxies: Proxies, agent: str, failure: list[Exception]) -> None:
    try:
        asyncio.run(_fetch(url, writing, proxies, agent))
    except BrokenPipeError:
        pass  # the reader has gone
    except ValueError as error:  # also of the HTTP library's own: an address without a host, say
        failure.append(InvalidInput(f"{url} cannot be fetched: {error}", remedy="Give http:// or https:// and a host."))
    except CONNECTION_ERRORS as error:
        failure.append(Unavailable(f"cannot fetch {url}: {reason(error)}", remedy="Check the address and the network."))
    except Exception as error:  # noqa: BLE001 - raised again where the stream is read
        failure.append(error)
    finally:
        os.close(writing)


async def _fetch(url: str, writing: int, proxies: Proxies, agent: str) -> None:
    loop = asyncio.get_running_loop()
    async with open_session(agent=agent) as session, session.get(url, proxy=proxies.of_url(url)) as response:
        if response.status in (404, 410):
            raise NotFound(f"there is no {url}", remedy="Check the address.")
        if response.status != 200:
            raise Unavailable(f"cannot fetch {url}: the server answered {response.status}")
        async for piece in response.content.iter_chunked(1 << 20):
            await loop.run_in_executor(None, _write, writing, piece)


def _write(writing: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(writing, view) :]
