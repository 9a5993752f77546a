"""Images for tests, made straight in a store: no build, no registry, no network."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping

from estiba.image.assemble import commit_image
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.image_config import History, ImageConfig, RunConfig
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.store.images import ImageRecord
from estiba.store.store import Store

BUSYBOX = "/usr/bin/busybox"

_TIME = 315_532_800

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:an application:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUP = """\
root:x:0:
audio:x:29:app
app:x:1000:
nogroup:x:65534:
"""


def busybox_image(
    store: Store,
    name: str = "busybox",
    *,
    run: RunConfig | None = None,
    files: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> ImageRecord:
    """An image with a static busybox and its applets, the users of PASSWD, and `files` (path -> text).

    `run` replaces the configuration, whose command is ``sh``; `links` (path -> target) take the places of empty
    directories.
    """
    key = f"test-image-{os.urandom(4).hex()}"
    store.snapshots.prepare(key, None)
    _write_tree(store.snapshots.writable(key), dict(files or {}), dict(links or {}))
    layer = diff_id_of(store.snapshots.writable(key), TarPolicy())
    config = ImageConfig.make(
        platform=Platform.of_machine(os.uname().machine),
        run=run or RunConfig(cmd=("sh",), env=("PATH=/bin:/usr/bin:/sbin",)),
        diff_ids=(layer.diff_id,),
        history=(History(created_by="tests/images.py"),),
    )
    assert config.chain_id is not None
    store.snapshots.commit(key, chain_id=config.chain_id, diff_id=layer.diff_id, size=layer.content)
    record = commit_image(store, config)
    store.references.set(Reference.parse(name), record.id, manifest=None)
    return record


@functools.cache
def _applets() -> list[str]:
    return subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()


def _write_tree(root: str, files: dict[str, str], links: dict[str, str]) -> None:
    os.chmod(root, 0o755)
    for directory in ("bin", "dev", "etc", "home/app", "proc", "root", "sys", "tmp", "usr/bin", "var/www"):
        os.makedirs(f"{root}/{directory}", mode=0o755)
    os.chmod(f"{root}/tmp", 0o1777)
    os.chmod(f"{root}/root", 0o700)
    if os.geteuid() == 0:
        os.chown(f"{root}/home/app", 1000, 1000)
    shutil.copy(BUSYBOX, f"{root}/bin/busybox")
    os.chmod(f"{root}/bin/busybox", 0o755)
    for applet in _applets():
        if applet != "busybox":
            os.symlink("busybox", f"{root}/bin/{applet}")
    for path, text in ({"/etc/passwd": PASSWD, "/etc/group": GROUP} | files).items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "w", encoding="utf-8") as file:
            file.write(text)
    for path, target in links.items():
        os.rmdir(root + path)
        os.symlink(target, root + path)
    for top, directories, names in os.walk(root, topdown=False):  # the same image at any time
        for name in (*directories, *names):
            os.utime(f"{top}/{name}", (_TIME, _TIME), follow_symlinks=False)
    os.utime(root, (_TIME, _TIME))
