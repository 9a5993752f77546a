"""An installation with an image to run, whose containers, networks and processes are gone after the test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from estiba.networks.networks import Networks
from estiba.store.store import Store
from images import busybox_image
from ordinary_user import python_of_the_user
from waiting import wait_until


class ContainerHost:
    """One installation and what tests ask of it again and again."""

    def __init__(self, home) -> None:
        self.home = home
        self.root: str = home.root
        self.run_directory: str = home.run

    def estiba(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        """`estiba ARGUMENTS` to its end."""
        done: subprocess.CompletedProcess[str] = self.home.estiba(*arguments, check=check, **options)
        return done

    def start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        """`estiba ARGUMENTS` beside the test."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([*self.home.command, *arguments], text=True, **options)

    def inspect(self, name: str) -> dict:
        """What `estiba inspect` says of a container."""
        found: dict = json.loads(self.estiba("inspect", "--type", "container", name).stdout)[0]
        return found

    def state(self, name: str) -> str:
        status: str = self.inspect(name)["State"]["Status"]
        return status

    def monitors(self) -> list[int]:
        """The process ids of this installation's monitors."""
        return [
            pid for pid, command in _commands() if "monitor/launcher.py" in command and self.run_directory in command
        ]

    def wait_until(self, condition: Callable[[], bool], what: str, *, patience: float = 20) -> None:
        """Wait for a condition, and fail the test when it does not come."""
        wait_until(condition, what, patience=patience)

    def remove_everything(self) -> None:
        """Every container, volume and network, and then nothing of them may be left."""
        ids = self.estiba("ps", "-aq").stdout.split()
        if ids:
            self.estiba("rm", "-f", "-v", *ids)
        Networks(root=self.root, run=self.run_directory).teardown()
        self.wait_until(lambda: not self.monitors(), "the monitors end", patience=10)
        left = [command for _, command in _commands() if str(self.home) in command]
        assert left == [], f"processes left: {left}"
        for place in ("containers", "runtime"):
            directory = os.path.join(self.run_directory, place)
            assert not os.path.isdir(directory) or os.listdir(directory) == [], f"left in {directory}"


class OrdinaryHost(ContainerHost):
    """The installation of an ordinary user with ranges of ids; what names no network gets none."""

    def __init__(self, home) -> None:
        super().__init__(home)
        self._python, self._environment = python_of_the_user(home.directory, has_ranges=True)
        for directory in (home.root, home.run):
            os.chown(directory, 65534, 65534)

    def estiba(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60} | options
        done = subprocess.run(self._command(arguments), check=False, cwd="/", env=self._environment, **options)
        if check and done.returncode != 0:
            pytest.fail(f"estiba {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(self._command(arguments), text=True, cwd="/", env=self._environment, **options)

    def make_busybox(self) -> None:
        """Make the image `busybox` as the user."""
        words = [*self._python, "-c", _MAKE_BUSYBOX, self.root, self.run_directory]
        subprocess.run(words, check=True, cwd="/", env=self._environment)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        words = list(arguments)
        if "-p" in words:
            pytest.skip("to publish ports takes a network")
        if words[0] in ("run", "create") and not any(word.startswith("--net") for word in words):
            words.insert(1, "--network=none")
        return [*self._python, "-m", "estiba", "--root", self.root, "--run", self.run_directory, *words]


_MAKE_BUSYBOX = """
import os, sys
from estiba.linux import subordinate_ids, user_namespace
user_namespace.enter(sys.argv[2], subordinate_ids.find(os.geteuid(), os.getegid()))
from estiba.store.store import Store
from images import busybox_image
from ordinary_user import python_of_the_user
with Store.open(sys.argv[1]) as store:
    busybox_image(store)
"""

# These pass for an ordinary user as they do for root.
_ALSO_WITHOUT_ROOT = ("test_exec", "test_logs", "test_stop")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some files twice: as root, and as an ordinary user."""
    if "host" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in _ALSO_WITHOUT_ROOT:
        metafunc.parametrize("host", ["root", "an ordinary user"], indirect=True)


@pytest.fixture
def host(estiba_home, request: pytest.FixtureRequest) -> Iterator[ContainerHost]:
    """An empty installation."""
    is_ordinary = getattr(request, "param", "root") != "root"
    if is_ordinary and os.environ.get("ESTIBA_RUNTIME") == "crun" and os.path.isdir("/sys/fs/cgroup/unified"):
        pytest.skip("crun takes no ordinary user's container where both versions of control groups are mounted")
    if is_ordinary and "tmp_path" in request.fixturenames:
        _open_to_all(request.getfixturevalue("tmp_path"))
    host = OrdinaryHost(estiba_home) if is_ordinary else ContainerHost(estiba_home)
    yield host
    host.remove_everything()


@pytest.fixture
def busybox_host(host: ContainerHost) -> ContainerHost:
    """An installation with the image `busybox` of `images.busybox_image`."""
    if isinstance(host, OrdinaryHost):
        host.make_busybox()
        return host
    with Store.open(host.root) as store:
        busybox_image(store)
    return host


def _open_to_all(directory: Path) -> None:
    directory.chmod(0o777)
    for above in directory.parents:
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)


def _commands() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    yield int(name), file.read().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
