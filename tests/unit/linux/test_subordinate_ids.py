"""The ranges of /etc/subuid become the rows of a map, and what is damaged or another's is left out."""

from __future__ import annotations

from estiba.linux.subordinate_ids import rows


def test_every_range_of_the_user_follows_the_one_before() -> None:
    text = "ann:100000:65536\nbob:200000:65536\n1000:300000:1000\n"
    assert rows(text, frozenset(("ann", "1000")), 1000) == ((0, 1000, 1), (1, 100000, 65536), (65537, 300000, 1000))


def test_without_a_range_there_is_the_own_id() -> None:
    assert rows("bob:200000:65536\n", frozenset(("ann", "1000")), 1000) == ((0, 1000, 1),)


def test_what_is_no_range_is_left_out() -> None:
    text = "\n# ann\nann:1:2:3\nann:x:5\nann:5:x\nann:0:10\nann:10:0\nann:-5:7\n"
    assert rows(text, frozenset(("ann",)), 1000) == ((0, 1000, 1),)


def test_a_range_around_the_own_id_would_map_it_twice() -> None:
    assert rows("ann:900:200\nann:5000:10\n", frozenset(("ann",)), 1000) == ((0, 1000, 1), (1, 5000, 10))
