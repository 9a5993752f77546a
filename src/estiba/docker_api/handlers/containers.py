"""Containers: made, listed, started, stopped, looked at, removed."""

from __future__ import annotations

import json
import time

from aiohttp import web

from estiba.docker_api.arguments import filters, whole_number
from estiba.docker_api.container_options import changes_of, container_options
from estiba.docker_api.exchange import Exchange, answer, nothing, send_head
from estiba.engine import health_file, lifecycle, pausing, updating
from estiba.engine import prune as pruning
from estiba.engine.changes import ADDED, CHANGED, DELETED, changes
from estiba.engine.filters import Filters
from estiba.engine.inspect import inspect_container, networks_of
from estiba.engine.processes import list_processes
from estiba.engine.removal import size_of_files
from estiba.engine.status import shown_state, status
from estiba.engine.updating import Changes
from estiba.errors import Conflict, InvalidInput, NotFound
from estiba.oci.labels import matches_labels
from estiba.oci.platform import Platform
from estiba.store.images import ImageNotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from estiba.engine.engine import Engine
    from estiba.engine.options import ContainerOptions
    from estiba.engine.records import ContainerRecord
    from estiba.networks.networks import Networks
    from estiba.store.gc import Plan
    from estiba.store.images import ImageRecord
    from estiba.store.store import Store

_VISIBLE = frozenset({lifecycle.RUNNING, lifecycle.PAUSED, lifecycle.RESTARTING})


async def create(exchange: Exchange) -> web.Response:
    body = await exchange.body()
    options = container_options(body, name=exchange.text("name"), platform=exchange.text("platform"))
    api = exchange.api

    def work() -> ContainerRecord:
        for one in options.memberships():
            _check_network(api.networks, one.network)
        return api.engine.create(options, _image(api.store, options))

    record = await api.threads.slow(work)
    api.events.tell_of(record, "create")
    return answer({"Id": record.id, "Warnings": []}, status=201)


def _check_network(networks: Networks, name: str) -> None:
    """Raises InvalidInput: there is none. (404 would mean to clients that the image is missing.)"""
    try:
        networks.inspect(name)
    except NotFound as error:
        raise InvalidInput(error.message, remedy=error.remedy) from None


def _image(store: Store, options: ContainerOptions) -> ImageRecord:
    """The image of this store; where a platform is asked for, only of that one."""
    record = store.images.find(options.image)
    if options.platform:
        wanted, here = Platform.parse(options.platform), store.images.config(record.id).platform
        if (here.os, here.architecture) != (wanted.os, wanted.architecture):
            raise ImageNotFound(f"{options.image} for {wanted} (here it is for {here})")
    return record


async def index(exchange: Exchange) -> web.Response:
    wanted = filters(exchange.text("filters"))
    limit = whole_number(exchange.text("limit") or "0", "limit")
    shows_all, with_size = exchange.flag("all"), exchange.flag("size")
    engine = exchange.api.engine

    def work() -> list[dict[str, object]]:
        records = engine.all()
        visible = shows_all or limit > 0
        if wanted:
            texts = [f"{key}={value}" for key, values in wanted.items() for value in values]
            chosen = Filters(engine, texts)
            visible = visible or chosen.looks_at_states
            records = [record for record in records if chosen.take(record)]
        if not visible:
            records = [record for record in records if record.state in _VISIBLE]
        return [_row(engine, record, with_size=with_size) for record in records[: limit if limit > 0 else None]]

    return answer(await exchange.api.threads.quick(work))


def _row(engine: Engine, record: ContainerRecord, *, with_size: bool) -> dict[str, object]:
    process = json.loads(record.process)
    networking = record.parsed_network()
    network = networking.network or json.loads(record.options).get("network", "bridge")
    options = record.parsed_options()
    row: dict[str, object] = {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "Image": record.image,
        "ImageID": record.image_id,
        "Command": " ".join(_quoted(process["args"])),
        "Created": int(record.created),
        "Ports": _ports(networking.ports, process["exposed_ports"]),
        "Labels": dict(process["labels"]),
        "State": shown_state(record),
        "Status": status(record, now=time.time(), health=health_file.status_of(engine, record)),
        "HostConfig": {"NetworkMode": network},
        "NetworkSettings": {"Networks": networks_of(record, options, networking)},
        "Mounts": _mounts(engine, record),
    }
    if with_size:
        row["SizeRw"] = row["SizeRootFs"] = size_of_files(engine.store, record.id)
    return row


def _quoted(words: Sequence[str]) -> Iterator[str]:
    for position, word in enumerate(words):
        yield f"'{word}'" if position and " " in word else word


def _mounts(engine: Engine, record: ContainerRecord) -> list[dict[str, object]]:
    mounts: list[dict[str, object]] = [
        {"Type": "volume", "Name": name, "Source": "", "Destination": target, "Driver": "local", "Mode": "", "RW": True}
        for name, target in engine.containers.volumes_of(record.id)
    ]
    for mount in json.loads(record.options).get("mounts", ()):
        if mount["kind"] == "bind":
            rw = not mount.get("read_only", False)
            mounts.append(
                {"Type": "bind", "Source": mount["source"], "Destination": mount["target"], "Mode": "", "RW": rw}
            )
    return mounts


