"""Sizes, times, CPUs and names as people write them."""

from __future__ import annotations

import pytest

from estiba.engine.names import checked_name, generated_name, looks_like_id
from estiba.engine.quantities import parse_cpus, parse_duration, parse_size
from estiba.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("64k", 65536), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("10MB", 10 << 20), ("7b", 7)],
)
def test_sizes_are_powers_of_1024(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "1 x", "1e3", "2gg"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InvalidInput):
        parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25)])
def test_times_have_units(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "1x", "1m 30s", "-5s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InvalidInput):
        parse_duration(text)


def test_cpus_are_counted_in_billionths():
    assert parse_cpus("1.5") == 1_500_000_000
    for text in ("0", "-1", "many", "nan"):
        with pytest.raises(InvalidInput):
            parse_cpus(text)


def test_names_are_checked_and_generated_ones_pass():
    assert checked_name("/one_2.x-y") == "one_2.x-y"
    for text in ("", "a", "-a", "a b", "a/b", "ä1"):
        with pytest.raises(InvalidInput):
            checked_name(text)
    for number in range(256):
        checked_name(generated_name(bytes([number, 255 - number]), attempt=number % 3))


def test_an_id_has_hexadecimal_digits_only():
    assert looks_like_id("abc123") and looks_like_id("f" * 64)
    assert not looks_like_id("") and not looks_like_id("xyz") and not looks_like_id("f" * 65)
