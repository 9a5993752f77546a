"""Lowering: which images are asked for, what becomes of a build's own arguments, and the finished configuration."""

from __future__ import annotations

import pytest

from estiba.dockerfile import DockerfileError, Lowered, bases_needed, lower, parse, stages
from estiba.graph.plan import plan
from estiba.graph.vertex import Run, SourceImage
from estiba.oci.digest import Digest
from estiba.oci.image_config import History, ImageConfig, RunConfig
from estiba.oci.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
ONE, TWO, THREE = (Digest("sha256", str(number) * 64) for number in (1, 2, 3))


def image(name: str, platform: Platform = AMD64) -> SourceImage:
    return SourceImage(f"docker.io/library/{name}", platform)


def lowered(text: str, *, bases: dict[SourceImage, ImageConfig] | None = None, **options: object) -> Lowered:
    staged = stages(parse(text, filename="Dockerfile"))
    given = dict(bases or {})
    arguments = {"build_args": {}, "platform": AMD64, **options}
    needed = {k: v for k, v in arguments.items() if k in ("build_args", "platform", "build_platform", "target")}
    for missing in bases_needed(staged, **needed, bases=given):
        given[missing] = ImageConfig.make(platform=missing.platform)
    return lower(staged, **arguments, bases=given)


def digests(text: str, **options: object) -> list[str]:
    return [step.digest for step in plan(lowered(text, **options).vertex).steps]


def test_only_the_images_that_the_target_needs_are_asked_for() -> None:
    """A stage that nothing needs, and an image that is known, are left out."""
    staged = stages(
        parse(
            "FROM unused\nFROM --platform=linux/arm64 debian AS b\nRUN --mount=from=tools,target=/t x\n"
            "FROM scratch\nCOPY --from=b /a /\nCOPY --from=busybox:1 /b /\n",
            filename="Dockerfile",
        )
    )
    assert set(bases_needed(staged, build_args={}, platform=AMD64, bases={})) == {
        image("debian:latest", ARM64),
        image("tools:latest"),
        image("busybox:1"),
    }
    known = {image("tools:latest"): ImageConfig.make(platform=AMD64)}
    assert image("tools:latest") not in bases_needed(staged, build_args={}, platform=AMD64, bases=known)
    assert bases_needed(staged, target="b", build_args={}, platform=AMD64, bases=known) == (
        image("debian:latest", ARM64),
    )


def test_a_trigger_of_a_base_can_ask_for_one_more_image() -> None:
    """Its configuration must be known first; so the question is asked again."""
    staged = stages(parse("FROM parent\n", filename="Dockerfile"))
    bases = {image("parent:latest"): ImageConfig.make(platform=AMD64, run=RunConfig(on_build=("COPY --from=x /a /",)))}
    assert bases_needed(staged, build_args={}, platform=AMD64, bases={}) == (image("parent:latest"),)
    assert bases_needed(staged, build_args={}, platform=AMD64, bases=bases) == (image("x:latest"),)


def test_the_finished_configuration_joins_base_and_new_layers() -> None:
    """One line of history for each layer, the base's first."""
    base = ImageConfig.make(
        platform=AMD64, run=RunConfig(env=("PATH=/bin",)), diff_ids=(ONE,), history=(History(created_by="base"),)
    )
    result = lowered("FROM a\nENV A=1\nRUN x\nCOPY a b\n", bases={image("a:latest"): base})
    config = result.finish([str(ONE), TWO, str(THREE)])
    assert config == ImageConfig.parse(config.raw)
    assert config.diff_ids == (ONE, TWO, THREE)
    assert config.run.env == ("PATH=/bin", "A=1")
    assert [(line.created_by, line.empty_layer) for line in config.history] == [
        ("base", False),
        ("ENV A=1", True),
        ("RUN /bin/sh -c x", False),
        ("COPY a b", False),
    ]
    assert config.created == "1980-01-01T00:00:00Z"
    with pytest.raises(ValueError, match=r"expected 1 \+ 2 layers, got 2"):
        result.finish([ONE, TWO])


def test_text_that_means_the_same_is_the_same_graph() -> None:
    """Comments, blanks between instructions and the case of keywords are not what is built."""
    assert digests("FROM a\nRUN x\nCOPY b c\n") == digests("# c\nfrom  a\n\n# d\nrun    x\ncopy  /b   /c\n")


def test_a_build_argument_changes_only_the_steps_after_its_arg() -> None:
    """So what stands before it stays cached."""
    text = "FROM a\nRUN one\nARG A=1\nRUN two\n"
    before, after = digests(text), digests(text, build_args={"A": "2"})
    assert before[:2] == after[:2]
    assert before[2] != after[2]


def test_an_argument_that_no_arg_names_changes_nothing() -> None:
    """As with any option that is not used."""
    assert digests("FROM a\nRUN x\n") == digests("FROM a\nRUN x\n", build_args={"UNKNOWN": "1"})


def test_a_proxy_reaches_every_run_and_no_cache_key() -> None:
    """Predefined arguments need no ARG."""
    result = lowered("FROM a\nRUN x\n", build_args={"https_proxy": "http://p"})
    operation = result.vertex.operation
    assert isinstance(operation, Run)
    assert operation.passing_env == (("https_proxy", "http://p"),)
    assert digests("FROM a\nRUN x\n") == digests("FROM a\nRUN x\n", build_args={"https_proxy": "http://p"})


def test_the_time_of_everything_can_be_given() -> None:
    """By the caller, or by a build argument, which wins; RUN sees it."""
    assert lowered("FROM a\nRUN x\n", epoch=1).created == "1970-01-01T00:00:01Z"
    result = lowered("FROM a\nRUN x\n", epoch=1, build_args={"SOURCE_DATE_EPOCH": "2"})
    assert (result.created, result.epoch) == ("1970-01-01T00:00:02Z", 2)
    assert isinstance(result.vertex.operation, Run)
    assert ("SOURCE_DATE_EPOCH", "2") in result.vertex.operation.env
    hidden = lowered("FROM a\nRUN x\n", shows_epoch=False).vertex.operation
    assert isinstance(hidden, Run)
    assert "SOURCE_DATE_EPOCH" not in dict(hidden.env)


def test_labels_of_the_build_win_over_those_of_the_file() -> None:
    """They come last."""
    result = lowered("FROM a\nLABEL x=1 y=2\n", labels={"x": "3"})
    assert dict(result.run.labels) == {"x": "3", "y": "2"}


def test_an_image_is_of_the_platform_that_its_base_has() -> None:
    """A stage from nothing is of the platform that was asked for."""
    other = ImageConfig.make(platform=Platform("linux", "arm", "v7"))
    assert lowered("FROM a\n", bases={image("a:latest"): other}).platform == Platform("linux", "arm", "v7")
    assert lowered("FROM scratch\n", platform=ARM64).platform == ARM64


def test_a_chain_of_a_thousand_stages_is_lowered() -> None:
    """No recursion limit bounds the number of stages."""
    text = "FROM a AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nRUN {n}\n" for n in range(1000))
    assert lowered(text).layers == 1000


def test_an_error_in_a_stage_that_is_not_needed_does_not_stop_the_build() -> None:
    """Names are looked up only where they are needed."""
    text = "FROM $UNSET\nRUN x\nFROM a\nRUN y\n"
    assert lowered(text).layers == 1
    with pytest.raises(DockerfileError):
        lowered(text, target="0")
