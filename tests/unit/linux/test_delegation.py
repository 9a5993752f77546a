"""Which part of control groups version 2 an ordinary user was given, on recorded files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from estiba.linux.cgroups import delegation
from estiba.linux.cgroups.layout import Layout

MANAGER = "/user.slice/user-1000.slice/user@1000.service"


def make_group(root: Path, path: str, *, offered: str = "cpu memory pids", enabled: str = "", procs: str = "") -> None:
    directory = root / path.strip("/")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cgroup.controllers").write_text(offered + "\n")
    (directory / "cgroup.subtree_control").write_text(enabled + "\n")
    (directory / "cgroup.procs").write_text(procs)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """What systemd makes for a user who has logged in."""
    make_group(tmp_path, "/", offered="cpu cpuset io memory pids", enabled="cpu io memory pids")
    make_group(tmp_path, "/user.slice", enabled="cpu memory pids")
    make_group(tmp_path, "/user.slice/user-1000.slice", enabled="cpu memory pids")
    make_group(tmp_path, "/user.slice/user-1000.slice/session-3.scope", procs="77\n")
    make_group(tmp_path, MANAGER, enabled="cpu memory pids")
    make_group(tmp_path, f"{MANAGER}/app.slice", enabled="memory pids")
    make_group(tmp_path, f"{MANAGER}/app.slice/app-terminal.scope", procs="88\n")
    return tmp_path


def owned(root: Path, *below: str) -> Callable[[str], bool]:
    """The user may write what lies in one of these groups."""
    places = [f"{root}{path}" for path in below]
    return lambda path: any(path == place or path.startswith(place + "/") for place in places)


def test_from_a_desktops_terminal_all_of_the_users_manager_can_be_used(session: Path) -> None:
    own = f"{MANAGER}/app.slice/app-terminal.scope"
    found = delegation.find(Layout({}, str(session)), own=own, may_write=owned(session, MANAGER))
    assert found == delegation.Delegated(MANAGER, ("cpu", "memory", "pids"))


def test_out_of_a_login_session_no_process_may_be_moved(session: Path) -> None:
    own = "/user.slice/user-1000.slice/session-3.scope"
    assert delegation.find(Layout({}, str(session)), own=own, may_write=owned(session, MANAGER)) is None


def test_a_group_with_processes_of_its_own_enables_no_more_controllers(session: Path) -> None:
    own = f"{MANAGER}/app.slice/app-terminal.scope"
    found = delegation.find(Layout({}, str(session)), own=own, may_write=owned(session, own))
    assert found == delegation.Delegated(own, ())


def test_a_group_without_processes_can_have_what_it_is_offered(tmp_path: Path) -> None:
    make_group(tmp_path, "/mine", offered="hugetlb memory")
    make_group(tmp_path, "/mine/leaf", procs="1\n")
    found = delegation.find(Layout({}, str(tmp_path)), own="/mine/leaf", may_write=owned(tmp_path, "/mine"))
    assert found == delegation.Delegated("/mine", ("hugetlb", "memory"))


def test_the_files_that_move_processes_must_be_the_users_too(session: Path) -> None:
    own = f"{MANAGER}/app.slice"

    def may_write(path: str) -> bool:
        return owned(session, MANAGER)(path) and not path.endswith(f"{MANAGER}/cgroup.procs")

    found = delegation.find(Layout({}, str(session)), own=own, may_write=may_write)
    assert found is not None
    assert found.path == own


def test_version_1_gives_nothing_to_users(tmp_path: Path) -> None:
    layout = Layout({"memory": str(tmp_path)}, str(tmp_path / "unified"))
    assert delegation.find(layout, own="/", may_write=lambda path: True) is None


def test_this_process_is_looked_for_itself() -> None:
    found = delegation.find(Layout({}, "/nowhere"), may_write=os.path.exists)
    assert found is None
