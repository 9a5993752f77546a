"""The configuration of an image that is made of a container follows Docker's rules."""

from __future__ import annotations

import pytest

from estiba.engine.committing import configuration
from estiba.engine.options import ContainerOptions, Health, VolumeMount
from estiba.engine.spec import plan_process
from estiba.oci.image_config import HealthCheck, RunConfig

IMAGE = RunConfig(
    entrypoint=("entry",), cmd=("default",), env=("PATH=/bin", "A=image"), user="app", labels=(("k", "image"),)
)


def made(asked: RunConfig = RunConfig(), **options) -> RunConfig:  # noqa: B008 - an immutable value
    wanted = ContainerOptions("i", **options)
    return configuration(IMAGE, wanted, plan_process(IMAGE, wanted), asked)


def test_a_container_that_asked_for_nothing_gives_the_images_own():
    assert made() == IMAGE


@pytest.mark.parametrize(
    ("options", "asked", "entrypoint", "command"),
    [
        ({"command": ("own",)}, RunConfig(), ("entry",), ("own",)),
        ({"entrypoint": ("mine",)}, RunConfig(), ("mine",), None),
        ({"entrypoint": (), "command": ("own",)}, RunConfig(), (), ("own",)),
        ({"command": ("own",)}, RunConfig(cmd=("asked",)), ("entry",), ("asked",)),
        ({"command": ("own",)}, RunConfig(entrypoint=("asked",)), ("asked",), None),
    ],
)
def test_entry_point_and_command_are_those_of_the_container_or_asked_for(options, asked, entrypoint, command):
    found = made(asked, **options)
    assert (found.entrypoint, found.cmd) == (entrypoint, command)


def test_variables_labels_volumes_and_health_add_up():
    mounts = (VolumeMount("volume", "/own"), VolumeMount("volume", "/named", "n"), VolumeMount("tmpfs", "/t"))
    found = made(
        RunConfig(env=("B=asked",), labels=(("m", "asked"),), exposed_ports=("80/tcp",)),
        env=("A=container", "C=container"),
        mounts=mounts,
        health=Health(("CMD", "x"), 5),
        expose=("53/udp",),
    )
    assert found.env == ("PATH=/bin", "A=container", "C=container", "B=asked")
    assert found.labels == (("k", "image"), ("m", "asked"))
    assert found.volumes == ("/own",)
    assert found.exposed_ports == ("53/udp", "80/tcp")
    assert found.healthcheck == HealthCheck(("CMD", "x"), 5)
