"""Challenges of `WWW-Authenticate`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.registry.protocol.challenges import Challenge, basic, bearer, parse_challenges

VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        ("Negotiate", (Challenge("negotiate", {}),)),
        ('Basic realm="a registry"', (Challenge("basic", {"realm": "a registry"}),)),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            (
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull,push",
                    },
                ),
            ),
        ),
        (
            'Bearer realm=x , service = "y", Basic realm="z"',
            (Challenge("bearer", {"realm": "x", "service": "y"}), Challenge("basic", {"realm": "z"})),
        ),
        (r'Basic realm="a \"quoted\" one"', (Challenge("basic", {"realm": 'a "quoted" one'}),)),
        ('Basic realm="never closed', (Challenge("basic", {}),)),
    ],
)
def test_challenges_are_read(header, expected):
    assert parse_challenges(header) == expected


@given(VALUES, VALUES, VALUES.filter(bool))
def test_what_is_written_is_read(realm, service, scope):
    assert parse_challenges(bearer(realm, service, scope)) == (
        Challenge("bearer", {"realm": realm, "service": service, "scope": scope}),
    )
    assert parse_challenges(basic(realm)) == (Challenge("basic", {"realm": realm}),)


@given(st.text())
def test_any_header_is_read_without_failing(header):
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()
