"""Layers are unpacked side by side and come out as if one had been unpacked on the other; nothing half done stays."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile

import pytest

from estiba.errors import Corrupt, InvalidInput
from estiba.image.unpack import Unpacking, unpack_layers
from estiba.layers.unpack import UnpackLimits, unpack
from estiba.oci import mediatypes
from estiba.oci.chain_id import chain_id
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.store.store import Store
from tars import directory, file, hard_link, symlink, tar
from trees import describe

LOW = tar(
    directory("usr", mtime=1),
    directory("usr/lib", mode=0o711, mtime=2),
    file("usr/lib/a", b"low", mtime=3),
    symlink("lib", "usr/lib", mtime=4),
    directory("tmp", mode=0o1777, mtime=5),
    file("tmp/gone", b"x"),
    directory("cache", mtime=6),
    file("cache/old", b"x"),
    directory("again", mtime=6),
    file("again/old", b"x"),
    file(".wh.nothing-below"),
)
MIDDLE = tar(
    directory("tmp", mode=0o1777, mtime=7),
    file("tmp/.wh.gone"),
    file("tmp/f", b"middle", mtime=8),
    hard_link("tmp/g", "tmp/f"),
    directory("cache", mtime=9),
    file("cache/.wh..wh..opq"),
    file("cache/new", b"new", mtime=10),
    file(".wh.again"),
    directory("again", mode=0o700, mtime=11),
    file("again/new", b"new", mtime=11),
)
HIGH = tar(directory("usr", mode=0o700, mtime=12), file("usr/.wh.lib"), file("lib", b"now a file", mtime=13))

# Each of these needs what lies below: a directory that it does not mention, one behind a link, a file of another layer.
IMPLIED = tar(file("tmp/late", b"x", mtime=20))
THROUGH_A_LINK = tar(file("lib/b", b"x", mtime=20))
LINK_BELOW = tar(hard_link("linked", "usr/lib/a"))


@pytest.fixture(params=[pytest.param("overlay", marks=pytest.mark.root), "copying"])
def store(request, tmp_path):
    with Store.open(str(tmp_path / "root"), snapshotter=request.param) as store:
        yield store


def stored(store: Store, *tars: bytes) -> list[tuple[Digest, Descriptor]]:
    layers = []
    for data in tars:
        blob = gzip.compress(data, mtime=0)
        store.blobs.put(blob)
        layers.append((Digest.of(data), Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.of(blob), len(blob))))
    return layers


SHOW = """
import json, pickle, sys
sys.path[:] = json.loads(sys.argv[1])
from estiba.linux.mounts import make_private_namespace, mount_all
from estiba.oci.digest import Digest
from estiba.store.store import Store
from trees import describe
make_private_namespace()
with Store.open(sys.argv[2]) as store:
    mount_all(store.snapshots.view(Digest.parse(sys.argv[3])), sys.argv[4])
    sys.stdout.buffer.write(pickle.dumps(describe(sys.argv[4])))
