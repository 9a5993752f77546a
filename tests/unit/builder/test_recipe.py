"""What `bootstrap` understands."""

from __future__ import annotations

import pytest

from estiba.builder.bootstrap.recipe import recipe
from estiba.errors import InvalidInput


def test_names_and_suites_of_what_can_be_bootstrapped() -> None:
    assert str(recipe("busybox").name) == "docker.io/library/busybox:latest"
    assert (str(recipe("debian:bookworm").name), recipe("debian:bookworm").suite) == (
        "docker.io/library/debian:bookworm",
        "bookworm",
    )
    assert (str(recipe("debian").name), recipe("debian").suite) == ("docker.io/library/debian:latest", "stable")


@pytest.mark.parametrize("text", ["alpine", "busybox:1.36", "debian:--evil", "debian:a b", ""])
def test_another_distribution_or_an_odd_release_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        recipe(text)
    assert caught.value.remedy
