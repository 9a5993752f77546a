"""Tables as Docker's: aligned, with headings, or by a template."""

from __future__ import annotations

import pytest

from estiba.cli.format import Column, align, render
from estiba.cli.units import human_duration, human_size

ROWS = [{"ID": "eb0532828245", "Size": "2.13MB", "Tag": "latest"}, {"ID": "0123", "Size": "7B", "Tag": "1"}]
COLUMNS = [Column("IMAGE ID", "ID"), Column("SIZE", "Size")]


@pytest.mark.parametrize("form", ["", "table"])
def test_a_table_is_aligned_three_spaces_apart(form):
    assert render(ROWS, COLUMNS, form=form) == "IMAGE ID       SIZE\neb0532828245   2.13MB\n0123           7B\n"


def test_an_empty_table_has_its_headings():
    assert render([], COLUMNS) == "IMAGE ID   SIZE\n"


def test_json_is_one_object_a_line():
    assert render(ROWS[1:], COLUMNS, form="json") == '{"ID":"0123","Size":"7B","Tag":"1"}\n'


def test_a_template_is_rendered_for_each_row_without_headings():
    assert render(ROWS, COLUMNS, form="{{.ID}}:{{.Tag}}") == "eb0532828245:latest\n0123:1\n"


def test_a_table_of_a_template_has_headings():
    assert render(ROWS, COLUMNS, form="table {{.Size}}\\t{{.Tag}}", headings={"Tag": "TAG"}) == (
        "SIZE      TAG\n2.13MB    latest\n7B        1\n"
    )


def test_columns_are_at_least_ten_wide():
    assert align([["a", "b"], ["c", ""]]) == "a         b\nc\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234567, "1.23MB"),
        (77_800_000, "77.8MB"),
        (999_900_000, "1000MB"),
        (5e9, "5GB"),
    ],
)
def test_sizes_have_three_digits_and_decimal_units(size, text):
    assert human_size(size) == text


def test_sizes_may_have_four_digits():
    assert human_size(1234567, digits=4) == "1.235MB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (86400 * 3, "3 days"),
        (86400 * 20, "2 weeks"),
        (86400 * 100, "3 months"),
        (86400 * 365 * 46, "46 years"),
    ],
)
def test_durations_are_rough(seconds, text):
    assert human_duration(seconds) == text
