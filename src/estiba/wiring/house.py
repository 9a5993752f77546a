"""The house: every object of one run, built when it is first asked for, and joined here and nowhere else."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from estiba.builder.request import BuildSurroundings
    from estiba.engine.engine import Engine
    from estiba.engine.userns import Users
    from estiba.image.progress import Progress
    from estiba.networks.networks import Networks
    from estiba.oci.platform import Platform
    from estiba.oci.reference import Reference
    from estiba.registry.client.ask import Registries
    from estiba.registry.client.credentials import CredentialFile
    from estiba.registry.client.routes import Routes
    from estiba.runtime.client import RuntimeClient
    from estiba.store.images import ImageRecord
    from estiba.store.store import Store
    from estiba.wiring.images import ImageSource
    from estiba.wiring.settings import Settings


class House:
    """Lives as long as one command. As a context manager it closes what it has opened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._store: Store | None = None
        self._networks: Networks | None = None
        self._engine: Engine | None = None

    def __enter__(self) -> House:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened."""
        if self._store is not None:
            self._store.close()

    @property
    def store(self) -> Store:
        """The store under `settings.root`, made on first use."""
        if self._store is None:
            from estiba.store.store import Store

            self._store = Store.open(self.settings.root, snapshotter=self.settings.snapshotter, restore=_restored)
        return self._store

    @property
    def networks(self) -> Networks:
        """The networks; one object, for it holds the ports of what it attached."""
        if self._networks is None:
            from estiba.networks.networks import Networks

            self._networks = Networks(root=self.settings.root, run=self.settings.run)
        return self._networks

    @property
    def runtime(self) -> RuntimeClient:
        """The client of the OCI runtime that the settings name."""
        from estiba.runtime.client import RuntimeClient

        root = f"{self.settings.run}/runtime"
        if self.settings.runtime == "estiba":
            return RuntimeClient.ours(root=root)
        return RuntimeClient.named(self.settings.runtime, root=root)

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            from estiba.engine.engine import Engine

            self._engine = Engine(
                store=self.store,
                run=self.settings.run,
                runtime=lambda: self.runtime,
                networks=lambda: self.networks,
                users=self._users(),
                volume_trash=self.settings.volume_trash,
                settle_after=self.settings.settle_after,
            )
        return self._engine

    @property
    def images(self) -> ImageSource:
        """Images by name: here, else from their registry."""
        return self.images_told_by(None)

    def images_told_by(self, progress: Progress | None) -> ImageSource:
        """The same; `progress` hears of a pull."""
        from estiba.wiring.images import ImageSource

        def fetch(reference: Reference, platform: Platform) -> ImageRecord:
            return self._pull(reference, platform, progress)

        return ImageSource(self.store, fetch)

    @property
    def credentials(self) -> CredentialFile:
        """The credentials that `login` keeps, and those that AWS gives for its registries."""
        from estiba.registry.client.aws import EcrLogins
        from estiba.registry.client.credentials import CredentialFile

        return CredentialFile(self.settings.credentials, (EcrLogins(),))

    @property
    def routes(self) -> Routes:
        """How registries are reached from here."""
        from estiba.wiring.registries import read_routes

        return read_routes(self.settings.environment)

    @property
    def registries(self) -> Registries:
        """Any registry, for questions that move no blob."""
        from estiba.registry.client.ask import Registries

        return Registries(self.credentials, self.routes)

    @property
    def temporary(self) -> str:
        """A directory for large files that nobody keeps."""
        return self.settings.environment.get("TMPDIR") or "/var/tmp"

    @property
    def resolv_conf(self) -> str:
        """The text of a container's /etc/resolv.conf, from this machine's."""
        from estiba.networks.resolver import resolv_conf

        return resolv_conf(_text("/etc/resolv.conf"), upstream_text=_text("/run/systemd/resolve/resolv.conf"))

    @property
    def build_surroundings(self) -> BuildSurroundings:
        """What the builder needs of this machine."""
        from estiba.builder.request import BuildSurroundings
        from estiba.engine.userns import ids_of_steps

        return BuildSurroundings(
            run=self.settings.run,
            runtime=lambda: self.runtime,
            networks_root=self.settings.root,
            networks_run=self.settings.run,
            resolv_conf=self.resolv_conf,
            own_ids=ids_of_steps(self.settings.userns) if self.settings.userns else 0,
            environment=self.settings.environment,
        )

    def _users(self) -> Users | None:
        if not self.settings.userns:
            return None
        from estiba.engine.userns import parse_users

        return parse_users(self.settings.userns)

    def _pull(self, reference: Reference, platform: Platform, progress: Progress | None) -> ImageRecord:
        from estiba.registry.client.pull import pull

        return pull(
            self.store,
            reference,
            platform=platform,
            credentials=self.credentials,
            progress=progress,
            routes=self.routes,
        )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _restored(store: Store) -> None:
    """Loaded when a power cut has made it necessary."""
    from estiba.image.restore import restore

    restore(store)
