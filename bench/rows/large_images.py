"""An image of 1 GB and one of 20,000 small files on their way: pushed, pulled, copied, loaded, saved.

The registry is docker-registry for all. For a push it begins empty each time, so nothing is mounted or there already.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.arena import Arena
from bench.images import ImageFiles, image_of
from bench.measure import Contender, Row
from bench.peers.base import Engine, Registry
from bench.peers.docker_registry import DockerRegistry
from bench.peers.estiba import Estiba
from bench.workspace import CommandFailed, calling


class Load(NamedTuple):
    """One image: what to call it, and its trees."""

    key: str
    what: str
    trees: tuple[Path, ...]


def large(arena: Arena) -> Load:
    size = int(250_000_000 * arena.scale)
    trees = tuple(arena.corpus.mixed(size, seed=seed) for seed in range(4))
    return Load("large", f"an image of {4 * size / 1e9:.2g} GB in four layers, three quarters text", trees)


def small_files(arena: Arena) -> Load:
    count = max(100, int(10_000 * arena.scale))
    trees = tuple(arena.corpus.small_files(count, seed=seed) for seed in range(2))
    return Load("small", f"an image of {2 * count:,} small files in two layers", trees)


def push(make: Callable[[Arena], Load], arena: Arena) -> Row:
    """First push of a built image. What an engine would keep compressed from the last time is taken from it."""
    load = make(arena)
    registry = registry_of(arena)
    context = context_of(arena, load)
    built: set[str] = set()

    def before(engine: Engine) -> Callable[[], None]:
        reference = f"{registry.address}/bench/{load.key}:latest"

        def make_ready() -> None:
            registry.stop()
            registry.start()
            if engine.name not in built or isinstance(engine, Estiba):
                forget(engine, reference)
                engine.build(context, reference, cached=False)
                built.add(engine.name)

        return make_ready

    contenders = _engines(arena).contenders(
        lambda engine: partial(engine.push, f"{registry.address}/bench/{load.key}:latest"), before
    )
    return Row(f"Push of {load.what}", "The first one, compression included.", contenders, _missing(arena))


def pull(make: Callable[[Arena], Load], arena: Arena) -> Row:
    """Into a store without the image, until a container could start from it."""
    load = make(arena)
    registry = registry_of(arena)
    reference = f"{registry.address}/bench/{load.key}:latest"
    registry.stop()
    registry.start()
    estiba_of(arena).copy(f"oci:{files_of(arena, load).layout}:latest", reference)
    contenders = _engines(arena).contenders(
        lambda engine: partial(engine.pull, reference), lambda engine: partial(_forget_layers, arena, engine, load)
    )
    note = "Fetched, verified, decompressed, unpacked: ready to run."
    return Row(f"Pull of {load.what}", note, contenders, _missing(arena))


def copy_to_registry(make: Callable[[Arena], Load], arena: Arena) -> Row:
    load = make(arena)
    registry = registry_of(arena)
    reference = f"{registry.address}/bench/copied:latest"
    layout = f"oci:{files_of(arena, load).layout}:latest"

    def make_ready() -> None:
        registry.stop()
        registry.start()

    contenders = [Contender("Estiba", partial(estiba_of(arena).copy, layout, reference), make_ready)]
    if shutil.which("skopeo"):
        skopeo = calling("skopeo", "copy", "-q", "--dest-tls-verify=false", layout, f"docker://{reference}")
        contenders.append(Contender("skopeo", skopeo, make_ready))
    note = "`copy` from a layout to a registry."
    return Row(f"Copy of {load.what} to a registry", note, tuple(contenders), _no_skopeo())


def copy_from_registry(make: Callable[[Arena], Load], arena: Arena) -> Row:
    load = make(arena)
    registry = registry_of(arena)
    reference = f"{registry.address}/bench/copied:latest"
    registry.stop()
    registry.start()
    estiba_of(arena).copy(f"oci:{files_of(arena, load).layout}:latest", reference)
    place = arena.workspace.directory / "copied"

    def make_ready() -> None:
        shutil.rmtree(place, ignore_errors=True)

    contenders = [Contender("Estiba", partial(estiba_of(arena).copy, reference, f"oci:{place}:latest"), make_ready)]
    if shutil.which("skopeo"):
        skopeo = calling("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{reference}", f"oci:{place}:new")
        contenders.append(Contender("skopeo", skopeo, make_ready))
    note = "`copy` from a registry to a layout."
    return Row(f"Copy of {load.what} from a registry", note, tuple(contenders), _no_skopeo())


def load_archive(make: Callable[[Arena], Load], arena: Arena) -> Row:
    load = make(arena)
    archive = files_of(arena, load).archive
    contenders = _engines(arena).contenders(
        lambda engine: partial(engine.load, archive), lambda engine: partial(_forget_layers, arena, engine, load)
    )
    note = "`load` of what `docker save` writes: plain layers."
    return Row(f"Load of {load.what}", note, contenders, _missing(arena))


def save_archive(make: Callable[[Arena], Load], arena: Arena) -> Row:
    """The first save of an image that was loaded, whatever its engine makes of it."""
    load = make(arena)
    archive, name = files_of(arena, load).archive, name_of(load)
    out = arena.workspace.directory / "saved.tar"
    loaded: set[str] = set()

    def before(engine: Engine) -> Callable[[], None]:
        def make_ready() -> None:
            out.unlink(missing_ok=True)
            if engine.name not in loaded or isinstance(engine, Estiba):
                _forget_layers(arena, engine, load)
                engine.load(archive)
                loaded.add(engine.name)

        return make_ready

    contenders = _engines(arena).contenders(lambda engine: partial(engine.save, name, out), before)
    note = "`save` into a file, the first one after `load`."
    return Row(f"Save of {load.what}", note, contenders, _missing(arena))


def registry_of(arena: Arena) -> Registry:
    for registry in arena.registries:
        if isinstance(registry, DockerRegistry) and not registry.problem():
            return registry
    raise CommandFailed("docker-registry is not installed")


def estiba_of(arena: Arena) -> Estiba:
    return next(engine for engine in arena.engines if isinstance(engine, Estiba))


def _engines(arena: Arena) -> Arena:
    return arena.without("Buildah")


def _missing(arena: Arena) -> dict[str, str]:
    return dict(_engines(arena).missing)


def _no_skopeo() -> dict[str, str]:
    return {} if shutil.which("skopeo") else {"skopeo": "skopeo is not installed"}


def name_of(load: Load) -> str:
    return f"localhost/bench/{load.key}:latest"


def files_of(arena: Arena, load: Load) -> ImageFiles:
    return image_of(load.trees, arena.workspace.directory / "images" / load.key, name=name_of(load))


def context_of(arena: Arena, load: Load) -> Path:
    """A build context with the trees: one COPY and so one layer for each."""
    names = [tree.name for tree in load.trees]
    lines = ["FROM scratch", *(f"COPY {name} /{name}" for name in names)]
    context = arena.workspace.context(f"image-{load.key}", "\n".join(lines) + "\n")
    for tree in load.trees:
        if not (context / tree.name).exists():
            shutil.copytree(tree, context / tree.name, copy_function=_link)
    return context


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _forget_layers(arena: Arena, engine: Engine, load: Load) -> None:
    """The engine has the layers neither from an archive nor from a registry."""
    forget(engine, name_of(load))
    forget(engine, f"{registry_of(arena).address}/bench/{load.key}:latest")


def forget(engine: Engine, reference: str) -> None:
    """The image is not in the engine, whether it was or not."""
    try:
        engine.remove_image(reference)
    except CommandFailed:
        pass
