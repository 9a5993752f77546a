"""Dockerfiles and what they become: `dockerfile/CASE/{Dockerfile,expected}`, with `arguments.json` for a build's own.

Run this file to write every `expected` anew; then read the difference before you commit it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from estiba.dockerfile import bases_needed, lower, parse, stages
from estiba.errors import EstibaError
from estiba.graph.plan import plan
from estiba.oci.image_config import ImageConfig
from estiba.oci.platform import Platform

CASES = Path(__file__).parent / "dockerfile"


def render(case: Path) -> str:
    """What a case becomes, as text for people: steps, image, history, warnings, or the error."""
    arguments = json.loads((case / "arguments.json").read_text()) if (case / "arguments.json").exists() else {}
    text = (case / "Dockerfile").read_bytes().decode("utf-8", "surrogateescape")
    try:
        return _render(text, arguments)
    except EstibaError as error:
        return f"{type(error).__name__}\n{error}\n"


def _render(text: str, arguments: dict) -> str:
    staged = stages(parse(text, filename="Dockerfile"))
    options = {
        "target": arguments.get("target", ""),
        "build_args": arguments.get("build_args", {}),
        "platform": Platform.parse(arguments.get("platform", "linux/amd64")),
        "build_platform": Platform.parse(arguments.get("build_platform", "linux/amd64")),
    }
    images = arguments.get("images", {})
    bases = {}
    while missing := bases_needed(staged, **options, bases=bases):
        for image in missing:
            document = {**image.platform.to_json(), **images.get(image.reference, {})}
            bases[image] = ImageConfig.parse(json.dumps(document).encode())
    lowered = lower(staged, **options, bases=bases, labels=arguments.get("labels"))
    steps = plan(lowered.vertex).steps
    number = {step.digest: index for index, step in enumerate(steps, 1)}
    lines = ["steps:"]
    for step in steps:
        inputs = " ".join(str(number[each.digest]) for each in step.inputs)
        lines.append(f"  {number[step.digest]}. {step.name}" + (f"  <- {inputs}" if inputs else ""))
        default = {"sources", "op"}
        described = {k: v for k, v in step.operation.describe().items() if k in default or v not in ("", [], False)}
        lines.extend(_indented(described))
    lines.append(f"image: {lowered.platform}")
    lines.extend(_indented(lowered.run.to_json()))
    lines.append(f"history: ({lowered.base_layers} + {lowered.layers} layers)")
    lines.extend(f"  {'-' if line.empty_layer else '+'} {line.created_by!r}" for line in lowered.history)
    lines.append("warnings:")
    lines.extend(f"  line {each.line}: {each.rule}: {each.message}" for each in lowered.warnings)
    return "\n".join(lines) + "\n"


def _indented(value: dict) -> list[str]:
    return [f"       {key}: {json.dumps(each, ensure_ascii=False)}" for key, each in value.items()]


def _bytes(text: str) -> bytes:
    """Bytes of a Dockerfile that are not UTF-8 come out as they went in."""
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_a_dockerfile_becomes_what_is_expected(case: str) -> None:
    """Steps, configuration, history and warnings, or the error with its picture, stay as they are written down."""
    assert _bytes(render(CASES / case)) == (CASES / case / "expected").read_bytes()


if __name__ == "__main__":
    for path in sorted(CASES.iterdir()):
        (path / "expected").write_bytes(_bytes(render(path)))
