"""`estiba stats` says what a container uses."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.root]

BUSY = "dd if=/dev/zero of=/tmp/f bs=1M count=8 2>/dev/null; while true; do :; done"


def test_a_busy_container_is_seen_to_be_busy(busybox_host) -> None:
    busybox_host.estiba("run", "-d", "--name", "busy", "-m", "64m", "--network", "none", "busybox", "sh", "-c", BUSY)
    busybox_host.estiba("run", "-d", "--name", "idle", "--network", "none", "busybox", "sleep", "100")

    def shares() -> dict[str, dict[str, str]]:
        lines = busybox_host.estiba("stats", "--no-stream", "--format", "json").stdout.splitlines()
        return {row["Name"]: row for row in map(json.loads, lines)}

    busybox_host.wait_until(lambda: float(shares()["busy"]["CPUPerc"].rstrip("%")) > 10, "the busy one is seen at work")
    rows = shares()
    assert float(rows["idle"]["CPUPerc"].rstrip("%")) < 10
    assert rows["busy"]["MemUsage"].endswith(" / 64MiB") and not rows["busy"]["MemUsage"].startswith("0B")
    assert rows["busy"]["PIDs"] == rows["idle"]["PIDs"] == "1"
    table = busybox_host.estiba("stats", "--no-stream", "idle").stdout
    assert table.splitlines()[0].split("  ")[0] == "CONTAINER ID" and "busy" not in table


def test_network_traffic_is_counted(busybox_host) -> None:
    ask = "ping -c 1 -s 40000 $(ip route | awk '/default/{print $3}'); exec sleep 100"
    busybox_host.estiba("run", "-d", "--name", "talks", "busybox", "sh", "-c", ask)

    def is_counted() -> bool:
        passed = busybox_host.estiba("stats", "--no-stream", "--format", "{{.NetIO}}").stdout.strip().split(" / ")
        return all(text.endswith("kB") and float(text.removesuffix("kB")) > 40 for text in passed)

    busybox_host.wait_until(is_counted, "what it sends and gets is counted")


def test_a_container_that_does_not_run_uses_nothing(busybox_host) -> None:
    busybox_host.estiba("create", "--name", "still", "busybox", "true")
    assert busybox_host.estiba("stats", "--no-stream").stdout.count("\n") == 1
    line = busybox_host.estiba("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}}").stdout
    assert line == "still -- -- / --\n"
    assert busybox_host.estiba("stats", "nosuch", check=False).returncode == 1
