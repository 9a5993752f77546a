"""An image that is made of a container: its configuration follows Docker's rules, its files are those of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from estiba.engine import committing, lifecycle, pausing
from estiba.engine.committing import About, commit, configuration
from estiba.engine.engine import Engine
from estiba.engine.locks import Lock, try_lock
from estiba.engine.options import ContainerOptions, Health, VolumeMount
from estiba.engine.records import ContainerRecord
from estiba.engine.removal import snapshot_key
from estiba.engine.spec import plan_process
from estiba.errors import Conflict, Unavailable
from estiba.oci.image_config import HealthCheck, RunConfig
from estiba.wiring.house import House
from estiba.wiring.settings import read
from images import busybox_image

IMAGE = RunConfig(
    entrypoint=("entry",), cmd=("default",), env=("PATH=/bin", "A=image"), user="app", labels=(("k", "image"),)
)


def made(asked: RunConfig = RunConfig(), **options) -> RunConfig:  # noqa: B008 - an immutable value
    wanted = ContainerOptions("i", **options)
    return configuration(IMAGE, wanted, plan_process(IMAGE, wanted), asked)


def test_a_container_that_asked_for_nothing_gives_the_images_own():
    assert made() == IMAGE


@pytest.mark.parametrize(
    ("options", "asked", "entrypoint", "command"),
    [
        ({"command": ("own",)}, RunConfig(), ("entry",), ("own",)),
        ({"entrypoint": ("mine",)}, RunConfig(), ("mine",), None),
        ({"entrypoint": (), "command": ("own",)}, RunConfig(), (), ("own",)),
        ({"command": ("own",)}, RunConfig(cmd=("asked",)), ("entry",), ("asked",)),
        ({"command": ("own",)}, RunConfig(entrypoint=("asked",)), ("asked",), None),
    ],
)
def test_entry_point_and_command_are_those_of_the_container_or_asked_for(options, asked, entrypoint, command):
    found = made(asked, **options)
    assert (found.entrypoint, found.cmd) == (entrypoint, command)


def test_variables_labels_volumes_and_health_add_up():
    mounts = (VolumeMount("volume", "/own"), VolumeMount("volume", "/named", "n"), VolumeMount("tmpfs", "/t"))
    found = made(
        RunConfig(env=("B=asked",), labels=(("m", "asked"),), exposed_ports=("80/tcp",)),
        env=("A=container", "C=container"),
        mounts=mounts,
        health=Health(("CMD", "x"), 5),
        expose=("53/udp",),
    )
    assert found.env == ("PATH=/bin", "A=container", "C=container", "B=asked")
    assert found.labels == (("k", "image"), ("m", "asked"))
    assert found.volumes == ("/own",)
    assert found.exposed_ports == ("53/udp", "80/tcp")
    assert found.healthcheck == HealthCheck(("CMD", "x"), 5)


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Iterator[Engine]:
    """One whose containers are paused and let go on in the table alone."""
    with House(read({}, root=str(tmp_path / "root"), run=str(tmp_path / "run"))) as house:
        found = house.engine
        monkeypatch.setattr(Engine, "runtime_of", lambda _, record: Frozen())
        yield found


class Frozen:
    """A runtime that says yes."""

    def pause(self, _: str) -> None:
        return

    def resume(self, _: str) -> None:
        return


@pytest.fixture
def container(engine) -> ContainerRecord:
    image = busybox_image(engine.store)
    record = engine.create(ContainerOptions("busybox", command=("true",)), image)
    with open(f"{engine.store.snapshots.writable(snapshot_key(record.id))}/new", "w", encoding="ascii") as file:
        file.write("text")
    return record


def running(engine: Engine, record: ContainerRecord, pid: int = 7) -> Lock:
    """As if it ran; gives the lock that its monitor would hold."""
    lock = try_lock(engine.paths(record.id).lock)
    assert lock is not None
    engine.containers.set_state(record.id, lifecycle.STARTING)
    engine.containers.set_running(record.id, durable=False, pid=pid, pid_start=pid)
    return lock


def meanwhile(monkeypatch, act: Callable[[], None]) -> None:
    """Let `act` happen when the files have been copied."""
    copy_tree = committing.copy_tree

    def copied(source: str, target: str) -> None:
        copy_tree(source, target)
        act()

    monkeypatch.setattr(committing, "copy_tree", copied)


def test_nobody_starts_or_removes_a_container_whose_image_is_being_made(engine, container, monkeypatch):
    held: list[bool] = []
    meanwhile(monkeypatch, lambda: held.append(try_lock(engine.paths(container.id).lock) is None))
    made = commit(engine, container.id, About())
    assert held == [True]
    assert made.id in engine.store.images.contents()
    lock = try_lock(engine.paths(container.id).lock)
    assert lock is not None, "it is free afterwards"
    lock.release()


def test_one_that_another_command_has_just_started_is_told_so(engine, container, monkeypatch):
    wait = committing.wait_for_lock

    def late(path: str) -> Lock:
        if path == engine.paths(container.id).lock:
            running(engine, container).release()
        return wait(path)

    monkeypatch.setattr(committing, "wait_for_lock", late)
    monkeypatch.setattr("estiba.engine.recovery.is_abandoned", lambda *_: False)
    with pytest.raises(Conflict, match="was started"):
        commit(engine, container.id, About())


def test_a_paused_container_is_not_let_go_on_while_its_files_are_read(engine, container, monkeypatch):
    refused: list[str] = []

    def unpause() -> None:
        with pytest.raises(Conflict) as error:
            pausing.unpause(engine, container.id)
        refused.append(error.value.message)

    with running(engine, container):
        meanwhile(monkeypatch, unpause)
        commit(engine, container.id, About())
        assert "image is made of it" in refused[0]
        assert engine.find(container.id).state == lifecycle.RUNNING
        pausing.pause(engine, container.id)
        commit(engine, container.id, About())
        assert engine.find(container.id).state == lifecycle.PAUSED, "it was paused before"
        pausing.unpause(engine, container.id)
        engine.containers.set_exited(container.id, durable=False)


@pytest.mark.parametrize("restarted", [False, True])
def test_no_image_is_made_of_one_that_ends_meanwhile(engine, container, monkeypatch, restarted):
    before = set(engine.store.images.contents())

    def end() -> None:
        engine.containers.set_exited(container.id, durable=False)
        if restarted:
            engine.containers.set_state(container.id, lifecycle.STARTING)
            engine.containers.set_running(container.id, durable=False, pid=8, pid_start=8)
            engine.containers.set_state(container.id, lifecycle.PAUSED)

    with running(engine, container):
        meanwhile(monkeypatch, end)
        with pytest.raises(Conflict, match="no image was made"):
            commit(engine, container.id, About())
        assert engine.find(container.id).state == (lifecycle.PAUSED if restarted else lifecycle.EXITED)
        assert set(engine.store.images.contents()) == before
        assert not [record for record in engine.store.snapshots.list() if str(record.key).startswith("commit/")]
        if restarted:
            engine.containers.set_exited(container.id, durable=False)


def test_a_full_disk_is_told_with_the_container(engine, container, monkeypatch):
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(committing, "copy_tree", full)
    with pytest.raises(Unavailable, match=f"{container.name} cannot be copied: no space"):
        commit(engine, container.id, About())
