"""What containers use, once or every second (Docker Engine API, ContainerStats)."""

from __future__ import annotations

import asyncio
import json
import time

from aiohttp import web

from estiba.docker_api.exchange import Exchange, answer
from estiba.docker_api.handlers.containers import find
from estiba.engine.statistics import Usage, measure
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.records import ContainerRecord

_PAUSE = 1.0
_NEVER = "0001-01-01T00:00:00Z"


async def stats(exchange: Exchange) -> web.StreamResponse:
    """`stream=false` waits for a second look, so that there is a share of the processor, unless `one-shot` is true."""
    record = await find(exchange)
    usage = await exchange.api.threads.quick(measure, record)
    if not exchange.flag("stream", default=True):
        before = None
        if usage is not None and not exchange.flag("one-shot"):
            await asyncio.sleep(_PAUSE)
            before, usage = usage, await exchange.api.threads.quick(measure, record)
        return answer(described(record, before, usage))
    response = await exchange.begin("application/json")
    before = None
    while True:
        await response.write(json.dumps(described(record, before, usage)).encode() + b"\n")
        await asyncio.sleep(_PAUSE)
        current = await exchange.api.threads.quick(exchange.api.engine.containers.get, record.id)
        if current is None:
            break
        record = current
        before, usage = usage, await exchange.api.threads.quick(measure, record)
    await response.write_eof()
    return response


def described(record: ContainerRecord, before: Usage | None, now: Usage | None) -> dict[str, object]:
    """The numbers in Docker's shape; empty ones for a container that does not run."""
    value: dict[str, object] = {"name": f"/{record.name}", "id": record.id, "num_procs": 0, "storage_stats": {}}
    value["read"] = _time(now)
    value["preread"] = _time(before)
    value["precpu_stats"] = _processor(before)
    value["cpu_stats"] = _processor(now)
    if now is None:
        return value | {"memory_stats": {}, "pids_stats": {}, "blkio_stats": {}}
    memory = now.group.get("memory", {})
    pids = now.group.get("pids", {})
    return value | {
        "pids_stats": {name: pids[name] for name in ("current", "limit") if name in pids},
        "memory_stats": {
            "usage": memory.get("usage", {}).get("usage", 0),
            "max_usage": memory.get("usage", {}).get("max", 0),
            "stats": memory.get("raw", {}),
            "failcnt": memory.get("usage", {}).get("failcnt", 0),
            "limit": now.memory_limit,
        },
        "blkio_stats": {
            "io_service_bytes_recursive": now.group.get("blkio", {}).get("ioServiceBytesRecursive", []),
            "io_serviced_recursive": now.group.get("blkio", {}).get("ioServicedRecursive", []),
        },
        "networks": {name: interface._asdict() for name, interface in now.interfaces.items()},
    }


def _processor(usage: Usage | None) -> dict[str, object]:
    if usage is None:
        empty = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
        return {"cpu_usage": empty, "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}}
    cpu = usage.group.get("cpu", {})
    used, throttled = cpu.get("usage", {}), cpu.get("throttling", {})
    return {
        "cpu_usage": {
            "total_usage": usage.processor_time,
            "usage_in_kernelmode": used.get("kernel", 0),
            "usage_in_usermode": used.get("user", 0),
            **({"percpu_usage": used["percpu"]} if used.get("percpu") else {}),
        },
        "system_cpu_usage": usage.machine,
        "online_cpus": usage.processors,
        "throttling_data": {
            "periods": throttled.get("periods", 0),
            "throttled_periods": throttled.get("throttledPeriods", 0),
            "throttled_time": throttled.get("throttledTime", 0),
        },
    }


def _time(usage: Usage | None) -> str:
    if usage is None:
        return _NEVER
    whole = int(usage.taken)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((usage.taken - whole) * 1e9):09d}Z"
