"""The grammar of names, tags, digests and sessions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.oci.digest import Digest
from estiba.registry.protocol import errors, names
from estiba.registry.protocol.errors import ProtocolError

COMPONENT = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)


@given(st.lists(COMPONENT, min_size=1, max_size=4).map("/".join).filter(lambda name: len(name) <= 255))
def test_every_name_of_the_grammar_is_taken(name):
    assert names.check_repository(name) == name


@given(st.text())
def test_a_name_is_taken_only_if_it_is_of_the_grammar(text):
    grammar = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    fits = re.fullmatch(grammar, text) is not None and len(text) <= 255
    try:
        names.check_repository(text)
    except ProtocolError as error:
        assert error.code == errors.NAME_INVALID
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("name", ["", "..", "a/../b", "A", "a/", "/a", "a b", "a\n", "a" * 256, "é"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ProtocolError):
        names.check_repository(name)


@given(TAGS)
def test_a_tag_is_never_taken_for_a_digest(tag):
    assert names.parse_tag_or_digest(tag) == tag


def test_a_reference_with_a_colon_is_a_digest():
    text = "sha256:" + "a" * 64
    assert names.parse_tag_or_digest(text) == Digest("sha256", "a" * 64)
    with pytest.raises(ProtocolError) as caught:
        names.parse_tag_or_digest("sha256:short")
    assert caught.value.code == errors.DIGEST_INVALID


@given(st.text())
def test_nothing_is_a_session_that_could_leave_its_directory(text):
    try:
        names.check_session(text)
    except ProtocolError:
        return
    assert re.fullmatch("[0-9a-f]{32}", text)
