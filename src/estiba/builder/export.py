"""Writing the filesystem of a built image somewhere else than into the store."""

from __future__ import annotations

import os

from estiba.builder import leftovers
from estiba.builder.request import BuildSurroundings
from estiba.builder.step.job import ExportAction, Job, Place
from estiba.builder.step.spawn import spawn
from estiba.graph.cancellation import Cancellation
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.store.store import Store


class _Silent:
    """What a step may use whose output nobody reads."""

    def __init__(self, cancellation: Cancellation) -> None:
        self.cancellation = cancellation

    def output(self, data: bytes) -> None: ...


def export(
    store: Store,
    image: ImageConfig,
    *,
    form: str,
    destination: str,
    surroundings: BuildSurroundings,
    cancellation: Cancellation,
) -> None:
    """Write all files of `image` to the absolute path `destination`: with `form` ``tar`` a file, ``local`` a directory.

    Raises:
        Cancelled: the caller gave it up. Unavailable: no space. EstibaError: it cannot be written.
    """
    build_id = f"build-{os.urandom(6).hex()}"
    with store.leases.hold(f"export to {destination}"), leftovers.RunningBuild(surroundings.steps, build_id):
        job = Job(
            directory=f"{surroundings.steps}/{build_id}-export",
            root=_place(store, image.chain_id),
            writable="",
            epoch=None,
            action=ExportAction(form, destination, (os.geteuid(), os.getegid())),
        )
        spawn(job, _Silent(cancellation), when_killed=lambda: None)


def _place(store: Store, chain_id: Digest | None) -> Place:
    if chain_id is None:
        return Place()
    directories = store.snapshots.directories(chain_id)
    return Place((), directories[0]) if len(directories) == 1 else Place(store.snapshots.view(chain_id))
