"""JSON without the json package: it reads and writes the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.errors import InvalidInput
from estiba.oci import json_text

_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_plain)
def test_what_is_written_is_read_by_both(value: object) -> None:
    for indent in (0, 2):
        text = json_text.dumps(value, indent=indent)
        assert json.loads(text) == value
        assert json_text.loads(text, what="the text") == value


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "[1,]", "{} {}", "NaN", "nul", '"a\nb"'])
def test_what_is_not_json_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="the text is not JSON"):
        json_text.loads(text, what="the text")
