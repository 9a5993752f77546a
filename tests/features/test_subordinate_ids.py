"""An ordinary user with ranges of ids has containers and build steps with many users, and loses nothing of them."""

from __future__ import annotations

import glob
import json
import os
import re
import signal
from collections.abc import Iterator

import pytest

from ordinary_user import User, ordinary_user
from waiting import wait_until

pytestmark = pytest.mark.root  # to give ranges to the user

FIRST = 100000 - 1  # inside, the range begins with 1

DOCKERFILE = """\
FROM busybox
RUN echo app:x:1000:1000::/home/app:/bin/sh >> /etc/passwd
RUN mkdir -p /data/old && touch /data/old/gone && chown -R 1000:1000 /data
RUN rm -rf /data/old && mkdir /data/old && touch /data/old/new && chmod 4755 /data/old/new
COPY --chown=7:8 Dockerfile /data/
USER app
RUN id -u > /data/who
"""


@pytest.fixture
def user() -> Iterator[User]:
    yield from ordinary_user(has_ranges=True)


def _store(user: User) -> str:
    """The store's root, by the place of its images."""
    inspected = user("run", "-d", "--network", "none", "busybox", "sleep", "1000").stdout.strip()
    place = json.loads(user("inspect", inspected).stdout)[0]["LogPath"]
    user("rm", "-f", inspected)
    return str(place).partition("/containers/")[0]


def _run(user: User, *words: str) -> str:
    return str(user("run", "--rm", "--network", "none", *words).stdout)


def test_users_and_owners_are_many(user: User) -> None:
    script = "touch /f && chown 33:44 /f && stat -c %u:%g /f && id -u"
    assert _run(user, "busybox", "sh", "-c", script).split() == ["33:44", "0"]
    assert _run(user, "--user", "1000:50", "busybox", "sh", "-c", "id -u; id -g").split() == ["1000", "50"]
    assert _run(user, "busybox", "cat", "/proc/self/uid_map").split() == ["0", "65534", "1", "1", "100000", "65536"]


def test_a_terminal_is_the_users_of_the_container(user: User) -> None:
    shown = _run(
        user, "-t", "--user", "1000", "busybox", "sh", "-c", "tty; stat -c %u /dev/pts/0; echo >/dev/tty; stty size"
    )
    assert shown.split()[:2] == ["/dev/pts/0", "1000"]


def test_layers_are_stacked_by_the_kernel(user: User) -> None:
    assert "overlay / overlay" in _run(user, "busybox", "grep", " / overlay ", "/proc/mounts")


def test_processes_of_other_ids_are_reached_and_stopped(user: User) -> None:
    user("run", "-d", "--name", "one", "--network", "none", "--user", "77", "busybox", "sleep", "1000")
    pid = int(json.loads(user("inspect", "one").stdout)[0]["State"]["Pid"])
    assert os.stat(f"/proc/{pid}").st_uid == FIRST + 77
    assert user("exec", "one", "id", "-u").stdout == "77\n"
    assert user("exec", "--user", "0", "one", "sh", "-c", "id -u; kill -0 1 && echo may").stdout.split() == ["0", "may"]
    user("stop", "-t", "1", "one")
    assert not os.path.exists(f"/proc/{pid}")


def test_the_network_of_another_container_is_shared(user: User) -> None:
    user("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    there = user("exec", "one", "readlink", "/proc/self/ns/net").stdout
    joined = user("run", "--rm", "--network", "container:one", "busybox", "readlink", "/proc/self/ns/net").stdout
    assert joined == there


def test_ids_of_its_own_take_root(user: User) -> None:
    done = user("run", "--rm", "--userns=auto", "--network", "none", "busybox", "true", check=False)
    assert (done.returncode, "--userns=auto takes root" in done.stderr) == (125, True)


def test_a_container_whose_monitor_was_killed_is_removed(user: User) -> None:
    user("run", "-d", "--name", "one", "--network", "none", "--user", "77", "busybox", "sleep", "1000")
    pid = int(json.loads(user("inspect", "one").stdout)[0]["State"]["Pid"])
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        found = re.search(r"PPid:\s*(\d+)", file.read())
    assert found
    os.kill(int(found[1]), signal.SIGKILL)
    user("rm", "-f", "one")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the container's process is gone")
    assert user("ps", "-aq").stdout == ""


def test_a_build_gives_the_image_that_root_builds(user: User, estiba_home, tmp_path) -> None:
    os.chmod(tmp_path, 0o755)
    for above in list(tmp_path.parents)[:-2]:
        os.chmod(above, os.stat(above).st_mode | 0o011)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    build = ("build", "-q", "--network", "none", "-t", "made", str(tmp_path))
    estiba_home.estiba("bootstrap", "-q", "busybox")
    assert user(*build).stdout == estiba_home.estiba(*build).stdout
    script = "id -u; cat /data/who; stat -c '%n %u:%g %a' /data /data/* /data/old/*"
    assert _run(user, "made", "sh", "-c", script).splitlines() == [
        "1000",
        "1000",
        "/data 1000:1000 755",
        "/data/Dockerfile 7:8 644",
        "/data/old 0:0 755",
        "/data/who 1000:1000 644",
        "/data/old/new 0:0 4755",
    ]


def test_what_belongs_to_other_ids_is_measured_saved_loaded_and_removed(user: User, tmp_path) -> None:
    os.chmod(tmp_path, 0o777)
    for above in list(tmp_path.parents)[:-2]:
        os.chmod(above, os.stat(above).st_mode | 0o011)
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nRUN mkdir -m 700 /deep && touch /deep/f && chown -R 5:5 /deep\nVOLUME /deep\n"
    )
    user("build", "-q", "--network", "none", "-t", "made", str(tmp_path))
    assert _run(user, "-v", "kept:/deep", "made", "stat", "-c", "%u %a", "/deep", "/deep/f").split()[:2] == ["5", "700"]
    assert "Images" in user("df").stdout
    user("save", "-o", str(tmp_path / "made.tar"), "made")
    user("rmi", "made")
    user("gc")
    user("load", "-i", str(tmp_path / "made.tar"))
    assert _run(user, "made", "stat", "-c", "%u %a", "/deep").split() == ["5", "700"]
    user("fsck")
    user("volume", "rm", "kept")
    user("volume", "trash", "empty", "-f")
    root = _store(user)
    user("rmi", "made")
    user("gc", "--build-cache", "--grace", "0")
    owners = {os.lstat(path).st_uid for path in glob.glob(f"{root}/**", recursive=True, include_hidden=True)}
    assert owners == {65534}


def test_a_container_gains_nothing_over_the_machine(user: User) -> None:
    script = "mknod /dev/sda b 8 0 2>/dev/null && head -c1 /dev/sda && echo disk; echo 1 > /proc/sys/kernel/sysrq; true"
    assert _run(user, "--cap-add", "ALL", "busybox", "sh", "-c", script) == ""
    root = _store(user)
    status = os.stat(root)
    assert (status.st_uid, status.st_mode & 0o077) == (65534, 0)  # set-user-ID programs of images are out of reach
