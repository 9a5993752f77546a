"""Mount options as text, and the list of an overlay's lower directories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiba.linux import mountpoints as mp
from estiba.linux.overlay import join_lowers, split_lowers


def test_options_are_sorted_by_what_the_kernel_does_with_them() -> None:
    parsed = mp.parse_options(["ro", "nosuid", "rbind", "rprivate", "size=1m", "rro", "mode=755"])
    assert parsed.flags == mp.MS_RDONLY | mp.MS_NOSUID | mp.MS_BIND | mp.MS_REC
    assert parsed.propagation == (mp.MS_PRIVATE | mp.MS_REC,)
    assert parsed.recursive_set == 1
    assert parsed.data == ("size=1m", "mode=755")


def test_the_later_of_two_wins() -> None:
    assert mp.parse_options(["ro", "rw"]).flags == 0
    assert mp.parse_options(["rw", "ro"]).flags == mp.MS_RDONLY
    assert mp.parse_options(["ro", "rw"]).cleared & mp.MS_RDONLY


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        (["ro", "nosuid", "nodev", "noexec"], (0xF, 0)),
        (["rw", "suid"], (0, 0x3)),
        (["noatime"], (0x10, 0x70)),
        (["strictatime"], (0x20, 0x70)),
        (["relatime"], (0, 0x70)),
    ],
)
def test_flags_become_attributes(options: list[str], attributes: tuple[int, int]) -> None:
    parsed = mp.parse_options(options)
    assert mp.attributes_of(parsed.flags, parsed.cleared) == attributes


@given(st.lists(st.text(alphabet="ab/:\\,", min_size=1), min_size=1))
def test_lower_directories_survive_their_separators(directories: list[str]) -> None:
    assert split_lowers(join_lowers(directories)) == directories
