"""Questions and answers of the domain name system, byte by byte."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from estiba.networks.names import message


def query(name: str, kind: int = message.A, *, identity: int = 7, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", identity, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def test_a_question_is_read() -> None:
    question = message.parse(query("Web.Inner"))
    assert question is not None
    assert (question.identity, question.name, question.kind) == (7, "web.inner", message.A)
    assert question.raw == query("Web.Inner")[12:]  # the case of the letters is given back as it came


def test_what_is_no_question_is_none() -> None:
    good = query("web")
    assert message.parse(good[:11]) is None
    assert message.parse(good[:-1]) is None
    assert message.parse(query("web", flags=0x8000)) is None  # an answer
    assert message.parse(query("web", flags=0x2800)) is None  # an update
    assert message.parse(good[:4] + b"\0\2" + good[6:]) is None  # two questions
    assert message.parse(good[:-1] + b"\3") is None  # about another network than the internet
    assert message.parse(good[:12] + b"\xc0\x0c" + good[-4:]) is None  # a name that points at itself
    assert message.parse(query(".".join(["a" * 63] * 5))) is None  # longer than a name may be


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    question = message.parse(data)
    if question is not None:
        assert message.is_answer(message.failure(question, 2), data)


def test_an_answer_holds_addresses() -> None:
    question = message.parse(query("web"))
    assert question is not None
    answer = message.addresses(question, [bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3])], lifetime=5)
    assert answer[:4] == b"\0\7\x85\x80"  # an answer, with authority, recursion wished for and available
    assert answer[4:12] == b"\0\1\0\2\0\0\0\0"
    assert answer.endswith(b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x0a\0\0\3")
    assert message.is_answer(answer, query("web"))


def test_a_name_without_such_a_record_has_an_empty_answer() -> None:
    question = message.parse(query("web", message.AAAA))
    assert question is not None
    answer = message.addresses(question, [bytes([10, 0, 0, 2])], lifetime=5)
    assert answer[3] & 15 == message.NO_ERROR and answer[6:8] == b"\0\0"


def test_an_address_is_turned_round() -> None:
    assert message.reversed_address("7.2.0.192.in-addr.arpa") == "192.0.2.7"
    assert message.reversed_address("web") == message.reversed_address("2.0.192.in-addr.arpa") == ""
    question = message.parse(query("7.2.0.192.in-addr.arpa", message.PTR))
    assert question is not None
    assert message.pointer(question, "web.inner", lifetime=5).endswith(b"\3web\5inner\0")


def test_an_answer_to_something_else_is_none() -> None:
    question = message.parse(query("web"))
    assert question is not None
    answer = message.failure(question, message.SERVER_FAILURE)
    assert message.is_answer(answer, query("WEB"))
    assert not message.is_answer(answer, query("other"))
    assert not message.is_answer(answer, query("web", identity=8))
    assert not message.is_answer(answer, query("web", message.AAAA))
    assert not message.is_answer(query("web"), query("web"))
