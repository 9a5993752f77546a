"""Published ports lead into the container, from this machine alone unless asked."""

from __future__ import annotations

import socket
import urllib.request

import pytest

pytestmark = pytest.mark.without_root_too

SERVER = ("httpd", "-f", "-p", "80", "-h", "/etc")


def fetch(host, address: str) -> str:
    """The page at `address`, as soon as the server answers."""
    found: list[str] = []

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/passwd", timeout=2) as answer:
                found.append(answer.read().decode())
        except OSError:
            return False
        return True

    host.wait_until(answers, f"{address} answers")
    return found[0]


@pytest.fixture
def port() -> str:
    """One that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_port_of_this_machine_leads_into_the_container(busybox_host, port):
    busybox_host.estiba("run", "-d", "--name", "one", "-p", f"{port}:80", "busybox", *SERVER)
    assert fetch(busybox_host, f"127.0.0.1:{port}").startswith("root:")
    assert busybox_host.estiba("port", "one").stdout == f"80/tcp -> 127.0.0.1:{port}\n"
    assert busybox_host.inspect("one")["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]
    }


def test_any_free_port_is_found_and_told(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "-p", "80", "busybox", *SERVER)
    address = busybox_host.estiba("port", "one", "80").stdout.strip()
    assert fetch(busybox_host, address).startswith("root:")


def test_exposed_ports_can_all_be_published(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "-P", "--expose", "80", "busybox", *SERVER)
    address = busybox_host.estiba("port", "one", "80").stdout.strip()
    assert fetch(busybox_host, address).startswith("root:")


def test_a_taken_port_is_named_and_nothing_is_left(busybox_host, port):
    busybox_host.estiba("run", "-d", "--name", "one", "-p", f"{port}:80", "busybox", *SERVER)
    second = busybox_host.estiba("run", "-d", "--name", "two", "-p", f"{port}:80", "busybox", *SERVER, check=False)
    assert second.returncode == 125
    assert port in second.stderr
    assert busybox_host.state("two") == "created"
    busybox_host.estiba("rm", "-f", "one")
    busybox_host.estiba("start", "two")
    assert fetch(busybox_host, f"127.0.0.1:{port}").startswith("root:")


def test_a_port_is_free_again_after_a_stop(busybox_host, port):
    busybox_host.estiba("run", "-d", "--name", "one", "-p", f"{port}:80", "busybox", *SERVER)
    busybox_host.estiba("stop", "-t", "0", "one")
    busybox_host.estiba("run", "-d", "--name", "two", "-p", f"{port}:80", "busybox", *SERVER)
    assert fetch(busybox_host, f"127.0.0.1:{port}").startswith("root:")


@pytest.mark.root("a bridge")
def test_containers_of_one_network_reach_each_other(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", *SERVER)
    address = busybox_host.inspect("one")["NetworkSettings"]["IPAddress"]

    def answers() -> bool:
        done = busybox_host.estiba("run", "--rm", "busybox", "wget", "-qO-", f"http://{address}/passwd", check=False)
        return done.stdout.startswith("root:")

    busybox_host.wait_until(answers, "the other container's page")


def test_without_a_network_there_is_only_the_loopback(busybox_host):
    done = busybox_host.estiba("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net")
    assert done.stdout.split() == ["lo"]


def test_the_hosts_network_and_another_containers_can_be_shared(busybox_host, port):
    busybox_host.estiba("run", "-d", "--name", "one", "-p", f"{port}:80", "busybox", *SERVER)
    fetch(busybox_host, f"127.0.0.1:{port}")
    for network, page in (("host", f"http://127.0.0.1:{port}/passwd"), ("container:one", "http://127.0.0.1/passwd")):
        done = busybox_host.estiba("run", "--rm", "--network", network, "busybox", "wget", "-qO-", page)
        assert done.stdout.startswith("root:")


def test_names_of_hosts_and_name_servers_are_as_asked(busybox_host):
    script = "cat /etc/hosts /etc/resolv.conf"
    done = busybox_host.estiba(
        *(
            "run",
            "--rm",
            "--add-host",
            "ship:192.0.2.7",
            "--dns",
            "192.0.2.53",
            "-h",
            "own",
            "busybox",
            "sh",
            "-c",
            script,
        )
    )
    assert "192.0.2.7\tship\n" in done.stdout
    assert "nameserver 192.0.2.53\n" in done.stdout
    assert "\town\n" in done.stdout
