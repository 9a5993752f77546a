"""The same inputs give the same image, whatever differs around them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox AS made
WORKDIR /deep/er
COPY . .
RUN mkdir -p /out && for i in 3 1 2; do echo $i > /out/$i; done && ln /out/1 /out/hard && ln -s 1 /out/soft
FROM busybox
COPY --from=made /out /out
COPY --chown=1000 . /app/
RUN echo $SOURCE_DATE_EPOCH > /epoch; touch /now; rm -r /var/www
CMD ["sh"]
"""


def make_context(directory: Path, names: list[str]) -> None:
    directory.mkdir(parents=True)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    for name in names:
        (directory / name).mkdir()
        (directory / name / "file").write_text(name)
    os.symlink("one/file", directory / "link")


def build(home: Any, context: Path, archive: Path, *, umask: int, environment: dict[str, str]) -> tuple[str, str]:
    """The image ID, and the digest of the exported manifest."""
    with Store.open(home.root) as store:
        busybox_image(store)
    before = os.umask(umask)
    try:
        output = f"type=oci,dest={archive}"
        env = {**os.environ, **environment}
        image = home.estiba("build", "-q", "--output", output, "-t", "built", str(context), env=env).stdout.strip()
    finally:
        os.umask(before)
    listing = subprocess.run(["tar", "-xOf", str(archive), "index.json"], capture_output=True, text=True, check=True)
    return image, listing.stdout


def test_two_stores_two_directories_two_umasks_one_image(make_estiba_home: Any, tmp_path: Path) -> None:
    """Other directory, order of entries, mtimes, umask, locale, time zone and store."""
    make_context(tmp_path / "first", ["one", "two", "three"])
    make_context(tmp_path / "elsewhere" / "second", ["three", "two", "one"])
    os.utime(tmp_path / "elsewhere" / "second" / "one" / "file", (1, 1))
    first = build(make_estiba_home(), tmp_path / "first", tmp_path / "1.tar", umask=0o022, environment={"TZ": "UTC"})
    second = build(
        make_estiba_home(),
        tmp_path / "elsewhere" / "second",
        tmp_path / "2.tar",
        umask=0o077,
        environment={"TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "HOME": "/nonexistent"},
    )
    assert first == second


def test_python_writes_the_same_bytecode(make_estiba_home: Any, tmp_path: Path) -> None:
    """A RUN sees SOURCE_DATE_EPOCH, and files of an earlier step keep their times, on the disk too."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM busybox\nCOPY f /f\nRUN stat -c %Y /f > /seen; echo $SOURCE_DATE_EPOCH >> /seen\n"
    )
    (context / "f").write_text("f")
    home = make_estiba_home()
    build(home, context, tmp_path / "1.tar", umask=0o022, environment={})
    said = home.estiba("run", "--rm", "--network", "none", "built", "cat", "/seen").stdout
    assert said == "315532800\n315532800\n"


def test_snapshots_of_either_kind_give_one_image(make_estiba_home: Any, tmp_path: Path) -> None:
    """Overlays and whole copies: what RUN made, linked and deleted is the same layer."""
    make_context(tmp_path / "context", ["one", "two"])
    images = set()
    for kind in ("overlay", "copying"):
        home = make_estiba_home()
        with Store.open(home.root, snapshotter=kind) as store:
            busybox_image(store)
        images.add(home.estiba("--snapshotter", kind, "build", "-q", str(tmp_path / "context")).stdout)
    assert len(images) == 1


def test_both_forms_of_an_archive_hold_one_manifest(make_estiba_home: Any, tmp_path: Path) -> None:
    make_context(tmp_path / "context", ["one"])
    home = make_estiba_home()
    with Store.open(home.root) as store:
        busybox_image(store)
    blobs = []
    for form in ("oci", "docker"):
        archive = str(tmp_path / f"{form}.tar")
        home.estiba("build", "-q", "-t", "built", "-o", f"type={form},dest={archive}", str(tmp_path / "context"))
        names = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True).stdout.split()
        blobs.append({name for name in names if name.startswith("blobs/sha256/") and not name.endswith("/")})
    assert blobs[0] == blobs[1]
    assert len(blobs[0]) >= 5
