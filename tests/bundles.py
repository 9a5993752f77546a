"""Bundles for tests of the runtime: busybox as a root filesystem, and a config made by `runtime.spec`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from estiba.runtime.spec import SpecOptions, container_spec

BUSYBOX = "/usr/bin/busybox"
_PROGRAMS = (
    "sh cat chmod chown cut dd echo env false grep head hostname id ifconfig kill ln ls mkdir mknod mount ps pwd"
    " readlink rm sleep stat stty tail touch tr true tty umount uname unshare wc"
)


def busybox_rootfs(directory: str) -> str:
    """Make a root filesystem of static busybox in `directory`; gives it back."""
    if not os.path.exists(BUSYBOX):
        pytest.skip("static busybox is not installed (/usr/bin/busybox)")
    for name in ("bin", "etc", "tmp", "home/user"):
        os.makedirs(os.path.join(directory, name))
    shutil.copy(BUSYBOX, os.path.join(directory, "bin/busybox"))
    for program in _PROGRAMS.split():
        os.symlink("busybox", os.path.join(directory, "bin", program))
    with open(os.path.join(directory, "etc/passwd"), "w", encoding="ascii") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    os.chmod(os.path.join(directory, "tmp"), 0o1777)
    return directory


def write_bundle(directory: str, options: SpecOptions, change: Callable[[dict[str, Any]], object] | None = None) -> str:
    """Make a bundle whose root filesystem is there already (`options.rootfs`); `change` edits its config."""
    os.makedirs(directory, exist_ok=True)
    spec = container_spec(options)
    if change is not None:
        change(spec)
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file)
    return directory
