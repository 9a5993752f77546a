"""Containers in networks of one's own: found by name, and moved from one to another while they run."""

from __future__ import annotations

import json
import os
import signal

import pytest

from monitors import settle

pytestmark = [pytest.mark.root]

SERVE = ("busybox", "httpd", "-f", "-h", "/etc")
SLEEP = ("busybox", "sleep", "1000")


def get(host, client: str, name: str) -> int:
    """The exit code of a request from one container to another."""
    return host.estiba(
        "exec", client, "timeout", "5", "wget", "-q", "-O", "-", f"http://{name}/group", check=False
    ).returncode


def networks_of(host, name: str) -> list[str]:
    return sorted(host.inspect(name)["NetworkSettings"]["Networks"])


def test_containers_of_a_network_find_each_other(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "inner")
    host.estiba("run", "-d", "--name", "web", "--network", "inner", "--network-alias", "www", *SERVE)
    host.estiba("run", "-d", "--name", "asks", "--network", "inner", *SLEEP)
    container_id = host.inspect("web")["Id"][:12]
    for name in ("web", "www", "WEB", "web.inner", container_id):
        assert get(host, "asks", name) == 0, name
    assert get(host, "asks", "nobody") != 0
    host.estiba("rename", "web", "renamed")
    host.wait_until(lambda: get(host, "asks", "renamed") == 0, "the new name is known")
    assert "nameserver 127.0.0.11\n" in host.estiba("exec", "asks", "cat", "/etc/resolv.conf").stdout


def test_a_container_begins_in_several_networks(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "one")
    host.estiba("network", "create", "two")
    host.estiba("run", "-d", "--name", "web", "--network", "one", "--network", "name=two,alias=front", *SERVE)
    assert networks_of(host, "web") == ["one", "two"]
    host.estiba("run", "-d", "--name", "asks", "--network", "two", *SLEEP)
    assert get(host, "asks", "front") == 0
    refused = host.estiba("run", "--network", "one", "--network", "host", "busybox", "true", check=False)
    assert refused.returncode == 125 and "is in no other" in refused.stderr


def test_names_hold_after_a_restart(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "inner")
    host.estiba("run", "-d", "--name", "web", "--network", "inner", "--network-alias", "www", *SERVE)
    host.estiba("run", "-d", "--name", "asks", "--network", "inner", *SLEEP)
    host.estiba("restart", "-t", "0", "web", "asks")
    host.wait_until(lambda: get(host, "asks", "www") == 0, "the container is found again")


def test_a_running_container_joins_and_leaves(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "one")
    host.estiba("network", "create", "two")
    host.estiba("run", "-d", "--name", "web", "--network", "one", *SERVE)
    host.estiba("run", "-d", "--name", "asks", *SLEEP)
    host.estiba("network", "connect", "--alias", "front", "two", "web")
    assert networks_of(host, "web") == ["one", "two"]
    assert "front" in host.inspect("web")["NetworkSettings"]["Networks"]["two"]["Aliases"]
    assert get(host, "asks", "front") != 0
    host.estiba("network", "connect", "two", "asks")  # from the built-in one, where there are no names
    assert get(host, "asks", "front") == 0
    refused = host.estiba("network", "connect", "two", "web", check=False)
    assert refused.returncode == 1 and "is in the network two already" in refused.stderr
    used = host.estiba("network", "rm", "two", check=False)
    assert used.returncode == 1 and "in use" in used.stderr
    host.estiba("network", "disconnect", "two", "web")
    assert networks_of(host, "web") == ["one"]
    assert get(host, "asks", "front") != 0
    refused = host.estiba("network", "disconnect", "two", "web", check=False)
    assert refused.returncode == 1 and "is not in the network two" in refused.stderr


@pytest.mark.usefixtures("settles_soon")
def test_a_container_whose_monitor_has_settled_joins_too(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "inner")
    host.estiba("run", "-d", "--name", "web", *SERVE)
    settle(host, "web")
    host.estiba("network", "connect", "--alias", "www", "inner", "web")
    host.estiba("run", "-d", "--name", "asks", "--network", "inner", *SLEEP)
    assert get(host, "asks", "www") == 0
    host.estiba("network", "disconnect", "bridge", "web")
    assert networks_of(host, "web") == ["inner"] and get(host, "asks", "www") == 0
    host.estiba("stop", "-t", "0", "web")
    assert host.state("web") == "exited" and networks_of(host, "web") == ["inner"]


