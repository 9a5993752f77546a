"""Podman's `idmap` of a mount, as maps."""

from __future__ import annotations

import pytest

from estiba.engine.idmap_option import checked, mappings
from estiba.engine.mount_syntax import parse_mount, parse_volume
from estiba.errors import InvalidInput
from estiba.runtime.spec import IdMapping

OWN = (IdMapping(0, 1000, 10), IdMapping(10, 5000, 10))


def test_ids_are_the_hosts_or_with_an_at_sign_the_containers():
    uids, gids = mappings("idmap=uids=0-7-2#9-3-1;gids=@0-8-4", OWN, OWN)
    assert uids == (IdMapping(0, 7, 2), IdMapping(9, 3, 1))
    assert gids == (IdMapping(0, 1008, 2), IdMapping(2, 5000, 2))


def test_ids_that_the_container_does_not_have_are_refused():
    with pytest.raises(InvalidInput, match="does not have"):
        mappings("idmap=uids=@0-15-6;gids=0-0-1", OWN, OWN)


@pytest.mark.parametrize(
    "option", ["idmap=", "idmap=uids=0-0-1", "idmap=uids=0-0-0;gids=0-0-1", "idmap=uids=a;gids=0-0-1", "idmap=x=0-0-1"]
)
def test_what_is_no_map_is_refused(option):
    with pytest.raises(InvalidInput):
        checked(option, "the volume")


def test_volumes_and_binds_keep_it():
    for text, options in (
        ("type=bind,src=/a,dst=/b,idmap", ("rbind", "idmap")),
        ("type=volume,src=a1,dst=/b,idmap=uids=0-1-1;gids=0-1-1", ("idmap=uids=0-1-1;gids=0-1-1",)),
    ):
        assert parse_mount(text, current_directory="/").options == options
    with pytest.raises(InvalidInput):
        parse_mount("type=tmpfs,dst=/b,idmap", current_directory="/")
    assert parse_volume("/a:/b:ro,idmap", current_directory="/").options == ("rbind", "idmap")
    assert parse_volume("a1:/b:idmap=uids=0-1-1;gids=0-1-1", current_directory="/").options == (
        "idmap=uids=0-1-1;gids=0-1-1",
    )
