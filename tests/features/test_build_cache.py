"""What is built again, what is not, and the reason that is given."""

from __future__ import annotations

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
        "COPY src /src": "run again: src/a changed",
        "RUN cat /src/* > /all": "run again: the step before it changed",
    }


def test_new_and_removed_files_and_modes_are_reasons(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    (context / "src" / "c").write_text("c")
    (context / "src" / "b").unlink()
    assert steps(estiba_home, context)["COPY src /src"] == "run again: src/c is new, src/b is gone"
    (context / "src" / "c").chmod(0o755)
    assert steps(estiba_home, context)["COPY src /src"] == "run again: src/c changed"


def test_a_build_argument_is_a_reason_only_for_steps_that_see_it(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    said = steps(estiba_home, context, "--build-arg", "MODE=fast")
    assert said["RUN echo $MODE > /mode"] == "run again: variable MODE changed"


def test_a_changed_file_outside_what_is_copied_changes_nothing(estiba_home: Any, context: Path) -> None:
    steps(estiba_home, context)
    (context / "README").write_text("new")
    assert set(steps(estiba_home, context).values()) == {"CACHED (same inputs)"}


def test_no_cache_runs_everything_and_gives_the_same_image(estiba_home: Any, context: Path) -> None:
    first = estiba_home.estiba("build", "-q", str(context)).stdout
    assert set(steps(estiba_home, context, "--no-cache").values()) == {"run: the cache is not used"}
    assert estiba_home.estiba("build", "-q", str(context)).stdout == first


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
