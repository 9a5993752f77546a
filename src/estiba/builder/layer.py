"""A snapshot that is written becomes a layer, or nothing is left of it."""

from __future__ import annotations

from estiba.errors import Unavailable
from estiba.graph.protocols import Result
from estiba.oci.chain_id import extend
from estiba.oci.digest import Digest
from estiba.store.snapshots.trees import remove_tree
from estiba.store.store import Store


def commit(store: Store, name: str, parent: Digest | None, below: Result, *, epoch: int | None) -> Result:
    """Commit the active snapshot `name`; `below` is the result that it was made on. Times become `epoch`, if any."""
    from estiba.layers.pack import diff_id_of
    from estiba.layers.tar.writer import TarPolicy

    snapshots = store.snapshots
    policy = TarPolicy(epoch, set_times=epoch is not None)
    change = snapshots.change(name)
    layer = diff_id_of(change.tree, policy, base=change.base)
    chain_id = extend(parent, layer.diff_id)
    snapshots.commit(name, chain_id=chain_id, diff_id=layer.diff_id, size=layer.content, sync=False)
    return Result(str(chain_id), (*below.diff_ids, str(layer.diff_id)))


def discard(store: Store, name: str) -> None:
    """Remove what a failed step has made; on a full disk its files go first, which makes room for the records."""
    snapshots = store.snapshots
    try:
        snapshots.remove(name)
    except Unavailable:
        remove_tree(snapshots.writable(name))
        snapshots.remove(name)
