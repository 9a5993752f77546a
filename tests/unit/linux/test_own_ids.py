"""Maps of a container's ids as numbers."""

from __future__ import annotations

import os

import pytest

from estiba.errors import Unavailable
from estiba.linux import id_leases, idmapped
from estiba.linux.own_ids import OwnIds, host_id, overlaid

WHOLE = (0, 1000, 10)


def test_an_id_has_the_hosts_number_or_none():
    rows = ((0, 1000, 10), (20, 5, 2))
    assert [host_id(number, rows) for number in (0, 9, 10, 20, 21, 22)] == [1000, 1009, None, 5, 6, None]


def test_chosen_ids_take_the_place_of_those_of_the_range():
    assert overlaid(WHOLE, ()) == (WHOLE,)
    assert overlaid(WHOLE, ((0, 5, 1),)) == ((0, 5, 1), (1, 1001, 9))
    assert overlaid(WHOLE, ((3, 7, 2), (9, 50, 1))) == ((0, 1000, 3), (3, 7, 2), (5, 1005, 4), (9, 50, 1))


def test_ids_may_be_chosen_beyond_the_range():
    assert overlaid(WHOLE, ((8, 5, 4),)) == ((0, 1000, 8), (8, 5, 4))
    assert overlaid(WHOLE, ((100, 5, 4),)) == (WHOLE, (100, 5, 4))
    assert overlaid(WHOLE, ((0, 5, 40),)) == ((0, 5, 40),)


@pytest.mark.parametrize("error", [Unavailable("none can be shared"), OSError(5, "Input/output error")])
def test_nothing_stays_open_or_shared_where_ids_cannot_be_joined(tmp_path, monkeypatch, error):
    rows = ((0, 1000, 10), (10, 5000, 10))
    monkeypatch.setattr(idmapped, "look_into", lambda *_, **__: (rows, rows, os.open("/proc/self/ns/net", os.O_RDONLY)))
    share, file = id_leases.share, str(tmp_path / "ids")

    def sharing(start: int, size: int) -> id_leases.Lease:
        if start == 5000:
            raise error
        return share(start, size, file=file)

    monkeypatch.setattr(id_leases, "share", sharing)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(Unavailable):
        OwnIds.joined(os.open("/proc/self/ns/user", os.O_RDONLY), network=True)
    assert sorted(os.listdir("/proc/self/fd")) == before
