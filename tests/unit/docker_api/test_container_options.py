"""The body of "Create a container" is read as Docker means it, and what cannot be is refused by its name."""

from __future__ import annotations

import pytest

from estiba.docker_api.container_options import changes_of, container_options, membership_of
from estiba.engine.options import Device, Membership, VolumeMount
from estiba.errors import InvalidInput, NotThereYet
from estiba.networks.ports import PortMapping


def options(host: dict | None = None, **config):
    return container_options({"Image": "busybox", "HostConfig": host or {}, **config}, name="/one")


def test_the_least_is_an_image() -> None:
    made = options()
    assert (made.image, made.name, made.command, made.network) == ("busybox", "one", None, "bridge")
    with pytest.raises(InvalidInput, match="no image"):
        container_options({}, name="")


def test_an_empty_entry_point_takes_the_images_away() -> None:
    assert options(Entrypoint=[""]).entrypoint == ()
    assert options(Entrypoint=None).entrypoint is None
    assert options(Entrypoint="/run", Cmd="now").entrypoint == ("/run",)


def test_mounts_in_all_three_forms() -> None:
    made = options(
        {
            "Binds": ["/etc:/e:ro", "data:/d"],
            "Tmpfs": {"/t": "size=1m"},
            "Mounts": [
                {"Type": "bind", "Source": "/usr", "Target": "/u", "BindOptions": {"Propagation": "rslave"}},
                {"Type": "volume", "Source": "more", "Target": "/m", "VolumeOptions": {"Subpath": "a", "NoCopy": True}},
                {"Type": "tmpfs", "Target": "/s", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o700}},
            ],
        },
        Volumes={"/d": {}, "/anonymous": {}},
    )
    found = {mount.target: mount for mount in made.mounts}
    assert found["/e"].read_only and found["/e"].kind == "bind" and found["/e"].make_source
    assert found["/d"].source == "data"
    assert found["/u"].options == ("rbind", "rslave") and not found["/u"].make_source
    assert (found["/m"].subpath, found["/m"].copy_up) == ("a", False)
    assert found["/s"].options == ("size=4096", "mode=700")
    assert found["/anonymous"] == VolumeMount("volume", "/anonymous")
    with pytest.raises(InvalidInput, match="Duplicate mount point"):
        options({"Binds": ["/etc:/e", "/usr:/e"]})
    with pytest.raises(NotThereYet, match="image"):
        options({"Mounts": [{"Type": "image", "Target": "/i"}]})


def test_ports_are_on_loopback_unless_an_address_is_given() -> None:
    made = options(
        {
            "PortBindings": {
                "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "0"}],
            }
        }
    )
    assert set(made.ports) == {PortMapping(80, 8080), PortMapping(53, 0, "0.0.0.0", "udp")}


def test_networks_with_names_and_addresses() -> None:
    made = options(
        {"NetworkMode": "inner"},
        NetworkingConfig={
            "EndpointsConfig": {
                "inner": {
                    "Aliases": ["www"],
                    "IPAMConfig": {"IPv4Address": "10.1.2.3"},
                    "MacAddress": "02:00:00:00:00:05",
                },
                "other": {},
            }
        },
    )
    assert made.memberships() == (
        Membership("inner", ("www",), "10.1.2.3", "02:00:00:00:00:05"),
        Membership("other"),
    )
    assert options({"NetworkMode": "default"}).network == "bridge"
    with pytest.raises(NotThereYet, match="IPv6Address"):
        membership_of("inner", {"IPAMConfig": {"IPv6Address": "2001:db8::1"}})


def test_limits_devices_and_what_is_shared() -> None:
    made = options(
        {
            "Memory": 64 << 20,
            "NanoCpus": 5 * 10**8,
            "PidsLimit": -1,
            "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
            "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/f", "CgroupPermissions": "r"}],
            "DeviceCgroupRules": ["c 1:3 rwm"],
            "PidMode": "host",
            "IpcMode": "container:two",
            "CgroupParent": "/above",
            "SecurityOpt": ["no-new-privileges=false", "seccomp=unconfined"],
            "VolumesFrom": ["two:ro"],
            "Links": ["/db:/one/database"],
            "UsernsMode": "auto:size=1000",
        },
        Healthcheck={"Test": ["CMD", "true"], "Interval": 10**9},
    )
    assert (made.limits.memory, made.limits.nano_cpus, made.limits.pids) == (64 << 20, 5 * 10**8, -1)
    assert made.limits.ulimits[0]._asdict() == {"name": "nofile", "soft": 10, "hard": 20}
    assert made.devices == (Device("/dev/fuse", "/dev/f", "r"),)
    assert (made.shared.pid, made.shared.ipc, made.cgroup_parent) == ("host", "container:two", "/above")
    assert made.security.allow_new_privileges and made.security.seccomp == "unconfined"
    assert (made.volumes_from, made.links) == (("two:ro",), (("db", "database"),))
    assert (made.userns, made.userns_size) == ("auto", 1000)
    assert (made.health.test, made.health.interval) == (("CMD", "true"), 10**9)


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ({"Devices": [{"PathOnHost": "/dev/../etc/passwd"}]}, "no plain absolute path"),
        ({"Devices": [{"PathOnHost": "/dev/fuse", "CgroupPermissions": "x"}]}, "is not of r, w and m"),
        ({"CgroupParent": "/../up"}, "cgroup"),
        ({"Memory": 1}, "6 MB"),
        ({"PidMode": "nonsense"}, "invalid PidMode"),
        ({"Memory": "much"}, "Memory is no whole number"),
        ({"Binds": "/a:/b"}, "Binds is no list"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}, "maximum retry count"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "AutoRemove"),
        ({"SecurityOpt": ["seccomp={broken"]}, "not JSON"),
    ],
)
def test_what_cannot_be_is_refused(host: dict, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        options(host)


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ({"DeviceRequests": [{"Count": -1}]}, "DeviceRequests"),
        ({"LogConfig": {"Type": "gelf"}}, "gelf"),
        ({"SecurityOpt": ["unheard=of"]}, "unheard"),
    ],
)
def test_what_is_not_there_is_named(host: dict, word: str) -> None:
    with pytest.raises(NotThereYet, match=word):
        options(host)


def test_changes_of_a_container() -> None:
    asked = changes_of({"Memory": 64 << 20, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})
    assert asked.limits.memory == 64 << 20 and asked.restart is not None
    assert (asked.restart.name, asked.restart.maximum) == ("on-failure", 3)
    assert changes_of({"RestartPolicy": {}}).restart is None


@pytest.mark.parametrize("check", [{"Interval": 1}, {"Timeout": 999_999}, {"StartPeriod": -1}, {"Retries": -1}])
def test_a_health_check_that_cannot_be_is_refused(check):
    with pytest.raises(InvalidInput, match="health check"):
        options(Healthcheck={"Test": ["CMD", "true"], **check})