def test_the_way_out_goes_over_the_network_that_is_left(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "one")
    host.estiba("network", "create", "two")
    host.estiba("run", "-d", "--name", "web", "--network", "one", *SERVE)
    host.estiba("network", "connect", "two", "web")
    host.estiba("network", "disconnect", "one", "web")
    gateway = json.loads(host.estiba("network", "inspect", "two").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
    assert f"default via {gateway}" in host.estiba("exec", "web", "ip", "route").stdout


def test_what_was_changed_holds_for_the_next_start(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "one")
    host.estiba("network", "create", "two")
    host.estiba("create", "--name", "web", "--network", "one", "-p", "80", *SERVE)
    host.estiba("network", "disconnect", "one", "web")
    host.estiba("network", "connect", "--alias", "www", "two", "web")
    host.estiba("network", "connect", "--alias", "front", "one", "web")
    assert networks_of(host, "web") == ["one", "two"]
    host.estiba("start", "web")
    host.estiba("run", "-d", "--name", "asks", "--network", "two", *SLEEP)
    host.estiba("run", "-d", "--name", "also", "--network", "one", *SLEEP)
    assert get(host, "asks", "www") == 0 and get(host, "also", "front") == 0
    host.estiba("network", "disconnect", "two", "web")
    host.estiba("restart", "-t", "0", "web")
    assert networks_of(host, "web") == ["one"]
    assert host.estiba("port", "web").stdout.startswith("80/tcp -> 127.0.0.1:")


def test_a_static_address_in_a_further_network(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "--subnet", "10.213.7.0/24", "fixed")
    host.estiba("run", "-d", "--name", "web", *SERVE)
    host.estiba("network", "connect", "--ip", "10.213.7.77", "fixed", "web")
    assert host.inspect("web")["NetworkSettings"]["Networks"]["fixed"]["IPAddress"] == "10.213.7.77"
    refused = host.estiba("network", "connect", "--ip", "10.9.9.9", "bridge", "web", check=False)
    assert refused.returncode == 1


@pytest.mark.parametrize("mode", ["none", "host", "container:web"])
def test_a_container_without_a_network_of_its_own_joins_none(busybox_host, mode: str):
    host = busybox_host
    host.estiba("network", "create", "inner")
    host.estiba("run", "-d", "--name", "web", *SERVE)
    host.estiba("create", "--name", "other", "--network", mode, *SLEEP)
    refused = host.estiba("network", "connect", "inner", "other", check=False)
    assert refused.returncode == 1 and "cannot be connected" in refused.stderr
    for wrong in (("connect", "host", "web"), ("connect", "nosuch", "web"), ("connect", "inner", "nosuch")):
        assert host.estiba("network", *wrong, check=False).returncode == 1


def test_kill_nine_of_a_monitor_gives_every_network_back(busybox_host):
    host = busybox_host
    host.estiba("network", "create", "one")
    host.estiba("network", "create", "two")
    host.estiba("run", "-d", "--name", "web", "--network", "one", *SERVE)
    host.estiba("network", "connect", "two", "web")
    (monitor,) = host.monitors()
    os.kill(monitor, signal.SIGKILL)
    host.wait_until(lambda: host.state("web") == "exited", "the end is seen")
    host.estiba("network", "rm", "one", "two")


def test_the_network_of_another_container_is_that_of_the_one_that_was_named_then(busybox_host):
    """Its name may be somebody else's later, its first process another one, and its number in a stranger's hands."""
    host = busybox_host

    def namespace(name: str) -> str:
        return host.estiba("exec", name, "readlink", "/proc/self/ns/net").stdout

    host.estiba("run", "-d", "--name", "web", *SLEEP)
    host.estiba("run", "-d", "--name", "guest", "--network", "container:web", "--restart", "always", *SLEEP)
    assert host.inspect("guest")["HostConfig"]["NetworkMode"] == f"container:{host.inspect('web')['Id']}"
    host.estiba("rename", "web", "old")
    host.estiba("run", "-d", "--name", "web", *SLEEP)
    host.estiba("restart", "-t", "0", "old")
    first = host.inspect("guest")["State"]["Pid"]
    assert namespace("guest") != namespace("old")
    os.kill(first, signal.SIGKILL)
    host.wait_until(lambda: host.inspect("guest")["State"]["Pid"] not in (0, first), "it has started again")
    assert namespace("guest") == namespace("old") != namespace("web")
    host.estiba("stop", "-t", "0", "old")
    os.kill(host.inspect("guest")["State"]["Pid"], signal.SIGKILL)
    host.wait_until(lambda: not host.inspect("guest")["State"]["Running"], "it cannot start again")
    host.wait_until(lambda: host.inspect("guest")["State"]["Status"] == "exited", "it has ended")
    assert "container old is not running: its network cannot be joined" in host.inspect("guest")["State"]["Error"]
