"""Where things are under the root: the whole disk, drawn once.

ROOT/                       mode 0700: images hold set-user-ID programs, which must not lie open
├── oci-layout, index.json  only after `estiba image layout`: ROOT is then an OCI image layout
├── blobs/sha256/HEX        blobs, read-only once there: configurations, manifests, compressed layers
├── state.db                SQLite: what names the rest (images, references, snapshots, containers, ...)
├── snapshots/N/            one layer as a tree; N is a row of state.db
│   ├── fs/                 the layer's own change (the upper directory of an overlay)
│   └── work/               the overlay's work directory while the snapshot is active
├── tmp/                    what is being written; a file here belongs to nobody once its writer is dead
│   └── partial.sha256.HEX  the first bytes of a blob, for the next who fetches it
├── containers/ID/          one container: bundle, logs (room `engine`)
├── volumes/NAME/           one volume (room `engine`)
├── trash/ID/NAME/          volumes that were removed and can be taken back (room `engine`)
├── mounts/NAME/            files that RUN --mount=type=cache keeps between builds (room `builder`)
├── plans/ID.json           plans of `estiba prune` that nobody has applied yet
├── manifests/HEX.json      lists that `estiba manifest create` has begun (room `registry`)
├── networks/               definitions of networks (room `networks`)
├── registry/               storage of `estiba registry serve`, unless told otherwise
└── agent/                  queue and work trees of `estiba agent serve`
"""

from __future__ import annotations

import os

from estiba.errors import PermissionDenied, Unavailable
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.oci.digest import Digest


class StorePaths(NamedTuple):
    """The paths below `root`, an absolute path. Nothing here looks at the disk but `make`."""

    root: str

    @property
    def blobs(self) -> str:
        return f"{self.root}/blobs"

    def blob(self, digest: Digest) -> str:
        return f"{self.root}/blobs/{digest.algorithm}/{digest.hex}"

    @property
    def database(self) -> str:
        return f"{self.root}/state.db"

    @property
    def snapshots(self) -> str:
        return f"{self.root}/snapshots"

    def snapshot(self, number: int) -> str:
        return f"{self.root}/snapshots/{number}"

    @property
    def tmp(self) -> str:
        return f"{self.root}/tmp"

    @property
    def containers(self) -> str:
        return f"{self.root}/containers"

    def container(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}"

    @property
    def volumes(self) -> str:
        return f"{self.root}/volumes"

    def volume(self, name: str) -> str:
        return f"{self.root}/volumes/{name}"

    @property
    def trash(self) -> str:
        return f"{self.root}/trash"

    @property
    def mounts(self) -> str:
        return f"{self.root}/mounts"

    @property
    def plans(self) -> str:
        return f"{self.root}/plans"

    @property
    def manifests(self) -> str:
        return f"{self.root}/manifests"

    @property
    def networks(self) -> str:
        return f"{self.root}/networks"

    @property
    def registry(self) -> str:
        return f"{self.root}/registry"

    @property
    def agent(self) -> str:
        return f"{self.root}/agent"

    @property
    def oci_layout(self) -> str:
        return f"{self.root}/oci-layout"

    @property
    def index_json(self) -> str:
        return f"{self.root}/index.json"

    def make(self) -> None:
        """Make the root and the directories that the store itself needs; what is there stays as it is.

        Raises:
            PermissionDenied: this user may not write there. Unavailable: no space, a read-only disk, a file in the way.
        """
        try:
            for directory in (f"{self.blobs}/sha256", self.snapshots, self.tmp):
                if not os.path.isdir(directory):
                    from estiba.linux.private_directories import make_private

                    make_private(directory)
        except PermissionError as error:
            raise PermissionDenied(
                f"the store {self.root} cannot be made: {_fact(error)}",
                remedy="Run as the user who owns it, or choose another place with --root or ESTIBA_ROOT.",
            ) from error
        except OSError as error:
            raise Unavailable(
                f"the store {self.root} cannot be made: {_fact(error)}",
                remedy="Choose another directory with --root or ESTIBA_ROOT.",
            ) from error


def _fact(error: OSError) -> str:
    reason = "it is not a directory" if isinstance(error, FileExistsError) else error.strerror
    return f"{error.filename}: {reason}"
