"""The daemon's backends, joined from the house."""

from __future__ import annotations

import asyncio
import os
import sys

from estiba import __version__
from estiba.builder.build import build
from estiba.docker_api.backends import Backends, Facts
from estiba.registry.client.ask import Registries
from estiba.registry.client.connection import connect
from estiba.registry.client.credentials import CredentialSource, Login, OneLogin
from estiba.registry.client.describe import describe
from estiba.registry.client.pull import pull
from estiba.registry.client.push import PushResult, push
from estiba.values import TYPE_CHECKING
from estiba.wiring.images import ImageSource

if TYPE_CHECKING:
    from estiba.builder.request import BuildRequest, BuildResult
    from estiba.graph.cancellation import Cancellation
    from estiba.graph.protocols import Progress as BuildProgress
    from estiba.oci.descriptor import Descriptor
    from estiba.oci.digest import Digest
    from estiba.oci.platform import Platform
    from estiba.oci.reference import Reference
    from estiba.registry.client.progress import Progress
    from estiba.store.images import ImageRecord
    from estiba.wiring.house import House

_COPYING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "copying.py")


def daemon_backends(house: House) -> Backends:
    """What `docker_api` asks for."""
    return Backends(
        engine=house.engine,
        store=house.store,
        networks=house.networks,
        transfers=HouseTransfers(house),
        builds=HouseBuilds(house),
        facts=Facts(
            version=__version__,
            platform=house.settings.platform,
            runtime=house.settings.runtime,
            workers=max(2, os.cpu_count() or 1),
        ),
        copy_command=lambda *places: _copy_command(house, *places),
    )


def _copy_command(house: House, *places: str) -> list[str]:
    settings = house.settings
    place = [settings.root, settings.run, settings.snapshotter]
    return [sys.executable, "-I", "-S", _COPYING, *place, *places]


class HouseTransfers:
    def __init__(self, house: House) -> None:
        self._house = house

    def pull(
        self, reference: Reference, platform: Platform, *, credentials: CredentialSource, progress: Progress
    ) -> ImageRecord:
        return pull(
            self._house.store,
            reference,
            platform=platform,
            credentials=credentials,
            progress=progress,
            routes=self._house.routes,
        )

    def push(
        self, image_id: Digest, reference: Reference, *, credentials: CredentialSource, progress: Progress
    ) -> PushResult:
        return push(
            self._house.store,
            image_id,
            reference,
            credentials=credentials,
            progress=progress,
            routes=self._house.routes,
        )

    def repositories(self, registry: str, *, credentials: CredentialSource) -> tuple[str, ...]:
        return Registries(credentials, self._house.routes).repositories(registry)

    def describe(
        self, reference: Reference, *, credentials: CredentialSource
    ) -> tuple[Descriptor, tuple[Platform, ...]]:
        return describe(Registries(credentials, self._house.routes), reference, self._house.store)

    def check(self, registry: str, login: Login) -> None:
        asyncio.run(self._check(registry, login))

    async def _check(self, registry: str, login: Login) -> None:
        async with (
            connect(registry, credentials=OneLogin(login), routes=self._house.routes) as connection,
            connection.request("GET", "/v2/", what="logging in", scopes=frozenset(), expect=(200,)),
        ):
            return


class HouseBuilds:
    def __init__(self, house: House) -> None:
        self._house = house

    def build(
        self,
        request: BuildRequest,
        *,
        credentials: CredentialSource,
        progress: BuildProgress,
        cancellation: Cancellation,
    ) -> BuildResult:
        house = self._house

        def fetch(reference: Reference, platform: Platform) -> ImageRecord:
            return pull(house.store, reference, platform=platform, credentials=credentials, routes=house.routes)

        return build(
            request,
            store=house.store,
            surroundings=house.build_surroundings,
            images=ImageSource(house.store, fetch),
            progress=progress,
            cancellation=cancellation,
        )
