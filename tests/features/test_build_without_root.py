"""An ordinary user builds what needs no RUN, and gets the very image that root gets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ordinary_user import User, ordinary_user

DOCKERFILE = """\
FROM busybox AS made
WORKDIR /srv/app
COPY src .
COPY --chmod=u=rwx,go=rx src/file /bin/tool
FROM busybox
COPY --from=made /srv /srv
COPY <<EOF /etc/motd
hello
EOF
ADD src/file /etc/
CMD ["cat", "/etc/motd"]
"""


@pytest.fixture
def user() -> Iterator[User]:
    yield from ordinary_user()


@pytest.fixture
def context() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="est-context-"))
    directory.chmod(0o755)
    (directory / "src").mkdir()
    (directory / "src" / "file").write_text("content\n")
    (directory / "src").chmod(0o755)
    (directory / "src" / "file").chmod(0o644)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    yield directory
    shutil.rmtree(directory)


def test_copy_add_and_workdir_build(user: User, context: Path) -> None:
    image = user("build", "-q", "-t", "built", str(context)).stdout.strip()
    assert user("images", "-q", "--no-trunc", "built").stdout.strip() == image
    assert user("build", "--progress", "plain", str(context)).stderr.count("CACHED (same inputs)") == 6


def test_run_says_what_is_missing(user: User, context: Path) -> None:
    failed = user("build", "-f", "-", str(context), check=False, stdin="FROM busybox\nRUN true\n")
    assert failed.returncode == 1
    assert "Dockerfile:2:\n  2 | RUN true\n    | ^^^\nRUN as an ordinary user is not there yet" in failed.stderr


def test_files_of_somebody_else_are_refused(user: User, context: Path) -> None:
    failed = user("build", "-f", "-", str(context), check=False, stdin="FROM busybox\nCOPY --chown=33 src /\n")
    assert "--chown 33: only root can make files that belong to somebody else" in failed.stderr


def test_a_file_that_may_not_be_read_is_named(user: User, context: Path) -> None:
    (context / "src" / "file").chmod(0o000)
    failed = user("build", str(context), check=False)
    assert "cannot read src/file in the build context: Permission denied" in failed.stderr


@pytest.mark.root
@pytest.mark.parametrize("snapshotter", ["overlay", "copying"])
def test_the_image_is_the_one_that_root_builds(user: User, context: Path, estiba_home: Any, snapshotter: str) -> None:
    def build(*words: str) -> str:
        return estiba_home.estiba("--snapshotter", snapshotter, *words).stdout.strip()

    assert build("bootstrap", "-q", "busybox") == user("bootstrap", "-q", "busybox").stdout.strip()
    assert build("build", "-q", str(context)) == user("build", "-q", str(context)).stdout.strip()
