"""`commit`: an image from a container: one layer with what it has changed, and its configuration."""

from __future__ import annotations

import os
import stat
import time

from estiba.engine import changes, lifecycle
from estiba.engine.locks import wait_for_lock
from estiba.engine.pausing import go_on, has_ended, pause
from estiba.engine.removal import snapshot_key
from estiba.errors import Conflict, EstibaError, NotFound, Unavailable
from estiba.image.assemble import commit_image
from estiba.image.tree import ImageTree
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.chain_id import chain_id
from estiba.oci.image_config import HealthCheck, History, ImageConfig, RunConfig
from estiba.store.snapshots.copy_tree import copy_tree
from estiba.store.snapshots.trees import remove_tree
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.engine import Engine
    from estiba.engine.options import ContainerOptions
    from estiba.engine.records import ContainerRecord
    from estiba.engine.spec import Process
    from estiba.layers.pack import LayerTar
    from estiba.oci.digest import Digest
    from estiba.store.images import ImageRecord

_LIVES = (lifecycle.RUNNING, lifecycle.PAUSED)


class About(NamedTuple):
    """What is to be said of the image; `run` has what is to be other than in the container."""

    author: str = ""
    message: str = ""
    run: RunConfig = RunConfig()


def commit(engine: Engine, text: str, about: About) -> ImageRecord:
    """Make an image; a running container is paused meanwhile. Volumes and binds are not part of it.

    Until it is made nobody starts or removes a container that does not run, and nobody lets a paused one go on by
    `unpause`. One that is stopped or killed all the same has no image.

    Raises:
        NoSuchContainer, WrongState. Conflict: it runs, and cannot be paused; or it went on meanwhile. Unavailable: no
        space, or another process has made an image of it for a long time.
    """
    record = engine.find(text)
    lifecycle.must_act("commit", record.state, name=record.name)
    paths = engine.paths(record.id)
    with wait_for_lock(paths.still):
        record = engine.find(record.id)
        lifecycle.must_act("commit", record.state, name=record.name)
        if record.state in _LIVES:
            made = _of_living(engine, record, about)
            if made is not None:
                return made
            engine.wait(record.id)
        with wait_for_lock(paths.lock):
            now = engine.find(record.id)
            lifecycle.must_act("commit", now.state, name=now.name)
            if now.state in _LIVES:
                raise _went_on(record.name)
            return _committed(engine, now, about)


def _of_living(engine: Engine, record: ContainerRecord, about: About) -> ImageRecord | None:
    """As `commit`, of a container that runs or is paused; None where it has just ended."""
    if record.state == lifecycle.PAUSED:
        return _committed(engine, record, about)
    try:
        pause(engine, record.id)
    except EstibaError as error:
        if has_ended(engine, record):
            return None
        raise Conflict(
            f"container {record.name} cannot be paused for its files to be read: {error.message}",
            remedy=f"Stop it first: estiba stop {record.name}",
        ) from error
    try:
        return _committed(engine, record._replace(state=lifecycle.PAUSED), about)
    finally:
        if _is_still(engine, record._replace(state=lifecycle.PAUSED)):
            go_on(engine, record)


def _is_still(engine: Engine, record: ContainerRecord) -> bool:
    """Whether the container is as it was, and has not been another process in between."""
    now = engine.containers.get(record.id)
    return now is not None and (now.state, now.pid, now.pid_start) == (record.state, record.pid, record.pid_start)


def _went_on(name: str) -> Conflict:
    return Conflict(
        f"container {name} was started, stopped or removed while its files were read: no image was made",
        remedy="Try again when nobody else works on it.",
    )


