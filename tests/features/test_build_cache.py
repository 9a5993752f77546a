"""What is built again, what is not, and the reason that is given."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox
ARG MODE=slow
RUN echo $MODE > /mode
COPY src /src
RUN cat /src/* > /all
"""


@pytest.fixture
def context(estiba_home: Any, tmp_path: Path) -> Path:
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    directory = tmp_path / "context"
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "a").write_text("a")
    (directory / "src" / "b").write_text("b")
    (directory / "Dockerfile").write_text(DOCKERFILE)
    return directory


def steps(home: Any, context: Path, *flags: str) -> dict[str, str]:
    """What a build says of each step: the part of its name after the number, and the reason or CACHED."""
    lines = home.estiba("build", *flags, "-t", "built", str(context)).stderr.splitlines()
    names: dict[str, str] = {}
    said: dict[str, str] = {}
    for line in lines:
        number, _, words = line.partition(" ")
        if words.startswith("["):
            names[number] = words.partition("] ")[2]
        elif words.startswith(("run", "CACHED")) and number in names:
            said[names[number]] = words
    return said


def test_a_build_with_no_change_runs_nothing(estiba_home: Any, context: Path) -> None:
    assert set(steps(estiba_home, context).values()) == {"run: never run before"}
    assert set(steps(estiba_home, context).values()) == {"CACHED (same inputs)"}


