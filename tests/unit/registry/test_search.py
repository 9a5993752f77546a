"""What a search looks for, and in which order it finds it."""

from __future__ import annotations

import pytest

from estiba.errors import NotThereYet
from estiba.registry.client.search import Search, found, parse_search


def test_the_registry_stands_before_the_word():
    assert parse_search("localhost:5000/app") == Search("localhost:5000", "app")
    assert parse_search("registry.lan/team/app") == Search("registry.lan", "team/app")
    assert parse_search("localhost/") == Search("localhost", "")


@pytest.mark.parametrize("text", ["nginx", "team/app", "docker.io/nginx", "index.docker.io/nginx", "", "node.js"])
def test_docker_hub_is_not_searched_and_what_is_said_helps(text):
    with pytest.raises(NotThereYet, match="Docker Hub") as refused:
        parse_search(text)
    assert "localhost:5000/" in refused.value.remedy


def test_just_this_name_comes_first_then_what_begins_with_it():
    names = ("my-app", "z/app", "application", "other", "app", "a/apps")
    hits = ["r/app", "r/z/app", "r/a/apps", "r/application", "r/my-app"]
    assert found(Search("r", "App"), names, most=9) == hits
    assert found(Search("r", "app"), names, most=2) == hits[:2]
    assert len(found(Search("r", ""), names, most=9)) == 6
