"""A group of version 2 on the real kernel, also where version 1 has the controllers: devices, freezing, killing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from estiba.linux.cgroups import devices
from estiba.linux.cgroups.group import Group
from estiba.linux.cgroups.layout import Layout, detect

pytestmark = pytest.mark.root


@pytest.fixture
def group() -> Iterator[Group]:
    unified = detect().unified
    if not unified:
        pytest.skip("no control groups of version 2 are mounted")
    group = Group(Layout({}, unified), f"/est-v2-{os.getpid()}/inner")
    group.create()
    yield group
    group.signal_all(9)
    group.remove()
    assert not os.path.exists(os.path.dirname(unified + group.path)), "the parent that was made goes too"


def start_in(group: Group, script: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        ["sh", "-c", f"read go; {script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    group.add(process.pid)
    return process


def test_device_rules_decide_on_the_real_kernel(group: Group) -> None:
    [directory] = group.directories()
    try:
        devices.restrict(directory, [{"allow": False, "access": "rwm"}])
    except OSError as error:
        pytest.skip(f"the kernel does not take device programs: {error}")
    process = start_in(group, "echo > /dev/null && echo null; head -c 1 /dev/zero | wc -c; cat < /dev/kmsg; echo end")
    output, _ = process.communicate("go\n", timeout=30)
    assert "null" in output
    assert "1" in output.split()
    assert "not permitted" in output


def test_device_rules_of_a_group_in_use_are_replaced(group: Group) -> None:
    """Were the new program attached beside the old one, both would have to allow."""
    [directory] = group.directories()
    try:
        devices.restrict(directory, [{"allow": False, "access": "rwm"}])
    except OSError as error:
        pytest.skip(f"the kernel does not take device programs: {error}")
    script = "(: < /dev/kmsg) || echo closed; read go; (: < /dev/kmsg) && echo open; (: < /dev/zero) && echo zero"
    process = start_in(group, script)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert "not permitted" in process.stdout.readline()
    assert process.stdout.readline() == "closed\n"
    kmsg = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    for rules in ([kmsg], [{"allow": False, "access": "rwm"}, kmsg]):
        devices.restrict(directory, rules)
    output, _ = process.communicate("go\n", timeout=30)
    assert output.split() == ["open", "zero"]


def test_freezing_stops_and_killing_reaches_all(group: Group) -> None:
    process = start_in(group, "sleep 1000 & sleep 1000 & echo ready; wait")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    group.freeze()
    assert group.is_frozen()
    assert len(group.processes()) == 3
    group.thaw()
    assert not group.is_frozen()
    group.signal_all(9)
    assert process.wait(timeout=30) == -9
    process.stdin.close()
    process.stdout.close()
