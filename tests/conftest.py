"""What every test shares: what its markers mean, a place of its own, and the promise to leave nothing behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import hypothesis
import pytest

import leaks
import ordinary_user

# The run's mark, inherited by every process that a test starts, however far from it that process ends up.
_RUN = os.environ[leaks.MARK] = uuid.uuid4().hex

# How many seconds what is just ending may take to be gone.
_PATIENCE = float(os.environ.get("ESTIBA_TEST_PATIENCE", "3"))


# The same examples in every run of `make test`, so that it fails or passes by what is tested alone; `make test-all`
# tries ever new ones. Loaded before any test is imported, so that those with @settings of their own go on from it.
hypothesis.settings.register_profile("the same", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("ever new", derandomize=False, deadline=None)
hypothesis.settings.load_profile("ever new" if os.environ.get("ESTIBA_TEST_LONG") else "the same")


# Where tests work


def pytest_configure(config: pytest.Config) -> None:
    """A directory of the run's own, unless one was asked for: pytest's default is shared, and cleaned by every run."""
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="est-")
        config.add_cleanup(lambda: remove_home(config.option.basetemp))


# What the markers mean


@cache
def _network_problem() -> str:
    """Why package registries cannot be reached, or nothing. Asked once in a run."""
    try:
        socket.create_connection(("pypi.org", 443), timeout=3).close()
    except OSError as error:
        return f"PyPI cannot be reached: {error}"
    return ""


def _why_root(item: pytest.Item) -> str | None:
    """What the test needs root for, "" where its mark does not say; None where it needs none."""
    marks = list(item.iter_markers("root"))
    return max((str(mark.args[0]) if mark.args else "" for mark in marks), key=len) if marks else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `long` runs where ESTIBA_TEST_LONG is set."""
    if os.environ.get("ESTIBA_TEST_LONG"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if os.geteuid() != 0 and (reason := _why_root(item)) is not None:
        pytest.skip(f"needs root{reason and ': '}{reason}")
    if (mark := item.get_closest_marker("host_ids")) and os.environ.get("ESTIBA_USERNS", "host") != "host":
        pytest.skip(f"cannot hold with ids of its own: {mark.args[0]}")
    if item.get_closest_marker("network") and (problem := _network_problem()):
        pytest.skip(problem)


# Nothing left behind


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a mount, a process, a network link, an nftables table or a cgroup.

    What a fixture of a wider scope holds is there before and after the test; the check below sees to it.
    """

    # Set up first, so checked last: what the test's own fixtures take away is no longer there.
    def marks() -> list[str]:
        values = getattr(request.node, "funcargs", {})
        return [str(values[name]) for name in ("tmp_path", "estiba_home") if name in values]

    is_root_test = os.geteuid() == 0 and request.node.get_closest_marker("root") is not None
    yield from _check_that_nothing_is_left(deep=is_root_test, marks=marks, culprit="This test")


@pytest.fixture(autouse=True, scope="session")
def the_whole_run_leaves_nothing_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same for what belonged to modules and to the session."""
    yield from _check_that_nothing_is_left(
        deep=os.geteuid() == 0, marks=lambda: [str(tmp_path_factory.getbasetemp())], culprit="A fixture of this run"
    )


def _check_that_nothing_is_left(*, deep: bool, marks: Callable[[], list[str]], culprit: str) -> Iterator[None]:
    before = leaks.observe(deep=deep)
    yield
    left = leaks.wait_until_clean(before, run=_RUN, marks=marks(), patience=_PATIENCE)
    if left:
        pytest.fail(f"{culprit} left something behind:\n  " + "\n  ".join(left), pytrace=False)


# A place of its own


class Home(NamedTuple):
    """One Estiba installation on disk: its store, its run-time state, and how to call it."""

    directory: str
    root: str
    run: str

    def __str__(self) -> str:
        return self.directory

    @property
    def command(self) -> list[str]:
        """The command line of Estiba, for this installation."""
        return [os.path.join(os.path.dirname(sys.executable), "estiba"), "--root", self.root, "--run", self.run]

    def estiba(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        """Runs `estiba ARGUMENTS` to its end and gives back what it printed; it fails the test if estiba failed."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 300} | options
        done = subprocess.run([*self.command, *arguments], check=False, **options)
        if check and done.returncode != 0:
            pytest.fail(f"estiba {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done


@pytest.fixture
def estiba_home(make_estiba_home) -> Home:
    """An installation of the test's own. Its path is short: a unix socket's has at most 107 bytes."""
    return make_estiba_home()


@pytest.fixture
def make_estiba_home() -> Iterator:
    """Makes as many installations as a test wants, and removes them."""
    directories: list[str] = []

    def make() -> Home:
        directory = tempfile.mkdtemp(prefix="est-")
        directories.append(directory)
        home = Home(directory, os.path.join(directory, "root"), os.path.join(directory, "run"))
        os.mkdir(home.root)
        os.mkdir(home.run, mode=0o700)
        return home

    yield make
    for directory in directories:
        remove_home(directory)


def remove_home(directory: str) -> None:
    """Removes a directory, unless something is still mounted in it: the check above names that."""
    if os.geteuid() == 0 and os.path.exists(os.path.join(directory, "run", "networks.db")):
        from estiba.networks.networks import Networks

        Networks(root=os.path.join(directory, "root"), run=os.path.join(directory, "run")).teardown()
    if any(mount.target.startswith(directory + "/") for mount in leaks.read_mounts()):
        return
    if os.geteuid() != 0:
        ordinary_user.remove_files_of_every_id(directory)
    for top, _, _ in os.walk(directory):
        for name in os.scandir(top):  # an unpacked directory may be closed even to its owner
            if name.is_dir(follow_symlinks=False):
                os.chmod(name.path, 0o700)
    shutil.rmtree(directory)
