"""The scripts: every target of make has one, and the list of Debian packages can be read."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent.parent
SCRIPTS = sorted(
    path
    for path in (PROJECT / "scripts").iterdir()
    if path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash")
)
PURPOSES = {"setup", "runtime", "test", "bench"}


def test_every_target_of_make_has_a_script() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.M)[0].split()) - {"help"}
    assert targets <= {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_stops_at_the_first_failure_and_tells_how_it_is_used(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in text
    assert re.search(r"^# Usage: ", text, re.M)


def test_each_package_has_a_purpose_and_a_way_to_see_that_it_is_there() -> None:
    lines = (PROJECT / "scripts" / "packages.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            assert re.fullmatch(r"(\w+) +([a-z0-9.+-]+) +([\w/.-]+) +# .+", line), line
            assert line.split()[0] in PURPOSES


def test_an_unknown_purpose_is_told() -> None:
    done = subprocess.run([PROJECT / "scripts" / "setup", "party"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "unknown purpose 'party': use runtime, test or bench\n")
