"""Building: a tar with the context comes in, lines of progress go out, as the classic builder's clients know them."""

from __future__ import annotations

import json
import os
from typing import Any

from aiohttp import web

from estiba.builder.failures import StepFailed
from estiba.builder.request import EPOCH, BuildRequest
from estiba.docker_api.arguments import filters, logins
from estiba.docker_api.build_context import BuildContext, receive
from estiba.docker_api.build_words import BuildWords
from estiba.docker_api.exchange import Exchange, answer
from estiba.docker_api.incoming import with_body
from estiba.docker_api.telling import Tell, tell
from estiba.errors import InvalidInput, NotThereYet
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.store import gc

_NETWORKS = {"": "bridge", "default": "bridge", "bridge": "bridge", "none": "none"}


async def build(exchange: Exchange) -> web.StreamResponse:
    if exchange.text("version") == "2" or exchange.text("session"):
        raise NotThereYet("BuildKit's sessions are not there yet", remedy="Set DOCKER_BUILDKIT=0.")
    if exchange.text("remote"):
        raise NotThereYet("a build context from an address is not there yet", remedy="Send the files.")
    api = exchange.api
    request = _request(exchange)
    credentials = logins(exchange.request.headers.get("X-Registry-Config", ""))
    dockerfile = exchange.text("dockerfile") or "Dockerfile"
    context = await with_body(
        exchange,
        lambda stream: receive(stream, api.store.scratch, dockerfile=dockerfile),
        BuildContext.remove,
    )
    request = request._replace(
        context=context.directory, dockerfile=context.dockerfile, filename=context.filename, ignore=context.ignore
    )
    is_quiet = exchange.flag("q")

    def work(telling: Tell) -> None:
        words = BuildWords(telling, is_quiet=is_quiet)
        try:
            done = api.backends.builds.build(
                request, credentials=credentials, progress=words, cancellation=telling.cancellation
            )
            words.finished(str(done.image_id), [tag.familiar for tag in request.tags], done.warnings)
        except StepFailed as error:
            words.say(f"{error.message}\n{error.remedy}\n")
            raise
        finally:
            context.remove()

    def done() -> None:
        for tag in request.tags:
            api.events.tell("image", "tag", tag.familiar, {"name": tag.familiar})

    return await tell(exchange, work, done)


def _request(exchange: Exchange) -> BuildRequest:
    facts = exchange.api.backends.facts
    for name in ("squash", "outputs", "cpuquota", "cpuperiod", "cpushares", "memory", "ulimits", "shmsize"):
        if exchange.text(name) not in ("", "0", "false", "null", "[]", "-1"):
            raise NotThereYet(f"build with {name} is not there yet")
    network = exchange.text("networkmode")
    if network not in (*_NETWORKS, "host"):
        raise NotThereYet(f"build in the network {network!r} is not there yet", remedy="There are none and host.")
    arguments = {k: v for k, v in _object(exchange, "buildargs").items() if v is not None}
    hosts = tuple(text for text in exchange.text("extrahosts").split(",") if text)
    if any("host-gateway" in host for host in hosts):
        raise NotThereYet("host-gateway is not there yet", remedy="Give the address.")
    return BuildRequest(
        context="",
        dockerfile="",
        filename="",
        ignore="",
        platform=Platform.parse(exchange.text("platform")) if exchange.text("platform") else facts.platform,
        tags=tuple(_tag(text) for text in exchange.texts("t") if text),
        target=exchange.text("target"),
        build_args={str(k): str(v) for k, v in arguments.items()},
        labels=tuple((str(k), str(v)) for k, v in _object(exchange, "labels").items()),
        network=_NETWORKS.get(network, network),
        allows_host_network=network == "host",
        extra_hosts=hosts,
        uses_cache=not exchange.flag("nocache"),
        pulls=exchange.flag("pull"),
        epoch=EPOCH,
        workers=facts.workers,
    )


def _tag(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise InvalidInput(f"{text}: an image that is yet to be built has no digest")
    return reference.tagged


def _object(exchange: Exchange, name: str) -> dict[str, Any]:
    text = exchange.text(name)
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        raise InvalidInput(f"{name} is not JSON") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} is no JSON object")
    return value


async def prune(exchange: Exchange) -> web.Response:
    """The build cache (BuildPrune): without `all` only what no image has as well."""
    wanted = filters(exchange.text("filters"))
    if wanted:
        raise NotThereYet(f"prune of the build cache with the filter {min(wanted)} is not there yet")
    limits = ("keep-storage", "reserved-space", "max-used-space", "min-free-space")
    if limit := next((name for name in limits if exchange.text(name) not in ("", "0")), ""):
        raise NotThereYet(f"prune of the build cache with {limit} is not there yet", remedy="Leave it out.")
    store, whole = exchange.api.store, exchange.flag("all")

    def work() -> gc.Plan:
        options = gc.Options(build_cache=True)
        return gc.apply(store, gc.plan_of_cache(gc.gather(store, options), whole=whole), options)

    done = await exchange.api.threads.slow(work)
    shown = [os.path.basename(one.target) for one in done.removals if one.kind in (gc.CACHE_RECORD, gc.CACHE_MOUNT)]
    return answer({"CachesDeleted": shown, "SpaceReclaimed": done.size})
