"""Chain IDs: the identity of a stack of layers (image-spec, config.md, "Layer ChainID")."""

from __future__ import annotations

from estiba.oci.digest import Digest
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def chain_ids(diff_ids: Iterable[Digest]) -> Iterator[Digest]:
    """The chain ID of each prefix of `diff_ids`, lowest layer first.

    The first is the diff ID itself; each further one is the digest of ``<chain ID below> <diff ID>``.
    """
    below: Digest | None = None
    for diff_id in diff_ids:
        below = extend(below, diff_id)
        yield below


def extend(below: Digest | None, diff_id: Digest) -> Digest:
    """The chain ID of the stack `below` (None: nothing) with one more layer on top."""
    return diff_id if below is None else Digest.of(f"{below} {diff_id}".encode())


def chain_id(diff_ids: Iterable[Digest]) -> Digest | None:
    """The chain ID of the whole stack, None for no layer."""
    below: Digest | None = None
    for diff_id in diff_ids:
        below = extend(below, diff_id)
    return below
