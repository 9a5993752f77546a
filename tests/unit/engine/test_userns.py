"""Podman's words for the ids of a container, as values."""

from __future__ import annotations

import pytest

from estiba.engine.options import ContainerOptions
from estiba.engine.userns import EVERY_ID, Users, parse_maps, parse_users
from estiba.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("host", Users("host")),
        ("auto", Users("auto")),
        ("auto:size=1000", Users("auto", 1000)),
        ("auto:uidmapping=0:5:1,gidmapping=7:8:9", Users("auto", 0, ((0, 5, 1),), ((7, 8, 9),))),
        ("keep-id", Users("maps", 0, ((0, 0, EVERY_ID),), ((0, 0, EVERY_ID),))),
        ("container:one", Users("container", target="one")),
        ("ns:/proc/1/ns/user", Users("ns", target="/proc/1/ns/user")),
    ],
)
def test_a_choice_is_read(text, users):
    assert parse_users(text) == users


@pytest.mark.parametrize(
    "text",
    [
        *("", "auto:", "auto:size=0", "auto:size=99999999", "auto:sizes=1", "auto:uidmapping=1", "host:1"),
        *("container:", "ns:relative", "nomap", "keep-id:uid=1", "auto:uidmapping=0:5:2,uidmapping=1:9:1", "mine"),
    ],
)
def test_what_is_no_choice_is_refused_with_the_choices(text):
    if text == "auto:":
        assert parse_users(text) == Users("auto")
        return
    with pytest.raises(InvalidInput):
        parse_users(text)


def test_one_map_counts_for_users_and_groups():
    assert parse_maps(["0:100:10"], []) == parse_maps([], ["0:100:10"]) == parse_maps(["0:100:10"], ["0:100:10"])
    assert parse_maps(["0:100"], []).uids == ((0, 100, 1),)


@pytest.mark.parametrize(
    "rows", [["1:100"], ["0:100:2", "1:300"], ["0:100:2", "5:101"], ["0:1:0"], ["0:x"], ["0:1:4294967295"], ["0"]]
)
def test_maps_without_root_that_overlap_or_are_none_are_refused(rows):
    with pytest.raises(InvalidInput):
        parse_maps(rows, [])


def test_the_ids_are_kept_with_the_options():
    options = ContainerOptions("busybox").with_users(parse_users("auto:size=9,uidmapping=0:5:1"))
    assert ContainerOptions.from_json(options.to_json()) == options
