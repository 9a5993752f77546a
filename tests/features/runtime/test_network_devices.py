"""Network devices of the host that go to the container (config-linux.md, "Network Devices")."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.root

NAME = "estdev0"


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=20)


@pytest.fixture
def device() -> Iterator[str]:
    """A device of the host, up, with an address of either family."""
    made = _ip("link", "add", NAME, "type", "veth", "peer", "name", "estdev1")
    if made.returncode:
        pytest.skip(f"no device can be made: {made.stderr.strip()}")
    _ip("link", "set", NAME, "mtu", "1400", "up")
    _ip("addr", "add", "169.254.169.13/32", "dev", NAME)
    _ip("addr", "add", "fd00:e5::1/64", "dev", NAME, "nodad")
    yield NAME
    _ip("link", "del", "estdev1")


def _give(**devices: dict[str, str]):
    return lambda spec: spec["linux"].update(netDevices=devices)


def test_a_device_goes_to_the_container_with_its_addresses_and_up(box, device) -> None:
    done = box.run(f"ip addr show dev {NAME}", change=_give(estdev0={}))
    assert done.returncode == 0, done.stderr
    assert "169.254.169.13/32" in done.stdout
    assert "fd00:e5::1/64" in done.stdout
    assert "mtu 1400" in done.stdout
    assert ",UP" in done.stdout


def test_a_device_gets_another_name_in_the_container(box, device) -> None:
    done = box.run("ip -o link", change=_give(estdev0={"name": "inside0"}))
    assert " inside0" in done.stdout, done.stderr
    assert NAME not in done.stdout


def test_a_name_may_leave_the_number_to_the_kernel(box, device) -> None:
    done = box.run("ip -o link", change=_give(estdev0={"name": "some%d"}))
    assert " some0" in done.stdout, done.stderr


def test_a_name_that_is_taken_is_refused_and_the_device_stays(box, device) -> None:
    done = box.run("true", change=_give(estdev0={"name": "lo"}))
    assert done.returncode == 125
    assert "has a network device 'lo' already" in done.stderr
    assert "169.254.169.13" in _ip("addr", "show", "dev", NAME).stdout
    assert os.listdir(box.root) == []


def test_what_was_moved_before_another_failed_comes_back(box, device) -> None:
    done = box.run("true", change=_give(estdev0={"name": "inside0"}, nothere0={}))
    assert "there is no network device 'nothere0'" in done.stderr
    shown = _ip("addr", "show", "dev", NAME).stdout
    assert "169.254.169.13" in shown
    assert "fd00:e5::1" in shown
    assert ",UP" in shown


def test_a_device_needs_a_network_namespace(box) -> None:
    done = box.run("true", change=_give(estdev0={}), network="host")
    assert done.returncode == 125
    assert "unable to move network devices without a NET namespace" in done.stderr
