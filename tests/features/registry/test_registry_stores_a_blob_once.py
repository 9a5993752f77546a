"""Every blob once, whatever races; and the accounting that shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from waiting import wait_until

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256


def estiba(*arguments: str) -> str:
    command = os.path.join(os.path.dirname(sys.executable), "estiba")
    return subprocess.run([command, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def usage(server) -> dict:
    return json.loads(estiba("registry", "df", "--storage", server.storage, "--format", "json"))


def stored(server) -> dict[str, int]:
    directory = f"{server.storage}/blobs/sha256"
    return {f"sha256:{name}": os.stat(f"{directory}/{name}").st_size for name in os.listdir(directory)}


def test_sixteen_pushes_of_the_same_blob_store_it_once(make_server):
    server = make_server()
    data = os.urandom(2_000_000)

    def push(number: int) -> str:
        return server.push_blob(f"team/app{number}", data)

    with ThreadPoolExecutor(16) as pool:
        digests = set(pool.map(push, range(16)))
    assert digests == {sha256(data)}
    assert stored(server) == {sha256(data): len(data)}
    assert os.listdir(f"{server.storage}/uploads") == []
    for number in range(16):
        assert server.request("GET", f"/v2/team/app{number}/blobs/{sha256(data)}").body == data
    assert usage(server)["bytes"] == len(data)


def test_sixteen_pushes_of_the_same_image_to_one_repository_all_succeed(make_server):
    server = make_server()
    layers = [os.urandom(50_000) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        manifests = set(pool.map(lambda number: server.push_image("one", f"t{number}", *layers), range(16)))
    assert len(manifests) == 1
    assert len(server.request("GET", "/v2/one/tags/list").json["tags"]) == 16
    assert len(stored(server)) == 5


def test_a_second_image_on_the_same_base_adds_only_its_own_bytes(make_server):
    server = make_server()
    base, first, second = os.urandom(500_000), os.urandom(1000), os.urandom(2000)
    server.push_image("quotes", "1", base, first, config=b'{"a": 1}')
    before = usage(server)["on_disk"]
    server.push_image("weather", "1", base, second, config=b'{"b": 22}')
    assert usage(server)["on_disk"] - before == 2000 + len(b'{"b": 22}')


def test_usage_adds_up_to_the_bytes_on_the_disk(make_server):
    server = make_server()
    base = os.urandom(10_000)
    server.push_image("a", "1", base, b"a" * 100)
    server.push_image("a", "2", base, b"A" * 150)
    server.push_image("b", "1", base, b"b" * 200)
    server.push_blob("c", b"c" * 300)
    found = usage(server)
    assert found["bytes"] == found["on_disk"] == sum(stored(server).values())
    assert sum(one["charged"] for one in found["repositories"]) + found["unreferenced"] == found["bytes"]
    rows = {one["name"]: one for one in found["repositories"]}
    config = 2
    assert (rows["a"]["tags"], rows["a"]["manifests"], rows["a"]["blobs"]) == (2, 2, 4)
    assert rows["a"]["size"] == 10_000 + 100 + 150 + config
    assert (rows["a"]["unique"], rows["a"]["shared"]) == (250, 10_000 + config)
    assert rows["a"]["copies"] == 2 * (10_000 + config) + 250
    assert (rows["b"]["unique"], rows["b"]["charged"]) == (200, 200)
    assert rows["b"]["saved"] == 10_000 + config
    assert rows["c"]["unique"] == 300
    assert found["saved"] == found["copies"] - found["bytes"] == 2 * (10_000 + config)
    assert server.request("GET", "/estiba/v1/usage").json["bytes"] == found["bytes"]
    table = estiba("registry", "df", "--storage", server.storage)
    assert table.splitlines()[0].split() == [
        *("REPOSITORY", "TAGS", "MANIFESTS", "BLOBS", "SIZE", "UNIQUE", "SHARED", "SAVED")
    ]


def test_gc_frees_exactly_what_nothing_refers_to(make_server):
    server = make_server()
    base = os.urandom(1000)
    manifest = server.push_image("a", "1", base, b"a" * 100)
    server.push_image("b", "1", base, b"b" * 200)
    server.push_blob("c", b"c" * 300)
    server.request("DELETE", f"/v2/a/manifests/{sha256(manifest)}")
    kept = estiba("registry", "gc", "--storage", server.storage)
    assert kept.startswith("freed 0 bytes"), "the grace period protects what is new"
    freed = estiba("registry", "gc", "--storage", server.storage, "--grace", "-1")
    assert freed.startswith("freed 400 bytes: 2 blobs")
    assert sorted(stored(server)) == sorted([sha256(base), sha256(b"b" * 200), sha256(b"{}")])
    assert server.request("GET", f"/v2/b/blobs/{sha256(base)}").body == base
    assert server.request("GET", f"/v2/a/blobs/{sha256(base)}").status == 404
    server.push_image("a", "1", base, b"a" * 100)
    assert server.request("GET", f"/v2/a/blobs/{sha256(b'a' * 100)}").status == 200


def test_gc_and_pushes_of_what_it_takes_do_not_harm_each_other(make_server):
    """A blob that gc frees is pushed again meanwhile: whoever got 201 and a manifest can read it."""
    server = make_server("--gc-interval", "0")
    layers = [os.urandom(1000 + number) for number in range(8)]

    def push(number: int) -> None:
        """As clients do: what gc has taken between the blob and the manifest is pushed again."""
        for _ in range(50):
            for data in (b"{}", *layers):
                server.push_blob(f"r{number}", data)
            answer = server.push_manifest(f"r{number}", "t", registries.image_manifest(b"{}", *layers))
            if answer.status == 201:
                break
        assert answer.status == 201
        for data in layers:
            found = server.request("GET", f"/v2/r{number}/blobs/{sha256(data)}")
            assert (found.status, found.body) == (200, data)
        manifest = sha256(registries.image_manifest(b"{}", *layers))
        assert server.request("DELETE", f"/v2/r{number}/manifests/{manifest}").status == 202

    with ThreadPoolExecutor(5) as pool:
        pushes = [pool.submit(push, number) for number in range(12)]
        while not all(one.done() for one in pushes):
            estiba("registry", "gc", "--storage", server.storage, "--grace", "-1")
        for one in pushes:
            one.result()
    estiba("registry", "gc", "--storage", server.storage, "--grace", "-1")
    assert stored(server) == {}
    assert os.listdir(f"{server.storage}/hidden") == os.listdir(f"{server.storage}/uploads") == []


def test_a_running_server_frees_what_nothing_needs_by_itself(make_server):
    server = make_server("--gc-interval", "1", "--grace", "0")
    digest = server.push_blob("a", b"nobody needs this")
    wait_until(lambda: server.request("GET", f"/v2/a/blobs/{digest}").status == 404, "gc comes", patience=20)
    wait_until(lambda: not stored(server), "the bytes go", patience=20)
    wait_until(lambda: '"event": "gc"' in server.log, "gc tells", patience=20)
