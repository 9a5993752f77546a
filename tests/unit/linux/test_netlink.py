"""Netlink messages, byte for byte where a known program sends the same."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from estiba.linux import conntrack, links, nftables
from estiba.linux.netlink import Message, attribute, attribute_list, attributes, decode, encode, nested, number, text


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=30))))
def test_attributes_survive_being_written_and_read(pairs: list[tuple[int, bytes]]) -> None:
    assert list(attribute_list(b"".join(attribute(kind, payload) for kind, payload in pairs))) == pairs


@given(st.binary(max_size=200))
def test_broken_bytes_end_the_walk_without_an_error(data: bytes) -> None:
    assert sum(len(payload) + 4 for _, payload in attribute_list(data)) <= len(data)
    assert len(list(decode(data))) <= len(data) // 16


def test_a_message_is_a_header_and_a_body_padded_to_four_bytes() -> None:
    data = encode(Message(16, 0x600, b"abcde", "test"), 7)
    assert data == struct.pack("=IHHII", 21, 16, 0x601, 7, 0) + b"abcde\0\0\0"


def test_an_element_is_what_nft_sends_for_it() -> None:
    """`nft add element ip est-probe published_at { 127.0.0.1 . udp . 53 : 10.87.0.3 . 54 }`, without its set's ID."""
    key = nftables.concatenate(b"\x7f\0\0\x01", b"\x11", b"\0\x35")
    data = nftables.concatenate(b"\x0a\x57\0\x03", b"\0\x36")
    message = nftables.add_message("est-probe", nftables.Element("published_at", key, data))
    assert message.type == 10 << 8 | 12
    assert message.body == (
        b"\x02\0\0\0"
        b"\x0e\0\x01\0est-probe\0\0\0"
        b"\x11\0\x02\0published_at\0\0\0\0"
        b"\x2c\0\x03\x80"
        b"\x28\0\x01\x80"
        b"\x14\0\x01\x80\x10\0\x01\0\x7f\0\0\x01\x11\0\0\0\0\x35\0\0"
        b"\x10\0\x02\x80\x0c\0\x01\0\x0a\x57\0\x03\0\x36\0\0"
    )


def test_a_veth_is_one_message_with_its_bridge_and_the_peers_namespace() -> None:
    message = links.new_veth("ve1", master=5, peer="eth0", peer_namespace=9, peer_mac="02:e5:0a:57:00:02", mtu=1400)
    outer = attributes(message.body[16:])
    assert outer.keys() == {3, 4, 10, 18}
    assert (outer[3], outer[4], outer[10]) == (b"ve1\0", struct.pack("=I", 1400), struct.pack("=I", 5))
    info = attributes(outer[18])
    assert info[1] == b"veth\0"
    peer = attributes(attributes(info[2])[1][16:])
    assert peer == {
        3: b"eth0\0",
        1: b"\x02\xe5\x0a\x57\0\x02",
        4: struct.pack("=I", 1400),
        28: struct.pack("=I", 9),
    }
    assert struct.unpack_from("=BxHiII", message.body)[3:] == (1, 1)  # up


def test_an_address_has_the_broadcast_address_of_its_subnet() -> None:
    body = links.new_address(3, "10.87.0.2", 24).body
    assert body[:8] == struct.pack("=BBBBI", 2, 24, 0, 0, 3)
    assert attributes(body[8:]) == {2: b"\x0a\x57\0\x02", 1: b"\x0a\x57\0\x02", 4: b"\x0a\x57\0\xff"}


def test_a_default_route_is_a_gateway_in_the_main_table() -> None:
    body = links.default_route("10.87.0.1").body
    assert body[:12] == struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0)
    assert attributes(body[12:]) == {5: b"\x0a\x57\0\x01"}


def test_a_filter_of_connections_names_protocol_and_port() -> None:
    values = attributes(conntrack.listing(17, 53).body[4:])
    assert attributes(attributes(values[1])[2]) == {1: b"\x11", 3: b"\0\x35"}
    assert attributes(values[25]) == {1: struct.pack("=I", 0b101000), 2: bytes(4)}


def test_texts_and_numbers_are_as_the_kernel_reads_them() -> None:
    assert text(3, "lo") == b"\x07\0\x03\0lo\0\0"
    assert number(4, 1) == struct.pack("=HHI", 8, 4, 1)
    assert nested(2, number(1, 0))[2:4] == b"\x02\x80"
