"""Archives of every form come in whole, and hostile ones not at all."""

from __future__ import annotations

import gzip
import json
import time

import pytest

import archives
from corpus import DAMAGED_TARS
from estiba.errors import Corrupt, EstibaError, InvalidInput, NotThereYet
from estiba.image.archive.load import load, load_layout
from estiba.image.archive.oci import NoSuchPlatform
from estiba.image.tree import ImageTree
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Index
from estiba.oci.platform import Platform
from estiba.store.fsck import check
from estiba.store.gc import collect

LOW = archives.tar({"etc/": b"", "etc/name": b"low", "etc/gone": b"low"})
HIGH = archives.tar({"etc/": b"", "etc/name": b"high", "etc/.wh.gone": b""})
CONFIG = archives.config_of((LOW, HIGH))


@pytest.fixture
def load_bytes(store, tmp_path):
    """Loads an archive from a file, as `load -i` does."""

    def run(data: bytes, platform: Platform = archives.PLATFORM):
        path = tmp_path / "archive.tar"
        path.write_bytes(data)
        with path.open("rb") as stream:
            return load(store, stream, where="test.tar", platform=platform)

    return run


def _is_whole(store) -> None:
    record = store.images.find("example:1")
    assert record.id == CONFIG.image_id
    tree = ImageTree(store, CONFIG.chain_id)
    assert tree.read_text("/etc/name") == "high"
    assert list(tree.list("/etc")) == ["name"]
    assert check(store).problems == ()


def _is_untouched(store) -> None:
    """Nothing is recorded, and what was written is garbage that gc frees."""
    assert store.images.list() == []
    assert store.references.list() == []
    collect(store)
    assert list(store.blobs.list()) == []
    assert store.snapshots.list() == ()


def test_a_docker_archive(store, load_bytes):
    (loaded,) = load_bytes(archives.docker_archive((LOW, HIGH)))
    assert [name.familiar for name in loaded.names] == ["example:1"]
    _is_whole(store)


def test_a_docker_archive_compressed_as_a_whole(store, load_bytes):
    load_bytes(gzip.compress(archives.docker_archive((LOW, HIGH))))
    _is_whole(store)


def test_a_docker_archive_with_compressed_layers(store, load_bytes):
    files = gzip.compress(LOW), gzip.compress(HIGH)
    load_bytes(archives.docker_archive(files, config=CONFIG))
    _is_whole(store)


