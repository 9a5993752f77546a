"""Which images stand on the same layers."""

from __future__ import annotations

from estiba.image.kinship import Kin, forest
from estiba.oci.digest import Digest


def d(text: str) -> Digest:
    return Digest.of(text.encode())


def stack(text: str) -> tuple[Digest, ...]:
    return tuple(d(letter) for letter in text)


SIZES = {d(letter): size for letter, size in zip("abcdxy", (100, 10, 1, 5, 7, 8), strict=True)}


def test_no_image_gives_no_tree():
    assert forest({}, SIZES) == ()


def test_one_image_is_one_run():
    assert forest({d("i"): stack("abc")}, SIZES) == (Kin(d("c"), 3, 111, (d("i"),), ()),)


def test_stacks_part_where_they_differ():
    assert forest({d("i"): stack("abc"), d("j"): stack("abd")}, SIZES) == (
        Kin(d("b"), 2, 110, (), (Kin(d("d"), 1, 5, (d("j"),), ()), Kin(d("c"), 1, 1, (d("i"),), ()))),
    )


def test_an_image_may_end_where_another_goes_on():
    assert forest({d("base"): stack("a"), d("app"): stack("ab")}, SIZES) == (
        Kin(d("a"), 1, 100, (d("base"),), (Kin(d("b"), 1, 10, (d("app"),), ()),)),
    )


def test_two_images_of_the_same_layers_end_together_and_strangers_stand_apart():
    found = forest({d("i"): stack("x"), d("j"): stack("x"), d("k"): stack("y")}, SIZES)
    assert found == (Kin(d("y"), 1, 8, (d("k"),), ()), Kin(d("x"), 1, 7, tuple(sorted((d("i"), d("j")))), ()))
