"""Estiba as an ordinary user has it: as nobody where the tests are root's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import pytest

import estiba

_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

User = Callable[..., "subprocess.CompletedProcess[str]"]


def ordinary_user() -> Iterator[User]:
    """For a fixture to `yield from`: runs `estiba ARGUMENTS` with a store of its own that has busybox.

    Its containers and its files are gone afterwards.
    """
    package = os.path.dirname(os.path.dirname(estiba.__file__))
    command = [sys.executable]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed")
        command = [*_NOBODY, _interpreter(package)]
        if not command[-1]:
            pytest.skip("no Python 3.11 that an ordinary user may run sees this package")
    directory = tempfile.mkdtemp(prefix="est-")
    if os.geteuid() == 0:
        os.chown(directory, 65534, 65534)
    command += ["-B", "-m", "estiba", "--root", f"{directory}/root", "--run", f"{directory}/run"]
    environment = {"PATH": os.environ["PATH"], "HOME": directory, "PYTHONPATH": package}
    # The mark by which the check of leftovers knows our processes.
    environment |= {name: value for name, value in os.environ.items() if name.startswith("ESTIBA_")}

    def call(*arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*command, *arguments],
            input=stdin,
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"estiba {' '.join(arguments)}: {done.stderr}")
        return done

    try:
        if call("bootstrap", "-q", "busybox", check=False).returncode:
            pytest.skip("no static busybox is installed")
        yield call
        ids = call("ps", "-aq").stdout.split()
        if ids:
            call("rm", "-f", "-v", *ids)
    finally:
        shutil.rmtree(directory)


def _interpreter(package: str) -> str:
    """A Python that nobody may run and that sees the package, or nothing."""
    for python in (sys.executable, "/usr/bin/python3"):
        program = "import sys, estiba; sys.exit(sys.version_info < (3, 11))"
        probe = [*_NOBODY, "env", f"PYTHONPATH={package}", python, "-c", program]
        try:
            if subprocess.run(probe, cwd="/", capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            continue
    return ""
