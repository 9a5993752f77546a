"""Networks."""

from __future__ import annotations

from aiohttp import web

from estiba.docker_api.arguments import filters, is_true
from estiba.docker_api.container_options import membership_of
from estiba.docker_api.exchange import Exchange, answer, nothing
from estiba.docker_api.fields import Fields, flag_of, object_of, objects_of, pairs_of, text_of
from estiba.engine import memberships
from estiba.engine.inspect import inspect_network, network_summary
from estiba.errors import EstibaError, InvalidInput, NotThereYet
from estiba.oci.labels import matches_labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.networks.definitions import NetworkRecord

_KEYS = ("name", "id", "driver", "label", "type", "scope", "dangling")
_BUILT_IN = ("bridge", "host", "none")


async def index(exchange: Exchange) -> web.Response:
    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - set(_KEYS):
        raise InvalidInput(f"invalid filter '{min(unknown)}'")
    networks = exchange.api.networks

    def work() -> list[dict[str, object]]:
        records = [record for record in networks.list() if _is_wanted(record, wanted)]
        if "dangling" in wanted:
            unused = {record.id for record in networks.unused() if record.name not in _BUILT_IN}
            records = [r for r in records if (r.id in unused) == is_true(wanted["dangling"][0])]
        return [_described(network_summary(record)) for record in records]

    return answer(await exchange.api.threads.quick(work))


def _is_wanted(record: NetworkRecord, wanted: dict[str, list[str]]) -> bool:
    facts = {
        "driver": record.driver,
        "type": "builtin" if record.name in _BUILT_IN else "custom",
        "scope": "local",
    }
    if any(fact not in wanted[key] for key, fact in facts.items() if key in wanted):
        return False
    if "name" in wanted and not any(text in record.name for text in wanted["name"]):
        return False
    if "id" in wanted and not any(record.id.startswith(text) for text in wanted["id"]):
        return False
    return matches_labels(record.labels, wanted)


def _described(value: dict[str, object]) -> dict[str, object]:
    """With the options that were asked for: docker-compose makes a network anew where it finds more."""
    return value | {"Options": {}}


async def inspect(exchange: Exchange) -> web.Response:
    api, name = exchange.api, exchange.parts["id"]
    return answer(await api.threads.quick(lambda: _described(inspect_network(api.engine, api.networks.inspect(name)))))


async def create(exchange: Exchange) -> web.Response:
    body = await exchange.body()
    name, internal = text_of(body, "Name"), flag_of(body, "Internal")
    if not name:
        raise InvalidInput("a network needs a name")
    if text_of(body, "Driver") not in ("", "bridge"):
        raise NotThereYet(f"networks of the driver {body['Driver']!r} are not there yet", remedy="Use bridge.")
    for key, words in (("EnableIPv6", "IPv6"), ("Ingress", "ingress networks"), ("ConfigOnly", "configurations")):
        if body.get(key):
            raise NotThereYet(f"{words} are not there yet")
    subnet = _subnet(body)
    labels = dict(pairs_of(body, "Labels"))
    record = await exchange.api.threads.slow(
        exchange.api.networks.create, name, subnet=subnet, internal=internal, labels=labels
    )
    exchange.api.events.tell("network", "create", record.id, {"name": name, "type": "bridge"})
    return answer({"Id": record.id, "Warning": ""}, status=201)


async def connect(exchange: Exchange) -> web.Response:
    api, name, body = exchange.api, exchange.parts["id"], await exchange.body()
    membership = membership_of(name, object_of(body, "EndpointConfig"))
    await api.threads.slow(memberships.connect, api.engine, text_of(body, "Container"), membership)
    await _tell(exchange, "connect", name, body)
    return nothing(200)


async def disconnect(exchange: Exchange) -> web.Response:
    api, name, body = exchange.api, exchange.parts["id"], await exchange.body()
    await api.threads.slow(memberships.disconnect, api.engine, text_of(body, "Container"), name)
    await _tell(exchange, "disconnect", name, body)
    return nothing(200)


async def _tell(exchange: Exchange, action: str, name: str, body: Fields) -> None:
    api = exchange.api
    record = await api.threads.quick(api.networks.inspect, name)
    container = await api.threads.quick(api.engine.find, text_of(body, "Container"))
    about = {"name": record.name, "type": record.driver, "container": container.id}
    api.events.tell("network", action, record.id, about)


def _subnet(body: Fields) -> str | None:
    pools = objects_of(object_of(body, "IPAM"), "Config")
    if len(pools) > 1:
        raise NotThereYet("several subnets in a network are not there yet", remedy="Give one.")
    for pool in pools:
        for key in ("IPRange", "AuxiliaryAddresses", "AuxAddress"):
            if pool.get(key):
                raise NotThereYet(f"IPAM.Config.{key} is not there yet")
        return text_of(pool, "Subnet") or None
    return None


async def remove(exchange: Exchange) -> web.Response:
    api, name = exchange.api, exchange.parts["id"]

    def work() -> NetworkRecord:
        record = api.networks.inspect(name)
        api.networks.remove(record.name)
        return record

    record = await api.threads.slow(work)
    api.events.tell("network", "destroy", record.id, {"name": record.name, "type": "bridge"})
    return nothing()


async def prune(exchange: Exchange) -> web.Response:
    """Those of users that no container is in."""
    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - {"label", "label!"}:
        raise NotThereYet(f"prune with the filter {min(unknown)} is not there yet")
    networks = exchange.api.networks

    def work() -> list[str]:
        removed = []
        for record in networks.unused():
            if record.created and _is_wanted(record, wanted):
                try:
                    networks.remove(record.name)
                except EstibaError:
                    continue  # somebody has just joined it
                removed.append(record.name)
        return removed

    return answer({"NetworksDeleted": await exchange.api.threads.slow(work)})
