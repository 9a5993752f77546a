"""Whatever bytes a parser is given, it reads them or refuses them with one of our errors, soon, and touches nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import SEEDS, TARGETS, check, resealed

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SLOW_ONES = ("archive",)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """A right document with a few things wrong: bits, pieces moved, doubled, lost, numbers made large."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data) + 1)
        length = min(chance.choice((1, 2, 8, 64, 512)), len(data) - at)
        kind = chance.randrange(6)
        if kind == 0 and length:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length] * chance.choice((1, 3, 50))
        elif kind == 3:
            data[at : at + length] = (
                chance.choice((b"\0", b"\xff", b"9", b"/", b"..", b'"', b"{", b"[", b"\\")) * length
            )
        elif kind == 4:
            data[at:at] = chance.choice(
                (b"../", b"\x80\x00", b"-1", b"1e999", b"null", b"\xed\xa0\x80", b"${", b"\r\n")
            )
        else:
            data = data[: max(at, 1)]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_document_with_something_wrong(name):
    """The same ones in every run."""
    chance = random.Random(f"seed of {name}")
    for number in range(60 if name in SLOW_ONES else 400):
        document = mutated(SEEDS[name][number % len(SEEDS[name])], chance)
        check(name, resealed(document) if number % 3 else document)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in SLOW_ONES])
def test_any_bytes_at_all(name):
    words = st.sampled_from(sorted({piece for seed in SEEDS[name] for piece in seed.split()} | {b"\0", b"\n", b" "}))
    documents = st.one_of(st.binary(max_size=2000), st.lists(words, max_size=30).map(b" ".join))

    @QUICK
    @given(documents)
    def run(data: bytes) -> None:
        check(name, data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_others_begin_with_is_right(name):
    """So that what is made of it goes deep."""
    for seed in SEEDS[name]:
        TARGETS[name](seed)
