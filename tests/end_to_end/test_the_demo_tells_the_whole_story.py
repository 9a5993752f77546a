"""`make demo`: every chapter works on this machine, and nothing is left of it, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture
def scratch() -> Path:
    """Where a demo makes its directory: short, since the paths of unix sockets are, and empty when it is over."""
    directory = Path(tempfile.mkdtemp(prefix="est-"))
    yield directory
    directory.rmdir()


def start_demo(scratch: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(scratch), "KEEP": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_the_story_is_told_to_its_end_and_leaves_nothing(scratch: Path) -> None:
    with start_demo(scratch) as demo:
        told = demo.stdout.read()
    assert demo.returncode == 0, told
    chapters = re.findall(r"^(\d)\. ", told, re.M)
    assert chapters == ["1", "2", "3", "4", "5", "6", "7"], told
    assert "Quotes for everyone" in told  # the page after the commit
    assert list(scratch.iterdir()) == []


@pytest.mark.long
def test_interrupted_in_the_middle_it_leaves_nothing(scratch: Path) -> None:
    """Ctrl-C reaches the whole foreground group while a build runs."""
    with start_demo(scratch) as demo:
        told = ""
        for line in demo.stdout:
            told += line
            if " build " in line:
                os.killpg(demo.pid, signal.SIGINT)
                break
        told += demo.stdout.read()
    assert demo.returncode == 130, told
    assert list(scratch.iterdir()) == []
