"""One piece of Estiba's work on layers, in a process of its own as the command line would have it.

python bench/work.py pack TREE FILE               the tree's layer, compressed, with both digests
python bench/work.py unpack FILE DIGEST DIFF-ID TREE   one layer, both digests verified
python bench/work.py stack WORKERS ROOT LAYERS    layers (JSON: file, digest, diff ID, size) into a new store
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from estiba.oci.digest import Digest


def pack(tree: str, file: str) -> None:
    from estiba.layers.pack import pack as pack_layer
    from estiba.layers.tar.writer import TarPolicy

    with open(file, "wb", buffering=0) as out:
        packed = pack_layer(tree, out, TarPolicy(epoch=315532800))
    print(packed.digest, packed.diff_id)


def unpack(file: str, digest: str, diff_id: str, tree: str) -> None:
    from estiba.layers.unpack import IGNORE
    from estiba.layers.unpack import unpack as unpack_layer

    os.umask(0)
    os.mkdir(tree)
    with open(file, "rb", buffering=0) as blob:
        expected = Digest.parse(digest), Digest.parse(diff_id)
        unpack_layer(blob, tree, whiteouts=IGNORE, expected_digest=expected[0], expected_diff_id=expected[1])


def stack(workers: str, root: str, layers: str) -> None:
    from estiba.image.unpack import Unpacking
    from estiba.oci import mediatypes
    from estiba.oci.descriptor import Descriptor
    from estiba.store.store import Store

    files = json.loads(layers)
    pairs = [
        (Digest.parse(diff_id), Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.parse(digest), size))
        for _, digest, diff_id, size in files
    ]
    with Store.open(root) as store, Unpacking(store, pairs, workers=int(workers)) as unpacking:
        for index in unpacking.needed:
            with open(files[index][0], "rb") as blob:
                unpacking.start(index, blob.fileno())
        unpacking.finish()


WAYS: dict[str, Callable[..., None]] = {"pack": pack, "unpack": unpack, "stack": stack}

if __name__ == "__main__":
    WAYS[sys.argv[1]](*sys.argv[2:])
