"""Frozen values keep what `typing.NamedTuple` promises."""

from __future__ import annotations

import copy
import pickle

import pytest

from estiba.values import NamedTuple


class Place(NamedTuple):
    """Where something lies."""

    path: str
    size: int = 0
    mode: str = "ro"

    @property
    def is_empty(self) -> bool:
        return not self.size

    @classmethod
    def root(cls) -> Place:
        return cls("/")


class Deep(Place):
    """A value that extends another's methods."""

    def depth(self) -> int:
        return self.path.count("/")


def test_fields_come_by_position_by_name_and_by_default() -> None:
    assert Place("/a", 3) == ("/a", 3, "ro")
    assert Place(size=1, path="/b") == ("/b", 1, "ro")
    assert Place("/c", mode="rw").mode == "rw"
    assert Place.root().is_empty


def test_a_value_is_a_tuple_that_cannot_be_changed() -> None:
    place = Place("/a")
    path, size, mode = place
    assert (path, size, mode) == place and hash(place) == hash(("/a", 0, "ro"))
    with pytest.raises(AttributeError):
        place.path = "/b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        place.other = 1  # type: ignore[attr-defined]


def test_wrong_fields_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="lacks 'path'"):
        Place()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no place for colour"):
        Place("/a", colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no place for 1 more"):
        Place("/a", 1, "ro", 2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no place for path"):
        Place("/a", path="/b")  # type: ignore[misc]


def test_the_tools_of_named_tuples_work() -> None:
    place = Place("/a", 3)
    assert place._replace(size=4) == Place("/a", 4)
    assert place._asdict() == {"path": "/a", "size": 3, "mode": "ro"}
    assert Place._make(["/a", 3, "ro"]) == place
    assert Place._fields == ("path", "size", "mode")
    assert Place._field_defaults == {"size": 0, "mode": "ro"}
    assert repr(place) == "Place(path='/a', size=3, mode='ro')"
    match place:
        case Place(path, size):
            assert (path, size) == ("/a", 3)


def test_a_value_survives_copying_and_pickling() -> None:
    place = Place("/a", 3)
    assert copy.deepcopy(place) == place and type(copy.copy(place)) is Place
    assert pickle.loads(pickle.dumps(place)) == place


def test_a_class_below_a_value_has_its_fields() -> None:
    assert Deep("/a/b").depth() == 2 and Deep("/a/b").mode == "ro"