def test_a_docker_archive_whose_layers_are_links(store, load_bytes):
    """As older Dockers wrote a layer that several images share, and as skopeo does."""
    data = archives.tar(
        {
            "layers/one.tar": LOW,
            "a/layer.tar": "../layers/one.tar",
            "b/layer.tar": HIGH,
            "config.json": CONFIG.raw,
            "manifest.json": json.dumps(
                [{"Config": "config.json", "RepoTags": ["example:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]
            ).encode(),
        }
    )
    load_bytes(data)
    _is_whole(store)


def test_an_oci_archive_keeps_its_manifest_byte_for_byte(store, load_bytes):
    stored = [("gzip", gzip.compress(LOW)), ("none", HIGH)]
    files = archives.oci_files((LOW, HIGH), stored=stored)
    (loaded,) = load_bytes(archives.tar(files))
    _is_whole(store)
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert str(loaded.record.manifest) == manifest
    assert store.blobs.has(Digest.parse(manifest))


def test_an_oci_layout_in_a_directory(store, tmp_path):
    for name, data in archives.oci_files((LOW, HIGH)).items():
        assert isinstance(data, bytes)
        (tmp_path / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "layout" / name).write_bytes(data)
    load_layout(store, str(tmp_path / "layout"), platform=archives.PLATFORM)
    _is_whole(store)


def test_an_archive_with_both_forms_gives_the_image_once_and_all_its_names(store, load_bytes):
    """As Docker writes them today; its uncompressed layers are not what a registry is to get."""
    files = archives.oci_files((LOW, HIGH), names=("example:1", "example:2"))
    files["manifest.json"] = json.dumps([{"Config": "x", "RepoTags": [], "Layers": []}]).encode()
    (loaded,) = load_bytes(archives.tar(files))
    assert [name.familiar for name in loaded.names] == ["example:1", "example:2"]
    assert loaded.record.manifest is None
    _is_whole(store)


def test_an_image_without_a_name_is_loaded_without_one(store, load_bytes):
    (loaded,) = load_bytes(archives.tar(archives.oci_files((LOW, HIGH), names=())))
    assert loaded.names == ()
    assert store.images.get(CONFIG.image_id) == loaded.record


def test_a_bare_tag_is_no_name(store, load_bytes):
    (loaded,) = load_bytes(archives.tar(archives.oci_files((LOW, HIGH), names=("latest",))))
    assert loaded.names == ()


def test_loading_twice_changes_nothing(store, load_bytes):
    first = load_bytes(archives.docker_archive((LOW, HIGH)))
    assert load_bytes(archives.docker_archive((LOW, HIGH))) == first
    _is_whole(store)


def _for_platforms(*platforms: Platform) -> dict[str, bytes | str]:
    """A layout whose index names an index of one image for each platform."""
    files: dict[str, bytes | str] = {}
    manifests = []
    for platform in platforms:
        config = archives.config_of((LOW,), platform=platform)
        own = archives.oci_files((LOW,), config=config)
        (entry,) = json.loads(own["index.json"])["manifests"]
        manifests.append(Descriptor(entry["mediaType"], Digest.parse(entry["digest"]), entry["size"], platform))
        files |= own
    attestation = Descriptor(
        mediatypes.OCI_MANIFEST,
        Digest.of(b"absent"),
        5,
        Platform("unknown", "unknown"),
        (("vnd.docker.reference.type", "attestation-manifest"),),
    )
    inner = Index.make((attestation, *manifests))
    name = (("io.containerd.image.name", "docker.io/library/example:1"),)
    files["index.json"] = Index.make((inner.descriptor._replace(annotations=name),)).raw
    files[f"blobs/sha256/{inner.digest.hex}"] = inner.raw
    return files


def test_of_an_image_for_several_platforms_the_fitting_one_is_taken(store, load_bytes):
    arm = Platform("linux", "arm64")
    load_bytes(archives.tar(_for_platforms(archives.PLATFORM, arm)), platform=arm)
    assert store.images.config(store.images.find("example:1").id).platform == arm
    assert len(store.images.list()) == 1


def test_no_fitting_platform_names_those_that_there_are(store, load_bytes):
    with pytest.raises(NoSuchPlatform, match=r"linux/s390x.*linux/amd64"):
        load_bytes(archives.tar(_for_platforms(archives.PLATFORM)), platform=Platform("linux", "s390x"))
    _is_untouched(store)


# Hostile and broken ones


def _docker(**changes: object) -> bytes:
    entry = {"Config": "config.json", "RepoTags": ["example:1"], "Layers": ["layer.tar"]} | changes
    config = archives.config_of((LOW,))
    return archives.tar({"config.json": config.raw, "layer.tar": LOW, "manifest.json": json.dumps([entry]).encode()})


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"no tar at all" * 100, InvalidInput, "not an archive"),
        (b"", EstibaError, "archive"),
        (archives.tar({"hello": b"x"}), InvalidInput, "neither manifest.json nor index.json"),
        (archives.tar({"manifest.json": b"{"}), Corrupt, "not JSON"),
        (archives.tar({"manifest.json": b'{"a":1}'}), Corrupt, "expected an array"),
        (archives.tar({"manifest.json": b"[" * 100000}), Corrupt, "not JSON"),
        (_docker(Config="absent.json"), Corrupt, "no file 'absent.json'"),
        (_docker(Layers=["../../../../etc/passwd"]), Corrupt, "no file '../../../../etc/passwd'"),
        (_docker(Layers=["/etc/passwd"]), Corrupt, "no file '/etc/passwd'"),
        (_docker(Layers=[]), Corrupt, "names 1 layers, the archive has 0"),
        (_docker(Layers=["layer.tar", "layer.tar"]), Corrupt, "names 1 layers, the archive has 2"),
        (_docker(Layers=["config.json"]), Corrupt, "expected sha256:"),
        (_docker(Layers=[7]), Corrupt, "expected a string"),
        (_docker(RepoTags=["UPPER:1"]), Corrupt, "lower case"),
        (_docker(Config="layer.tar"), Corrupt, "not JSON"),
        (archives.docker_archive((LOW,))[:2000], Corrupt, "cut or damaged"),
        (archives.tar({"manifest.json": "manifest.json"}), InvalidInput, "neither"),
        (gzip.compress(archives.docker_archive((LOW,)))[:-20], Corrupt, "ends too early"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_broken_archive_is_refused_with_a_reason(store, load_bytes, data, kind, message):
    with pytest.raises(kind, match=message):
        load_bytes(data)
    _is_untouched(store)


def _oci(change) -> bytes:
    files = archives.oci_files((LOW,), stored=[("gzip", gzip.compress(LOW, mtime=0))])
    change(files)
    return archives.tar(files)


def _blob_of(files: dict, text: bytes) -> str:
    return next(name for name, data in files.items() if name.startswith("blobs/") and data.startswith(text))


def _flip(files: dict, beginning: bytes) -> None:
    name = _blob_of(files, beginning)
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda files: _flip(files, b"\x1f\x8b"), Corrupt, "expected sha256:"),
        (lambda files: _flip(files, b'{"architecture"'), Corrupt, "expected sha256:"),
        (lambda files: _flip(files, b'{"config"'), Corrupt, "expected sha256:"),
        (lambda files: files.pop(_blob_of(files, b"\x1f\x8b")), Corrupt, "no file 'blobs/sha256/"),
        (lambda files: files.update({"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}), NotThereYet, "version 2.0.0"),
        (lambda files: files.update({"index.json": b'{"schemaVersion":2,"layers":[]}'}), Corrupt, "index.json|layers"),
    ],
)
def test_an_oci_archive_whose_bytes_are_others_than_their_digest_is_refused(store, load_bytes, change, kind, message):
    with pytest.raises(kind, match=message):
        load_bytes(_oci(change))
    _is_untouched(store)


def test_a_layer_with_another_diff_id_than_the_configuration_says_is_refused(store, load_bytes):
    files = archives.oci_files(
        (LOW,), stored=[("gzip", gzip.compress(HIGH, mtime=0))], config=archives.config_of((LOW,))
    )
    with pytest.raises(Corrupt, match=r"expected sha256:|diff ID"):
        load_bytes(archives.tar(files))
    _is_untouched(store)


def test_a_false_form_of_a_layer_that_is_here_is_not_believed(store, load_bytes):
    """Else a later push would send it under the name of the true one."""
    load_bytes(archives.docker_archive((LOW,)))
    false = gzip.compress(HIGH, mtime=0)
    files = archives.oci_files((LOW,), stored=[("gzip", false)], names=("evil:1",))
    with pytest.raises(Corrupt, match="diff ID"):
        load_bytes(archives.tar(files))
    assert [form.digest for form in store.layer_blobs.get(Digest.of(LOW))] == [Digest.of(LOW)]


def test_an_artifact_is_no_image(store, load_bytes):
    from estiba.oci.manifest import Manifest

    manifest = Manifest.make(Descriptor(mediatypes.OCI_EMPTY, Digest.of(b"{}"), 2), ())
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": Index.make((manifest.descriptor,)).raw,
        f"blobs/sha256/{manifest.digest.hex}": manifest.raw,
    }
    with pytest.raises(NotThereYet, match="artifact"):
        load_bytes(archives.tar(files))


def test_a_huge_tar_header_is_not_read_into_memory(store, load_bytes):
    import tarfile

    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 1 << 33
    with pytest.raises(EstibaError):
        load_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    _is_untouched(store)


@pytest.mark.parametrize("size", [-512, -1024, -(1 << 40)])
def test_a_file_of_a_negative_size_does_not_lead_back_for_ever(store, load_bytes, size):
    """Python's tarfile goes back by it, and reads the same header again (CVE-2025-8194)."""
    header = bytearray(archives.tar({"a": b""})[:512])
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    begun = time.process_time()
    with pytest.raises(Corrupt, match=r"file of -\d+ bytes"):
        load_bytes(archives.tar({"first": b"x"})[:1024] + bytes(header) + bytes(1024))
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("data", DAMAGED_TARS.values(), ids=DAMAGED_TARS)
def test_a_tar_with_damaged_headers_is_told_as_one(store, load_bytes, data):
    begun = time.process_time()
    with pytest.raises(Corrupt):
        load_bytes(data)
    assert time.process_time() - begun < 1
    _is_untouched(store)
