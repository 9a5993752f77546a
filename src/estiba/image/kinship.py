"""Which images stand on the same layers: a forest of stacks, and what each image costs alone. The planning is pure."""

from __future__ import annotations

from collections.abc import Mapping

from estiba.oci.digest import Digest
from estiba.store.store import Store
from estiba.values import NamedTuple


class Kin(NamedTuple):
    """A run of layers that the same images have, in bytes; the images that end with it, and what stands on it."""

    chain_id: Digest
    layers: int
    size: int
    images: tuple[Digest, ...]
    above: tuple[Kin, ...]


def kinship(store: Store, images: tuple[Digest, ...] = ()) -> tuple[Kin, ...]:
    """The forest of all images, or of those that share a layer with one of `images`. Sizes are of layers as tars."""
    stacks = {image: content.chain_ids for image, content in store.images.contents().items()}
    if images:
        wanted = {chain for image in images for chain in stacks.get(image, ())}
        stacks = {image: chains for image, chains in stacks.items() if image in images or wanted & set(chains)}
    chains = {chain for stack in stacks.values() for chain in stack}
    return forest(stacks, {chain: store.snapshots.get(chain).size for chain in chains if store.snapshots.has(chain)})


def forest(stacks: Mapping[Digest, tuple[Digest, ...]], sizes: Mapping[Digest, int]) -> tuple[Kin, ...]:
    """The forest of `stacks` (image -> chain IDs, the lowest first). Larger ones first. Pure."""
    return _grow(dict(stacks), 0, sizes)


def _grow(stacks: dict[Digest, tuple[Digest, ...]], depth: int, sizes: Mapping[Digest, int]) -> tuple[Kin, ...]:
    """The trees of stacks that are the same below `depth`."""
    groups: dict[Digest, dict[Digest, tuple[Digest, ...]]] = {}
    for image, stack in stacks.items():
        if len(stack) > depth:
            groups.setdefault(stack[depth], {})[image] = stack
    kin = tuple(_run(group, depth, sizes) for group in groups.values())
    return tuple(sorted(kin, key=lambda one: (-one.size, str(one.chain_id))))


def _run(group: dict[Digest, tuple[Digest, ...]], depth: int, sizes: Mapping[Digest, int]) -> Kin:
    """One tree: its trunk goes on until an image ends or the stacks part."""
    end = depth + 1
    some = next(iter(group.values()))
    while len(some) > end and all(stack[end : end + 1] == some[end : end + 1] for stack in group.values()):
        end += 1
    run = some[depth:end]
    ending = tuple(sorted(image for image, stack in group.items() if len(stack) == end))
    size = sum(sizes.get(chain, 0) for chain in run)
    return Kin(run[-1], len(run), size, ending, _grow(group, end, sizes))
