"""Making a base image: a tree on a new snapshot, committed as the only layer of an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import uuid4

from estiba.builder.bootstrap import busybox, debian
from estiba.builder.bootstrap.recipe import Recipe
from estiba.builder.request import EPOCH
from estiba.image.assemble import commit_image
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.digest import Digest
from estiba.oci.image_config import History, ImageConfig
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.store.store import Store

_DEBIAN_NAMES = {"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}


class BaseImage(NamedTuple):
    """The image, its one layer, and that layer's size as a tar in bytes."""

    image_id: Digest
    diff_id: Digest
    size: int


def bootstrap(
    store: Store,
    recipe: Recipe,
    *,
    platform: Platform,
    names: tuple[Reference, ...],
    environment: Mapping[str, str],
    say: Callable[[bytes], None],
) -> BaseImage:
    """Make the image of `recipe` and give it `names`.

    Raises:
        Unavailable: a tool or the archive is missing, or this is not root; nothing is left then.
    """
    snapshots = store.snapshots
    key = f"bootstrap-{uuid4().hex}"
    with store.leases.hold(f"bootstrap {recipe.name.familiar}"):
        snapshots.prepare(key, None)
        try:
            tree = snapshots.writable(key)
            if recipe.distribution == "busybox":
                busybox.make_tree(tree)
            else:
                architecture = _DEBIAN_NAMES.get(platform.architecture, platform.architecture)
                debian.make_tree(
                    tree, suite=recipe.suite, architecture=architecture, environment=environment, epoch=EPOCH, say=say
                )
            layer = diff_id_of(snapshots.change(key).tree, TarPolicy(EPOCH, set_times=True))
            snapshots.commit(key, chain_id=layer.diff_id, diff_id=layer.diff_id, size=layer.content, sync=True)
        except BaseException:
            snapshots.remove(key)
            raise
        config = ImageConfig.make(
            platform=platform,
            run=recipe.run,
            diff_ids=(layer.diff_id,),
            history=(History(created=_timestamp(EPOCH), created_by=recipe.history),),
        )
        record = commit_image(store, config)
        for name in names:
            store.references.set(name, record.id)
    return BaseImage(record.id, layer.diff_id, layer.size)


def _timestamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
