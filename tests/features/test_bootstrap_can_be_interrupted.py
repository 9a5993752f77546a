"""Ctrl-C in the middle of a bootstrap ends all that it started, and leaves nothing in the store."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import Any

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
]


def test_an_interrupted_bootstrap_is_gone_at_once(estiba_home: Any) -> None:
    process = subprocess.Popen(
        [*estiba_home.command, "bootstrap", "debian:bookworm"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "extracting archives" in line or "downloading packages" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert os.listdir(f"{estiba_home.root}/snapshots") == []
    assert estiba_home.estiba("images", "-q").stdout == ""
    assert estiba_home.estiba("gc").stdout == "Freed 0B in 0 things.\n"
