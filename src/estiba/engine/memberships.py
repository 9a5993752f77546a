"""A container joins and leaves networks, while it runs (its monitor does it then) or not."""

from __future__ import annotations

from estiba.engine import frames, lifecycle
from estiba.engine.locks import wait_for_lock
from estiba.errors import Conflict, InvalidInput, NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.engine.engine import Engine
    from estiba.engine.options import ContainerOptions, Membership
    from estiba.engine.records import ContainerRecord


def connect(engine: Engine, text: str, membership: Membership) -> None:
    """Put the container `text` into a network, in which it stays over restarts.

    Raises:
        NoSuchContainer. NotFound: no such network. Conflict: it is in that network, or in none that can be joined to
        another. InvalidInput: an address that the network has not.
    """
    record = engine.find(text)
    found = engine.networks_at(record.run or engine.run).inspect(membership.network)
    membership = membership._replace(network=found.name)
    if found.driver != "bridge":
        remedy = f"Create it anew with --network {found.name}."
        raise Conflict(f"a container cannot be connected to the network {found.name} later", remedy=remedy)
    _check_address(membership)
    if record.state in lifecycle.HAS_MONITOR:
        _tell(engine, record, frames.CONNECT, membership._asdict())
        return
    _change(engine, record, lambda options: options.joined(membership))


def disconnect(engine: Engine, text: str, network: str) -> None:
    """Take the container `text` out of a network.

    Raises:
        NoSuchContainer. NotFound: no such network. Conflict: it is not in that network.
    """
    record = engine.find(text)
    try:
        network = engine.networks_at(record.run or engine.run).inspect(network).name
    except NotFound:
        if network not in [one.network for one in record.parsed_options().memberships()]:
            raise  # else it was removed while the container was stopped
    if record.state in lifecycle.HAS_MONITOR:
        _tell(engine, record, frames.DISCONNECT, network)
        return
    _change(engine, record, lambda options: options.left(network))


def _check_address(membership: Membership) -> None:
    if membership.address and membership.network == "bridge":
        raise InvalidInput(
            "addresses of the network bridge are not chosen",
            remedy="Make a network of your own: estiba network create --subnet 10.200.0.0/24 NAME",
        )


def _tell(engine: Engine, record: ContainerRecord, kind: int, content: object) -> None:
    with engine.connect(record) as connection:
        connection.send(kind, content)
        answer = connection.receive()
    if answer.kind == frames.REFUSED:
        facts = answer.json()
        raise Conflict(facts["message"], remedy=facts["remedy"])


def _change(engine: Engine, record: ContainerRecord, change: Callable[[ContainerOptions], ContainerOptions]) -> None:
    with wait_for_lock(engine.paths(record.id).lock):
        current = engine.containers.find(record.id)
        if current.state in lifecycle.HAS_MONITOR:
            raise Conflict(f"container {record.name} has just been started", remedy="Do it again.")
        engine.containers.change_options(record.id, change)
