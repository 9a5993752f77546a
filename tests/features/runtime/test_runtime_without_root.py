"""An ordinary user runs containers: a user namespace with the one id that the user has, and no helper programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

import estiba
from bundles import busybox_rootfs, write_bundle
from estiba.runtime.spec import IdMapping, SpecOptions
from ordinary_user import with_ranges

pytestmark = pytest.mark.root  # to become the ordinary user

USER = 1000
PYTHON = "/usr/bin/python3"


@pytest.fixture
def place() -> Iterator[str]:
    """A directory of the user's with a copy of the package, since the work tree may be out of the user's reach."""
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
            runtime(directory, "delete", "--force", name)
    shutil.rmtree(directory)


def _limit(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


def runtime(place: str, *words: str) -> subprocess.CompletedProcess[str]:
    launcher = os.path.join(place, "estiba/runtime/launcher.py")
    # What `create` leaves behind keeps its standard streams.
    stream = subprocess.DEVNULL if words[0] == "create" else subprocess.PIPE
    return subprocess.run(
        [PYTHON, "-I", "-S", launcher, "--root", os.path.join(place, "state"), *words],
        user=USER,
        group=USER,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=stream,
        text=True,
        timeout=60,
        check=False,
    )


def bundle(place: str, *args: str, ranges: tuple[IdMapping, ...] = ()) -> str:
    ids = (IdMapping(0, USER, 1), *ranges)
    options = SpecOptions(args=args, rootfs=os.path.join(place, "rootfs"), uid_mappings=ids, gid_mappings=ids)
    return write_bundle(os.path.join(place, "bundle"), options)


def test_a_container_runs_guarded_and_its_root_is_the_user(place: str) -> None:
    script = "id -u; cat /proc/self/uid_map; echo > /dev/null && echo null; touch /x; grep Seccomp: /proc/self/status"
    done = runtime(place, "run", "-b", bundle(place, "sh", "-c", script), "est-mine")
    assert done.stdout.split() == ["0", "0", str(USER), "1", "null", "Seccomp:", "2"], done.stderr
    assert os.stat(os.path.join(place, "rootfs/x")).st_uid == USER


def test_it_is_entered_killed_and_deleted(place: str) -> None:
    assert runtime(place, "create", "-b", bundle(place, "sleep", "1000"), "est-mine").returncode == 0
    assert runtime(place, "start", "est-mine").returncode == 0
    done = runtime(place, "exec", "est-mine", "sh", "-c", "id -u; exit 4")
    assert (done.stdout, done.returncode) == ("0\n", 4)
    assert "cannot be paused" in runtime(place, "pause", "est-mine").stderr
    assert runtime(place, "delete", "--force", "est-mine").returncode == 0
    assert os.listdir(os.path.join(place, "state")) == []


def test_a_limit_that_cannot_be_kept_is_refused(place: str) -> None:
    import json

    directory = bundle(place, "true")
    path = os.path.join(directory, "config.json")
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    spec["linux"]["resources"]["pids"] = {"limit": 5}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    done = runtime(place, "run", "-b", directory, "est-mine")
    assert done.returncode == 125
    assert "limits (pids) need a control group" in done.stderr


def test_a_map_of_ranges_is_written_by_the_helpers(place: str) -> None:
    prefix = with_ranges(place, USER)
    directory = bundle(place, "sh", "-c", "touch /f && chown 5:6 /f; id -u", ranges=(IdMapping(1, 100000, 65536),))
    command = [*prefix, "setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", PYTHON, "-I", "-S"]
    launcher = os.path.join(place, "estiba/runtime/launcher.py")
    command += [launcher, "--root", os.path.join(place, "state"), "run", "-b", directory, "est-many"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    made = os.stat(os.path.join(place, "rootfs/f"))
    assert (made.st_uid, made.st_gid) == (100004, 100005)
