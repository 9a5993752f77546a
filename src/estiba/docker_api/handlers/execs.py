"""Further processes in containers."""

from __future__ import annotations

from aiohttp import web

from estiba.docker_api import multiplex
from estiba.docker_api.exchange import Exchange, answer, nothing
from estiba.docker_api.execs import Plan
from estiba.docker_api.handlers.containers import find
from estiba.docker_api.handlers.streams import size_of
from estiba.engine import lifecycle
from estiba.engine.exec import ExecOptions
from estiba.engine.terminal import DETACH, parse_detach_keys
from estiba.errors import InvalidInput


async def create(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    body = await exchange.body()
    words = body.get("Cmd") or []
    words = [words] if isinstance(words, str) else words
    if not words or not all(isinstance(word, str) for word in words):
        raise InvalidInput("No exec command specified")
    lifecycle.must_act("exec", record.state, name=record.name)
    tty = bool(body.get("Tty"))
    keys = parse_detach_keys(body["DetachKeys"]) if body.get("DetachKeys") else DETACH
    options = ExecOptions(
        args=tuple(words),
        env=tuple(str(entry) for entry in body.get("Env") or () if "=" in str(entry)),
        user=str(body.get("User") or ""),
        working_dir=str(body.get("WorkingDir") or ""),
        tty=tty,
        interactive=bool(body.get("AttachStdin")),
        privileged=bool(body.get("Privileged")),
    )
    plan = Plan(
        options,
        stdout=bool(body.get("AttachStdout")),
        stderr=bool(body.get("AttachStderr")),
        detach_keys=keys if tty else b"",
    )
    made = exchange.api.execs.make(record.id, plan)
    made.size = _console_size(body)
    exchange.api.execs.tell("exec_create: " + " ".join(words), made, record)
    return answer({"Id": made.id}, status=201)


async def start(exchange: Exchange) -> web.StreamResponse:
    asked = exchange.api.execs.get(exchange.parts["id"])
    body = await exchange.body()
    record = await exchange.api.threads.quick(exchange.api.engine.find, asked.container_id)
    lifecycle.must_act("exec", record.state, name=record.name)
    exchange.api.execs.claim(asked)
    asked.size = _console_size(body) or asked.size
    asked.is_raw = bool(body.get("Tty"))
    exchange.api.execs.tell("exec_start: " + " ".join(asked.plan.options.args), asked, record)
    if body.get("Detach"):
        await exchange.api.execs.detached(asked, record)
        return nothing(200)
    kind = multiplex.content_type(tty=asked.is_raw, version=exchange.version)
    stream = exchange.take_over(kind)
    try:
        await exchange.api.execs.attached(asked, record, stream)
    finally:
        await stream.close()
    return web.Response()


async def inspect(exchange: Exchange) -> web.Response:
    return answer(exchange.api.execs.get(exchange.parts["id"]).to_json())


async def resize(exchange: Exchange) -> web.Response:
    exchange.api.execs.get(exchange.parts["id"]).resize(*size_of(exchange))
    return nothing(200)


def _console_size(body: dict[str, object]) -> tuple[int, int] | None:
    match body.get("ConsoleSize"):
        case [int(rows), int(columns)] if rows and columns:
            return rows, columns
    return None