def configuration(image: RunConfig, options: ContainerOptions, process: Process, asked: RunConfig) -> RunConfig:
    """What a container of the new image runs: what the container ran, with what is `asked` for on top.

    Docker's rules: an entry point of one's own takes the command away, and variables, labels, ports and volumes add up.
    """
    entrypoint = image.entrypoint if options.entrypoint is None else options.entrypoint
    command = options.command if options.command is not None else image.cmd if options.entrypoint is None else None
    if asked.entrypoint is not None:
        entrypoint, command = asked.entrypoint, asked.cmd
    elif asked.cmd is not None:
        command = asked.cmd
    own = tuple(m.target for m in options.mounts[options.inherited :] if m.kind == "volume" and not m.source)
    health = HealthCheck(*options.health[:6]) if options.health.is_asked else None
    return image._replace(
        user=asked.user or process.user,
        exposed_ports=tuple(dict.fromkeys((*process.exposed_ports, *asked.exposed_ports))),
        env=_joined(_joined(image.env, options.env), asked.env),
        entrypoint=entrypoint,
        cmd=command,
        volumes=tuple(dict.fromkeys((*process.volumes, *own, *asked.volumes))),
        working_dir=asked.working_dir or options.working_dir or image.working_dir,
        labels=tuple((dict(process.labels) | dict(asked.labels)).items()),
        stop_signal=asked.stop_signal or options.stop_signal or image.stop_signal,
        shell=asked.shell or image.shell,
        on_build=asked.on_build or image.on_build,
        healthcheck=asked.healthcheck or health or image.healthcheck,
    )


def _joined(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    found = dict(entry.partition("=")[::2] for entry in before)
    for entry in after:
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return tuple(f"{name}={value}" for name, value in found.items())


def _committed(engine: Engine, record: ContainerRecord, about: About) -> ImageRecord:
    store = engine.store
    with store.leases.hold(f"commit {record.name}"):
        image = store.images.config(store.images.find(record.image_id).id)
        layer = _layer(engine, record, image.diff_ids)
        options, process = record.parsed_options(), record.parsed_process()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        history = History(created=now, created_by=" ".join(process.args), author=about.author, comment=about.message)
        config = ImageConfig.make(
            platform=image.platform,
            run=configuration(image.run, options, process, about.run),
            diff_ids=(*image.diff_ids, layer.diff_id),
            history=(*image.history, history),
            created=now,
            author=about.author,
        )
        return commit_image(store, config)


def _layer(engine: Engine, record: ContainerRecord, below: tuple[Digest, ...]) -> LayerTar:
    """A committed snapshot of what the container has changed."""
    store = engine.store
    copy = f"commit/{os.urandom(8).hex()}"
    parent = chain_id(below)
    store.snapshots.prepare(copy, parent)
    try:
        place = store.snapshots.writable(copy)
        for name in os.listdir(place):  # of a snapshotter that copies: the image's files, which are in the source too
            _remove(f"{place}/{name}")
        _copy(engine, record, place)
        _take_places_away(ImageTree(store, parent), place)
        tree, base = store.snapshots.change(copy)
        layer = diff_id_of(tree, TarPolicy(), base=base)
        whole = chain_id((*below, layer.diff_id))
        assert whole is not None
        store.snapshots.commit(copy, chain_id=whole, diff_id=layer.diff_id, size=layer.size)
    except BaseException:
        store.snapshots.remove(copy)
        raise
    return layer


def _copy(engine: Engine, record: ContainerRecord, place: str) -> None:
    """Copy what the container has changed, all of it as it was at one moment."""
    try:
        copy_tree(engine.store.snapshots.writable(snapshot_key(record.id)), place)
    except (NotFound, OSError) as error:
        if not _is_still(engine, record):
            raise _went_on(record.name) from error
        if isinstance(error, NotFound):
            raise
        raise Unavailable(
            f"the files of container {record.name} cannot be copied: {(error.strerror or str(error)).lower()}",
            remedy="Look whether there is space: estiba df",
        ) from error
    if not _is_still(engine, record):
        raise _went_on(record.name)


def _take_places_away(lower: ImageTree, place: str) -> None:
    """Remove what is there only to be mounted on, the deepest first."""
    known = changes.PLACES_OF_FILES | changes.PLACES_OF_DIRECTORIES
    for path in sorted(known, key=len, reverse=True):
        inside = _inside(place, path)
        if inside is None or lower.exists(path):
            continue
        status = os.lstat(inside)
        is_empty = not stat.S_ISDIR(status.st_mode) or not os.listdir(inside)
        if changes.is_only_a_place(path, status, is_empty=is_empty):
            _remove(inside)


def _inside(place: str, path: str) -> str | None:
    """The file at `path` in the tree `place`, if no link is on the way."""
    current = place
    for name in path.strip("/").split("/"):
        if os.path.islink(current) and current != place:
            return None
        current += "/" + name
    return current if os.path.lexists(current) and not os.path.islink(current) else None


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        remove_tree(path)
    else:
        os.unlink(path)
