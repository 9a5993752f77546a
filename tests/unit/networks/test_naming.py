"""Names that the kernel sees."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput
from estiba.networks.naming import check_name, device_of, note_of, run_of_note, table_of, veth_of


def test_the_usual_installation_has_names_that_a_person_knows() -> None:
    assert (table_of("/run/estiba"), device_of("/run/estiba", "bridge")) == ("estiba", "estiba0")


def test_two_installations_share_no_name() -> None:
    names = [
        name
        for run in ("/run/estiba", "/run/other", "/tmp/est-1/run")
        for name in (table_of(run), device_of(run, "x"), veth_of(run, "bridge", "key"))
    ]
    assert len(set(names)) == len(names)


def test_a_link_name_fits_the_kernel() -> None:
    for name in (device_of("/very/long" * 20, "n" * 60), veth_of("/run", "n" * 60, "k" * 64)):
        assert len(name) <= 15


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "a/b", "a b", "é", "a" * 64, "host", "none", "bridge", "default", "a\n"]
)
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


def test_a_bridge_tells_whose_it_is() -> None:
    assert note_of("/run/estiba", "blue-1") == "estiba network blue-1 of /run/estiba"
    assert run_of_note("estiba network blue-1 of /run/my estiba") == "/run/my estiba"


@pytest.mark.parametrize("note", ["", "estiba network x of run", "of /run", note_of("/" + "r" * 300, "x")[:255]])
def test_another_note_tells_nothing(note: str) -> None:
    assert run_of_note(note) is None
