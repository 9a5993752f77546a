"""All contenders, started for the length of a benchmark and ended after it, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.corpus import Corpus
from bench.measure import Contender
from bench.peers.base import Engine, Registry
from bench.peers.buildah import Buildah
from bench.peers.docker import Docker
from bench.peers.docker_registry import DockerRegistry
from bench.peers.estiba import Estiba, EstibaRegistry
from bench.peers.podman import Podman
from bench.peers.processes import Traces
from bench.workspace import Workspace


class Arena(NamedTuple):
    """What the rows are given. `scale` multiplies sizes and counts; `engines` and `registries` begin with Estiba's."""

    workspace: Workspace
    engines: tuple[Engine, ...]
    registries: tuple[Registry, ...]
    scale: float
    corpus: Corpus

    def contenders(
        self, run: Callable[[Engine], Callable[[], None]], before: Callable[[Engine], Callable[[], None]] | None = None
    ) -> tuple[Contender, ...]:
        """One for each engine that can take part."""
        able = [engine for engine in self.engines if not engine.problem()]
        return tuple(
            Contender(engine.name, run(engine), before(engine)) if before else Contender(engine.name, run(engine))
            for engine in able
        )

    def without(self, *names: str) -> Arena:
        """The same without these engines (which cannot do a row's work by their nature)."""
        return self._replace(engines=tuple(engine for engine in self.engines if engine.name not in names))

    @property
    def missing(self) -> Mapping[str, str]:
        """The engines that cannot take part, and why."""
        return {engine.name: engine.problem() for engine in self.engines if engine.problem()}


@contextmanager
def arena(directory: Path, *, scale: float) -> Iterator[Arena]:
    """Starts every engine and registry below `directory`."""
    workspace = Workspace(directory)
    base = workspace.root_filesystem()
    engines: tuple[Engine, ...] = (
        Estiba(directory / "e"),
        Docker(directory / "d"),
        Podman(directory / "p"),
        Buildah(directory / "b"),
    )
    registries: tuple[Registry, ...] = (EstibaRegistry(directory / "er"), DockerRegistry(directory / "dr"))
    with ExitStack() as stack:
        stack.callback(Traces().remove)
        for engine in engines:
            stack.callback(engine.stop)
            engine.start(base)
        for registry in registries:
            stack.callback(registry.stop)
            registry.start()
        yield Arena(workspace, engines, registries, scale, Corpus(directory / "corpus"))
