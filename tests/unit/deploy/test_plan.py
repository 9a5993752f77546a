"""The plan of a deployment, compared as a whole: from what is there to what is wanted, each step with its reason."""

from __future__ import annotations

import pytest

from estiba.deploy.app import Actual, App, Release
from estiba.deploy.plan import CREATE, PROBE, REMOVE, RENAME, START, STOP, ForeignContainer, Step, plan
from estiba.oci.digest import Digest

NEW = Release(App("web", publish=("8000:8000",)), Digest.of(b"new"), "web:latest", "new")
OLD = NEW._replace(image_id=Digest.of(b"old"), version="old")

REPLACE = (
    Step(CREATE, "web.next", "old becomes new"),
    Step(RENAME, "web", "the name is for the new one", to="web.previous"),
    Step(STOP, "web.previous", "the new one wants its ports"),
    Step(START, "web.next", "it takes over"),
    Step(PROBE, "web.next", "it must answer before the old one goes"),
    Step(RENAME, "web.next", "it has answered", to="web"),
    Step(REMOVE, "web.previous", "new has taken over"),
)
CUT = "it is left of a deployment that was cut"


def there(name: str, release: Release = OLD, *, is_running: bool = True) -> Actual:
    return Actual(name, is_running, release.app.name, release.fingerprint, release.version)


def planned(*actual: Actual) -> tuple[Step, ...]:
    return plan(NEW, {each.name: each for each in actual})


def test_the_first_release_takes_the_name_once_it_has_answered() -> None:
    assert planned(Actual("another", True)) == (
        Step(CREATE, "web.next", "nothing of web is there yet"),
        Step(START, "web.next", "it is the first release"),
        Step(PROBE, "web.next", "it must answer before it counts"),
        Step(RENAME, "web.next", "it has answered", to="web"),
    )


def test_an_old_release_runs_until_the_new_one_is_made_and_stays_until_it_answers() -> None:
    assert planned(there("web")) == REPLACE


def test_an_old_release_that_does_not_run_need_not_be_stopped() -> None:
    assert planned(there("web", is_running=False)) == tuple(step for step in REPLACE if step.action != STOP)


def test_the_same_release_that_runs_needs_nothing() -> None:
    assert planned(there("web", NEW)) == ()


def test_the_same_release_that_does_not_run_is_started() -> None:
    assert planned(there("web", NEW, is_running=False)) == (
        Step(START, "web", "the wanted release is there but does not run"),
        Step(PROBE, "web", "it must answer"),
    )


# What a deployment that was cut leaves; see the picture in deploy/plan.py


def test_cut_after_creation() -> None:
    assert planned(there("web"), there("web.next", NEW, is_running=False)) == (Step(REMOVE, "web.next", CUT), *REPLACE)


def test_cut_after_the_old_one_gave_its_name() -> None:
    assert planned(there("web.previous"), there("web.next", NEW, is_running=False)) == (
        Step(REMOVE, "web.next", CUT),
        Step(RENAME, "web.previous", "the new one had not proved itself", to="web"),
        *REPLACE,
    )


def test_cut_while_the_new_one_was_on_trial_brings_the_old_one_back_first() -> None:
    assert planned(there("web.previous", is_running=False), there("web.next", NEW)) == (
        Step(REMOVE, "web.next", CUT),
        Step(START, "web.previous", "it ran before a deployment was cut"),
        Step(RENAME, "web.previous", "the new one had not proved itself", to="web"),
        *REPLACE,
    )


def test_cut_before_the_old_one_was_removed() -> None:
    assert planned(there("web", NEW), there("web.previous", is_running=False)) == (Step(REMOVE, "web.previous", CUT),)


def test_going_back_to_the_release_before_one_that_was_cut_needs_no_new_container() -> None:
    assert planned(there("web.previous", NEW, is_running=False), there("web.next")) == (
        Step(REMOVE, "web.next", CUT),
        Step(START, "web.previous", "it ran before a deployment was cut"),
        Step(RENAME, "web.previous", "the new one had not proved itself", to="web"),
    )


@pytest.mark.parametrize("name", ["web", "web.next", "web.previous"])
@pytest.mark.parametrize("foreign", [Actual("", True), Actual("", True, "another", "fingerprint")])
def test_a_container_that_is_not_of_this_app_is_never_touched(name: str, foreign: Actual) -> None:
    with pytest.raises(ForeignContainer, match=f"there is a container {name} which was not deployed as the app web"):
        planned(foreign._replace(name=name))


# When a release is the same


@pytest.mark.parametrize("same", [NEW._replace(version="other"), NEW._replace(image_name="other:1")])
def test_what_a_release_is_called_makes_no_difference(same: Release) -> None:
    assert same.fingerprint == NEW.fingerprint


def test_how_it_is_probed_makes_no_difference() -> None:
    assert NEW._replace(app=NEW.app._replace(probe="http://x/", ready_within=1)).fingerprint == NEW.fingerprint


@pytest.mark.parametrize("changes", [{"env": ("A=1",)}, {"publish": ()}, {"memory": "1g"}, {"command": ("x",)}])
def test_how_it_is_run_makes_a_difference(changes: dict[str, object]) -> None:
    assert NEW._replace(app=NEW.app._replace(**changes)).fingerprint != NEW.fingerprint
