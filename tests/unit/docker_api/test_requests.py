"""What stands in the address, the headers and the query of a request."""

from __future__ import annotations

import base64
import json

import pytest

from estiba.docker_api import versions
from estiba.docker_api.arguments import filters, is_true, logins, moment, one_login, rfc3339
from estiba.docker_api.events import Event, is_wanted
from estiba.docker_api.handlers.table import match
from estiba.docker_api.multiplex import STDERR, frame
from estiba.docker_api.problems import problem_of
from estiba.errors import Conflict, InvalidInput, NotFound, NotThereYet
from estiba.registry.client.credentials import Login


def test_a_version_stands_before_the_path() -> None:
    assert versions.split("/v1.41/containers/json")[1] == "/containers/json"
    assert versions.split("/containers/json") == (versions.NEWEST, "/containers/json")


@pytest.mark.parametrize("path", ["/v9.99/info", "/v1.1/info"])
def test_a_version_that_is_not_spoken_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="version"):
        versions.split(path)


def test_a_path_finds_its_handler() -> None:
    found = match("GET", "/images/localhost:5000/a/b/json")
    assert found is not None and found.handler is not None and found.parts == {"name": "localhost:5000/a/b"}
    assert match("GET", "/nothing/here") is None
    wrong = match("DELETE", "/info")
    assert wrong is not None and wrong.handler is None


def test_filters_in_both_forms() -> None:
    assert filters('{"label":["a=b"]}') == filters('{"label":{"a=b":true,"c":false}}') == {"label": ["a=b"]}
    assert filters("") == filters('{"dangling":[]}') == filters('{"dangling":{"true":false}}') == {}
    for wrong in ("[]", "{", '{"label":"a"}'):
        with pytest.raises(InvalidInput, match="filter"):
            filters(wrong)


def test_times_and_flags() -> None:
    assert moment("0") is None and moment("1700000000.5") == (1700000000, 500000000)
    assert rfc3339((1700000000, 5)) == "2023-11-14T22:13:20.000000005Z"
    assert is_true("1") and is_true("True") and not is_true("0") and not is_true("false")
    with pytest.raises(InvalidInput, match="time"):
        moment("soon")


def test_credentials_come_in_headers() -> None:
    def header(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()

    assert one_login(header({"username": "a", "password": "b"})).get("any") == Login("a", "b")
    assert one_login(header({"identitytoken": "t"})).get("any") == Login("", "", "t")
    assert one_login("").get("any") is None
    known = logins(header({"https://registry.example/v1/": {"auth": base64.b64encode(b"a:b").decode()}}))
    assert known.get("registry.example") == Login("a", "b")
    with pytest.raises(InvalidInput, match="base64"):
        one_login("bm90IGpzb24=")


def test_errors_have_dockers_statuses() -> None:
    kinds = {NotFound: 404, Conflict: 409, InvalidInput: 400, NotThereYet: 501}
    assert {kind: problem_of(kind("no such thing", remedy="Do.")).status for kind in kinds} == kinds
    assert problem_of(NotFound("no such container: x")).message == "No such container: x"


def test_a_piece_of_output_is_framed() -> None:
    assert frame(STDERR, b"abc") == b"\2\0\0\0\0\0\0\3abc"


def test_events_pass_filters() -> None:
    event = Event("container", "start", "abcdef", {"image": "busybox", "name": "one", "a": "b"}, 1)
    for wanted in (
        {"type": ["container"]},
        {"event": ["start", "die"]},
        {"label": ["a=b"]},
        {"container": ["one"]},
        {},
    ):
        assert is_wanted(event, wanted)
    for other in ({"type": ["image"]}, {"event": ["die"]}, {"label": ["a=c"]}, {"container": ["two"]}):
        assert not is_wanted(event, other)
    assert event.to_json()["status"] == "start"
