"""An ordinary user with one id and the runtime alone: the package is copied to where any user may read it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

import estiba
from bundles import busybox_rootfs

USER = 1000
PYTHON = "/usr/bin/python3"


def place_of_the_user() -> Iterator[str]:
    """For a fixture to `yield from`: a directory of the user's with a copy of the package and busybox as `rootfs`.

    The user's containers, whose state is in `state`, are gone afterwards.
    """
    check = [PYTHON, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if not os.path.exists(PYTHON) or subprocess.run(check, check=False).returncode:
        pytest.skip(f"{PYTHON} is not Python 3.11 or newer")
    if _limit("/proc/sys/user/max_user_namespaces") == 0:
        pytest.skip("user namespaces are switched off")
    directory = tempfile.mkdtemp(prefix="est-user-")
    package = os.path.dirname(estiba.__file__)
    for part in ("__init__.py", "errors.py", "values.py", "oci", "linux", "runtime"):
        source, target = os.path.join(package, part), os.path.join(directory, "estiba", part)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copytree(source, target) if os.path.isdir(source) else shutil.copy(source, target)
    busybox_rootfs(os.path.join(directory, "rootfs"))
    subprocess.run(["chown", "-R", f"{USER}:{USER}", directory], check=True)
    yield directory
    if os.path.isdir(os.path.join(directory, "state")):
        for name in os.listdir(os.path.join(directory, "state")):
            subprocess.run(
                launcher(directory, "delete", "--force", name), user=USER, group=USER, extra_groups=[], check=False
            )
    shutil.rmtree(directory)


def launcher(place: str, *words: str) -> list[str]:
    """The command line of the runtime with the user's state."""
    code = os.path.join(place, "estiba/runtime/launcher.py")
    return [PYTHON, "-I", "-S", code, "--root", os.path.join(place, "state"), *words]


def _limit(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
