"""`estiba doctor` tries what Estiba needs, tells it, and leaves nothing of its trials."""

from __future__ import annotations

import json
import subprocess

import pytest


@pytest.mark.root
def test_the_doctor_finds_a_machine_on_which_the_other_tests_run_fit(estiba_home) -> None:
    told = json.loads(estiba_home.estiba("doctor", "--format", "json").stdout)
    by_subject = {finding["subject"]: finding for finding in told["findings"]}
    assert told["ok"] is True
    assert {name: by_subject[name]["status"] for name in ("kernel", "openat2", "store", "overlay", "seccomp")} == {
        "kernel": "ok",
        "openat2": "ok",
        "store": "ok",
        "overlay": "ok",
        "seccomp": "ok",
    }
    assert by_subject["networks"]["status"] == "ok"


def test_the_doctor_speaks_to_people_too(estiba_home) -> None:
    done = estiba_home.estiba("doctor", check=False)
    assert done.returncode in (0, 1)
    assert done.stdout.startswith(("ok    kernel", "FAIL  kernel"))
    assert estiba_home.root in done.stdout


@pytest.mark.root
def test_a_store_that_cannot_be_is_a_failure(estiba_home) -> None:
    program = estiba_home.command[0]
    done = subprocess.run([program, "--root", "/proc/nowhere", "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAIL  store" in done.stdout
