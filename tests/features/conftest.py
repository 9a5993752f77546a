"""An installation with an image to run, whose containers, networks and processes are gone after the test."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from estiba.store.store import Store
from images import busybox_image
from monitors import stat_of
from ordinary_user import may_have_network, python_of_the_user
from waiting import wait_until


class ContainerHost:
    """One installation and what tests ask of it again and again."""

    has_bridges = True

    def __init__(self, home) -> None:
        self.home = home
        self.root: str = home.root
        self.run_directory: str = home.run

    @property
    def interpreter(self) -> str:
        """A Python that this user may run."""
        return sys.executable

    def command(self, *arguments: str) -> list[str]:
        """What runs `estiba ARGUMENTS`."""
        return [*self.home.command, *arguments]

    def estiba(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        """`estiba ARGUMENTS` to its end; it fails the test if estiba failed."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 300} | options
        done = subprocess.run(self.command(*arguments), check=False, **options)
        if check and done.returncode != 0:
            pytest.fail(f"estiba {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        """`estiba ARGUMENTS` beside the test."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(self.command(*arguments), text=True, **options)

    def why_not_crun(self) -> str:
        """Why crun runs no container here, or nothing."""
        return ""

    def make_image(self, name: str = "busybox", **parts) -> None:
        """The image of `images.busybox_image`."""
        with Store.open(self.root) as store:
            busybox_image(store, name, **parts)

    def inspect(self, name: str) -> dict:
        """What `estiba inspect` says of a container."""
        found: dict = json.loads(self.estiba("inspect", "--type", "container", name).stdout)[0]
        return found

    def state(self, name: str) -> str:
        status: str = self.inspect(name)["State"]["Status"]
        return status

    def monitors(self) -> list[int]:
        """The process ids of this installation's monitors, without what they fork and what has not become a program."""
        found = {
            pid for pid, command in _commands() if "monitor/launcher.py" in command and self.run_directory in command
        }
        return [pid for pid in found if _parent_of(pid) not in found]

    def wait_until(self, condition: Callable[[], bool], what: str, *, patience: float = 20) -> None:
        """Wait for a condition, and fail the test when it does not come."""
        wait_until(condition, what, patience=patience)

    def _container_ids(self) -> list[str]:
        """What `estiba ps -aq` says, or nothing where there is not even a place for containers."""
        places = (f"{self.root}/containers", f"{self.run_directory}/containers")
        if not any(os.path.isdir(place) and os.listdir(place) for place in places):
            return []
        return self.estiba("ps", "-aq").stdout.split()

    def remove_everything(self) -> None:
        """Every container and volume, and then nothing of them may be left; networks go with the home."""
        ids = self._container_ids()
        if ids:
            self.estiba("rm", "-f", "-v", *ids)
        self.wait_until(lambda: not self.monitors(), "the monitors end", patience=10)
        left = [command for _, command in _commands() if str(self.home) in command]
        assert left == [], f"processes left: {left}"
        for place in ("containers", "runtime"):
            directory = os.path.join(self.run_directory, place)
            assert not os.path.isdir(directory) or os.listdir(directory) == [], f"left in {directory}"


class OrdinaryHost(ContainerHost):
    """The installation of an ordinary user with ranges of ids.

    It has networks by pasta or slirp4netns; where neither works here, what names no network gets none.
    """

    has_bridges = False

    def __init__(self, home) -> None:
        super().__init__(home)
        self._has_network = may_have_network()
        self._python, self._environment = python_of_the_user(
            home.directory, has_ranges=True, has_network=self._has_network
        )
        if os.geteuid() == 0:
            for directory in (home.root, home.run):
                os.chown(directory, 65534, 65534)

    @property
    def interpreter(self) -> str:
        return next(word for word in self._python if "python" in os.path.basename(word))

    def command(self, *arguments: str) -> list[str]:
        words = list(arguments)
        if not self._has_network:
            if "-p" in words:
                pytest.skip("to publish ports takes /dev/net/tun, and pasta or slirp4netns")
            verb = next((at for at, word in enumerate(words) if word in ("run", "create")), None)
            if verb is not None and not any(word.startswith("--net") for word in words):
                words.insert(verb + 1, "--network=none")
        mine = [f"{name}={value}" for name, value in self._environment.items()]
        places = ["--root", self.root, "--run", self.run_directory]
        return ["env", "-C", "/", *mine, *self._python, "-m", "estiba", *places, *words]

    def why_not_crun(self) -> str:
        if os.path.isdir("/sys/fs/cgroup/unified"):
            return "crun takes no ordinary user's container where both versions of control groups are mounted"
        return ""

    def make_image(self, name: str = "busybox", **parts) -> None:
        words = [*self._python, "-c", _MAKE_IMAGE, self.root, self.run_directory, name]
        subprocess.run(words, input=pickle.dumps(parts), check=True, cwd="/", env=self._environment)


_MAKE_IMAGE = """
import os, pickle, sys
from estiba.linux import subordinate_ids, user_namespace
user_namespace.enter(sys.argv[2], subordinate_ids.find(os.geteuid(), os.getegid()))
from estiba.store.store import Store
from images import busybox_image
with Store.open(sys.argv[1]) as store:
    busybox_image(store, sys.argv[3], **pickle.load(sys.stdin.buffer))
"""

_ORDINARY = "an ordinary user"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a file marked `without_root_too` twice, but for those that are marked `root`.

    Where the tests are root's, those that take long run twice only in `make test-rootless`.
    """
    mark = metafunc.definition.get_closest_marker("without_root_too")
    if "host" not in metafunc.fixturenames or mark is None:
        return
    users: list[object] = [pytest.param("root", marks=pytest.mark.root)]
    in_short = not mark.kwargs.get("takes_long") or bool(os.environ.get("ESTIBA_TEST_ROOTLESS"))
    if metafunc.definition.get_closest_marker("root") is None and (in_short or os.geteuid() != 0):
        users.append(_ORDINARY)
    metafunc.parametrize("host", users, indirect=True)


@pytest.fixture
def host(estiba_home, request: pytest.FixtureRequest) -> Iterator[ContainerHost]:
    """An empty installation: root's, or an ordinary user's."""
    is_ordinary = getattr(request, "param", "root") == _ORDINARY
    has_own_ids = os.environ.get("ESTIBA_USERNS", "host") != "host"
    if (is_ordinary or has_own_ids) and os.geteuid() == 0 and "tmp_path" in request.fixturenames:
        _open_to_all(request.getfixturevalue("tmp_path"))
    host = OrdinaryHost(estiba_home) if is_ordinary else ContainerHost(estiba_home)
    if os.environ.get("ESTIBA_RUNTIME") == "crun" and (reason := host.why_not_crun()):
        pytest.skip(reason)
    yield host
    host.remove_everything()


@pytest.fixture
def busybox_host(host: ContainerHost, stores_with_busybox: dict[type[ContainerHost], Path], tmp_path_factory):
    """An installation with the image of `images.busybox_image`: the first of a kind is made, others are copies."""
    kept = stores_with_busybox.get(type(host))
    if kept is not None:
        _copy(kept, host.root)
        return host
    host.make_image()
    if os.geteuid() == 0:  # nobody else can copy files of every id
        stores_with_busybox[type(host)] = kept = tmp_path_factory.mktemp("busybox-store")
        _copy(host.root, kept)
    return host


@pytest.fixture
def settles_soon(monkeypatch) -> None:
    """Monitors that settle after half a second without anything to do, not after three."""
    monkeypatch.setenv("ESTIBA_SETTLE_AFTER", "0.5")


@pytest.fixture(scope="session")
def stores_with_busybox() -> dict[type[ContainerHost], Path]:
    """A store that holds nothing but busybox, for each kind of host that has had one in this run."""
    return {}


def _copy(store: str | Path, to: str | Path) -> None:
    subprocess.run(["cp", "--archive", "--reflink=auto", f"{store}/.", str(to)], check=True)


def _open_to_all(directory: Path) -> None:
    directory.chmod(0o777)
    for above in directory.parents:
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)


def _parent_of(pid: int) -> int:
    try:
        return stat_of(pid)[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _commands() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    yield int(name), file.read().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
