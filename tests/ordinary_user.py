"""Estiba as an ordinary user has it: as nobody where the tests are root's."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator

import pytest

import estiba
from estiba.linux import subordinate_ids

_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

_RANGE = "100000:65536"
# Ranges that only what this starts sees: a mount namespace with other files in the places of /etc's.
_WITH_RANGES = 'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec "$@"'
# And where the machine keeps /dev/net/tun from its users, one that they may open.
_WITH_TUN = "mount -t tmpfs tun /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec"

# Compression and the like, for an interpreter of the same version that has none of its own.
_LIBRARIES = sysconfig.get_path("platlib")

User = Callable[..., "subprocess.CompletedProcess[str]"]


def ordinary_user(*, has_ranges: bool = False, has_network: bool = False) -> Iterator[User]:
    """For a fixture to `yield from`: runs `estiba ARGUMENTS` with a store of its own that has busybox.

    With `has_ranges` the user has subordinate ids, from 100000 on where root gives them; without, one id. With
    `has_network` the user may make a link of its own, by which pasta and slirp4netns carry packets. Its containers and
    its files are gone afterwards.
    """
    directory = tempfile.mkdtemp(prefix="est-")
    python, environment = python_of_the_user(directory, has_ranges=has_ranges, has_network=has_network)
    try:
        yield from _with_busybox(directory, python, environment)
    finally:
        if os.geteuid() != 0:
            remove_files_of_every_id(directory)
        shutil.rmtree(directory)


def _with_busybox(directory: str, python: list[str], environment: dict[str, str]) -> Iterator[User]:
    command = [*python, "-m", "estiba", "--root", f"{directory}/root", "--run", f"{directory}/run"]

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

    if call("bootstrap", "-q", "busybox", check=False).returncode:
        pytest.skip("no static busybox is installed")
    yield call
    ids = call("ps", "-aq").stdout.split()
    if ids:
        call("rm", "-f", "-v", *ids)


def python_of_the_user(
    directory: str, *, has_ranges: bool = False, has_network: bool = False
) -> tuple[list[str], dict[str, str]]:
    """A command that is Python with this package as an ordinary user, and its environment.

    `directory` becomes the user's, who is nobody where the tests are root's.
    """
    package = os.path.dirname(os.path.dirname(estiba.__file__))
    command = [sys.executable]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed")
        command = [*_NOBODY, _interpreter(package)]
        if not command[-1]:
            pytest.skip("no Python 3.11 that an ordinary user may run sees this package")
        os.chown(directory, 65534, 65534)
    elif subordinate_ids.find(os.geteuid(), os.getegid()) is not None and not has_ranges:
        pytest.skip("this user has ranges of ids")
    if has_ranges:
        command = [*with_ranges(directory, os.geteuid() or 65534, has_network=has_network), *command]
    tests = os.path.dirname(os.path.abspath(__file__))
    environment = {"PATH": os.environ["PATH"], "HOME": directory, "PYTHONPATH": f"{package}:{tests}:{_LIBRARIES}"}
    # The mark by which the check of leftovers knows our processes.
    environment |= {name: value for name, value in os.environ.items() if name.startswith("ESTIBA_")}
    return [*command, "-B"], environment


def with_ranges(directory: str, user: int, *, has_network: bool = False) -> list[str]:
    """What goes before a command that shall see ranges of ids for `user`, and with `has_network` /dev/net/tun.

    Root gives the ranges, in a file in `directory`; any other user has its own or none.
    """
    if os.geteuid() != 0:
        if subordinate_ids.find(user, os.getegid()) is None:
            pytest.skip("this user has no ranges in /etc/subuid and /etc/subgid, or newuidmap is not installed")
        if has_network and not may_have_network():
            pytest.skip("this user may not open /dev/net/tun")
        return []
    for tool in ("newuidmap", "newgidmap", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    for name in ("/etc/subuid", "/etc/subgid"):
        if not os.path.exists(name):
            pytest.skip(f"there is no {name} to show ranges in")
    file = f"{directory}/ranges"
    with open(file, "w", encoding="ascii") as text:
        text.write(f"{user}:{_RANGE}\n")
    os.chmod(file, 0o644)
    script = _WITH_RANGES
    if has_network:
        if not os.path.exists("/dev/net/tun"):
            pytest.skip("there is no /dev/net/tun")
        script = script.replace("exec", _WITH_TUN)
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script, file]


def may_have_network() -> bool:
    """Whether `has_network` would not skip the test, and there is a program that carries packets."""
    may_open = os.path.exists("/dev/net/tun") if os.geteuid() == 0 else os.access("/dev/net/tun", os.R_OK | os.W_OK)
    return may_open and any(shutil.which(program) for program in ("pasta", "slirp4netns"))


def remove_files_of_every_id(directory: str) -> None:
    """Remove what lies in the directories of `directory`, whichever of this ordinary user's ids it belongs to."""
    if subordinate_ids.find(os.geteuid(), os.getegid()) is not None:
        subprocess.run([sys.executable, "-B", "-c", _REMOVE, directory], check=True, cwd="/")


_REMOVE = """
import os, shutil, sys
from estiba.linux import subordinate_ids, user_namespace
run = f"{sys.argv[1]}/run"
if os.path.isdir(run):
    user_namespace.enter(run, subordinate_ids.find(os.geteuid(), os.getegid()))
for name in os.listdir(sys.argv[1]):
    if os.path.isdir(path := f"{sys.argv[1]}/{name}"):
        shutil.rmtree(path, ignore_errors=True)
"""


@functools.cache
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
