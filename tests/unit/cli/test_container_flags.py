"""Docker's flags of `run` become one value; what cannot be, or is not there yet, is named."""

from __future__ import annotations

import pytest

from estiba.cli.container_flags import add_container_arguments, container_options
from estiba.cli.parser import make_parser
from estiba.cli.times import moment
from estiba.engine.options import ContainerOptions, Limits, Membership, Security, VolumeMount
from estiba.engine.restart_policy import RestartPolicy
from estiba.errors import InvalidInput, NotThereYet
from estiba.networks.ports import PortMapping


def options(*words: str, environment: dict[str, str] | None = None) -> ContainerOptions:
    parser = make_parser("estiba run", "Run")
    add_container_arguments(parser)
    return container_options(parser.parse_args(words), environment or {})


def test_flags_come_before_the_image_and_everything_after_it_is_the_command():
    found = options("-it", "--rm", "busybox", "ls", "-l", "--rm", "-p")
    assert found == ContainerOptions(
        "busybox", command=("ls", "-l", "--rm", "-p"), tty=True, interactive=True, auto_remove=True
    )


def test_many_flags_become_one_value():
    words = (
        "-e A=1 -e B -e C -l k=v -m 64m --cpus 0.5 -p 8080:80 -v data:/data:ro --restart on-failure:3 -h ship -u app"
    )
    found = options(*words.split(), "-w", "/srv", "--cap-add", "SYS_TIME", "--net", "none", "i", environment={"B": "2"})
    assert found == ContainerOptions(
        "i",
        env=("A=1", "B=2"),
        labels=(("k", "v"),),
        user="app",
        working_dir="/srv",
        mounts=(VolumeMount("volume", "/data", "data", read_only=True),),
        ports=(PortMapping(80, 8080),),
        network="none",
        naming=found.naming._replace(hostname="ship"),
        limits=Limits(memory=64 << 20, nano_cpus=500_000_000),
        security=Security(cap_add=("SYS_TIME",)),
        restart=RestartPolicy("on-failure", 3),
    )


def test_an_empty_entry_point_resets_the_images():
    assert options("--entrypoint", "", "i", "sh").entrypoint == ()
    assert options("--entrypoint", "x", "i").entrypoint == ("x",)
    assert options("i").entrypoint is None


@pytest.mark.parametrize("words", [("--gpus", "all", "i"), ("--ip6", "::1", "i"), ("--volume-driver", "nfs", "i")])
def test_a_flag_of_docker_that_estiba_lacks_is_named(words):
    with pytest.raises(NotThereYet, match="not there yet"):
        options(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("--rm", "--restart", "always", "i"),
        ("-v", "/a:/x", "--tmpfs", "/x", "i"),
        ("--memory-swap", "1g", "i"),
        ("-m", "1k", "i"),
        ("-w", "relative", "i"),
        ("-e", "=x", "i"),
        ("--sysctl", "x", "i"),
        ("--stop-signal", "NOPE", "i"),
    ],
)
def test_what_cannot_be_is_refused(words):
    with pytest.raises(InvalidInput):
        options(*words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("1700000000", "2023-11-14T22:13:20.000000000Z"),
        ("1700000000.5", "2023-11-14T22:13:20.500000000Z"),
        ("10s", "2023-11-14T22:13:10.250000000Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000000Z"),
        ("2026-01-02T03:04:05.123456789+01:00", "2026-01-02T02:04:05.123456789Z"),
    ],
)
def test_a_time_is_a_moment_or_how_long_ago(text, expected):
    assert moment(text, now=1700000000.25) == expected


def test_what_is_no_time_is_refused():
    for text in ("yesterday", "2026-13-01", "10 apples"):
        with pytest.raises(InvalidInput):
            moment(text, now=0)


def test_a_container_may_be_in_several_networks():
    words = ("--network", "one", "--network", "name=two,alias=a,alias=b,ip=10.1.0.5,mac-address=02:00:00:00:00:01")
    found = options(*words, "--network-alias", "www", "busybox")
    assert (found.network, found.aliases) == ("one", ("www",))
    assert found.networks == (Membership("two", ("a", "b"), "10.1.0.5", "02:00:00:00:00:01"),)
    assert options("--network", "name=one,ip=10.1.0.5", "busybox").address == "10.1.0.5"
    assert options("--network", "default", "busybox").network == options("busybox").network == "bridge"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("one", "one"), "given twice"),
        (("one", "none"), "is in no other"),
        (("container:x", "one"), "is in no other"),
        (("ip=10.1.0.5",), "invalid --network"),
        (("name=one,colour=red",), "invalid --network"),
        (("name=one,ip=10.1.0.5,ip=10.1.0.6",), "invalid --network"),
        (("name=one,ip=everywhere",), "everywhere"),
        (("name=bridge,alias=www",), "network of one's own"),
    ],
)
def test_networks_that_do_not_go_together_are_refused(words, said):
    flags = [part for word in words for part in ("--network", word)]
    with pytest.raises(InvalidInput, match=said):
        options(*flags, "busybox")
    with pytest.raises(InvalidInput, match="--ip is given twice"):
        options("--network", "name=one,ip=10.1.0.5", "--ip", "10.1.0.6", "busybox")
