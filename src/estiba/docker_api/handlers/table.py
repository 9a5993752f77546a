"""Which function answers which request. ``{id}`` is one part of a path, ``{name*}`` may have slashes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache

from aiohttp import web

from estiba.docker_api.exchange import Exchange
from estiba.docker_api.handlers import (
    archives,
    builds,
    containers,
    execs,
    images,
    networks,
    searching,
    statistics,
    streams,
    system,
    volumes,
)
from estiba.values import NamedTuple

Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    method: str
    pattern: str
    handler: Handler


class Found(NamedTuple):
    """`handler` is None where the path is known, but not with this method."""

    handler: Handler | None
    parts: Mapping[str, str]


ROUTES = (
    Route("HEAD", "/_ping", system.ping),
    Route("GET", "/_ping", system.ping),
    Route("GET", "/version", system.version),
    Route("GET", "/info", system.info),
    Route("GET", "/events", system.events),
    Route("GET", "/system/df", system.space),
    Route("POST", "/auth", system.check_login),
    Route("GET", "/containers/json", containers.index),
    Route("POST", "/containers/create", containers.create),
    Route("POST", "/containers/prune", containers.prune),
    Route("GET", "/containers/{id}/json", containers.inspect),
    Route("GET", "/containers/{id}/top", containers.top),
    Route("GET", "/containers/{id}/stats", statistics.stats),
    Route("POST", "/containers/{id}/start", containers.start),
    Route("POST", "/containers/{id}/stop", containers.stop),
    Route("POST", "/containers/{id}/restart", containers.restart),
    Route("POST", "/containers/{id}/kill", containers.kill),
    Route("POST", "/containers/{id}/rename", containers.rename),
    Route("POST", "/containers/{id}/pause", containers.pause),
    Route("POST", "/containers/{id}/unpause", containers.unpause),
    Route("POST", "/containers/{id}/update", containers.update),
    Route("GET", "/containers/{id}/changes", containers.diff),
    Route("GET", "/containers/{id}/archive", archives.get),
    Route("HEAD", "/containers/{id}/archive", archives.get),
    Route("PUT", "/containers/{id}/archive", archives.put),
    Route("GET", "/containers/{id}/export", archives.export),
    Route("POST", "/containers/{id}/wait", containers.wait),
    Route("DELETE", "/containers/{id}", containers.remove),
    Route("POST", "/containers/{id}/attach", streams.attach),
    Route("POST", "/containers/{id}/resize", streams.resize),
    Route("GET", "/containers/{id}/logs", streams.show_logs),
    Route("POST", "/containers/{id}/exec", execs.create),
    Route("POST", "/exec/{id}/start", execs.start),
    Route("POST", "/exec/{id}/resize", execs.resize),
    Route("GET", "/exec/{id}/json", execs.inspect),
    Route("GET", "/images/json", images.index),
    Route("POST", "/images/create", images.create),
    Route("POST", "/images/load", images.put),
    Route("GET", "/images/search", searching.search),
    Route("POST", "/images/prune", images.prune),
    Route("GET", "/images/get", images.get_several),
    Route("GET", "/images/{name*}/get", images.get_one),
    Route("GET", "/images/{name*}/json", images.inspect),
    Route("GET", "/images/{name*}/history", images.history),
    Route("POST", "/images/{name*}/push", images.push),
    Route("POST", "/images/{name*}/tag", images.tag),
    Route("DELETE", "/images/{name*}", images.remove),
    Route("POST", "/build", builds.build),
    Route("POST", "/build/prune", builds.prune),
    Route("POST", "/commit", images.commit),
    Route("GET", "/networks", networks.index),
    Route("POST", "/networks/create", networks.create),
    Route("POST", "/networks/prune", networks.prune),
    Route("POST", "/networks/{id}/connect", networks.connect),
    Route("POST", "/networks/{id}/disconnect", networks.disconnect),
    Route("GET", "/networks/{id}", networks.inspect),
    Route("DELETE", "/networks/{id}", networks.remove),
    Route("GET", "/distribution/{name*}/json", searching.describe),
    Route("GET", "/volumes", volumes.index),
    Route("POST", "/volumes/create", volumes.create),
    Route("POST", "/volumes/prune", volumes.prune),
    Route("GET", "/volumes/{name}", volumes.inspect),
    Route("DELETE", "/volumes/{name}", volumes.remove),
    Route("GET", "/plugins", system.plugins),
    Route("GET", "/plugins/{rest*}", system.no_plugin),
    *(
        Route(method, pattern, system.no_swarm)
        for name in ("swarm", "nodes", "services", "tasks", "secrets", "configs")
        for pattern in (f"/{name}", f"/{name}/{{rest*}}")
        for method in ("GET", "POST", "DELETE")
    ),
    *(
        Route(method, pattern, system.missing)
        for method, pattern in (
            ("GET", "/containers/{id}/attach/ws"),
            ("POST", "/build/cancel"),
            ("POST", "/session"),
            ("POST", "/grpc"),
            ("POST", "/plugins/{rest*}"),
            ("DELETE", "/plugins/{rest*}"),
        )
    ),
)


def match(method: str, path: str) -> Found | None:
    """The handler of a path without its version; None where there is nothing."""
    is_known = False
    for route, pattern in _compiled():
        if (found := pattern.fullmatch(path)) is not None:
            is_known = True
            if route.method == method:
                return Found(route.handler, found.groupdict())
    return Found(None, {}) if is_known else None


@cache
def _compiled() -> tuple[tuple[Route, re.Pattern[str]], ...]:
    return tuple((route, re.compile(_expression(route.pattern))) for route in ROUTES)


def _expression(pattern: str) -> str:
    parts = re.split(r"\{(\w+\*?)\}", pattern)
    text = re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        text += f"(?P<{name.rstrip('*')}>{'.+' if name.endswith('*') else '[^/]+'})" + re.escape(literal)
    return text
