"""Real containers: published ports, names, networks of their own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.root

SERVE = ("busybox", "sh", "-c", "mkdir -p /www && echo hello >/www/index.html && exec httpd -f -p 80 -h /www")


def _fetch(port: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.URLError as error:
        return str(error.reason)


def _port(host, name: str) -> str:
    return host.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]


def test_a_published_port_leads_into_the_container_also_after_a_restart(busybox_host) -> None:
    busybox_host.estiba("run", "-d", "--name", "web", "-p", "80", *SERVE)
    port = _port(busybox_host, "web")
    busybox_host.wait_until(lambda: _fetch(port) == "hello\n", "the container answers")
    busybox_host.estiba("restart", "-t", "0", "web")
    port = _port(busybox_host, "web")
    busybox_host.wait_until(lambda: _fetch(port) == "hello\n", "the container answers again")
    busybox_host.estiba("rm", "-f", "web")
    assert "refused" in _fetch(port)


def test_a_port_in_use_is_told_by_run(busybox_host) -> None:
    busybox_host.estiba("run", "-d", "--name", "web", "-p", "127.0.0.1::80", *SERVE)
    port = _port(busybox_host, "web")
    done = busybox_host.estiba("run", "--rm", "-p", f"{port}:80", "busybox", "true", check=False)
    assert done.returncode == 125
    assert f"port {port}/tcp of 127.0.0.1 is in use by " in done.stderr


def test_a_container_sees_its_address_and_its_networks_show_it(busybox_host) -> None:
    busybox_host.estiba("network", "create", "blue")
    busybox_host.estiba(
        "run", "-d", "--name", "box", "--network", "blue", "--hostname", "boxy", "busybox", "sleep", "99"
    )
    place = busybox_host.inspect("box")["NetworkSettings"]["Networks"]["blue"]
    address = place["IPAddress"]
    assert f"{address}\tboxy" in busybox_host.estiba("exec", "box", "cat", "/etc/hosts").stdout
    assert f"inet {address}/24" in busybox_host.estiba("exec", "box", "ip", "address", "show", "eth0").stdout
    (told,) = json.loads(busybox_host.estiba("network", "inspect", "blue").stdout)
    assert [(entry["Name"], entry["IPv4Address"], entry["EndpointID"]) for entry in told["Containers"].values()] == [
        ("box", f"{address}/24", place["EndpointID"])
    ]
    assert busybox_host.estiba("network", "rm", "blue", check=False).returncode == 1
    busybox_host.estiba("rm", "-f", "box")
    busybox_host.estiba("network", "rm", "blue")


def test_none_has_only_loopback_and_host_has_the_hosts_links(busybox_host) -> None:
    none = busybox_host.estiba("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net").stdout
    host = busybox_host.estiba("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net").stdout
    assert none.split() == ["lo"]
    assert "eth0" in host.split() or len(host.split()) > 1


def test_prune_takes_the_bridge_away_that_nobody_uses_and_the_next_container_has_it_again(busybox_host) -> None:
    busybox_host.estiba("run", "-d", "--name", "box", "busybox", "sleep", "99")
    (bridge, *_) = busybox_host.estiba("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert busybox_host.estiba("network", "prune", "-f").stdout == "No unused networks.\n", "box uses it"
    busybox_host.estiba("rm", "-f", "box")
    pruned = busybox_host.estiba("network", "prune", "-f").stdout
    assert f"  {bridge}  " in pruned
    assert pruned.endswith("Removed 1 network.\n")
    assert busybox_host.estiba("network", "prune", "-f").stdout == "No unused networks.\n"
    assert "eth0" in busybox_host.estiba("run", "--rm", "busybox", "ip", "address").stdout
