"""Whatever stands in a body: it is understood, or refused with what is wrong with it; it never makes us stumble."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from estiba.docker_api.container_options import changes_of, container_options, membership_of
from estiba.docker_api.exchange import parsed
from estiba.docker_api.fields import object_of
from estiba.docker_api.handlers.execs import plan_of
from estiba.docker_api.problems import problem_of
from estiba.engine.options import ContainerOptions
from estiba.errors import EstibaError, InvalidInput

_WORDS = [
    "",
    "a",
    "bridge",
    "container:x",
    "80/tcp",
    "1-9",
    "/a:/b:ro",
    "size=1m",
    "1m",
    "²",
    "9" * 5000,
    "\0",
    "=",
    ":",
]
_TEXTS = st.sampled_from(_WORDS) | st.text(max_size=6)
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS
_ANY = st.recursive(_PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))

_ITEMS = {
    "Ulimits": ("Name", "Soft", "Hard"),
    "Devices": ("PathOnHost", "PathInContainer", "CgroupPermissions"),
    "Mounts": ("Type", "Source", "Target", "ReadOnly", "BindOptions", "VolumeOptions", "TmpfsOptions"),
    "BlkioWeightDevice": ("Path", "Weight"),
    "BlkioDeviceReadBps": ("Path", "Rate"),
}
_OBJECTS = {
    "RestartPolicy": ("Name", "MaximumRetryCount"),
    "LogConfig": ("Type", "Config"),
    "Healthcheck": ("Test", "Interval", "Timeout", "Retries", "StartPeriod"),
}
_OF_HOST = (
    *("Binds", "Tmpfs", "PortBindings", "NetworkMode", "GroupAdd", "AutoRemove", "Init", "PublishAllPorts", "Dns"),
    *("DnsSearch", "DnsOptions", "ExtraHosts", "Memory", "MemorySwap", "NanoCpus", "CpuShares", "PidsLimit", "ShmSize"),
    *("CpusetCpus", "OomScoreAdj", "MemorySwappiness", "OomKillDisable", "DeviceCgroupRules", "CgroupParent"),
    *("PidMode", "IpcMode", "UTSMode", "CgroupnsMode", "CapAdd", "Privileged", "ReadonlyRootfs", "SecurityOpt"),
    *("MaskedPaths", "ReadonlyPaths", "VolumesFrom", "Links", "StorageOpt", "Runtime", "Sysctls", "Annotations"),
    *("UsernsMode", "Isolation", "VolumeDriver", "KernelMemory", "DeviceRequests"),
)
_OF_BODY = (
    *("Cmd", "Entrypoint", "Env", "Labels", "User", "WorkingDir", "Tty", "OpenStdin", "ExposedPorts", "Hostname"),
    *("Domainname", "MacAddress", "StopSignal", "StopTimeout", "Volumes", "NetworkDisabled", "NetworkingConfig"),
)


def _fields(names: tuple[str, ...], at_most: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), _ANY, max_size=at_most)


@st.composite
def _bodies(draw: st.DrawFn) -> dict[str, Any]:
    host = draw(_fields(_OF_HOST, 4))
    for key, names in _ITEMS.items():
        if draw(st.integers(0, 3)) == 0:
            host[key] = draw(st.lists(_fields(names, 3), max_size=2))
    for key, names in _OBJECTS.items():
        if draw(st.integers(0, 3)) == 0:
            (host if key != "Healthcheck" else {})[key] = draw(_fields(names, 3))
    body = {"Image": "busybox", **draw(_fields(_OF_BODY, 3)), "HostConfig": host}
    if draw(st.integers(0, 3)) == 0:
        body["NetworkingConfig"] = {"EndpointsConfig": {"bridge": draw(_fields(("Aliases", "IPAMConfig", "Links"), 2))}}
    return body


def _answered(read: Any, body: Any) -> None:
    """As the application does it, from the bytes on."""
    try:
        read(parsed(json.dumps(body).encode()))
    except EstibaError as error:
        assert problem_of(error).status in (400, 404, 409, 501), error


@settings(max_examples=120, deadline=None)
@given(_bodies())
@example({"Image": "b", "HostConfig": {"LogConfig": {"Config": {"max-file": "²", "max-size": "9" * 5000}}}})
@example({"Image": "b", "HostConfig": {"Ulimits": [None]}})
@example({"Image": "b", "HostConfig": {"PortBindings": {"80": ["x"]}}})
@example({"Image": "b", "HostConfig": {"SecurityOpt": ["seccomp=" + "[" * 30_000]}})
def test_any_body_of_a_container_is_answered(body: dict[str, Any]) -> None:
    def read(fields: dict[str, Any]) -> None:
        made = container_options(fields, name="x")
        assert ContainerOptions.from_json(json.loads(json.dumps(made.to_json()))) == made

    _answered(read, body)


@settings(max_examples=100, deadline=None)
@given(_ANY, _fields(("Cmd", "Env", "User", "Tty", "DetachKeys", "AttachStdin"), 4), _fields(_OF_HOST, 4))
def test_any_other_body_is_answered(anything: Any, of_exec: dict[str, Any], limits: dict[str, Any]) -> None:
    _answered(container_options_of, anything)
    _answered(plan_of, of_exec)
    _answered(changes_of, limits)
    _answered(lambda fields: membership_of("inner", object_of(fields, "EndpointConfig")), {"EndpointConfig": anything})


def container_options_of(fields: dict[str, Any]) -> ContainerOptions:
    return container_options(fields, name="x")


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"a"', b"[" * 100_000, b"\xff", b'{"a":' * 50_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="JSON"):
        parsed(body)


def test_half_a_character_becomes_the_replacement_character() -> None:
    assert parsed(b'{"Image": "a\\ud800b", "ok": "\\ud83d\\ude00"}') == {
        "Image": "a\N{REPLACEMENT CHARACTER}b",
        "ok": "\N{GRINNING FACE}",
    }
