"""`estiba image tree`: which images stand on the same layers, and what each costs alone."""

from __future__ import annotations

from collections.abc import Iterator

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.image.kinship import Kin
    from estiba.oci.digest import Digest
    from estiba.store.store import Store
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="those that share layers with these; default: all")


def run(args: argparse.Namespace, house: House) -> int:
    show(house.store, tuple(house.store.images.find(text).id for text in args.images))
    return 0


def show(store: Store, images: tuple[Digest, ...]) -> None:
    """Print the trees of those that share layers with `images`; of all, where there are none."""
    from estiba.image.kinship import kinship

    for kin in kinship(store, images):
        for line in _lines(store, kin, "", ""):
            print(line)


def _lines(store: Store, kin: Kin, first: str, rest: str) -> Iterator[str]:
    """A run of layers, the images that end with it, and what stands on it, indented."""
    from estiba.cli.units import human_size

    layers = f"{kin.layers} layers" if kin.layers != 1 else "1 layer"
    sharing = _count(kin)
    who = f"shared by {sharing} images" if sharing > 1 else "of one image"
    yield f"{first}{human_size(kin.size)} in {layers}, {who}"
    below = [f"{_name(store, image)} ({image.short})" for image in kin.images]
    for position, text in enumerate(below):
        is_last = position == len(below) - 1 and not kin.above
        yield f"{rest}{'└─' if is_last else '├─'} {text}"
    for position, above in enumerate(kin.above):
        is_last = position == len(kin.above) - 1
        yield from _lines(store, above, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  "))


def _count(kin: Kin) -> int:
    return len(kin.images) + sum(_count(above) for above in kin.above)


def _name(store: Store, image: Digest) -> str:
    names = [record.name.familiar for record in store.references.names_of(image)]
    return ", ".join(names) or "<none>"
