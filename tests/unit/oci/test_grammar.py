"""The grammar of names, tags and hosts is read by hand, and is that of the specifications' regular expressions."""

from __future__ import annotations

import random
import re

import pytest

from estiba.errors import InvalidInput
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference, is_repository, is_tag

# distribution-spec, "Pulling manifests"; the host is that of github.com/distribution/reference.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
HOST = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)


def texts(alphabet: str, number: int = 20_000, longest: int = 9) -> list[str]:
    chance = random.Random(7)
    return ["".join(chance.choices(alphabet, k=chance.randint(0, longest))) for _ in range(number)]


def test_repositories_are_those_of_the_specification() -> None:
    for text in texts("ab0..__--/A\u00e9\n"):
        assert is_repository(text) == bool(REPOSITORY.fullmatch(text)), text


def test_tags_are_those_of_the_specification() -> None:
    for text in [*texts("aZ0._-/\u0661\n"), "a" * 128, "a" * 129]:
        assert is_tag(text) == bool(TAG.fullmatch(text)), text


def test_hosts_are_those_that_docker_takes() -> None:
    for text in texts("aZ9.-:[]f"):
        try:
            found = Reference.parse(f"{text}/a").registry
        except InvalidInput:
            found = ""
        is_host = any(sign in text for sign in ".:") or text.lower() != text
        if is_host:
            assert found == (text if HOST.fullmatch(text) else ""), text


@pytest.mark.parametrize("text", ["", "/", "linux/", "/amd64", "linux/am d64", "linux/a/b/c", "linux/\u0661"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Platform.parse(text)
