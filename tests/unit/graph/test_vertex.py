"""Vertices are addressed by what they do."""

from __future__ import annotations

from estiba.graph.plan import plan
from estiba.graph.vertex import Copy, LocalContext, MakeDirectory, Run, RunMount, Scratch, SourceImage, Vertex
from estiba.oci.platform import Platform

BASE = Vertex.of(SourceImage("docker.io/library/busybox:latest", Platform("linux", "amd64")), name="base")


def run(command: str, *inputs: Vertex, **fields: object) -> Vertex:
    return Vertex.of(Run(("/bin/sh", "-c", command), **fields), inputs or (BASE,), name=command)


def test_the_name_the_line_and_the_text_do_not_change_the_digest() -> None:
    """What progress and errors show is not what a step does."""
    one = Vertex.of(MakeDirectory("/a"), [BASE], name="[1/2] WORKDIR /a", stage="x", line=3, source="WORKDIR /a")
    other = Vertex.of(MakeDirectory("/a"), [BASE], name="[7/9] WORKDIR a", line=30)
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest


def test_the_order_of_the_environment_does_not_change_the_digest() -> None:
    """An environment is a mapping."""
    assert run("x", env=(("A", "1"), ("B", "2"))) == run("x", env=(("B", "2"), ("A", "1")))


def test_a_proxy_does_not_change_the_digest() -> None:
    """Building behind another proxy finds the same cache."""
    assert run("x", passing_env=(("HTTP_PROXY", "http://one"),)) == run("x", passing_env=())


def test_whatever_a_step_does_changes_the_digest() -> None:
    """The command, each option, each input."""
    variants = [
        run("x"),
        run("y"),
        run("x", run("w")),
        run("x", user="1"),
        run("x", working_dir="/w"),
        run("x", env=(("A", "1"),)),
        run("x", network="none"),
        run("x", mounts=(RunMount("bind", "/m", source_input=0),)),
        run("x", mounts=(RunMount("bind", "/m", source_input=1),)),
        run("x", mounts=(RunMount("cache", "/m", mode=0),)),
        run("x", mounts=(RunMount("cache", "/m"),)),
        Vertex.of(Copy("COPY", ("a",), "/b"), [BASE, Vertex.of(LocalContext())]),
        Vertex.of(Copy("COPY", ("a",), "/b/"), [BASE, Vertex.of(LocalContext())]),
        Vertex.of(Copy("COPY", ("a",), "/b"), [BASE, BASE]),
    ]
    assert len({vertex.digest for vertex in variants}) == len(variants)


def test_a_plan_has_each_step_once_and_inputs_first() -> None:
    """Equal steps are one, and nothing else than what the target needs is in the plan."""
    run("not needed")
    left, right = run("same"), run("same")
    target = Vertex.of(
        Copy("COPY", ("a",), "/a"), [Vertex.of(Copy("COPY", ("b",), "/b"), [Vertex.of(Scratch()), left]), right]
    )
    planned = plan(target)
    assert [step.operation.describe()["op"] for step in planned.steps] == ["scratch", "image", "run", "copy", "copy"]
    assert planned.waits_for == (0, 0, 1, 2, 2)
    assert planned.users == ((3,), (2,), (3, 4), (4,), ())


def test_a_very_long_line_of_steps_can_be_planned() -> None:
    """No recursion limit bounds a Dockerfile's length."""
    vertex = BASE
    for number in range(5000):
        vertex = run(str(number), vertex)
    assert len(plan(vertex).steps) == 5001
