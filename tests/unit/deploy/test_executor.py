"""Carrying out a plan, on a machine in memory: each step can fail, and each leaves the old release running."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.deploy.app import Actual, App, Release
from estiba.deploy.executor import ReleaseFailed, execute, repair
from estiba.deploy.memory import MemoryContainers
from estiba.deploy.plan import plan
from estiba.errors import EstibaError, Unavailable
from estiba.graph.cancellation import Cancelled
from estiba.oci.digest import Digest

NEW = Release(App("web", publish=("8000:8000",)), Digest.of(b"new"), "web:latest", "new")
OLD = NEW._replace(image_id=Digest.of(b"old"), version="old")


def there(name: str, release: Release, *, is_running: bool = True) -> Actual:
    return Actual(name, is_running, "web", release.fingerprint, release.version)


def deploy(machine: MemoryContainers, release: Release = NEW) -> list[str]:
    """Plans and executes; gives what was told."""
    told: list[str] = []
    execute(plan(release, machine.actual()), release, machine, say=told.append)
    return told


def breaks_at(number: int, error: BaseException):
    """Raises at the change of that number, and only there."""
    count = 0

    def before(action: str, name: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise error

    return before


def test_a_release_replaces_the_one_before_it() -> None:
    machine = MemoryContainers(there("web", OLD))
    told = deploy(machine)
    assert machine.actual() == {"web": there("web", NEW)}
    assert machine.changes == [
        "create web.next",
        "rename web",
        "stop web.previous",
        "start web.next",
        "probe web.next",
        "rename web.next",
        "remove web.previous",
    ]
    assert told[0] == "create web.next: old becomes new"
    assert deploy(machine) == []


def test_a_release_that_does_not_answer_is_taken_back_with_its_last_words() -> None:
    machine = MemoryContainers(there("web", OLD), answers=lambda release: release is OLD)
    with pytest.raises(ReleaseFailed) as caught:
        deploy(machine)
    assert machine.actual() == {"web": there("web", OLD)}
    assert str(caught.value) == (
        "web new did not take over: probe failed: web.next does not answer\n"
        "Its last words:\nthe log of web.next\nThe release before it runs again."
    )
    assert machine.changes[-5:] == [
        "probe web.next",
        "stop web.next",
        "start web.previous",
        "rename web.previous",
        "remove web.next",
    ]


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("error", [Unavailable("broken"), Cancelled(), OSError("broken"), KeyboardInterrupt()])
def test_whatever_fails_at_whatever_step_the_old_release_runs_again(number: int, error: BaseException) -> None:
    machine = MemoryContainers(there("web", OLD), before=breaks_at(number, error))
    expected = ReleaseFailed if isinstance(error, Unavailable) else type(error)
    with pytest.raises(expected):
        deploy(machine)
    assert machine.actual() == {"web": there("web", OLD)}


def test_a_release_that_has_answered_stays_though_the_old_one_cannot_be_removed() -> None:
    machine = MemoryContainers(there("web", OLD), before=breaks_at(7, Unavailable("busy")))
    told = deploy(machine)
    assert told[-1] == "it goes on without that: busy"
    assert machine.actual() == {
        "web": there("web", NEW),
        "web.previous": there("web.previous", OLD, is_running=False),
    }
    assert deploy(machine) == ["remove web.previous: it is left of a deployment that was cut"]


def test_a_first_release_that_fails_leaves_nothing() -> None:
    machine = MemoryContainers(answers=lambda release: False)
    with pytest.raises(ReleaseFailed, match=r"probe failed") as caught:
        deploy(machine)
    assert machine.actual() == {}
    assert caught.value.remedy.endswith("Nothing that ran before has changed.")


def test_an_old_release_that_did_not_run_is_not_started_by_a_failure() -> None:
    old = there("web", OLD, is_running=False)
    machine = MemoryContainers(old, answers=lambda release: False)
    with pytest.raises(ReleaseFailed):
        deploy(machine)
    assert machine.actual() == {"web": old}


def test_the_same_release_that_does_not_answer_is_not_removed() -> None:
    machine = MemoryContainers(there("web", NEW, is_running=False), answers=lambda release: False)
    with pytest.raises(ReleaseFailed):
        deploy(machine)
    assert machine.actual() == {"web": there("web", NEW)}


def test_what_cannot_be_taken_back_is_told() -> None:
    def before(action: str, name: str) -> None:
        if action == "probe" or (action, name) == ("start", "web.previous"):
            raise Unavailable(f"{action} is broken")

    machine = MemoryContainers(there("web", OLD), before=before)
    with pytest.raises(ReleaseFailed) as caught:
        deploy(machine)
    assert caught.value.remedy.endswith("It could not all be taken back: start is broken")
    assert machine.actual() == {"web": there("web", OLD, is_running=False)}


def test_repairing_brings_back_what_ran_before_a_deployment_was_cut() -> None:
    machine = MemoryContainers(there("web.previous", OLD, is_running=False), there("web.next", NEW))
    told: list[str] = []
    repair("web", machine, say=told.append)
    assert machine.actual() == {"web": there("web", OLD)}
    assert told == [
        "remove web.next: it is left of a deployment that was cut",
        "start web.previous: it ran before a deployment was cut",
        "rename web.previous to web: the new one had not proved itself",
    ]
    repair("web", machine, say=told.append)
    assert len(told) == 3


def test_repairing_touches_nothing_that_is_not_of_the_app_and_tells_what_it_cannot_do() -> None:
    told: list[str] = []
    machine = MemoryContainers(Actual("web.next", True))
    repair("web", machine, say=told.append)
    assert machine.changes == []
    broken = MemoryContainers(there("web.next", NEW), before=breaks_at(1, Unavailable("broken")))
    repair("web", broken, say=told.append)
    assert told == [
        "web could not be put right: there is a container web.next which was not deployed as the app web",
        "remove web.next: it is left of a deployment that was cut",
        "web could not be put right: broken",
    ]


class Killed(BaseException):
    """kill -9: nothing is taken back, for nobody is there to do it."""


@given(st.lists(st.integers(1, 9), max_size=4), st.booleans())
def test_after_any_kills_the_next_deployment_gets_there(kills: list[int], was_running: bool) -> None:
    """Each deployment is killed before its change of that number; the last one is left alone."""
    machine = MemoryContainers(there("web", OLD, is_running=was_running))
    for number in kills:
        count = 0

        def before(action: str, name: str, number: int = number) -> None:
            nonlocal count
            count += 1
            if count >= number:
                raise Killed

        machine._before = before
        try:
            deploy(machine)
        except Killed:
            pass
    machine._before = lambda action, name: None
    deploy(machine)
    assert machine.actual() == {"web": there("web", NEW)}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_after_any_kills_a_release_that_fails_gives_the_old_one_back(kills: list[int]) -> None:
    machine = MemoryContainers(there("web", OLD), answers=lambda release: release.version == "old")
    for number in kills:
        count = 0

        def before(action: str, name: str, number: int = number) -> None:
            nonlocal count
            count += 1
            if count >= number:
                raise Killed

        machine._before = before
        try:
            deploy(machine)
        except (Killed, EstibaError):
            pass
    machine._before = lambda action, name: None
    with pytest.raises(ReleaseFailed):
        deploy(machine)
    assert machine.actual() == {"web": there("web", OLD)}
