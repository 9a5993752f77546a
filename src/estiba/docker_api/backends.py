"""What the API needs of the rest of the house; `wiring/daemon.py` brings it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from estiba.builder.request import BuildRequest, BuildResult
from estiba.engine.engine import Engine
from estiba.graph.cancellation import Cancellation
from estiba.graph.protocols import Progress as BuildProgress
from estiba.networks.networks import Networks
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.credentials import CredentialSource, Login
from estiba.registry.client.progress import Progress
from estiba.registry.client.push import PushResult
from estiba.store.images import ImageRecord
from estiba.store.store import Store
from estiba.values import NamedTuple, Protocol


class Transfers(Protocol):
    """Images from and to registries. Each call blocks until it is done."""

    def pull(
        self, reference: Reference, platform: Platform, *, credentials: CredentialSource, progress: Progress
    ) -> ImageRecord:
        """As `registry.client.pull`."""

    def push(
        self, image_id: Digest, reference: Reference, *, credentials: CredentialSource, progress: Progress
    ) -> PushResult:
        """As `registry.client.push`."""

    def repositories(self, registry: str, *, credentials: CredentialSource) -> Sequence[str]:
        """As `registry.client.ask`: the catalog of a registry."""

    def describe(
        self, reference: Reference, *, credentials: CredentialSource
    ) -> tuple[Descriptor, tuple[Platform, ...]]:
        """As `registry.client.describe`."""

    def check(self, registry: str, login: Login) -> None:
        """Try a login out, and keep nothing. Raises AccessDenied: the registry does not know it."""


class Builds(Protocol):
    def build(
        self,
        request: BuildRequest,
        *,
        credentials: CredentialSource,
        progress: BuildProgress,
        cancellation: Cancellation,
    ) -> BuildResult:
        """As `builder.build`; images that are missing are pulled with `credentials`. Blocks."""


class Facts(NamedTuple):
    """What is told about this daemon. `workers` is how many steps of a build run at once."""

    version: str
    platform: Platform
    runtime: str
    workers: int = 4


class Backends(NamedTuple):
    """`copy_command` gives the command line that copies from ``CONTAINER:PATH`` to ``-``, or the other way round, or
    writes all files of a ``CONTAINER``; it tells what goes wrong on standard error as JSON: kinds (names of classes),
    message, remedy."""

    engine: Engine
    store: Store
    networks: Networks
    transfers: Transfers
    builds: Builds
    facts: Facts
    copy_command: Callable[..., Sequence[str]]