"""


def shown(store: Store, chain: Digest, tmp_path) -> dict:
    """What a container would see of the snapshot."""
    if store.snapshots.kind == "copying":
        return describe(store.snapshots.directories(chain)[0])
    import pickle

    (tmp_path / "mounted").mkdir(exist_ok=True)
    arguments = [json.dumps(sys.path), store.paths.root, str(chain), str(tmp_path / "mounted")]
    done = subprocess.run([sys.executable, "-c", SHOW, *arguments], check=True, capture_output=True)
    return pickle.loads(done.stdout)


def one_on_the_other(tmp_path, *tars: bytes) -> dict:
    into = tmp_path / "expected"
    into.mkdir()
    for data in tars:
        unpack(io.BytesIO(data), str(into), whiteouts="delete")
    return describe(into)


def content(data: bytes) -> int:
    """The bytes of the files of a layer."""
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    with tarfile.open(fileobj=io.BytesIO(plain)) as entries:
        return sum(member.size for member in entries if member.isreg())


def timeless(tree: dict) -> dict:
    """Without the times of directories in which something was deleted or added without an entry of their own."""
    return {name: node._replace(mtime=0 if node.kind == "directory" else node.mtime) for name, node in tree.items()}


CASES = {
    "whiteouts and opaque directories": (LOW, MIDDLE, HIGH),
    "one layer": (LOW,),
    "the same layer twice": (LOW, MIDDLE, MIDDLE),
    "a directory that is not mentioned": (LOW, IMPLIED),
    "a directory behind a link": (LOW, THROUGH_A_LINK),
    "a hard link to a file below": (LOW, LINK_BELOW),
    "all of them": (LOW, LINK_BELOW, THROUGH_A_LINK, MIDDLE, IMPLIED, HIGH),
    "a lowest layer without directories": (IMPLIED, MIDDLE),
}


@pytest.mark.parametrize("case", CASES)
def test_layers_come_out_as_if_unpacked_one_on_the_other(store, tmp_path, case):
    layers = stored(store, *CASES[case])
    chain = unpack_layers(store, layers)
    assert chain == chain_id(diff_id for diff_id, _ in layers)
    assert timeless(shown(store, chain, tmp_path)) == timeless(one_on_the_other(tmp_path, *CASES[case]))
    assert os.listdir(store.paths.tmp) == []
    assert store.snapshots.strays() == ()
    stack = (chain, *store.snapshots.parents(chain))
    assert [store.snapshots.get(one).size for one in reversed(stack)] == [content(data) for data in CASES[case]]


def test_what_is_there_is_not_unpacked_again(store):
    layers = stored(store, LOW, MIDDLE, HIGH)
    unpack_layers(store, layers[:2])
    for _, descriptor in layers[:2]:
        store.blobs.delete(descriptor.digest)
    with Unpacking(store, layers) as unpacking:
        assert unpacking.needed == (2,)
    chain = unpack_layers(store, layers)
    assert store.snapshots.parents(chain) == (chain_id(d for d, _ in layers[:2]), layers[0][0])
    assert unpack_layers(store, layers) == chain


def test_no_layers_are_no_snapshot(store):
    assert unpack_layers(store, []) is None


BAD = {
    "another diff ID": (lambda layer: (Digest.of(b"other"), layer[1]), Corrupt, "diff ID"),
    "another size": (lambda layer: (layer[0], layer[1]._replace(size=5)), Corrupt, "size"),
}


@pytest.mark.parametrize("case", BAD)
def test_of_a_bad_layer_and_those_beside_it_nothing_is_left(store, case):
    spoil, kind, message = BAD[case]
    layers = stored(store, LOW, MIDDLE, HIGH)
    layers[1] = spoil(layers[1])
    with pytest.raises(kind, match=message):
        unpack_layers(store, layers)
    left = [record.chain_id for record in store.snapshots.list()]
    assert left in ([], [layers[0][0]])
    assert store.snapshots.strays() == ()
    assert os.listdir(store.paths.tmp) == []
    assert store.leases.list() == []


def test_the_limits_and_the_kind_of_an_error_reach_the_process_that_unpacks(store):
    with pytest.raises(Corrupt, match="larger than 1000 bytes"):
        unpack_layers(store, stored(store, LOW), limits=UnpackLimits(size=1000))
    with pytest.raises(InvalidInput, match=r"with \.\. in its path"):
        unpack_layers(store, stored(store, tar(file("../x", b"x"))))


@pytest.mark.root
def test_a_layer_is_unpacked_while_it_still_arrives(tmp_path):
    with Store.open(str(tmp_path / "root"), snapshotter="overlay") as store:
        (layer,) = stored(store, LOW)
        blob = store.blobs.read(layer[1].digest, limit=1 << 20)
        reading, writing = os.pipe()
        with Unpacking(store, [layer]) as unpacking:
            unpacking.start(0, reading)
            os.close(reading)
            for start in range(0, len(blob), 100):
                os.write(writing, blob[start : start + 100])
            os.close(writing)
            chain = unpacking.finish()
        assert store.snapshots.has(chain)


WAITER = """
import json, sys
from estiba.image.unpack import Unpacking
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.store.store import Store
with Store.open(sys.argv[1], snapshotter=sys.argv[3]) as store:
    layers = [(Digest.parse(d), Descriptor("", Digest.parse(b), n)) for d, b, n in json.loads(sys.argv[2])]
    print("ready", flush=True)
    with Unpacking(store, layers) as unpacking:
        print(unpacking.needed, flush=True)
        for index in unpacking.needed:
            with store.blobs.open(layers[index][1].digest) as blob:
                unpacking.start(index, blob.fileno())
        print(unpacking.finish(), flush=True)
"""


def other_process(store: Store, layers, program: str = WAITER, **options) -> subprocess.Popen[str]:
    facts = json.dumps([(str(diff_id), str(d.digest), d.size) for diff_id, d in layers])
    command = [sys.executable, "-c", program, store.paths.root, facts, store.snapshots.kind]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def test_of_two_processes_one_does_the_work_and_the_other_finds_it_done(store):
    layers = stored(store, LOW, MIDDLE)
    with Unpacking(store, layers) as unpacking:
        other = other_process(store, layers)
        assert other.stdout.readline() == "ready\n"
        for index in unpacking.needed:
            with store.blobs.open(layers[index][1].digest) as blob:
                unpacking.start(index, blob.fileno())
        chain = unpacking.finish()
    out, _ = other.communicate(timeout=30)
    assert out == f"()\n{chain}\n"
    assert len(store.snapshots.list()) == 2


KILLED = WAITER.replace("print(unpacking.finish(), flush=True)", "print('working', flush=True); sys.stdin.read()")


def test_after_a_kill_the_next_one_begins_anew_and_finds_no_rest(store):
    layers = stored(store, LOW, MIDDLE)
    killed = other_process(store, layers, KILLED, stdin=subprocess.PIPE)
    lines = [killed.stdout.readline() for _ in range(3)]
    assert lines[2] == "working\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdin.close()
    killed.stdout.close()
    chain = unpack_layers(store, layers)
    assert store.snapshots.has(chain)
    assert len(store.snapshots.list()) == 2
    assert store.snapshots.strays() == ()


@pytest.mark.root
def test_a_process_that_unpacks_for_a_killed_one_ends_by_itself(tmp_path):
    """It holds the lock until then, so nobody removes the directory that it still writes to."""
    program = KILLED.replace(
        "blob.fileno()",
        "os.pipe()[0]",  # from which nothing ever comes
    ).replace("import json, sys", "import json, os, sys")
    with Store.open(str(tmp_path / "root"), snapshotter="overlay") as store:
        layers = stored(store, LOW)
        killed = other_process(store, layers, program, stdin=subprocess.PIPE)
        assert [killed.stdout.readline() for _ in range(3)][2] == "working\n"
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stdin.close()
        killed.stdout.close()
        chain = unpack_layers(store, layers)
        assert store.snapshots.has(chain)
