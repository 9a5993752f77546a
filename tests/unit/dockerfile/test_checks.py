"""The checks of a Dockerfile: the table of rules, what a file may ask for, and what the golden folders cannot show."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from estiba.dockerfile import DockerfileError, Warning, bases_needed, checks, lower, parse, stages, warnings
from estiba.oci.image_config import ImageConfig
from estiba.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
REPOSITORY = Path(__file__).parents[3]


def found(text: str, *, known: bool = True, hides: frozenset[str] = frozenset(), **build_args: str) -> list[str]:
    """The rules and lines of what a check says."""
    staged = stages(parse(text, filename="Dockerfile"))
    bases: dict = {}
    for missing in bases_needed(staged, build_args=build_args, platform=AMD64, bases=bases):
        bases[missing] = ImageConfig.make(platform=missing.platform)
    lowered = lower(
        staged,
        build_args=build_args,
        platform=AMD64,
        bases=bases,
        hides=hides.__contains__,
        unknown=() if known else tuple(bases),
        warnings_fail=False,
    )
    return [f"{each.line} {each.rule}" for each in lowered.warnings]


def test_every_rule_has_a_section_in_the_manual_and_no_section_is_without_its_rule() -> None:
    """So a warning can be looked up, and nothing is told that is not there."""
    manual = (REPOSITORY / "docs" / "build-checks.md").read_text()
    sections = re.findall(r"^### (\w+)\n\n(.*)", manual, re.MULTILINE)
    assert [name for name, _ in sections] == sorted(warnings.RULES)
    marked = {name for name, text in sections if text.startswith("*Experimental.*")}
    assert marked == {name for name, rule in warnings.RULES.items() if rule.is_experimental}


def test_every_rule_that_the_code_names_is_in_the_table() -> None:
    """A rule is data: nothing warns under another name."""
    named = set()
    for path in (REPOSITORY / "src" / "estiba" / "dockerfile").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if called in ("warn", "warning", "Warning") and isinstance(node.args[0], ast.Constant):
                    named.add(node.args[0].value)
    assert named == set(warnings.RULES)


@pytest.mark.parametrize("module", [checks, warnings])
def test_checking_reads_nothing_and_runs_nothing(module: object) -> None:
    """What decides does not act."""
    tree = ast.parse(Path(module.__file__).read_text())  # type: ignore[attr-defined]
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported.isdisjoint({"os", "io", "socket", "subprocess", "pathlib", "time"})


def test_a_source_that_is_hidden_is_told_where_a_file_asks_for_it() -> None:
    """Experimental rules say nothing by themselves; another stage's files and patterns are not the context's."""
    text = "FROM a AS x\nCOPY README.md src /\nFROM x\nADD *.md README.md /\nCOPY --from=x README.md /\n"
    hidden = frozenset({"README.md", "*.md"})
    assert found(text, hides=hidden) == []
    asked = f"# check=experimental=CopyIgnoredFile\n{text}"
    assert found(asked, hides=hidden) == ["3 CopyIgnoredFile", "5 CopyIgnoredFile"]
    assert found(asked) == []


def test_a_base_that_is_not_known_may_set_any_variable() -> None:
    """Also for the stages that begin with one on it."""
    text = "FROM a AS x\nENV A=$NODE_VERSION\nFROM x\nLABEL a=$NODE_VERSION\nFROM scratch AS y\n"
    assert found(text.replace("FROM scratch AS y\n", "")) == ["2 UndefinedVar", "4 UndefinedVar"]
    assert found(text.replace("FROM scratch AS y\n", ""), known=False) == []


def test_the_build_argument_wins_over_the_directive() -> None:
    """So a file need not be changed to be built without the checks that it asks for."""
    text = "# check=skip=MaintainerDeprecated\nFROM a\nMAINTAINER me\nCMD x\n"
    assert found(text) == ["4 JSONArgsRecommended"]
    assert found(text, BUILDKIT_DOCKERFILE_CHECK="skip=JSONArgsRecommended") == ["3 MaintainerDeprecated"]
    assert found(text, BUILDKIT_DOCKERFILE_CHECK="skip=all;error=true") == []


def test_a_check_lists_what_a_build_would_fail_with() -> None:
    """With error=true a build raises the first warning; a check shows them all."""
    text = "# check=error=true\nFROM a\nMAINTAINER me\nCMD x\n"
    assert found(text) == ["3 MaintainerDeprecated", "4 JSONArgsRecommended"]
    bases = {image: ImageConfig.make(platform=AMD64) for image in _needed(text)}
    with pytest.raises(DockerfileError, match="MaintainerDeprecated"):
        lower(stages(parse(text, filename="Dockerfile")), build_args={}, platform=AMD64, bases=bases)


def _needed(text: str) -> tuple:
    return bases_needed(stages(parse(text, filename="Dockerfile")), build_args={}, platform=AMD64, bases={})


def test_a_warning_knows_all_the_lines_that_it_is_about() -> None:
    """An instruction goes on over continuations and here-documents."""
    staged = stages(parse("FROM a\nMAINTAINER \\\n  me\nrun <<E\nx\nE\n", filename="Dockerfile"))
    assert [(each.rule, each.line, each.last_line) for each in staged.warnings] == [
        ("ConsistentInstructionCasing", 4, 6),
        ("MaintainerDeprecated", 2, 3),
    ]
    assert Warning("UndefinedVar", "x", 1).last_line == 0