def _ports(published: tuple[tuple[str, str], ...], exposed: list[str]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for inside, outside in published:
        number, _, protocol = inside.partition("/")
        address, _, port = outside.rpartition(":")
        rows.append({"IP": address, "PrivatePort": int(number), "PublicPort": int(port), "Type": protocol or "tcp"})
    known = {inside for inside, _ in published}
    for text in exposed:
        number, _, protocol = text.partition("/")
        if f"{number}/{protocol or 'tcp'}" not in known and number.isdigit():
            rows.append({"PrivatePort": int(number), "Type": protocol or "tcp"})
    return rows


async def inspect(exchange: Exchange) -> web.Response:
    engine, text, with_size = exchange.api.engine, exchange.parts["id"], exchange.flag("size")

    def work() -> dict[str, object]:
        value = inspect_container(engine, text)
        if with_size:
            value["SizeRw"] = value["SizeRootFs"] = size_of_files(engine.store, str(value["Id"]))
        return value

    value = await exchange.api.threads.quick(work)
    value["ExecIDs"] = exchange.api.execs.running_in(str(value["Id"])) or None
    return answer(value)


async def top(exchange: Exchange) -> web.Response:
    """The processes; the last column is all that follows in its line."""
    record = await find(exchange)
    words = exchange.text("ps_args").split()
    heading, *lines = await exchange.api.threads.slow(list_processes, record, words)
    titles = heading.split()
    return answer({"Titles": titles, "Processes": [line.split(None, len(titles) - 1) for line in lines]})


async def find(exchange: Exchange) -> ContainerRecord:
    """The container of the path. Raises NoSuchContainer."""
    return await exchange.api.threads.quick(exchange.api.engine.find, exchange.parts["id"])


async def start(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    return nothing(204 if await exchange.api.lives.start(record) else 304)


async def stop(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    return nothing(204 if await _stop(exchange, record) else 304)


async def restart(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    await _stop(exchange, record)
    await exchange.api.lives.start(record)
    exchange.api.events.tell_of(record, "restart")
    return nothing()


async def _stop(exchange: Exchange, record: ContainerRecord) -> bool:
    text = exchange.text("t")
    timeout = float(whole_number(text, "t")) if text else None
    engine = exchange.api.engine
    done = await exchange.api.threads.slow(engine.stop, record.id, timeout=timeout, signal=exchange.text("signal"))
    if done:
        exchange.api.events.tell_of(record, "stop")
        await exchange.api.lives.notify()
    return done


async def kill(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    signal = exchange.text("signal") or "KILL"
    await exchange.api.threads.slow(exchange.api.engine.kill, record.id, signal=signal)
    exchange.api.events.tell_of(record, "kill", {"signal": signal})
    return nothing()


async def pause(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    await exchange.api.threads.slow(pausing.pause, exchange.api.engine, record.id)
    exchange.api.events.tell_of(record, "pause")
    return nothing()


async def unpause(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    await exchange.api.threads.slow(pausing.unpause, exchange.api.engine, record.id)
    exchange.api.events.tell_of(record, "unpause")
    return nothing()


async def update(exchange: Exchange) -> web.Response:
    """Limits and the restart policy."""
    body = await exchange.body()
    record = await find(exchange)
    asked = changes_of(body)
    if asked != Changes():
        await exchange.api.threads.slow(updating.update, exchange.api.engine, record.id, asked)
    exchange.api.events.tell_of(record, "update")
    return answer({"Warnings": None})


async def diff(exchange: Exchange) -> web.Response:
    """What was changed of the image's files: 0 changed, 1 added, 2 deleted."""
    record = await find(exchange)
    found = await exchange.api.threads.slow(changes, exchange.api.engine, record.id)
    kinds = {CHANGED: 0, ADDED: 1, DELETED: 2}
    return answer([{"Path": change.path, "Kind": kinds[change.kind]} for change in found] or None)


async def remove(exchange: Exchange) -> web.Response:
    if exchange.flag("link"):
        raise InvalidInput("links between containers are not there")
    record = await find(exchange)
    force, volumes = exchange.flag("force"), exchange.flag("v")
    try:
        await exchange.api.threads.slow(exchange.api.engine.remove, record.id, force=force, volumes=volumes)
    except lifecycle.WrongState as error:
        if record.state not in lifecycle.HAS_MONITOR:
            raise
        raise Conflict(
            f"You cannot remove a {record.state} container {record.id}. "
            "Stop the container before attempting removal or force remove"
        ) from error
    exchange.api.events.tell_of(record, "destroy")
    await exchange.api.lives.notify()
    return nothing()


async def rename(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    name = exchange.text("name").removeprefix("/")
    if not name:
        raise InvalidInput("Neither old nor new names may be empty")
    await exchange.api.threads.quick(exchange.api.engine.rename, record.id, name)
    more = {"name": name, "oldName": f"/{record.name}"}
    exchange.api.events.tell_of(record, "rename", more)
    return nothing()


async def wait(exchange: Exchange) -> web.StreamResponse:
    """The head of the answer goes at once: a client starts the container only when it knows that we wait."""
    condition = exchange.text("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise InvalidInput(f'invalid condition: "{condition}"')
    record = await find(exchange)
    response = await exchange.begin("application/json")
    send_head(response)
    code = await exchange.api.lives.exit_code(record, condition)
    await response.write(json.dumps({"StatusCode": code}).encode() + b"\n")
    await response.write_eof()
    return response


async def prune(exchange: Exchange) -> web.Response:
    """Those that do not run and match the filters; their volumes stay."""
    wanted = filters(exchange.text("filters"))
    if set(wanted) - {"label", "label!"}:
        raise InvalidInput("prune takes the filters label and label!", remedy="until is not there yet.")
    engine = exchange.api.engine

    def work() -> Plan:
        chosen = [one for one in pruning.ended(engine) if matches_labels(dict(one.parsed_process().labels), wanted)]
        return pruning.remove(engine, pruning.of_containers(engine, chosen)).removed

    done = await exchange.api.threads.slow(work)
    return answer({"ContainersDeleted": [one.target for one in done.removals], "SpaceReclaimed": done.size})
