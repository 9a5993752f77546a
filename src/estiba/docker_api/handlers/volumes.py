"""Volumes."""

from __future__ import annotations

import os
import time

from aiohttp import web

from estiba.docker_api.arguments import filters, is_true
from estiba.docker_api.exchange import Exchange, answer, nothing
from estiba.docker_api.fields import pairs_of, text_of
from estiba.engine import prune as pruning
from estiba.engine.inspect import inspect_volume
from estiba.engine.volumes import NoSuchVolume
from estiba.errors import InvalidInput, NotThereYet
from estiba.oci.labels import matches_labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.volumes import Volume
    from estiba.store.gc import Plan

_KEYS = ("name", "label", "dangling", "driver")


def described(volume: Volume) -> dict[str, object]:
    return dict(inspect_volume(volume))


async def index(exchange: Exchange) -> web.Response:
    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - set(_KEYS):
        raise InvalidInput(f"invalid filter '{min(unknown)}'")
    volumes = exchange.api.engine.volumes

    def work() -> list[dict[str, object]]:
        return [
            described(volume)
            for volume in volumes.all()
            if _is_wanted(volume, wanted)
            and ("dangling" not in wanted or is_true(wanted["dangling"][0]) == (not volumes.users(volume.name)))
        ]

    return answer({"Volumes": await exchange.api.threads.quick(work), "Warnings": None})


def _is_wanted(volume: Volume, wanted: dict[str, list[str]]) -> bool:
    if "name" in wanted and not any(text in volume.name for text in wanted["name"]):
        return False
    if "driver" in wanted and "local" not in wanted["driver"]:
        return False
    return matches_labels(volume.labels, wanted)


async def create(exchange: Exchange) -> web.Response:
    body = await exchange.body()
    if text_of(body, "Driver") not in ("", "local"):
        raise NotThereYet(f"volumes of the driver {body['Driver']!r} are not there yet", remedy="There is local.")
    if body.get("DriverOpts"):
        raise NotThereYet("options of a volume's driver are not there yet")
    if body.get("ClusterVolumeSpec"):
        raise NotThereYet("cluster volumes are not there: there is no swarm")
    name, labels = text_of(body, "Name"), dict(pairs_of(body, "Labels"))
    volumes = exchange.api.engine.volumes

    def work() -> Volume:
        if name:
            return volumes.create(name, labels=labels)
        return volumes.ensure(os.urandom(32).hex(), is_anonymous=True, labels=labels)

    volume = await exchange.api.threads.quick(work)
    exchange.api.events.tell("volume", "create", volume.name, {"driver": "local"})
    return answer(described(volume), status=201)


async def inspect(exchange: Exchange) -> web.Response:
    volumes, name = exchange.api.engine.volumes, exchange.parts["name"]
    return answer(await exchange.api.threads.quick(lambda: described(volumes.get(name))))


async def remove(exchange: Exchange) -> web.Response:
    volumes, name, force = exchange.api.engine.volumes, exchange.parts["name"], exchange.flag("force")
    try:
        await exchange.api.threads.slow(volumes.remove, name)
    except NoSuchVolume:
        if not force:
            raise
    else:
        exchange.api.events.tell("volume", "destroy", name, {"driver": "local"})
    return nothing()


async def prune(exchange: Exchange) -> web.Response:
    """Anonymous ones that nobody has; with all=true those with names too."""
    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - {"all", "label", "label!"}:
        raise NotThereYet(f"prune with the filter {min(unknown)} is not there yet")
    also_named = is_true((wanted.get("all") or ["false"])[0])
    engine = exchange.api.engine

    def work() -> Plan:
        made = time.time()
        unused = engine.volumes.unused(also_named=also_named)
        chosen = pruning.of_volumes(volume for volume in unused if matches_labels(volume.labels, wanted))
        return pruning.remove(engine, chosen, made=made).removed

    done = await exchange.api.threads.slow(work)
    return answer({"VolumesDeleted": [one.target for one in done.removals], "SpaceReclaimed": done.size})
