"""The daemon and its machine: ping, version, info, events, space, logins; and what belongs to a swarm, which is not."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping

from aiohttp import web

from estiba.docker_api import versions
from estiba.docker_api.arguments import filters, login_of, moment
from estiba.docker_api.events import is_wanted
from estiba.docker_api.exchange import Exchange, answer, send_head
from estiba.docker_api.problems import NoSwarm
from estiba.engine import lifecycle
from estiba.errors import InvalidInput, NotFound, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine


async def ping(exchange: Exchange) -> web.Response:
    headers = {
        "Api-Version": str(versions.NEWEST),
        "Builder-Version": "1",
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Swarm": "inactive",
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
    }
    return web.Response(text="" if exchange.request.method == "HEAD" else "OK", headers=headers)


async def version(exchange: Exchange) -> web.Response:
    facts = exchange.api.backends.facts
    kernel = os.uname().release
    common = {"GitCommit": "", "GoVersion": "", "Os": "linux", "Arch": facts.platform.architecture}
    return answer(
        {
            "Platform": {"Name": "Estiba"},
            "Components": [
                {
                    "Name": "Engine",
                    "Version": facts.version,
                    "Details": {
                        **common,
                        "ApiVersion": str(versions.NEWEST),
                        "MinAPIVersion": str(versions.OLDEST),
                        "KernelVersion": kernel,
                        "Experimental": "false",
                        "BuildTime": "",
                    },
                }
            ],
            "Version": facts.version,
            "ApiVersion": str(versions.NEWEST),
            "MinAPIVersion": str(versions.OLDEST),
            **common,
            "KernelVersion": kernel,
            "BuildTime": "",
        }
    )


async def info(exchange: Exchange) -> web.Response:
    api = exchange.api

    def work() -> dict[str, object]:
        states = [record.state for record in api.engine.all()]
        return {
            "Containers": len(states),
            "ContainersRunning": states.count(lifecycle.RUNNING),
            "ContainersPaused": states.count(lifecycle.PAUSED),
            "ContainersStopped": len(states) - states.count(lifecycle.RUNNING) - states.count(lifecycle.PAUSED),
            "Images": len(api.store.images.list()),
            "Driver": api.store.snapshots.kind,
        }

    counted = await api.threads.quick(work)
    return answer(counted | _machine(exchange))


# What is the same on every machine that we run on; clients ask for fields that mean nothing here, too.
_OF_EVERY_MACHINE: Mapping[str, object] = {
    "DriverStatus": [],
    "Plugins": {
        "Volume": ["local"],
        "Network": ["bridge", "host", "null"],
        "Authorization": None,
        "Log": ["json-file", "local", "none"],
    },
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsPeriod": True,
    "CpuCfsQuota": True,
    "CPUShares": True,
    "CPUSet": True,
    "PidsLimit": True,
    "IPv4Forwarding": True,
    "OomKillDisable": False,
    "Debug": False,
    "NGoroutines": 0,
    "NEventsListener": 0,
    "LoggingDriver": "json-file",
    "CgroupDriver": "cgroupfs",
    "OSVersion": "",
    "OSType": "linux",
    "IndexServerAddress": "https://index.docker.io/v1/",
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
        "IndexConfigs": {
            "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True},
        },
        "Mirrors": [],
    },
    "GenericResources": None,
    "HttpProxy": "",
    "HttpsProxy": "",
    "NoProxy": "",
    "Labels": [],
    "ExperimentalBuild": False,
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
    "LiveRestoreEnabled": True,
    "Isolation": "",
    "InitBinary": "",
    "ContainerdCommit": {"ID": ""},
    "RuncCommit": {"ID": ""},
    "InitCommit": {"ID": ""},
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "Warnings": [],
}


def _machine(exchange: Exchange) -> dict[str, object]:
    api, facts = exchange.api, exchange.api.backends.facts
    uname = os.uname()
    return {
        **_OF_EVERY_MACHINE,
        "ID": api.engine.boot,
        "NFd": len(os.listdir("/proc/self/fd")),
        "SystemTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "CgroupVersion": "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1",
        "KernelVersion": uname.release,
        "OperatingSystem": _operating_system(),
        "Architecture": uname.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "DockerRootDir": api.store.paths.root,
        "Name": uname.nodename,
        "ServerVersion": facts.version,
        "Runtimes": {facts.runtime: {"path": facts.runtime}},
        "DefaultRuntime": facts.runtime,
    }


def _operating_system() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            lines = dict(line.strip().partition("=")[::2] for line in file if "=" in line)
    except OSError:
        return "Linux"
    return lines.get("PRETTY_NAME", "Linux").strip('"')


async def events(exchange: Exchange) -> web.StreamResponse:
    since, until = moment(exchange.text("since")), moment(exchange.text("until"))
    wanted = filters(exchange.text("filters"))
    known = exchange.api.events
    response = await exchange.begin("application/json")
    listener = known.listen()
    try:
        send_head(response)
        past = known.since(since[0] * 10**9 + since[1]) if since is not None else []
        end = until[0] * 10**9 + until[1] if until is not None else None
        for event in past:
            if is_wanted(event, wanted) and (end is None or event.nanoseconds <= end):
                await response.write(json.dumps(event.to_json()).encode() + b"\n")
        while True:
            remaining = None if end is None else (end - time.time_ns()) / 1e9
            if remaining is not None and remaining <= 0:
                break
            try:
                async with asyncio.timeout(remaining):
                    coming = await listener.next()
            except TimeoutError:
                break
            if coming is None:
                break
            if is_wanted(coming, wanted):
                await response.write(json.dumps(coming.to_json()).encode() + b"\n")
    finally:
        known.leave(listener)
    await response.write_eof()
    return response


async def space(exchange: Exchange) -> web.Response:
    """`docker system df`."""
    from estiba.docker_api.handlers import images, volumes
    from estiba.store.usage import measure

    api = exchange.api

    def work() -> dict[str, object]:
        usage = measure(api.store)
        shared = {detail.record.id: detail for detail in usage.details}
        rows = images.rows(api.store, {})
        for row in rows:
            detail = next((one for key, one in shared.items() if str(key) == row["Id"]), None)
            if detail is not None:
                row["SharedSize"], row["Containers"] = detail.shared, detail.containers
        found = [volumes.described(volume) for volume in api.engine.volumes.all()]
        for volume in found:
            volume["UsageData"] = {"Size": -1, "RefCount": len(api.engine.volumes.users(str(volume["Name"])))}
        containers = [_size_of(api.engine, record.id) for record in api.engine.all()]
        cache = usage.build_cache
        return {
            "LayersSize": usage.images.size,
            "Images": rows,
            "Containers": containers,
            "Volumes": found,
            "BuildCache": [
                {
                    "ID": "estiba",
                    "Type": "regular",
                    "Description": "the build cache",
                    "InUse": False,
                    "Shared": False,
                    "Size": cache.size,
                    "CreatedAt": "1980-01-01T00:00:00Z",
                    "LastUsedAt": None,
                    "UsageCount": cache.total,
                }
            ]
            if cache.size
            else [],
        }

    return answer(await api.threads.slow(work))


def _size_of(engine: Engine, container_id: str) -> dict[str, object]:
    from estiba.engine.removal import snapshot_key
    from estiba.engine.status import shown_state, status

    record = engine.find(container_id)
    return {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "Image": record.image,
        "ImageID": record.image_id,
        "Command": " ".join(record.parsed_process().args),
        "Created": int(record.created),
        "State": shown_state(record),
        "Status": status(record, now=time.time()),
        "SizeRw": engine.store.snapshots.usage(snapshot_key(record.id)).size,
        "Mounts": [],
    }


async def check_login(exchange: Exchange) -> web.Response:
    from estiba.registry.client.login import registry_named

    body = await exchange.body()
    login = login_of(body)
    if login is None:
        raise InvalidInput("no username and password were given")
    registry = registry_named(str(body.get("serveraddress") or ""))
    await exchange.api.threads.slow(exchange.api.backends.transfers.check, registry, login)
    return answer({"Status": "Login Succeeded", "IdentityToken": ""})


async def plugins(exchange: Exchange) -> web.Response:
    return answer([])


async def no_plugin(exchange: Exchange) -> web.Response:
    raise NotFound(f"plugin {exchange.parts['rest'].partition('/')[0]!r} not found")


async def no_swarm(exchange: Exchange) -> web.Response:
    raise NoSwarm


async def missing(exchange: Exchange) -> web.Response:
    path = exchange.request.path
    raise NotThereYet(
        f"{exchange.request.method} {path} is not there yet", remedy="docs/docker-api.md tells what works."
    )
