"""A client that holds a connection and says little: whoever reaches the port could use up the server's descriptors."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from estiba.web.listen import Address
from estiba.web.server import HttpServer


async def _answer(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"here")


@pytest.fixture
async def server():
    server = HttpServer(_answer, address=Address("127.0.0.1", 0), silence=0.3)
    await server.start()
    yield server
    await server.close()


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: here\r\nX: "],
    ids=["nothing", "a line", "a header that never ends"],
)
async def test_a_connection_without_a_whole_head_is_cut(server, said):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(said)
    assert await asyncio.wait_for(reader.read(), 5) in (b"",)
    writer.close()


async def test_a_letter_now_and_then_does_not_help(server):
    """Slowloris: the head grows, and never ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nX: ")
    reading = asyncio.ensure_future(reader.read())
    for _ in range(100):
        if reading.done():
            break
        writer.write(b"y")
        await asyncio.sleep(0.05)
    assert reading.done()
    assert reading.result() == b""
    writer.close()


async def test_the_same_after_an_answer(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\nGET / HT")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"here")
    writer.close()


async def test_heads_without_end_are_refused(server):
    """Neither a line nor the number of headers grows without limit."""
    for head in (b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"y" * 100_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
        writer.write(head)
        assert b" 400 " in await asyncio.wait_for(reader.read(200), 5)
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
        b"Content-Length: 5\r\n Content-Length: 6",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: xchunked",
        b"X: a\x00b",
    ],
)
async def test_requests_whose_end_is_ambiguous_are_refused(server, head):
    """Request smuggling: a proxy before us and we ourselves would see different requests."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(
        b"POST / HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(300), 5)
    assert b" 400 " in answer
    writer.close()
