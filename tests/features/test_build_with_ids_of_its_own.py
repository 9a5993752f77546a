"""`estiba build --userns=auto`: root of a RUN is nobody on the host, and the image is the very one that root builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox AS base
RUN mkdir -p /base/deep && echo stage > /base/deep/file && chown -R 5:6 /base
RUN touch /base/deep/second
FROM busybox
COPY --from=base /base /copied
RUN mkdir -p /a/b && touch /a/b/c && chown 1000:1000 /a/b/c && chmod 4755 /a/b/c && rm -r /tmp; echo x >> /etc/passwd
RUN --mount=type=cache,target=/cache,id=one stat -c %u:%g /cache && touch /cache/kept && chown 7:8 /cache/kept
RUN --mount=type=cache,target=/cache,id=one test "$(stat -c %u:%g /cache/kept)" = 7:8
RUN --mount=type=bind,from=base,target=/from test "$(stat -c %u:%g /from/base/deep/file)" = 5:6
RUN --mount=type=bind,from=base,source=/base,target=/from,rw rm /from/deep/file && touch /from/new && chown 9 /from/new
RUN --mount=type=bind,source=note,target=/note test "$(stat -c %u:%g /note)" = 0:0 && cat /note
RUN --mount=type=secret,id=word,uid=1000 test "$(stat -c %u:%g /run/secrets/word)" = 1000:0
RUN --mount=type=tmpfs,target=/memory touch /memory/x && chown 3:3 /memory/x
RUN <<EOT
#!/bin/sh
ls /etc/hosts > /heredoc
EOT
USER 1000
RUN --network=none test "$(id -u)" = 1000 && ! touch /no
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "note").write_text("a note\n")
    (tmp_path / "word").write_text("secret")
    return tmp_path / "context"


def _home(make_estiba_home: Any) -> Any:
    home = make_estiba_home()
    with Store.open(home.root) as store:
        busybox_image(store)
    return home


def test_the_image_is_the_very_one_that_root_builds(make_estiba_home: Any, context: Path) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE)
    found = []
    for userns in ("host", "auto"):
        home = _home(make_estiba_home)
        secret = f"id=word,src={context.parent}/word"
        built = home.estiba("build", "-q", f"--userns={userns}", "--secret", secret, str(context))
        found.append(built.stdout)
    assert found[0] == found[1]


def test_root_of_a_step_is_nobody_on_the_host(make_estiba_home: Any, context: Path, monkeypatch: Any) -> None:
    home = _home(make_estiba_home)
    monkeypatch.delenv("ESTIBA_USERNS", raising=False)

    def maps(*flags: str) -> list[str]:
        (context / "Dockerfile").write_text("FROM busybox\nRUN cat /proc/self/uid_map >&2; exit 3\n")
        failed = home.estiba("build", "--no-cache", *flags, str(context), check=False)
        return next(line.split()[-3:] for line in failed.stderr.splitlines() if line.split()[-3:-2] == ["0"])

    assert maps()[1:] == ["0", "4294967295"]
    first, size = map(int, maps("--userns=auto:size=1000")[1:])
    assert first > 100_000 and size == 1000
    monkeypatch.setenv("ESTIBA_USERNS", "auto")
    assert maps()[2] == "65536"
    assert maps("--userns=host")[1] == "0"
    for wrong, word in (("keep-id", "a build takes no"), ("auto:size=0", "no option of auto")):
        failed = home.estiba("build", f"--userns={wrong}", str(context), check=False)
        assert failed.returncode == 1 and word in failed.stderr


def test_a_user_beyond_the_range_is_told(make_estiba_home: Any, context: Path) -> None:
    home = _home(make_estiba_home)
    (context / "Dockerfile").write_text("FROM busybox\nUSER 5000\nRUN id\n")
    failed = home.estiba("build", "--userns=auto:size=1000", str(context), check=False)
    assert failed.returncode == 1 and "size=5001" in failed.stderr


def test_a_step_reaches_no_device_and_no_setting_of_the_host(make_estiba_home: Any, context: Path) -> None:
    """With the host's ids a device node can be made; the control shows it."""
    home = _home(make_estiba_home)
    (context / "Dockerfile").write_text("FROM busybox\nRUN mknod /disk b 254 0\n")
    assert home.estiba("build", "--userns=host", str(context), check=False).returncode == 0
    failed = home.estiba("build", "--no-cache", "--userns=auto", str(context), check=False)
    assert failed.returncode == 1 and "not permitted" in failed.stderr.lower()
