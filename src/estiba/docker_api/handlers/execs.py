"""Further processes in containers."""

from __future__ import annotations

from aiohttp import web

from estiba.docker_api import multiplex
from estiba.docker_api.exchange import Exchange, answer, nothing
from estiba.docker_api.execs import Plan
from estiba.docker_api.fields import Fields, flag_of, list_of, text_of, words_of
from estiba.docker_api.handlers.containers import find
from estiba.docker_api.handlers.streams import LONGEST_SIDE, size_of
from estiba.engine import lifecycle
from estiba.engine.exec import ExecOptions
from estiba.engine.terminal import DETACH, parse_detach_keys
from estiba.errors import InvalidInput


async def create(exchange: Exchange) -> web.Response:
    record = await find(exchange)
    body = await exchange.body()
    plan, size = plan_of(body), _console_size(body)
    lifecycle.must_act("exec", record.state, name=record.name)
    made = exchange.api.execs.make(record.id, plan)
    made.size = size
    exchange.api.execs.tell("exec_create: " + " ".join(plan.options.args), made, record)
    return answer({"Id": made.id}, status=201)


def plan_of(body: Fields) -> Plan:
    """The body of "Create an exec instance". Raises InvalidInput."""
    tty, keys = flag_of(body, "Tty"), text_of(body, "DetachKeys")
    options = ExecOptions(
        args=words_of(body, "Cmd"),
        env=tuple(entry for entry in list_of(body, "Env") if "=" in entry),
        user=text_of(body, "User"),
        working_dir=text_of(body, "WorkingDir"),
        tty=tty,
        interactive=flag_of(body, "AttachStdin"),
        privileged=flag_of(body, "Privileged"),
    )
    if not options.args or not options.args[0]:
        raise InvalidInput("No exec command specified")
    return Plan(
        options,
        stdout=flag_of(body, "AttachStdout"),
        stderr=flag_of(body, "AttachStderr"),
        detach_keys=(parse_detach_keys(keys) if keys else DETACH) if tty else b"",
    )


async def start(exchange: Exchange) -> web.StreamResponse:
    asked = exchange.api.execs.get(exchange.parts["id"])
    body = await exchange.body()
    record = await exchange.api.threads.quick(exchange.api.engine.find, asked.container_id)
    lifecycle.must_act("exec", record.state, name=record.name)
    size, detaches = _console_size(body), flag_of(body, "Detach")
    exchange.api.execs.claim(asked)
    asked.size = size or asked.size
    asked.is_raw = bool(body.get("Tty"))
    exchange.api.execs.tell("exec_start: " + " ".join(asked.plan.options.args), asked, record)
    if detaches:
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


def _console_size(body: Fields) -> tuple[int, int] | None:
    """Rows and columns, None where they are not told. Raises InvalidInput."""
    match body.get("ConsoleSize"):
        case None:
            return None
        case [int(rows), int(columns)] if 0 <= rows <= LONGEST_SIDE and 0 <= columns <= LONGEST_SIDE:
            return (rows, columns) if rows and columns else None
    raise InvalidInput("ConsoleSize is no pair of numbers")
