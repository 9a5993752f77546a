"""Ranges of ids are one holder's at a time, and free again with its end."""

from __future__ import annotations

import os

import pytest

from estiba.errors import Unavailable
from estiba.linux import id_leases

RANGES = ((1_000_000_000, 3 * id_leases.SLOT),)


def _take(tmp_path, size: int = id_leases.SLOT) -> id_leases.Lease:
    return id_leases.take(size, file=f"{tmp_path}/ids", ranges=RANGES)


def test_ranges_do_not_overlap_and_come_back_when_released(tmp_path):
    one, two = _take(tmp_path), _take(tmp_path)
    assert (one.start, two.start) == (RANGES[0][0], RANGES[0][0] + id_leases.SLOT)
    one.release()
    again = _take(tmp_path, 1000)
    assert (again.start, again.size) == (one.start, 1000)
    two.release()
    again.release()


def test_a_large_range_does_not_overlap_a_small_one(tmp_path):
    small = _take(tmp_path, 10)
    with pytest.raises(Unavailable, match="no range of 196608 ids is left"):
        _take(tmp_path, 3 * id_leases.SLOT)
    small.release()
    _take(tmp_path, 3 * id_leases.SLOT).release()


def test_a_killed_holder_gives_its_range_back(tmp_path):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _take(tmp_path)
            os.write(writing, b"y")
        finally:
            os._exit(0)  # without a release, as after a kill
    assert os.read(reading, 1) == b"y"
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    lease = _take(tmp_path)
    assert lease.start == RANGES[0][0]
    lease.release()


def test_a_file_in_place_of_the_record_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "ids").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="cannot be used"):
        _take(tmp_path)


def test_a_range_that_is_shared_stays_taken_until_both_are_gone(tmp_path):
    first = _take(tmp_path)
    shared = id_leases.share(first.start, first.size, file=f"{tmp_path}/ids")
    first.release()
    other = _take(tmp_path)
    assert other.start != first.start
    shared.release()
    again = _take(tmp_path)
    assert again.start == first.start
    other.release()
    again.release()