def test_another_time_is_no_change_and_another_content_is(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    os.utime(context / "src" / "a")
    assert set(steps(estiba_home, context).values()) == {"CACHED (same inputs)"}
    (context / "src" / "a").write_text("A")
    assert steps(estiba_home, context) == {
        "RUN echo $MODE > /mode": "CACHED (same inputs)",
        "COPY src /src": "run again: src/a changed (content)",
        "RUN cat /src/* > /all": "run again: the step before it changed",
    }


def test_new_and_removed_files_and_modes_are_reasons(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    (context / "src" / "c").write_text("c")
    (context / "src" / "b").unlink()
    assert steps(estiba_home, context)["COPY src /src"] == "run again: src/c is new, src/b is gone"
    (context / "src" / "c").chmod(0o755)
    assert steps(estiba_home, context)["COPY src /src"] == "run again: src/c changed (mode 644 → 755)"


def test_a_build_argument_is_a_reason_only_for_steps_that_see_it(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    said = steps(estiba_home, context, "--build-arg", "MODE=fast")
    assert said["RUN echo $MODE > /mode"] == "run again: variable MODE: slow → fast"


def test_a_changed_file_outside_what_is_copied_changes_nothing(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    (context / "README").write_text("new")
    assert set(steps(estiba_home, context).values()) == {"CACHED (same inputs)"}


def test_no_cache_runs_everything_and_gives_the_same_image(estiba_home: Any, context: Path) -> None:
    first = estiba_home.estiba("build", "-q", str(context)).stdout
    assert set(steps(estiba_home, context, "--no-cache").values()) == {"run: the cache is not used"}
    assert estiba_home.estiba("build", "-q", str(context)).stdout == first


def explained(home: Any, context: Path, *flags: str, check: bool = True) -> dict[str, list[str]]:
    """What --explain says of each step: the outcome and the causes."""
    said: dict[str, list[str]] = {}
    name = ""
    for line in home.estiba("build", "--explain", *flags, str(context), check=check).stdout.splitlines():
        if line.startswith(" "):
            said[name].append(line.strip())
        else:
            outcome, _, title = line.partition(" ")
            name = title.partition("] ")[2].partition(" (")[0]
            said[name] = [outcome]
    return said


def test_every_step_is_explained_and_what_is_not_needed_is_skipped(estiba_home: Any, context: Path) -> None:
    """Also a step that moved, whose text changed, or whose result was removed."""
    (context / "Dockerfile").write_text(
        f"{DOCKERFILE}FROM busybox AS unused\nRUN false\nFROM busybox\nCOPY --from=0 /all /\n"
    )
    first = explained(estiba_home, context)
    assert first["RUN cat /src/* > /all"] == ["MISS", "never run before"]
    assert first["RUN false"] == ["SKIPPED", "no stage that is built needs this one"]
    assert explained(estiba_home, context)["COPY --from=0 /all /"] == ["HIT", "same inputs"]
    (context / "Dockerfile").write_text(DOCKERFILE.replace("COPY", "RUN echo new\nCOPY").replace(" > /all", " >> /all"))
    assert explained(estiba_home, context, "--build-arg", "MODE=fast") == {
        "FROM docker.io/library/busybox:latest": first["FROM docker.io/library/busybox:latest"],
        "RUN echo $MODE > /mode": ["MISS", "variable MODE: slow → fast"],
        "RUN echo new": ["MISS", "never run before"],
        "COPY src /src": ["MISS", "the step before it changed"],
        "RUN cat /src/* >> /all": [
            "MISS",
            "the instruction changed: RUN cat /src/* [->-] {+>>+} /all",
            "variable MODE: slow → fast",
        ],
    }
    with Store.open(estiba_home.root) as store:
        store.cache.clear()
    again = explained(estiba_home, context, "--build-arg", "MODE=fast")
    assert again["COPY src /src"] == ["MISS", "its result was removed"]


def test_an_image_that_moved_is_told_with_both_digests(estiba_home: Any, context: Path) -> None:
    """And so is another base, and an image that COPY takes something from."""
    copying = "FROM scratch\nCOPY --from=busybox /etc /etc\n"
    (context / "Copying").write_text(copying)
    explained(estiba_home, context, "-f", str(context / "Copying"))
    first = explained(estiba_home, context)["FROM docker.io/library/busybox:latest"][1].removeprefix("image ")
    with Store.open(estiba_home.root) as store:
        busybox_image(store, files={"/more": "x"})
        busybox_image(store, "other", files={"/more": "y"})
    said = explained(estiba_home, context)
    second = said["FROM docker.io/library/busybox:latest"][1].removeprefix("image ")
    assert first != second
    copied = explained(estiba_home, context, "-f", str(context / "Copying"))["COPY --from=busybox /etc /etc"]
    assert copied == ["MISS", f"the image that it copies from moved: busybox:latest: {first} → {second}"]
    assert said["RUN echo $MODE > /mode"] == ["MISS", f"the base image moved: busybox:latest: {first} → {second}"]
    (context / "Dockerfile").write_text(DOCKERFILE.replace("busybox", "other"))
    assert explained(estiba_home, context)["RUN echo $MODE > /mode"] == [
        "MISS",
        "the base image is another: busybox:latest → other:latest",
    ]


def test_a_build_that_may_run_nothing_ends_at_the_first_miss_and_says_why(estiba_home: Any, context: Path) -> None:
    """With exit code 1; nothing was run, and the record tells it too."""
    steps(estiba_home, context)
    assert estiba_home.estiba("build", "--require-cache", str(context)).returncode == 0
    (context / "src" / "a").write_text("A")
    (context / "src" / "b").unlink()
    failed = estiba_home.estiba("build", "--require-cache", "-t", "wanted", str(context), check=False)
    assert failed.returncode == 1
    assert (
        "Dockerfile:4:\n  4 | COPY src /src\n    | ^^^^\n"
        "the cache does not have this step: src/a changed (content)\n    src/b is gone\n"
    ) in failed.stderr
    assert estiba_home.estiba("images", "-q", "wanted").stdout == ""
    shown = estiba_home.estiba("build", "show").stdout
    assert "Status:     failed\nError:" in shown
    assert "] COPY src /src FAILED\n          src/a changed (content)\n          src/b is gone\n" in shown
    assert "] RUN cat /src/* > /all\n          the build ended before it\n" in shown
    wrong = estiba_home.estiba("build", "--require-cache", "--no-cache", str(context), check=False)
    assert (wrong.returncode, "exclude each other" in wrong.stderr) == (1, True)


def test_builds_are_listed_and_shown(estiba_home: Any, context: Path) -> None:
    """By the beginning of an ID too; none is shown by an ID that nobody has."""
    estiba_home.estiba("build", "-t", "built", str(context))
    estiba_home.estiba("build", "-t", "built", str(context))
    listed = [json.loads(line) for line in estiba_home.estiba("build", "ls", "--format", "json").stdout.splitlines()]
    assert [(each["Status"], each["Cached"], each["Name"]) for each in listed] == [
        ("done", "3/3", "built:latest"),
        ("done", "0/3", "built:latest"),
    ]
    first = listed[1]["ID"]
    assert estiba_home.estiba("build", "ls", "-q").stdout.split() == [listed[0]["ID"], first]
    shown = json.loads(estiba_home.estiba("build", "show", "--format", "json", first[:6]).stdout)
    assert (shown["id"], shown["image"], shown["names"]) == (
        first,
        listed[0]["Image"],
        ["docker.io/library/built:latest"],
    )
    assert [step["outcome"] for step in shown["steps"]] == ["HIT", "MISS", "MISS", "MISS"]
    missing = estiba_home.estiba("build", "show", "x", check=False)
    assert (missing.returncode, "there is no record of a build x" in missing.stderr) == (1, True)


def test_a_failed_step_leaves_the_ones_before_it_in_the_cache_and_nothing_of_itself(
    estiba_home: Any, context: Path
) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo fine > /a\nRUN echo half > /b; exit 3\n")
    failed = estiba_home.estiba("build", "-t", "built", str(context), check=False)
    assert failed.returncode == 1
    assert "Dockerfile:3:" in failed.stderr
    assert "exit code 3" in failed.stderr
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo fine > /a\nRUN ls /b 2>&1 | tee /c\n")
    assert steps(estiba_home, context)["RUN echo fine > /a"] == "CACHED (same inputs)"
    with Store.open(estiba_home.root) as store:
        assert [record for record in store.snapshots.list() if record.state == "active"] == []
    assert os.listdir(f"{estiba_home.run}/builds") == []
