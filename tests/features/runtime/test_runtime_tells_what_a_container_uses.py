"""`events`: what a container has used, once and again and again, and that the kernel killed for want of memory."""

from __future__ import annotations

import json
import subprocess

import pytest

pytestmark = pytest.mark.root


def test_stats_are_those_of_the_control_group(box):
    box.start("est-stats", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=1M count=2000; sleep 1000", pid="new")
    done = box.call("events", "--stats", "est-stats")
    document = json.loads(done.stdout)
    assert (document["type"], document["id"]) == ("stats", "est-stats")
    data = document["data"]
    assert data["pids"]["current"] >= 1
    assert data["memory"]["usage"]["usage"] > 0
    assert data["cpu"]["usage"]["total"] > 0


def test_stats_know_the_limits(box):
    def limit(config):
        config["linux"]["resources"] |= {"pids": {"limit": 17}, "memory": {"limit": 64 << 20}}

    box.start("est-stats", "sleep", "1000", change=limit)
    data = json.loads(box.call("events", "--stats", "est-stats").stdout)["data"]
    assert data["pids"]["limit"] == 17
    assert data["memory"]["usage"]["limit"] == 64 << 20


def test_events_are_told_until_the_container_ends(box):
    """Statistics at each interval, and the kill of a process that took too much."""

    def limit(config):
        config["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}

    script = "read go; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1; exit 0"
    bundle = box.bundle("sh", "-c", script, change=limit)
    runs = subprocess.Popen(
        [*box.command, "run", "-b", bundle, "est-events"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        while box.call("state", "est-events").returncode or '"running"' not in box.call("state", "est-events").stdout:
            assert runs.poll() is None, runs.stdout.read()
        events = subprocess.Popen(
            [*box.command, "events", "--interval", "200ms", "est-events"], stdout=subprocess.PIPE, text=True
        )
        with events:
            assert json.loads(events.stdout.readline())["type"] == "stats"
            runs.stdin.write(b"go\n")
            runs.stdin.close()
            kinds = [json.loads(line)["type"] for line in events.stdout]
        assert "oom" in kinds
        assert events.returncode == 0
    finally:
        runs.wait(timeout=30)
        runs.stdout.close()


@pytest.mark.parametrize("interval", ["0s", "-1s", "5", "soon", "1y"])
def test_an_interval_without_sense_is_refused(box, interval):
    box.start("est-stats", "sleep", "1000")
    done = box.call("events", f"--interval={interval}", "est-stats")
    assert done.returncode == 1
    assert "is no interval" in done.stderr


def test_a_stopped_container_has_nothing_to_tell(box, wait_until):
    box.start("est-stats", "true")
    wait_until(lambda: box.client.state("est-stats").status == "stopped", "it ends")
    assert "not running" in box.call("events", "--stats", "est-stats").stderr
