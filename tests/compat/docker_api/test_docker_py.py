"""The Python package `docker` on our daemon."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

import registries

docker = pytest.importorskip("docker", reason="the Python package docker is not installed")

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    # The package leaves the connections of its streams to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def client(ours) -> Iterator:
    client = docker.DockerClient(base_url=ours.docker.address)
    yield client
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    client.close()


def test_a_program_is_run_and_its_failure_raised(client) -> None:
    assert client.ping()
    assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    words = ["sh", "-c", "echo $A; id -u"]
    assert client.containers.run("busybox", words, environment={"A": "1"}, user="app", remove=True) == b"1\n1000\n"
    with pytest.raises(docker.errors.ContainerError) as failed:
        client.containers.run("busybox", ["sh", "-c", "echo why >&2; exit 3"], remove=True)
    assert failed.value.exit_status == 3 and b"why" in failed.value.stderr
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nosuch")
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nosuch")


def test_a_container_lives_and_is_looked_at(client) -> None:
    ports = {"80/tcp": ("127.0.0.1", None)}
    life = client.containers.run("busybox", "sleep 100", detach=True, name="life", labels={"a": "b"}, ports=ports)
    life.reload()
    assert life.status == "running" and life.labels == {"a": "b"}
    assert life.ports["80/tcp"][0]["HostIp"] == "127.0.0.1"
    assert life.exec_run("echo in") == (0, b"in\n")
    assert life.exec_run(["sh", "-c", "echo o; echo e >&2; exit 3"], demux=True) == (3, (b"o\n", b"e\n"))
    assert b"".join(life.exec_run("echo streamed", stream=True).output) == b"streamed\n"
    assert life.top()["Processes"][0][-1] == "sleep 100"
    stats = life.stats(stream=False)
    assert stats["pids_stats"]["current"] == 1 and stats["cpu_stats"]["system_cpu_usage"] > 0
    assert [one.name for one in client.containers.list(filters={"label": "a=b"})] == ["life"]
    life.rename("other")
    life.restart(timeout=0)
    life.kill()
    assert life.wait()["StatusCode"] == 137
    life.remove()


def test_output_is_followed_and_waited_for(client) -> None:
    talks = client.containers.run("busybox", ["sh", "-c", "for i in 1 2 3; do echo $i; done"], detach=True)
    assert b"".join(talks.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert talks.wait()["StatusCode"] == 0
    assert talks.logs(tail=1) == b"3\n"


def test_an_image_is_built_named_saved_and_loaded(client) -> None:
    image, lines = client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN echo 1 > /f\nCMD cat /f\n"), tag="made:1")
    assert any("Successfully built" in line.get("stream", "") for line in lines)
    assert client.containers.run("made:1", remove=True) == b"1\n"
    assert image.tag("made", "2")
    archive = b"".join(image.save(named="made:1"))
    client.images.remove("made:1")
    client.images.remove("made:2")
    (loaded,) = client.images.load(archive)
    assert loaded.id == image.id and loaded.tags == ["made:1"]
    client.images.remove("made:1")


def test_a_tar_of_files_becomes_an_image(client) -> None:
    box = client.containers.create("busybox", "true")
    tar, about = box.get_archive("/bin/busybox")
    assert about["name"] == "busybox" and about["mode"] & 0o111
    client.api.import_image_from_data(b"".join(tar), repository="imported", tag="1")
    assert client.containers.run("imported:1", ["/busybox", "echo", "in"], remove=True) == b"in\n"
    assert box.put_archive("/tmp", b"".join(box.get_archive("/etc/group")[0]))
    client.images.remove("imported:1")
    client.api.import_image_from_data(b"".join(box.export()), repository="imported", tag="2")
    assert client.containers.run("imported:2", ["cat", "/tmp/group"], remove=True).startswith(b"root:")
    box.remove()
    client.images.remove("imported:2")


def test_an_archive_of_what_leads_above_the_root_is_one_of_the_root(client) -> None:
    box = client.containers.create("busybox", ["sh", "-c", "ln -s .. /up; ln -s ../.. /higher"])
    box.start()
    box.wait()
    for path in ("/up/.", "/up/..", "/higher/", "/.."):
        parts, _ = box.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
            above = {name.split("/")[1] for name in tar.getnames() if "/" in name}
        assert {"bin", "etc", "up"} <= above
        assert not [name for name in above if name.startswith("copy.")]
    assert box.get_archive("/up")[1]["linkTarget"] == "/"
    box.remove()


def test_networks_and_volumes(client) -> None:
    network = client.networks.create("inner", labels={"x": "y"})
    volume = client.volumes.create("kept", labels={"x": "y"})
    web = client.containers.create("busybox", "httpd -f -h /etc", name="web", volumes={"kept": {"bind": "/kept"}})
    network.connect(web, aliases=["www"])
    web.start()
    got = client.containers.run("busybox", "wget -q -O - http://www/group", network="inner", remove=True)
    assert got.startswith(b"root:")
    network.reload()
    assert [one.name for one in network.containers] == ["web"]
    network.disconnect(web)
    web.remove(force=True)
    network.remove()
    assert [one.name for one in client.volumes.list(filters={"label": "x=y"})] == ["kept"]
    volume.remove()


def test_events_tell_what_happened(client) -> None:
    events = client.events(decode=True, filters={"type": "container"})
    client.containers.run("busybox", "true", name="told", remove=True)
    seen = []
    for event in events:
        seen.append(event["Action"])
        if event["Action"] == "destroy":
            break
    events.close()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_what_goes_wrong_is_told_in_the_words_that_clients_look_for(client) -> None:
    with pytest.raises(
        docker.errors.BuildError, match="The command '/bin/sh -c exit 7' returned a non-zero code: 7"
    ) as told:
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 7\n"))
    assert any("RUN exit 7" in line.get("stream", "") for line in told.value.build_log)
    with pytest.raises(docker.errors.ImageLoadError):
        client.images.load(b"abc")
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    with pytest.raises(docker.errors.APIError, match="You cannot remove a running container"):
        container.remove()
    container.remove(force=True)


def test_an_image_is_made_of_a_container_that_is_just_ending(client) -> None:
    for _ in range(5):
        container = client.containers.run("busybox", ["touch", "/made"], detach=True)
        image = container.commit()
        container.remove(force=True)
        image.remove()


def test_each_end_is_told_of_what_starts_again_by_its_policy(client) -> None:
    events = client.events(decode=True, filters={"type": "container"})
    policy = {"Name": "on-failure", "MaximumRetryCount": 1}
    container = client.containers.run("busybox", "false", detach=True, restart_policy=policy)
    try:
        seen = [next(events)["Action"] for _ in range(5)]
        assert seen == ["create", "start", "die", "start", "die"]
        assert container.wait()["StatusCode"] == 1
    finally:
        events.close()
        container.remove(force=True)


def test_a_terminal_of_an_exec_comes_in_frames_where_the_client_wants_them(client) -> None:
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    try:
        made = client.api.exec_create(container.id, ["sh", "-c", "test -t 1 && echo terminal"], tty=True)
        assert client.api.exec_start(made, tty=False, demux=True) == (b"terminal\r\n", None)
        made = client.api.exec_create(container.id, ["echo", "raw"], tty=True)
        assert client.api.exec_start(made, tty=True) == b"raw\r\n"
    finally:
        container.remove(force=True)


def test_the_health_of_a_container_is_told_and_shown(client) -> None:
    events = client.events(decode=True, filters={"type": "container"})
    check = {"test": ["CMD-SHELL", "echo seen; test -e /ok"], "interval": 10**8, "retries": 2}
    container = client.containers.run("busybox", ["sleep", "1000"], name="ill", detach=True, healthcheck=check)
    try:
        seen = []
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "health_status: unhealthy":
                break
        probe = ["exec_create: /bin/sh -c echo seen; test -e /ok", "exec_start: /bin/sh -c echo seen; test -e /ok"]
        assert seen[-4:] == [*probe, "exec_die", "health_status: unhealthy"]
        container.reload()
        assert container.attrs["State"]["Health"]["Status"] == "unhealthy"
        assert container.attrs["State"]["Health"]["Log"][-1]["Output"] == "seen\n"
        assert [one.name for one in client.containers.list(filters={"health": "unhealthy"})] == ["ill"]
        assert client.api.containers()[0]["Status"].endswith("(unhealthy)")
        container.exec_run(["touch", "/ok"])
        for event in events:
            if event["Action"].startswith("health_status"):
                break
        assert event["Action"] == "health_status: healthy"
        container.restart(timeout=0)
        container.reload()
        assert container.attrs["State"]["Health"]["Status"] == "starting"
    finally:
        events.close()
        container.remove(force=True)


def test_a_registry_tells_what_it_has_under_a_name(client, tmp_path) -> None:
    server = registries.Server(str(tmp_path / "registry")).start()
    try:
        name = f"{server.address}/app:1"
        client.images.get("busybox").tag(name)
        client.images.push(name)
        client.images.remove(name)
        told = client.images.get_registry_data(name)
        assert told.attrs["Descriptor"]["digest"].startswith("sha256:") and told.attrs["Descriptor"]["size"] > 100
        assert told.has_platform(f"linux/{told.attrs['Platforms'][0]['architecture']}")
        with pytest.raises(docker.errors.NotFound):
            client.images.get_registry_data(f"{server.address}/app:nosuch")
    finally:
        server.terminate()
        server.wait()
