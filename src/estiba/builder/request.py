"""What a build is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference

if TYPE_CHECKING:
    from estiba.builder.failures import StepFailed
    from estiba.runtime.client import RuntimeClient

EPOCH = 315532800
"""1980-01-01 in Unix seconds: the time of every file and of the image unless the caller says otherwise."""


class NamedContext(NamedTuple):
    """What ``FROM NAME`` and ``--from=NAME`` mean, whatever the Dockerfile calls so.

    It is the files of a `directory` but for what `ignore` hides, or the image `reference`; `image_id` is that of one
    that no registry has.
    """

    name: str
    directory: str = ""
    ignore: str = ""
    reference: str = ""
    image_id: Digest | None = None


class BuildRequest(NamedTuple):
    """One build. Paths are absolute.

    `dockerfile` is the text and `filename` what errors call it; `ignore` is the text of `.dockerignore`. `epoch` is the
    time in Unix seconds that files get, None keeps theirs. `secrets` are contents by id. `network` is what a RUN
    without ``--network`` gets: ``bridge``, ``host`` or ``none``. The Dockerfile may ask for the host's only where
    `allows_host_network`, for then everything that listens on this machine is within reach. `own_ids` is how many ids
    of its own a RUN has (0: the host's), None for as many as the surroundings say. With `requires_cache` a step that
    the cache does not have ends the build.
    """

    context: str
    dockerfile: str
    filename: str
    ignore: str
    platform: Platform
    tags: tuple[Reference, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = {}
    labels: tuple[tuple[str, str], ...] = ()
    secrets: Mapping[str, bytes] = {}
    network: str = "bridge"
    allows_host_network: bool = False
    extra_hosts: tuple[str, ...] = ()
    uses_cache: bool = True
    requires_cache: bool = False
    contexts: tuple[NamedContext, ...] = ()
    pulls: bool = False
    epoch: int | None = EPOCH
    workers: int = 4
    own_ids: int | None = None


class BuildSurroundings(NamedTuple):
    """What a build needs of the machine: how to reach the runtime, the roots of networks, name servers.

    `own_ids` is how many ids of its own a RUN has where the request does not say; 0 are the host's. `environment` is
    what fetching from addresses sees of the caller: proxies, certificates, git's and ssh's settings. `on_failure` is
    told of a RUN that failed, where somebody is there to look into it: a shell has the terminal then, with the
    variables that it gives besides those of the RUN.
    """

    run: str
    runtime: Callable[[], RuntimeClient]
    networks_root: str
    networks_run: str
    resolv_conf: str
    own_ids: int = 0
    environment: Mapping[str, str] = {}
    on_failure: Callable[[StepFailed], tuple[str, ...]] | None = None

    @property
    def steps(self) -> str:
        """The directory of the steps that run."""
        return f"{self.run}/builds"


class BaseImages(Protocol):
    """Finds the images that a Dockerfile builds on."""

    def find(self, reference: Reference, platform: Platform, *, pulls: bool) -> Digest:
        """The image ID of `reference`, unpacked in the store; fetched where it is missing, or always if `pulls`.

        Raises:
            NotFound: neither here nor in its registry. Unavailable: the registry cannot be reached.
        """


class BuildResult(NamedTuple):
    """The image that was built, and the warnings on the way."""

    image_id: Digest
    config: ImageConfig
    warnings: tuple[str, ...]
