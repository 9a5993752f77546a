"""No space left during a build: it is said, nothing is half done, and with space the build goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from estiba.store.fsck import check
from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root


@pytest.fixture
def home(estiba_home: Any) -> Iterator[Any]:
    """An installation whose store lies on a disk of twelve megabytes, with busybox in it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "estiba-test", estiba_home.root], check=True)
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    yield estiba_home
    subprocess.run(["umount", "-l", estiba_home.root], check=True)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("COPY large /large", "no space is left on the disk"),
        ("RUN dd if=/dev/urandom of=/large bs=1000 count=20000", "No space left on device"),
    ],
)
def test_a_step_that_does_not_fit_says_so_and_the_next_build_goes_on(
    home: Any, tmp_path: Path, step: str, said: str
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(20_000_000))
    dockerfile = "FROM busybox\nRUN echo before > /before\n" + step + "\n"
    (tmp_path / "Dockerfile").write_text(dockerfile)
    failed = home.estiba("build", "-t", "built", str(tmp_path), check=False)
    assert failed.returncode == 1
    assert said in failed.stderr
    assert "Dockerfile:3:" in failed.stderr
    assert "Traceback" not in failed.stderr
    with Store.open(home.root) as store:
        assert check(store).problems == ()
        assert [record.key for record in store.snapshots.list() if record.state == "active"] == []
        assert [each.name.familiar for each in store.references.list()] == ["busybox:latest"]
    (tmp_path / "large").write_bytes(b"small")
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("20000", "20"))
    done = home.estiba("build", "-t", "built", str(tmp_path))
    assert "CACHED (same inputs)" in done.stderr
    with Store.open(home.root) as store:
        assert check(store).problems == ()
