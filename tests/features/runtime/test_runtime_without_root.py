"""An ordinary user runs containers: a user namespace with the one id that the user has, and no helper programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from bundles import write_bundle
from estiba.runtime.spec import IdMapping, SpecOptions
from ordinary_user import with_ranges
from plain_user import PYTHON, USER, launcher, place_of_the_user

pytestmark = pytest.mark.root  # to become the ordinary user


@pytest.fixture
def place() -> Iterator[str]:
    yield from place_of_the_user()


def runtime(place: str, *words: str) -> subprocess.CompletedProcess[str]:
    # What `create` leaves behind keeps its standard streams.
    stream = subprocess.DEVNULL if words[0] == "create" else subprocess.PIPE
    return subprocess.run(
        launcher(place, *words),
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
