"""How many times a second a registry can be asked for a manifest."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.peers.base import Registry

_CONNECTIONS = 8
_ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def row(arena: Arena) -> Row:
    requests = int(4000 * arena.scale)
    context = arena.workspace.context("manifest", "FROM busybox\nLABEL of=manifest\n")
    estiba = arena.engines[0]
    able = [registry for registry in arena.registries if not registry.problem()]
    for registry in able:
        estiba.build(context, f"{registry.address}/bench/manifest:latest", cached=True)
        estiba.push(f"{registry.address}/bench/manifest:latest")

    def run(registry: Registry) -> Callable[[], None]:
        return lambda: ask(registry.address, "/v2/bench/manifest/manifests/latest", requests=requests)

    contenders = tuple(Contender(registry.name, run(registry)) for registry in able)
    missing = {registry.name: registry.problem() for registry in arena.registries if registry.problem()}
    note = f"{requests:,} GETs of a manifest by tag, on {_CONNECTIONS} connections; the CPU of the client is in it."
    return Row("Manifest requests", note, contenders, missing, operations=requests)


def ask(address: str, path: str, *, requests: int) -> None:
    """Sends `requests` GETs over a few kept connections, one at a time on each, and reads every answer whole."""
    host, port = address.rsplit(":", 1)
    message = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {_ACCEPT}\r\n\r\n".encode()
    with selectors.DefaultSelector() as selector:
        left_to_send = requests
        connections: dict[int, socket.socket] = {}
        for _ in range(min(_CONNECTIONS, requests)):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(message)
            connections[connection.fileno()] = connection
            left_to_send -= 1
            selector.register(connection, selectors.EVENT_READ, bytearray())
        answered = 0
        while answered < requests:
            for key, _ in selector.select(timeout=30):
                connection, received = connections[key.fd], key.data
                received += connection.recv(65536)
                if not _is_whole(received):
                    continue
                received.clear()
                answered += 1
                if left_to_send:
                    connection.sendall(message)
                    left_to_send -= 1
                else:
                    selector.unregister(connection)
                    connection.close()


def _is_whole(answer: bytearray) -> bool:
    """Whether an answer is there with all of its body.

    Raises:
        RuntimeError: the server says something other than 200.
    """
    head, gap, body = bytes(answer).partition(b"\r\n\r\n")
    if not gap:
        return False
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"the registry answered {head.splitlines()[0]!r}")
    length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:"))
    return len(body) >= length
