"""What a registry has, for the command asks the daemon: search (ImageSearch), and one name (DistributionInspect)."""

from __future__ import annotations

from aiohttp import web

from estiba.docker_api.arguments import filters, is_true, one_login, whole_number
from estiba.docker_api.exchange import Exchange, answer
from estiba.errors import InvalidInput
from estiba.oci.reference import Reference
from estiba.registry.client.search import found, parse_search

_MOST = 100
_USUAL = "25"


async def search(exchange: Exchange) -> web.Response:
    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - {"is-official", "is-automated", "stars"}:
        raise InvalidInput(f"invalid filter '{min(unknown)}'")
    most = whole_number(exchange.text("limit") or _USUAL, "limit")
    if not 0 < most <= _MOST:
        raise InvalidInput(f"invalid value {most} for limit: it is between 1 and {_MOST}")
    asked = parse_search(exchange.text("term"))
    credentials = one_login(exchange.request.headers.get("X-Registry-Auth", ""))
    transfers = exchange.api.backends.transfers
    names = await exchange.api.threads.slow(lambda: transfers.repositories(asked.registry, credentials=credentials))
    # A catalog knows names alone: nobody has given a star, and nothing is official.
    about = {"description": "", "star_count": 0, "is_official": False, "is_automated": False}
    is_wanted = not any(is_true(value) for values in wanted.values() for value in values)
    return answer([{"name": name} | about for name in found(asked, names, most=most)] if is_wanted else [])


async def describe(exchange: Exchange) -> web.Response:
    reference = Reference.parse(exchange.parts["name"])
    credentials = one_login(exchange.request.headers.get("X-Registry-Auth", ""))
    transfers = exchange.api.backends.transfers
    found, platforms = await exchange.api.threads.slow(lambda: transfers.describe(reference, credentials=credentials))
    return answer({"Descriptor": found.to_json(), "Platforms": [one.to_json() for one in platforms]})
