"""The table of containers: names are unique, ids found by their beginning, states change as the table allows."""

from __future__ import annotations

import json

import pytest

from estiba.engine.lifecycle import CREATED, EXITED, REMOVING, RUNNING, STARTING
from estiba.engine.options import ContainerOptions
from estiba.engine.records import ContainerRecord, Containers, NameTaken, Networking, NoSuchContainer
from estiba.engine.spec import plan_process
from estiba.errors import Conflict, InvalidInput
from estiba.oci.image_config import RunConfig
from estiba.store.database import Database

OPTIONS = ContainerOptions("busybox", labels=(("a", "b"),))
PROCESS = plan_process(RunConfig(cmd=("sh",)), OPTIONS)


def record(identity: str, name: str) -> ContainerRecord:
    return ContainerRecord(
        id=identity,
        name=name,
        image="busybox",
        image_id="sha256:0",
        created=1.5,
        state=CREATED,
        options=json.dumps(OPTIONS.to_json()),
        process=json.dumps(PROCESS._asdict()),
        runtime="",
    )


@pytest.fixture
def containers(tmp_path):
    database = Database.open(f"{tmp_path}/state.db")
    yield Containers(database)
    database.close()


def test_a_container_comes_back_as_it_was_written(containers):
    one = record("ab" * 32, "one")
    containers.add(one, volumes=(("cargo", "/data"),))
    assert containers.get(one.id) == one
    found = containers.find("one")
    assert (found.parsed_options(), found.parsed_process()) == (OPTIONS, PROCESS)
    assert containers.volumes_of(one.id) == [("cargo", "/data")]
    assert containers.users_of_volume("cargo") == ["one"]


def test_a_name_is_taken_once(containers):
    containers.add(record("ab" * 32, "one"))
    with pytest.raises(NameTaken, match="one is in use by container abababababab"):
        containers.add(record("cd" * 32, "one"))
    containers.add(record("ef" * 32, "two"))
    with pytest.raises(NameTaken):
        containers.rename("ef" * 32, "one")


def test_the_beginning_of_an_id_is_enough_while_it_is_the_only_one(containers):
    containers.add(record("ab" * 32, "one"))
    containers.add(record("ac" * 32, "two"))
    assert containers.find("abab").name == "one"
    with pytest.raises(InvalidInput, match="several"):
        containers.find("a")
    with pytest.raises(NoSuchContainer):
        containers.find("b")


def test_a_name_wins_over_the_beginning_of_an_id(containers):
    containers.add(record("ab" * 32, "one"))
    containers.add(record("cd" * 32, "abab"))
    assert containers.find("abab").id == "cd" * 32


def test_states_follow_the_table(containers):
    one = record("ab" * 32, "one")
    containers.add(one)
    with pytest.raises(Conflict):
        containers.set_running(one.id, durable=False)
    containers.set_state(one.id, STARTING)
    network = Networking("bridge", "10.0.0.2", 24, "10.0.0.1", "02:00", (("80/tcp", "127.0.0.1:8080"),))
    containers.set_running(one.id, durable=False, pid=7, network=network.to_text())
    running = containers.find("one")
    assert (running.state, running.pid, running.parsed_network()) == (RUNNING, 7, network)
    containers.set_exited(one.id, durable=False, exit_code=3, oom_killed=True, finished=2.0)
    ended = containers.find("one")
    assert (ended.state, ended.pid, ended.exit_code, ended.oom_killed) == (EXITED, 0, 3, True)
    containers.set_state(one.id, REMOVING)
    containers.remove(one.id)
    assert containers.all() == []
    assert containers.users_of_volume("cargo") == []
