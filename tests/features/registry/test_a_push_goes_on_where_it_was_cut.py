"""A push goes on where it was cut: within one command, and after the command was killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from estiba.image.assemble import commit_image
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.image_config import ImageConfig
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.connection import Patience
from estiba.registry.client.credentials import NoCredentials
from estiba.registry.client.push import push
from estiba.store.store import Store

registries = sys.modules["estiba_test_registries"]

pytestmark = pytest.mark.root


class CuttingProxy:
    """Passes bytes on to a server, and cuts each connection after so many from the client. `bytes` counts them all."""

    def __init__(self, address: str, *, cut: int) -> None:
        self.bytes = 0
        self.cut = cut
        self.cuts = 0
        self.has_cut = threading.Event()
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work, *arguments) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._start(self._up, client, server)
            self._start(self._down, server, client)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        try:
            while data := client.recv(1 << 16):
                data = data[: self.cut - passed] if self.cut else data
                server.sendall(data)
                passed += len(data)
                self.bytes += len(data)
                if passed == self.cut:
                    self.cuts += 1
                    self.has_cut.set()
                    break
        except OSError:
            pass
        for end, how in ((server, socket.SHUT_WR), (client, socket.SHUT_RD)):
            try:
                end.shutdown(how)
            except OSError:
                pass
        if passed == self.cut:
            client.close()

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass
        server.close()
        client.close()


@pytest.fixture
def proxies() -> Iterator:
    made: list[CuttingProxy] = []

    def make(address: str, *, cut: int) -> CuttingProxy:
        made.append(CuttingProxy(address, cut=cut))
        return made[-1]

    yield make
    for one in made:
        one.close()


def random_image(store: Store, name: str, size: int):
    """An image of random bytes, which do not compress."""
    store.snapshots.prepare("test", None)
    tree = store.snapshots.writable("test")
    with open(f"{tree}/data", "wb") as file:
        file.write(os.urandom(size))
    layer = diff_id_of(tree, TarPolicy())
    config = ImageConfig.make(platform=Platform.parse("linux/amd64"), diff_ids=(layer.diff_id,))
    store.snapshots.commit("test", chain_id=config.chain_id, diff_id=layer.diff_id, size=layer.size)
    record = commit_image(store, config)
    store.references.set(Reference.parse(name), record.id)
    return record


def test_a_push_that_is_cut_again_and_again_sends_hardly_a_byte_twice(server, proxies, repository, tmp_path):
    proxy = proxies(server.address, cut=5_000_000)
    name = f"{proxy.address}/{repository}:1"
    with Store.open(str(tmp_path / "store")) as store:
        record = random_image(store, name, 24_000_000)
        result = push(
            store,
            record.id,
            Reference.parse(name),
            credentials=NoCredentials(),
            patience=Patience(attempts=4, first_wait=0.01),
        )
    assert proxy.cuts == 4
    assert 24_000_000 < proxy.bytes < 1.02 * 24_000_000
    answer = server.request("GET", f"/v2/{repository}/blobs/{result.layers[0].digest}")
    assert registries.sha256(answer.body) == str(result.layers[0].digest)


def test_a_push_after_a_kill_goes_on_with_the_upload_of_the_killed_one(server, proxies, repository, estiba_home):
    proxy = proxies(server.address, cut=6_000_000)
    name = f"{proxy.address}/{repository}:1"
    with Store.open(estiba_home.root) as store:
        random_image(store, name, 8_000_000)
    killed = subprocess.Popen(
        [*estiba_home.command, "push", "-q", name], env={**os.environ, "ESTIBA_DEBUG": ""}, stderr=subprocess.PIPE
    )
    assert proxy.has_cut.wait(60)
    killed.kill()
    killed.communicate()
    before, proxy.cut = proxy.bytes, 0
    estiba_home.estiba("push", "-q", name)
    assert proxy.bytes - before < 3_000_000
    assert server.request("GET", f"/v2/{repository}/manifests/1").status == 200
