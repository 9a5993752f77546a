"""Records of builds."""

from __future__ import annotations

import pytest

from estiba.errors import Conflict
from estiba.store.builds import KEPT, NoSuchBuild, StoredBuild


def test_the_newest_records_of_a_dockerfile_are_found(store):
    """Another one's are not among them; a record that is written again is the newest."""
    for number, place in enumerate(("a", "b", "a", "a")):
        store.builds.put(StoredBuild(f"id{number}", place, {"n": number}))
    assert [build.id for build in store.builds.last_of("a", 2)] == ["id3", "id2"]
    store.builds.put(StoredBuild("id0", "a", {"n": 10}))
    assert store.builds.last_of("a", 1) == [StoredBuild("id0", "a", {"n": 10})]
    assert [build.id for build in store.builds.all()] == ["id0", "id3", "id2", "id1"]


def test_there_are_never_more_than_a_fixed_number(store):
    """The oldest goes."""
    with store.database.transaction():
        for number in range(KEPT + 3):
            store.builds.put(StoredBuild(str(number), "a", {}))
    kept = store.builds.all()
    assert (len(kept), kept[0].id, kept[-1].id) == (KEPT, str(KEPT + 2), "3")


def test_a_record_is_found_by_the_beginning_of_its_id(store):
    """Unless several begin so; what is no ID is none."""
    for name in ("abc1", "abc2", "ab"):
        store.builds.put(StoredBuild(name, "a", {}))
    assert store.builds.get("abc1").id == "abc1"
    assert store.builds.get("ab").id == "ab"
    with pytest.raises(Conflict, match="several builds begin with abc"):
        store.builds.get("abc")
    for text in ("x", "", "*", "a*"):
        with pytest.raises(NoSuchBuild):
            store.builds.get(text)
