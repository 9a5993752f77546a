"""Image and options become what a runtime is told, by Docker's rules."""

from __future__ import annotations

import pytest

from estiba.engine.options import ContainerOptions, Limits, Security, Ulimit
from estiba.engine.spec import Place, capabilities, plan_process, resources, spec_options
from estiba.errors import InvalidInput
from estiba.oci.image_config import RunConfig
from estiba.runtime.spec import DEFAULT_CAPABILITIES, DEFAULT_PATH, Resources, Rlimit

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
    assert process.env == (f"PATH={DEFAULT_PATH}", "A=user", "C=")


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
