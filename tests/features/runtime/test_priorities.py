"""How a program stands among others: scheduler, I/O priority, processors, memory policy, personality."""

from __future__ import annotations

import json
import os

import pytest

from estiba.linux import labels

pytestmark = pytest.mark.root


def _process(**values):
    return lambda config: config["process"].update(values)


def _linux(**values):
    return lambda config: config["linux"].update(values)


@pytest.mark.parametrize(
    ("scheduler", "policy", "nice"),
    [
        ({"policy": "SCHED_BATCH", "nice": 7}, os.SCHED_BATCH, 7),
        ({"policy": "SCHED_IDLE"}, os.SCHED_IDLE, 0),
        ({"policy": "SCHED_OTHER", "nice": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, os.SCHED_OTHER, 3),
    ],
)
def test_the_scheduler_is_as_asked(box, scheduler, policy, nice):
    pid = box.start("est-sched", "sleep", "1000", change=_process(scheduler=scheduler))
    assert os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK == policy
    assert bool(os.sched_getscheduler(pid) & os.SCHED_RESET_ON_FORK) == ("flags" in scheduler)
    assert os.getpriority(os.PRIO_PROCESS, pid) == nice


def test_a_realtime_policy_has_its_priority(box):
    change = _process(scheduler={"policy": "SCHED_FIFO", "priority": 12})
    try:
        pid = box.start("est-sched", "sleep", "1000", change=change)
    except Exception as error:
        if "not permitted" in str(error):
            pytest.skip("the control group of this machine has no realtime budget")
        raise
    assert os.sched_getscheduler(pid) == os.SCHED_FIFO
    assert os.sched_getparam(pid).sched_priority == 12


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        ({"scheduler": {"policy": "SCHED_BEST"}}, "no scheduling policy 'SCHED_BEST'"),
        ({"scheduler": {"policy": "SCHED_OTHER", "flags": ["FAST"]}}, "no scheduling flag 'FAST'"),
        ({"ioPriority": {"class": "IOPRIO_CLASS_X"}}, "no I/O class"),
        ({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 9}}, "0 to 7"),
    ],
)
def test_an_unknown_priority_is_refused(box, value, fact):
    done = box.run("true", _process(**value))
    assert done.returncode != 0
    assert fact in done.stderr


@pytest.mark.parametrize(("name", "number"), [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
def test_the_io_priority_is_as_asked(box, name, number):
    from estiba.linux.libc import syscall

    asked = {"class": name, "priority": 5 if number == 2 else 0}
    pid = box.start("est-io", "sleep", "1000", change=_process(ioPriority=asked))
    calls = {"x86_64": 252, "aarch64": 31}
    value = syscall(calls[os.uname().machine], 1, pid, what="ioprio_get")
    assert (value >> 13, value & 7) == (number, asked["priority"])


def test_exec_runs_on_the_processors_it_is_given(box):
    """process.execCPUAffinity (runtime-spec 1.2): `final` holds once the program runs."""
    box.start("est-cpu", "sleep", "1000")
    path = os.path.join(box.directory, "process.json")
    process = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"]}
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**process, "execCPUAffinity": {"initial": "0", "final": "0"}}, file)
    done = box.call("exec", "--process", path, "est-cpu")
    assert done.stdout.split() == ["Cpus_allowed_list:", "0"], done.stderr


def test_the_memory_policy_is_as_asked(box):
    """linux.memoryPolicy (runtime-spec 1.3): numa_maps names the policy of each mapping."""
    if not os.path.exists("/proc/self/numa_maps"):
        pytest.skip("the kernel has no memory policies")
    done = box.run("grep -c bind:0 /proc/self/numa_maps", _linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"}))
    assert int(done.stdout) > 0, done.stderr


def test_an_unknown_memory_policy_is_refused(box):
    done = box.run("true", _linux(memoryPolicy={"mode": "MPOL_BEST", "nodes": "0"}))
    assert done.returncode != 0
    assert "no memory policy 'MPOL_BEST'" in done.stderr


def test_the_personality_is_that_of_32_bit_programs(box):
    """It is the machine for the program, for what is executed in it later, and for their filter."""
    names = ("i686", "armv8l")
    done = box.run("uname -m; grep Seccomp: /proc/self/status", _linux(personality={"domain": "LINUX32"}))
    assert done.stdout.split()[0] in names, done.stderr
    assert done.stdout.split()[2] == "2"
    box.start("est-32", "sleep", "1000", change=_linux(personality={"domain": "LINUX32"}))
    assert box.call("exec", "est-32", "uname", "-m").stdout.strip() in names


def test_an_unknown_personality_is_refused(box):
    done = box.run("true", _linux(personality={"domain": "BSD"}))
    assert "no personality 'BSD'" in done.stderr


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (_linux(intelRdt={"closID": "x"}), "linux.intelRdt"),
        (_linux(mountLabel="system_u:object_r:x"), "linux.mountLabel"),
        (_process(selinuxLabel="system_u:system_r:x"), "process.selinuxLabel"),
        (_process(apparmorProfile="docker-default"), "process.apparmorProfile"),
    ],
)
def test_what_is_not_there_is_refused_and_named(box, change, fact):
    if "Label" in fact and labels.has_selinux():
        pytest.skip("this kernel has SELinux")
    if "Profile" in fact and labels.has_apparmor():
        pytest.skip("this kernel has AppArmor")
    done = box.run("true", change)
    assert done.returncode != 0
    assert fact in done.stderr
    assert "not there yet" in done.stderr or "is disabled or not supported" in done.stderr


def test_what_is_not_there_may_be_empty(box):
    def empty(config):
        config["linux"].update(intelRdt=None, mountLabel="", netDevices={})
        config["process"].update(selinuxLabel="", scheduler=None, ioPriority=None)

    done = box.run("true", empty)
    assert done.returncode == 0, done.stderr
