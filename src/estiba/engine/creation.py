"""Making a container: names and ids, its volumes, its snapshot, its row, all in one transaction."""

from __future__ import annotations

import os
import time

from estiba.engine.lifecycle import CREATED
from estiba.engine.locks import Lock, wait_for_lock
from estiba.engine.names import checked_name, generated_name
from estiba.engine.options import ContainerOptions
from estiba.engine.paths import ContainerPaths
from estiba.engine.records import ContainerRecord, NameTaken
from estiba.engine.removal import holder, snapshot_key
from estiba.engine.spec import plan_process
from estiba.errors import InvalidInput
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.options import Health, Limits
    from estiba.engine.records import Containers
    from estiba.engine.volumes import Volumes
    from estiba.networks.ports import PortMapping
    from estiba.oci.image_config import RunConfig
    from estiba.store.images import ImageRecord
    from estiba.store.store import Store

_ATTEMPTS = 20
_PORT = r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?"


def create(
    store: Store,
    containers: Containers,
    volumes: Volumes,
    *,
    image: ImageRecord,
    options: ContainerOptions,
    run: str,
    runtime: str,
    boot: str,
    state: str = CREATED,
) -> tuple[ContainerRecord, Lock]:
    """Make a container of `image`; its lock is held until the caller lets go.

    Raises:
        NameTaken: another container has the name. InvalidInput: options that cannot be.
    """
    config = store.images.config(image.id)
    process = plan_process(config.run, options)
    size = 0
    if options.storage:
        from estiba.engine import storage_quota

        size = storage_quota.size_of(options)
        storage_quota.check(store)
    options = options._replace(limits=possible(options), health=_health(config.run, options.health))
    container_id = os.urandom(32).hex()
    paths = ContainerPaths(store.paths.root, run, container_id)
    os.makedirs(paths.directory, mode=0o700)
    lock = wait_for_lock(paths.lock)
    record = ContainerRecord(
        id=container_id,
        name="",
        image=options.image,
        image_id=str(image.id),
        created=time.time(),
        state=state,
        options=json_text.dumps(options.to_json()),
        process=json_text.dumps(process._asdict()),
        runtime=runtime,
        boot=boot,
        run=run,
    )
    is_durable = not options.auto_remove
    try:
        with store.database.transaction(durable=is_durable):
            used = _volumes(volumes, options, process.volumes)
            record = _add(containers, record, options.name, used, durable=is_durable)
            store.uses.add(holder(container_id), "image", image.id)
            store.uses.add(holder(container_id), "snapshot", snapshot_key(container_id))
            store.snapshots.prepare(snapshot_key(container_id), config.chain_id)
            if size:
                storage_quota.limit(store, snapshot_key(container_id), size)
    except BaseException:
        lock.release()
        os.unlink(paths.lock)
        os.rmdir(paths.directory)
        raise
    return record, lock


def possible(options: ContainerOptions) -> Limits:
    """The limits, once they are known to be possible here.

    Raises:
        InvalidInput: one cannot be, or is more than this machine has.
    """
    limits, block_io = options.limits, options.block_io
    if limits == type(limits)() and block_io == type(block_io)():
        return limits
    from estiba.engine.limit_checks import Processors, check_block_io, checked, parsed_set

    check_block_io(block_io)
    lists = {}
    for kind in ("cpus", "mems"):
        if getattr(limits, f"cpuset_{kind}"):
            lists[kind] = parsed_set(_first_text(f"cpuset.effective_{kind}", f"cpuset.{kind}.effective"))
    return checked(limits, Processors(len(os.sched_getaffinity(0)), **lists))


def _health(run: RunConfig, asked: Health) -> Health:
    """What the user says of the container's health, completed by what the image does."""
    if run.healthcheck is not None and asked.test != ("NONE",):
        asked = asked._replace(**{n: getattr(asked, n) or value for n, value in run.healthcheck._asdict().items()})
    return asked._replace(shell=run.shell or ()) if asked.test[:1] == ("CMD-SHELL",) else asked


def _first_text(*names: str) -> str:
    """What one of the files of the machine's cpuset says, of either version of control groups; "" without any."""
    for name in names:
        for place in ("/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"):
            try:
                with open(f"{place}/{name}", encoding="ascii") as file:
                    return file.read().strip()
            except OSError:
                continue
    return ""


def published_ports(options: ContainerOptions, exposed: tuple[str, ...]) -> tuple[PortMapping, ...]:
    """The ports that are asked for, and with `publish_all` every exposed one, on any free port of the host."""
    from estiba.networks.ports import PortMapping

    ports = list(options.ports)
    if options.publish_all:
        import re  # here, for most commands need none

        known = {(port.container_port, port.protocol) for port in ports}
        for text in exposed:
            match = re.fullmatch(_PORT, text)
            if match is None:
                raise InvalidInput(f"invalid exposed port {text!r}")
            for number in range(int(match[1]), int(match[2] or match[1]) + 1):
                if (number, match[3] or "tcp") not in known:
                    ports.append(PortMapping(number, 0, protocol=match[3] or "tcp"))
    return tuple(ports)


def _volumes(volumes: Volumes, options: ContainerOptions, of_image: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Make the volumes that are missing; gives pairs (name, target)."""
    targets = {mount.target for mount in options.mounts}
    used: list[tuple[str, str]] = []
    for mount in options.mounts:
        if mount.kind == "volume":
            name = mount.source or os.urandom(32).hex()
            volumes.ensure(name, is_anonymous=not mount.source, labels=dict(mount.labels))
            used.append((name, mount.target))
    for target in of_image:
        clean = "/" + os.path.normpath(target).strip("/")
        if clean not in targets and clean != "/":
            name = os.urandom(32).hex()
            volumes.ensure(name, is_anonymous=True)
            used.append((name, clean))
    return tuple(used)


def _add(
    containers: Containers, record: ContainerRecord, name: str, used: tuple[tuple[str, str], ...], *, durable: bool
) -> ContainerRecord:
    if name:
        record = record._replace(name=checked_name(name))
        containers.add(record, volumes=used, durable=durable)
        return record
    for attempt in range(_ATTEMPTS):
        record = record._replace(name=generated_name(os.urandom(2), attempt=attempt))
        try:
            containers.add(record, volumes=used, durable=durable)
        except NameTaken:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return record
    raise AssertionError("unreachable")
