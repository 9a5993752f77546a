"""Thirty-two clients at once on one daemon, with the command line and another daemon on the same store beside them."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest

from docker_daemons import estiba_daemon

docker = pytest.importorskip("docker", reason="the Python package docker is not installed")

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    # The package leaves the connections of its streams to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CLIENTS = 32


def test_many_clients_work_on_one_store(ours, tmp_path) -> None:
    failures: list[str] = []
    os.mkdir(f"{tmp_path}/second")
    with estiba_daemon(ours.command, f"{tmp_path}/second") as second:
        addresses = (ours.docker.address, second.address)

        def client(number: int) -> None:
            api = docker.DockerClient(base_url=addresses[number % 2], timeout=120)
            name = f"many-{number}"
            try:
                box = api.containers.run(
                    "busybox", ["sh", "-c", "echo $0; exec sleep 1000", name], name=name, detach=True
                )
                assert box.exec_run(["echo", name]) == (0, f"{name}\n".encode())
                assert name in [one.name for one in api.containers.list(ignore_removed=True)]
                box.reload()
                assert box.status == "running"
                while b"\n" not in box.logs():
                    continue
                assert box.logs() == f"{name}\n".encode()
                box.kill()
                assert box.wait()["StatusCode"] == 137
                box.remove()
            except Exception as error:  # noqa: BLE001 - told below, with the others
                failures.append(f"{name}: {type(error).__name__}: {error}")
            finally:
                api.close()

        def command_line() -> None:
            for _ in range(5):
                done = subprocess.run([*ours.command, "run", "--rm", "busybox", "echo", "beside"], capture_output=True)
                if done.stdout != b"beside\n":
                    failures.append(f"estiba run: {done.stderr.decode()}")

        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        threads.append(threading.Thread(target=command_line))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert ours.docker("ps", "-aq").stdout == ""
