"""Image and options become what a runtime is told, by Docker's rules."""

from __future__ import annotations

import pytest

from estiba.engine.options import ContainerOptions, Limits, Security, Shared, Ulimit, VolumeMount
from estiba.engine.spec import Place, capabilities, plan_process, resources, spec_options
from estiba.errors import InvalidInput
from estiba.oci.image_config import RunConfig
from estiba.runtime.spec import (
    DEFAULT_CAPABILITIES,
    DEFAULT_PATH,
    Resources,
    Rlimit,
    SpecDevice,
    SpecOptions,
    container_spec,
)

IMAGE = RunConfig(entrypoint=("entry",), cmd=("default",), env=("A=image", "B=image"), user="app", working_dir="/srv")


@pytest.mark.parametrize(
    ("image", "options", "args"),
    [
        (IMAGE, {}, ("entry", "default")),
        (IMAGE, {"command": ("own",)}, ("entry", "own")),
        (IMAGE, {"entrypoint": ("mine",)}, ("mine",)),
        (IMAGE, {"entrypoint": ("mine",), "command": ("own",)}, ("mine", "own")),
        (IMAGE, {"entrypoint": (), "command": ("own",)}, ("own",)),
        (RunConfig(cmd=("default",)), {}, ("default",)),
    ],
)
def test_entry_point_and_command_join_as_in_docker(image, options, args):
    assert plan_process(image, ContainerOptions("i", **options)).args == args


def test_a_container_without_any_command_is_refused():
    with pytest.raises(InvalidInput, match="no command"):
        plan_process(RunConfig(), ContainerOptions("i"))


def test_variables_of_the_user_replace_those_of_the_image_and_take_them_away():
    process = plan_process(IMAGE, ContainerOptions("i", env=("A=user", "B", "C=")))
    assert process.env == ("A=user", "C=", f"PATH={DEFAULT_PATH}")


def test_a_terminal_has_a_type():
    assert "TERM=xterm" in plan_process(IMAGE, ContainerOptions("i", tty=True)).env


def test_home_and_hostname_are_there_unless_somebody_set_them():
    process = plan_process(IMAGE, ContainerOptions("i"))
    place = Place("id", "ship", uid=1000, gid=1000, home="/home/app")
    options = spec_options(process, ContainerOptions("i"), place)
    assert {"HOSTNAME=ship", "HOME=/home/app"} <= set(options.env)
    own = plan_process(IMAGE, ContainerOptions("i", env=("HOME=/own", "HOSTNAME=other")))
    assert {"HOSTNAME=other", "HOME=/own"} <= set(spec_options(own, ContainerOptions("i"), place).env)


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (Security(), set(DEFAULT_CAPABILITIES)),
        (Security(cap_drop=("all",)), set()),
        (Security(cap_drop=("ALL",), cap_add=("net_admin",)), {"CAP_NET_ADMIN"}),
        (Security(cap_drop=("CAP_CHOWN",)), set(DEFAULT_CAPABILITIES) - {"CAP_CHOWN"}),
    ],
)
def test_capabilities_are_added_and_dropped(security, expected):
    assert set(capabilities(security)) == expected


def test_an_unknown_capability_is_named():
    with pytest.raises(InvalidInput, match="FLY"):
        capabilities(Security(cap_add=("FLY",)))


def test_limits_are_told_in_the_kernels_words():
    limits = Limits(memory=100, nano_cpus=1_500_000_000, pids=5)
    assert resources(limits, counts_swap=True) == Resources(
        memory=100, memory_swap=200, cpu_quota=150_000, cpu_period=100_000, pids=5
    )
    assert resources(Limits(memory=100), counts_swap=False).memory_swap is None
    assert resources(Limits(), counts_swap=True) == Resources()


def test_an_unlimited_ulimit_is_the_largest_number():
    options = ContainerOptions("i", limits=Limits(ulimits=(Ulimit("core", 0, -1),)))
    told = spec_options(plan_process(IMAGE, options), options, Place("id", "h"))
    assert told.rlimits == (Rlimit("RLIMIT_CORE", 0, (1 << 64) - 1),)


HERE = Place("id", "h")


def told(place: Place = HERE, **asked) -> SpecOptions:
    options = ContainerOptions("i", **asked)
    return spec_options(plan_process(IMAGE, options), options, place)


def test_shared_namespaces_are_the_hosts_or_those_of_another():
    found = told(Place("id", "ship", ipc="path:/proc/1/ns/ipc"), shared=Shared("host", "container:x", "host", "host"))
    assert (found.pid, found.ipc, found.uts, found.cgroup) == ("host", "path:/proc/1/ns/ipc", "host", "host")
    assert (found.hostname, found.domainname) == ("", "")
    alone = told()
    assert (alone.pid, alone.ipc, alone.uts, alone.cgroup, alone.hostname) == ("new", "new", "new", "new", "h")


def test_without_ipc_nothing_is_mounted_for_it():
    mounts = container_spec(told(shared=Shared(ipc="none")))["mounts"]
    assert "/dev/shm" not in [mount["destination"] for mount in mounts]


def test_a_parent_of_the_control_group_holds_the_containers_own():
    assert told(cgroup_parent="batch/night").cgroups_path == "/batch/night/id"
    assert told().cgroups_path == ""
    for parent in ("..", "/a/../b", "a b"):
        with pytest.raises(InvalidInput, match="cgroup-parent"):
            told(cgroup_parent=parent)


def test_rules_and_devices_reach_the_control_group():
    place = Place("id", "h", devices=(SpecDevice("/dev/x", "c", 10, 229, access="r"),))
    linux = container_spec(told(place, device_rules=("b 8:* rm", "a *:* m")))["linux"]
    assert {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"} in linux["resources"]["devices"]
    assert linux["resources"]["devices"][-2:] == [
        {"allow": True, "type": "b", "access": "rm", "major": 8},
        {"allow": True, "type": "a", "access": "m"},
    ]
    assert [device["path"] for device in linux["devices"]] == ["/dev/x"]


def test_limits_of_every_kind_are_told():
    limits = Limits(
        memory=1 << 30,
        cpu_period=9,
        cpu_quota=8,
        cpu_rt_period=7,
        cpu_rt_runtime=6,
        swappiness=0,
        oom_kill_disable=True,
    )
    block_io = {"weight": 10}
    resources = container_spec(told(Place("id", "h", block_io=block_io), limits=limits))["linux"]["resources"]
    assert resources["cpu"] == {"quota": 8, "period": 9, "realtimePeriod": 7, "realtimeRuntime": 6}
    assert resources["memory"] == {"limit": 1 << 30, "swappiness": 0, "disableOOMKiller": True}
    assert resources["blockIO"] == block_io


def test_a_profile_of_ones_own_and_bare_system_paths():
    text = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}'
    linux = container_spec(told(security=Security(seccomp=text, shows_system_paths=True)))["linux"]
    assert linux["seccomp"]["syscalls"] == [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], [])


@pytest.mark.parametrize(("option", "expected"), [("rshared", "rshared"), ("slave", "rslave"), ("rprivate", "")])
def test_mounts_travel_as_far_as_a_bind_asks(option, expected):
    mount = VolumeMount("bind", "/a", "/b", options=("rbind", option))
    assert told(mounts=(mount,)).rootfs_propagation == expected


@pytest.mark.parametrize(("storage", "keeps"), [((), False), ((("size", "10m"),), True)])
def test_a_container_with_a_size_stays_in_its_project(storage, keeps):
    options = ContainerOptions("i", storage=storage)
    assert spec_options(plan_process(IMAGE, options), options, Place("id", "ship")).keeps_project is keeps
