"""Error bodies and pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.registry.protocol import errors, pagination
from estiba.registry.protocol.errors import ProtocolError, Reported, decode, encode
from estiba.registry.protocol.pagination import LARGEST_PAGE, Page, link, next_page, parse_page


def test_every_code_has_a_status_of_an_error():
    assert len({code.name for code in errors.ALL}) == len(errors.ALL)
    assert all(400 <= code.status < 600 for code in errors.ALL)


@given(st.sampled_from(errors.ALL), st.text())
def test_an_error_body_is_read_as_it_was_written(code, message):
    assert decode(encode(code, message)) == (Reported(code.name, message, ""),)
    assert ProtocolError(code, message).body == encode(code, message or code.meaning)


@given(st.binary())
def test_a_body_of_another_form_tells_nothing(body):
    assert isinstance(decode(body), tuple)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"errors": 1}', b'{"errors": [1]}'])
def test_a_proxys_page_is_no_error_body(body):
    assert decode(body) == ()


@pytest.mark.parametrize(
    ("number", "last", "page"),
    [
        (None, None, Page(LARGEST_PAGE, "")),
        ("", "a", Page(LARGEST_PAGE, "a")),
        ("0", None, Page(0, "")),
        ("5", "b", Page(5, "b")),
        ("99999999", None, Page(LARGEST_PAGE, "")),
    ],
)
def test_a_page_is_read(number, last, page):
    assert parse_page(number, last) == page


@pytest.mark.parametrize("number", ["-1", "a", "1e3", "²", "1" * 30])
def test_what_is_no_number_is_refused(number):
    with pytest.raises(ProtocolError):
        parse_page(number, None)


def test_the_link_to_the_next_page_is_found():
    assert next_page(link("/v2/a/tags/list?n=1&last=x")) == "/v2/a/tags/list?n=1&last=x"
    assert next_page('</a>; rel="prev", </b>; foo=1; rel=next') == "/b"
    assert next_page("") is None
    assert pagination.next_page('</a>; rel="prev"') is None
