"""Devices, shared namespaces, limits and health are read as Docker reads them; what leads astray is refused."""

from __future__ import annotations

import pytest

from estiba.cli.container_flags import add_container_arguments, container_options
from estiba.cli.parser import make_parser
from estiba.engine.options import BlockIo, ContainerOptions, Device, Health, Limits, Shared, Ulimit
from estiba.errors import InvalidInput, NotFound, NotThereYet


def options(*words: str) -> ContainerOptions:
    parser = make_parser("estiba run", "Run")
    add_container_arguments(parser)
    return container_options(parser.parse_args((*words, "i")), {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/fuse", Device("/dev/fuse", "/dev/fuse")),
        ("/dev/fuse:r", Device("/dev/fuse", "/dev/fuse", "r")),
        ("/dev/fuse:/dev/x", Device("/dev/fuse", "/dev/x")),
        ("/dev/fuse:/dev/x:rm", Device("/dev/fuse", "/dev/x", "rm")),
        ("/dev//snd/", Device("/dev/snd", "/dev/snd")),
    ],
)
def test_a_device_has_a_place_and_an_access(text, expected):
    assert options("--device", text).devices == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fuse",
        "/dev/fuse:",
        "/dev/../etc",
        "/dev/a:/x/../y",
        "/dev/a:/dev/b:rx",
        "/dev/a:/b:rr",
        "/a:/b:/c:r",
        "/dev/a:/",
        "/dev/a:/proc/x",
    ],
)
def test_a_device_that_leads_astray_is_refused(text):
    with pytest.raises(InvalidInput):
        options("--device", text)


def test_a_device_of_the_container_device_interface_is_named():
    with pytest.raises(NotThereYet, match="Container Device Interface"):
        options("--device", "vendor.com/gpu=all")


@pytest.mark.parametrize("text", ["c 1:3", "x 1:3 r", "c 1:3 q", "c a:3 r", "c 1 r", "c 1:3 rwmr", "c  1:3 r"])
def test_a_rule_for_devices_has_one_form(text):
    with pytest.raises(InvalidInput):
        options("--device-cgroup-rule", text)
    assert options("--device-cgroup-rule", "b 8:* rm").device_rules == ("b 8:* rm",)


def test_shared_namespaces_are_named():
    words = "--pid container:one --ipc shareable --uts host --cgroupns host"
    assert options(*words.split()).shared == Shared("container:one", "shareable", "host", "host")


@pytest.mark.parametrize(
    "words",
    [
        "--pid private",
        "--pid container:",
        "--ipc everybody",
        "--uts container:one",
        "--cgroupns container:one",
        "--uts host -h ship",
        "--uts host --domainname sea",
        "--cgroup-parent ../../system",
        "--cgroup-parent a/../b",
        "--expose 0",
        "--expose 9-8",
        "--expose 80/icmp",
        "--attach stdlog",
        "--link :a",
        "--volumes-from :ro",
        "--volumes-from one:rx",
        "--add-host a:nowhere",
        "--ip 10.0.0.1",
        "--network own --ip ::1",
        "--mac-address nonsense",
        "--mac-address 01:00:00:00:00:01",
        "--network own --ip nine",
        "--storage-opt size=1k",
        "--isolation hyperv",
        "--kernel-memory 10m",
        "--no-healthcheck --health-cmd x",
        "--health-interval 1us",
        "--health-retries -1",
        "--device-read-bps sda:1m",
        "--device-read-bps /dev/sda",
        "--device-read-bps /dev/../x:1",
        "--device-read-iops /dev/sda:-1",
        "--oom-kill-disable",
        "--ulimit nothing=1",
        "--ulimit nofile=-2",
        "--ulimit nofile=2:1",
        "--memory-swappiness 101",
    ],
)
def test_what_cannot_be_is_refused(words):
    with pytest.raises(InvalidInput) as told:
        options(*words.split())
    assert told.value.remedy


def test_limits_of_every_kind():
    words = (
        "--cpu-period 50000 --cpu-quota 25000 --cpu-rt-period 9 --cpu-rt-runtime 8 --memory 1g --memory-swappiness 0"
        " --oom-kill-disable --ulimit nofile=1:2 --ulimit core=unlimited --ulimit nofile=3"
    )
    assert options(*words.split()).limits == Limits(
        memory=1 << 30,
        cpu_period=50000,
        cpu_quota=25000,
        cpu_rt_period=9,
        cpu_rt_runtime=8,
        swappiness=0,
        oom_kill_disable=True,
        ulimits=(Ulimit("nofile", 3, 3), Ulimit("core", -1, -1)),
    )
    assert options("--memory-swappiness", "-1").limits.swappiness is None


def test_limits_of_block_devices():
    words = (
        "--blkio-weight 300 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb"
        " --device-write-bps /dev/sdb:2k --device-read-iops /dev/sda:5 --device-write-iops /dev/sdb:6"
    )
    assert options(*words.split()).block_io == BlockIo(
        300,
        (("/dev/sda", 200),),
        (("/dev/sda", 1 << 20),),
        (("/dev/sdb", 2048),),
        (("/dev/sda", 5),),
        (("/dev/sdb", 6),),
    )


def test_health_is_recorded_in_nanoseconds():
    words = ("--health-cmd", "test -e /ok", "--health-interval", "1m30s", "--health-timeout", "500ms")
    more = ("--health-retries", "4", "--health-start-period", "1s", "--health-start-interval", "2s")
    assert options(*words, *more).health == Health(
        ("CMD-SHELL", "test -e /ok"), 90 * 10**9, 5 * 10**8, 10**9, 2 * 10**9, 4
    )
    assert options("--no-healthcheck").health == Health(("NONE",))


def test_seccomp_is_a_file_or_a_word(tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert options("--security-opt", f"seccomp={profile}").security.seccomp == profile.read_text()
    assert options("--security-opt", "seccomp=unconfined").security.seccomp == "unconfined"
    assert options("--security-opt", "seccomp=builtin").security.seccomp == "default"
    assert options("--security-opt", "systempaths=unconfined").security.shows_system_paths
    with pytest.raises(NotFound, match="nowhere"):
        options("--security-opt", "seccomp=/nowhere")
    profile.write_text("no profile")
    with pytest.raises(InvalidInput):
        options("--security-opt", f"seccomp={profile}")


def test_ranges_of_exposed_ports_are_their_ports():
    assert options("--expose", "80-82/tcp", "--expose", "53/udp").expose == ("80/tcp", "81/tcp", "82/tcp", "53/udp")


def test_every_option_is_kept_as_it_was():
    words = (
        "--device /dev/fuse:/dev/x:r --device-cgroup-rule a --pid host --link one:two --attach stdout --ip 10.9.8.7"
        " --network own --volumes-from one:ro --storage-opt size=10m --blkio-weight-device /dev/sda:200 --health-cmd x"
        " --mount type=volume,target=/v,volume-label=a=b,volume-subpath=c --cgroup-parent /a --runtime crun"
    ).replace(" a --pid", " a@*:*@r --pid")
    found = options(*(word.replace("@", " ") for word in words.split()))
    assert ContainerOptions.from_json(found.to_json()) == found
