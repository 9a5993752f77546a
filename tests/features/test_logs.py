"""`estiba logs` gives what a container wrote, whole and in order, also while it runs and after files were rotated."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.without_root_too


def test_both_streams_come_back_as_they_were_written(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sh", "-c", "echo out; echo err >&2; printf 'no end'")
    busybox_host.estiba("wait", "one")
    done = busybox_host.estiba("logs", "one")
    assert (done.stdout, done.stderr) == ("out\nno end", "err\n")


def test_the_file_is_dockers(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sh", "-c", "printf 'a \"quote\"\\t\\351\\n'")
    busybox_host.estiba("wait", "one")
    with open(busybox_host.inspect("one")["LogPath"], encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    assert [(e["log"], e["stream"]) for e in entries] == [('a "quote"\t\ufffd\n', "stdout")]
    assert len(entries[0]["time"]) == len("2026-01-02T03:04:05.123456789Z")


def test_the_last_lines_only(busybox_host):
    busybox_host.estiba("run", "--name", "one", "busybox", "seq", "1", "100")
    assert busybox_host.estiba("logs", "-n", "3", "one").stdout == "98\n99\n100\n"
    assert busybox_host.estiba("logs", "--tail", "0", "one").stdout == ""
    assert busybox_host.estiba("logs", "--tail", "1000", "one").stdout.count("\n") == 100


def test_times_choose_and_are_shown(busybox_host):
    script = "echo early; sleep 0.3; echo late"
    busybox_host.estiba("run", "--name", "one", "busybox", "sh", "-c", script)
    stamped = busybox_host.estiba("logs", "-t", "one").stdout.splitlines()
    times = [line.split()[0] for line in stamped]
    assert busybox_host.estiba("logs", "--since", times[1], "one").stdout == "late\n"
    assert busybox_host.estiba("logs", "--until", times[0], "one").stdout == "early\n"
    assert busybox_host.estiba("logs", "--since", "1h", "one").stdout == "early\nlate\n"


def test_following_ends_with_the_container_and_misses_nothing(busybox_host, tmp_path):
    script = "echo first; while [ ! -e /shared/go ]; do sleep 0.02; done; seq 1 500"
    busybox_host.estiba("run", "-d", "--name", "one", "-v", f"{tmp_path}:/shared", "busybox", "sh", "-c", script)
    command = busybox_host.start("logs", "-f", "one")
    assert command.stdout is not None
    assert command.stdout.readline() == "first\n"
    (tmp_path / "go").touch()
    output, _ = command.communicate(timeout=20)
    assert output.split() == [str(number) for number in range(1, 501)]
    assert command.returncode == 0


def test_rotation_keeps_the_cap_and_the_newest_lines_whole(busybox_host):
    flags = ("--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    busybox_host.estiba("run", "--name", "one", *flags, "busybox", "seq", "100000", "104999")
    path = busybox_host.inspect("one")["LogPath"]
    files = sorted(os.listdir(os.path.dirname(path)))
    logs = [name for name in files if "-json.log" in name]
    assert len(logs) == 3
    assert sum(os.path.getsize(os.path.join(os.path.dirname(path), name)) for name in logs) <= 60_000
    numbers = [int(line) for line in busybox_host.estiba("logs", "one").stdout.split()]
    assert numbers == list(range(numbers[0], 105_000))
    assert len(numbers) > 300


def test_following_goes_on_over_rotation(busybox_host, tmp_path):
    script = "echo first; while [ ! -e /shared/go ]; do sleep 0.02; done; for i in $(seq 1 2000); do echo $i; done"
    flags = ("--log-opt", "max-size=50k", "--log-opt", "max-file=9", "-v", f"{tmp_path}:/shared")
    busybox_host.estiba("run", "-d", "--name", "one", *flags, "busybox", "sh", "-c", script)
    command = busybox_host.start("logs", "-f", "one")
    assert command.stdout is not None
    command.stdout.readline()
    (tmp_path / "go").touch()
    output, _ = command.communicate(timeout=30)
    assert output.split() == [str(number) for number in range(1, 2001)]


def test_without_a_log_there_is_a_clear_word(busybox_host):
    busybox_host.estiba("run", "--name", "one", "--log-driver", "none", "busybox", "echo", "hi")
    done = busybox_host.estiba("logs", "one", check=False)
    assert done.returncode == 1
    assert "log-driver none" in done.stderr
