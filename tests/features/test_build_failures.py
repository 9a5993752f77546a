"""A step that fails says where, what and why, and can be looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from estiba.store.store import Store
from images import busybox_image
from terminals import Terminal

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox
ARG MODE=fast
USER app
WORKDIR /home/app
RUN --mount=type=secret,id=code,mode=0444 --mount=type=tmpfs,target=/memory echo half > half; exit 3
"""


@pytest.fixture
def home(estiba_home: Any) -> Any:
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    return estiba_home


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(DOCKERFILE)
    return directory


@pytest.fixture
def session(home: Any, context: Path, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "code").write_text("1234\n")
    words = ("build", "--on-error", "shell", "--secret", f"id=code,src={tmp_path}/code", "-t", "built", str(context))
    opened = Terminal([*home.command, *words])
    yield opened
    opened.close()


def test_a_shell_opens_where_a_step_failed_with_all_that_it_had(session: Terminal, home: Any) -> None:
    """Its files, user, directory, variables and mounts, and a terminal; then the build fails as ever."""
    before = session.expect(b"This is a shell where it failed").decode()
    assert "ended with exit code 3" in before
    session.expect(b"~ $ ")  # what is typed before is dropped
    session.type(
        b"stty -echo; echo; id -un; pwd; cat half /run/secrets/code; echo $MODE $HOME; stat -f -c %T /memory; tty\n"
    )
    assert b"app\r\n/home/app\r\nhalf\r\n1234\r\nfast /home/app\r\ntmpfs\r\n/dev/pts/0\r\n" in session.expect(
        b"/dev/pts/0\r\n"
    )
    session.type(b"exit 7\n")
    session.expect(b"It printed nothing.\r\n")
    assert session.end() == 1
    assert home.estiba("images", "-q", "built").stdout == ""
    with Store.open(home.root) as store:
        assert [record for record in store.snapshots.list() if record.state == "active"] == []
    assert os.listdir(f"{home.run}/builds") == []


def test_a_step_of_a_build_that_is_over_can_be_looked_into(home: Any, context: Path) -> None:
    """The one that failed as it began, with its variables; another as it ended."""
    text = "FROM busybox\nRUN echo one > /one\nENV MODE=fast\nUSER app\nRUN echo half > /tmp/half; exit 3\n"
    (context / "Dockerfile").write_text(text)
    assert home.estiba("build", str(context), check=False).returncode == 1
    for words, told in (((), b"app fast\r\none\r\n"), (("", "2"), b"root\r\none\r\n")):
        session = Terminal([*home.command, "build", "shell", *words])
        try:
            session.expect(b"$ " if not words else b"# ")
            session.type(b"stty -echo; echo; echo $(id -un) $MODE; cat /one /tmp/half; echo $((40 + 2))\n")
            assert told in session.expect(b"42\r\n")
            session.type(b"exit\n")
            assert session.end() == 0
        finally:
            session.close()
    none = home.estiba("build", "shell", "", "7", check=False)
    assert "no step on line 7 of that build\n  There are steps on the lines 2, 5." in none.stderr
    with Store.open(home.root) as store:
        store.cache.clear()
        assert [record for record in store.snapshots.list() if record.state == "active"] == []
    gone = home.estiba("build", "shell", "", "2", check=False)
    assert (gone.returncode, "not a terminal" in gone.stderr) == (1, True)
    assert os.listdir(f"{home.run}/builds") == []


def test_a_shell_is_opened_for_somebody_only(home: Any, context: Path) -> None:
    """A build without a terminal does not wait for one who never comes."""
    refused = home.estiba("build", "--on-error", "shell", str(context), check=False)
    assert (refused.returncode, "is not a terminal" in refused.stderr) == (1, True)
    wrong = home.estiba("build", "--on-error", "cry", str(context), check=False)
    assert (wrong.returncode, "There is shell." in wrong.stderr) == (1, True)


@pytest.mark.parametrize(
    ("dockerfile", "told"),
    [
        (
            "FROM busybox\nRUN echo one && \\\n    # a remark\n    echo two && false\n",
            (
                "Dockerfile:2:\n"
                "  2 | RUN echo one && \\\n"
                "    | ^^^\n"
                "  3 |     # a remark\n"
                "  4 |     echo two && false\n"
                "the command '/bin/sh -c echo one &&     echo two && false' ended with exit code 1\n"
                "  Its last output:\n    one\n    two\n"
            ),
        ),
        (
            "FROM busybox\nCOPY Dockerfile \\\n  src/ap.py /\n",
            (
                "Dockerfile:3:\n"
                "  2 | COPY Dockerfile \\\n"
                "  3 |   src/ap.py /\n"
                "    |   ^^^^^^^^^\n"
                "'src/ap.py' is not in the build context\n"
                "  Did you mean 'src/app.py'?\n"
            ),
        ),
        (
            "FROM busybox\nCOPY src/hidden.md /\n",
            (
                "  2 | COPY src/hidden.md /\n"
                "    |      ^^^^^^^^^^^^^\n"
                "'src/hidden.md' is not in the build context\n"
                "  Line 1 of .dockerignore ('**/*.md') leaves it out.\n"
            ),
        ),
        (
            "FROM busybox\nCOPY src/hiden.md /\n",
            (
                "'src/hiden.md' is not in the build context\n"
                "  Did you mean 'src/hidden.md'? Line 1 of .dockerignore ('**/*.md') leaves it out.\n"
            ),
        ),
        ("FROM busybox\nRUN nosuch\n", "ended with exit code 127: a program was not found\n"),
        ("FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n", "ended with exit code 137: it was ended by SIGKILL\n"),
    ],
)
def test_what_failed_is_shown_as_it_is_written(home: Any, context: Path, dockerfile: str, told: str) -> None:
    """With a caret where the fault is, and what was probably meant."""
    (context / "src").mkdir()
    (context / "src" / "app.py").write_text("")
    (context / "src" / "hidden.md").write_text("")
    (context / ".dockerignore").write_text("**/*.md\n")
    (context / "Dockerfile").write_text(dockerfile)
    failed = home.estiba("build", str(context), check=False)
    assert failed.returncode == 1
    assert told in failed.stderr
