"""Labels are asked for by name, or by name and value; several must all be there."""

from __future__ import annotations

import pytest

from estiba.oci.labels import matches_label, matches_labels

LABELS = {"of": "ship", "empty": "", "a=b": "odd"}


@pytest.mark.parametrize("text", ["of", "of=ship", "empty", "empty="])
def test_a_label_is_there(text: str) -> None:
    assert matches_label(LABELS, text)


@pytest.mark.parametrize("text", ["o", "of=", "of=ships", "ship", "", "=", "a=b"])
def test_a_label_is_not_there(text: str) -> None:
    assert not matches_label(LABELS, text)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        ({"label": ["of=ship", "empty"]}, True),
        ({"label": ["of=ship", "other"]}, False),
        ({"label!": ["other", "of=boat"]}, True),
        ({"label!": ["other", "of"]}, False),
        ({"label": ["of"], "label!": ["empty"]}, False),
        ({"until": ["1h"]}, True),
    ],
)
def test_all_that_is_wanted_is_there_and_nothing_that_is_not(filters: dict, passes: bool) -> None:
    assert matches_labels(LABELS, filters) is passes
