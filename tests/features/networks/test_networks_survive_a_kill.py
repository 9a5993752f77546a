"""Processes die and work at once; the networks stay right, and nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from estiba.networks.networks import NetworkInUse, Networks
from estiba.networks.ports import parse_port
from waiting import wait_until

pytestmark = pytest.mark.root

_WORKER = """
import json, sys
from estiba.networks.networks import Networks
from estiba.networks.ports import parse_port
root, run, prefix, count, ports = sys.argv[1:]
networks = Networks(root=root, run=run)
held, given = [], []
for number in range(int(count)):
    held.append(networks.new_namespace())
    mappings = [mapping for text in ports.split() for mapping in parse_port(text)]
    endpoint = networks.attach(held[-1], key=f"{prefix}{number}", ports=mappings)
    given.append([endpoint.address, *(port.host_port for port in endpoint.ports)])
print(json.dumps(given), flush=True)
sys.stdin.read()
"""


def start(tmp_path, prefix: str, *, count: int, ports: str = "") -> subprocess.Popen[str]:
    """A process that attaches `count` containers, tells what they got, and waits for the end of its input."""
    places = [str(tmp_path / "root"), str(tmp_path / "run")]
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, *places, prefix, str(count), ports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    with process:
        assert process.stdin is not None
        process.stdin.close()


def read(process: subprocess.Popen[str]) -> list[list[object]]:
    assert process.stdout is not None
    given: list[list[object]] = json.loads(process.stdout.readline())
    return given


def test_processes_that_attach_at_once_get_different_addresses_and_ports(world, networks, tmp_path) -> None:
    workers = [start(tmp_path, f"w{number}-", count=5, ports="80 0.0.0.0::81") for number in range(6)]
    given = [entry for worker in workers for entry in read(worker)]
    try:
        assert len({entry[0] for entry in given}) == 30
        assert len({port for entry in given for port in entry[1:]}) == 60
        assert len(networks.endpoints("bridge")) == 30
        assert world.run(world.host, "ip", "-br", "link").count("\nve") == 30
        with pytest.raises(NetworkInUse):
            networks.teardown()
    finally:
        for worker in workers:
            finish(worker)


def test_what_a_killed_process_had_is_given_back(world, networks, tmp_path) -> None:
    worker = start(tmp_path, "box", count=2, ports="0.0.0.0::80 80/udp")
    ports = [port for entry in read(worker) for port in entry[1:]]
    worker.send_signal(signal.SIGKILL)
    with worker:
        pass
    assert networks.reconcile(["box1"]) == ("box0",), "a container may outlive who attached it"
    assert networks.reconcile([]) == ("box1",)
    assert networks.reconcile([]) == ()
    box = world.container(networks)
    networks.attach(box, key="next", ports=parse_port(f"0.0.0.0:{ports[0]}:80"))
    world.serve(box, 80, says="next ")
    assert world.ask(world.peer, "198.51.100.1", ports[0]) == "next 198.51.100.2"


def test_a_killed_process_does_not_keep_its_ports_from_the_next(world, networks, tmp_path) -> None:
    """Without reconcile: the address and the ports of the dead are taken over where they are needed."""
    worker = start(tmp_path, "box", count=1, ports="0.0.0.0:8080:80")
    read(worker)
    worker.send_signal(signal.SIGKILL)
    with worker:
        pass
    wait_until(lambda: "\nve" not in world.run(world.host, "ip", "-br", "link"), "the links go")
    endpoint = networks.attach(world.container(networks), key="next", ports=parse_port("8080:80"))
    assert networks.endpoints("bridge") == {"next": endpoint}


def test_rules_that_somebody_flushed_come_back_with_the_next_container(world, networks) -> None:
    box = world.container(networks)
    networks.attach(box, key="web", ports=parse_port("8080:80"))
    world.serve(box, 80, says="web ")
    world.run(world.host, "nft", "flush", "ruleset")
    assert world.is_silent(world.host, "127.0.0.1", 8080)
    networks.attach(world.container(networks), key="other")
    assert world.ask(world.host, "127.0.0.1", 8080) == "web 10.87.0.1"


def test_a_bridge_that_somebody_removed_comes_back(world, networks) -> None:
    networks.attach(world.container(networks), key="first")
    world.run(world.host, "ip", "link", "del", networks.inspect("bridge").device)
    box = world.container(networks)
    networks.attach(box, key="second")
    world.serve(world.peer, 7)
    assert world.ask(box, "198.51.100.2", 7) == "198.51.100.1"


def _links(world) -> list[str]:
    return [line.split()[0] for line in world.run(world.host, "ip", "-br", "link").splitlines()]


def test_teardown_leaves_nothing_in_the_kernel_and_the_definitions(world, networks, tmp_path) -> None:
    before = _links(world)
    networks.create("blue")
    for network in ("bridge", "blue"):
        networks.attach(world.container(networks), key=network, network=network, ports=parse_port("80"))
    for key in ("bridge", "blue", "blue"):
        networks.detach(key)
    networks.teardown()
    networks.teardown()
    assert world.run(world.host, "nft", "list", "ruleset") == ""
    assert _links(world) == before
    again = Networks(root=str(tmp_path / "root"), run=str(tmp_path / "run"))
    assert [record.name for record in again.list()] == ["bridge", "host", "none", "blue"]


def test_a_failed_attachment_leaves_nothing(world, networks) -> None:
    networks.attach(world.container(networks), key="first")
    other = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(Exception, match="could not be set up"):
            networks.attach(other, key="box", ports=parse_port("8080:80"))
    finally:
        os.close(other)
    assert set(networks.endpoints("bridge")) == {"first"}
    networks.attach(world.container(networks), key="box", ports=parse_port("8080:80"))


def test_what_is_left_of_an_installation_whose_directory_is_gone_is_swept_away(world, tmp_path) -> None:
    before = _links(world)
    places = [(str(tmp_path / f"root{number}"), str(tmp_path / f"run{number}")) for number in range(3)]
    first, second, third = (Networks(root=root, run=run) for root, run in places)
    first.attach(world.container(first), key="box")
    first.detach("box")
    second.attach(world.container(second), key="box")
    for _, run in places[:2]:
        shutil.rmtree(run)
    third.attach(world.container(third), key="box")
    third.detach("box")
    assert len(world.run(world.host, "nft", "list", "tables").splitlines()) == 2, "the second still has a container"
    second.detach("box")
    second.teardown()
    third.teardown()
    assert _links(world)[: len(before)] == before
