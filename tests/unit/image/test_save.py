"""What is saved depends on the image alone, and comes back as it was."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile

import pytest

import archives
from estiba.errors import AlreadyExists, Corrupt, InvalidInput
from estiba.image.archive.load import load, load_layout
from estiba.image.archive.save import choose, save, save_to_file
from estiba.image.assemble import commit_image
from estiba.image.layout import export_layout, make_root_a_layout
from estiba.image.materialise import materialise
from estiba.layers.pack import diff_id_of
from estiba.layers.tar.writer import TarPolicy
from estiba.oci.chain_id import chain_ids
from estiba.oci.digest import Digest
from estiba.oci.image_config import ImageConfig
from estiba.oci.reference import Reference
from estiba.store.gc import collect
from estiba.store.images import ImageNotFound, ImageRecord
from estiba.store.store import Store

LAYERS = (archives.tar({"etc/": b"", "etc/name": b"low" * 1000}), archives.tar({"b": b"high"}))


def _take(store: Store, data: bytes, tmp_path) -> None:
    (tmp_path / "in.tar").write_bytes(data)
    with (tmp_path / "in.tar").open("rb") as stream:
        load(store, stream, where="in.tar", platform=archives.PLATFORM)


@pytest.fixture
def image(store, tmp_path):
    _take(store, archives.docker_archive(LAYERS), tmp_path)
    return store.images.find("example:1")


def _saved(store: Store, *texts: str, form: str = "docker") -> bytes:
    out = io.BytesIO()
    save(store, choose(store, texts), out, form=form)
    return out.getvalue()


def _names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def _read(data: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


def test_an_archive_is_dockers_and_an_oci_layout_at_once(store, image):
    data = _saved(store, "example:1")
    assert _names(data)[:3] == ["oci-layout", "index.json", "manifest.json"]
    (entry,) = json.loads(_read(data, "manifest.json"))
    assert entry["RepoTags"] == ["example:1"]
    assert entry["Config"] == f"blobs/sha256/{image.id.hex}"
    assert len(entry["Layers"]) == 2
    for name in _names(data)[3:]:
        assert Digest.of(_read(data, name)).hex == name.removeprefix("blobs/sha256/")


def test_the_oci_form_has_nothing_of_dockers(store, image):
    assert "manifest.json" not in _names(_saved(store, "example:1", form="oci"))


def test_saving_twice_and_in_another_store_gives_the_same_bytes(store, image, tmp_path):
    data = _saved(store, "example:1")
    assert _saved(store, "example:1") == data
    with Store.open(str(tmp_path / "other")) as other:
        _take(other, archives.docker_archive(LAYERS), tmp_path)
        assert _saved(other, "example:1") == data


def test_what_was_saved_comes_back_with_its_manifest(store, image, tmp_path):
    data = _saved(store, "example:1")
    with Store.open(str(tmp_path / "other")) as other:
        _take(other, data, tmp_path)
        assert other.images.find("example:1") == store.images.find("example:1")
        assert _saved(other, "example:1") == data


def test_what_never_travelled_is_saved_as_it_is_and_nothing_is_compressed_or_kept_for_it(store, image, tmp_path):
    before = set(store.blobs.list())
    data = _saved(store, "example:1")
    assert [_read(data, name) for name in json.loads(_read(data, "manifest.json"))[0]["Layers"]] == list(LAYERS)
    assert set(store.blobs.list()) == before
    assert store.images.get(image.id) == image


def _only_trees(store: Store, image, tmp_path) -> ImageRecord:
    """An image of the same trees whose layers are no blobs, as after a build."""
    chains = store.images.content(image.id).chain_ids
    layers = [diff_id_of(store.snapshots.change(chain).tree, TarPolicy()) for chain in chains]
    config = json.loads(store.blobs.read(image.id, limit=1 << 20))
    config["rootfs"]["diff_ids"] = [str(layer.diff_id) for layer in layers]
    built = ImageConfig.parse(json.dumps(config).encode())
    for chain, layer, new in zip(chains, layers, chain_ids(built.diff_ids), strict=True):
        store.snapshots.prepare("building", None)
        tree = store.snapshots.change(chain).tree
        shutil.copytree(tree, store.snapshots.writable("building"), dirs_exist_ok=True)
        store.snapshots.commit("building", chain_id=new, diff_id=layer.diff_id, size=layer.content)
    record = commit_image(store, built)
    store.references.set(Reference.parse("built:1"), record.id)
    return record


def test_a_layer_of_which_there_is_only_a_tree_is_saved_as_its_tar(store, image, tmp_path):
    built = _only_trees(store, image, tmp_path)
    before = set(store.blobs.list())
    data = _saved(store, "built:1")
    assert set(store.blobs.list()) == before
    with Store.open(str(tmp_path / "other")) as other:
        _take(other, data, tmp_path)
        assert other.images.find("built:1") == store.images.find("built:1")
    tree = store.snapshots.change(store.images.content(built.id).chain_ids[0]).tree
    with open(f"{tree}/etc/name", "r+") as file:
        file.write("altered")
    with pytest.raises(Corrupt, match=r"layer 1 .* is not what it was"):
        _saved(store, "built:1")


def test_an_image_with_two_names_is_stored_once(store, image):
    store.references.set(Reference.parse("other:2"), image.id)
    data = _saved(store, "example:1", "other:2")
    assert len(_names(data)) == len(set(_names(data)))
    assert json.loads(_read(data, "manifest.json"))[0]["RepoTags"] == ["example:1", "other:2"]
    assert len(json.loads(_read(data, "index.json"))["manifests"]) == 2


def test_an_image_named_by_its_id_travels_without_a_name(store, image):
    data = _saved(store, image.id.short)
    assert json.loads(_read(data, "manifest.json"))[0]["RepoTags"] is None
    assert "annotations" not in json.loads(_read(data, "index.json"))["manifests"][0]


def test_nothing_is_written_for_an_image_that_is_not_here(store, tmp_path):
    with pytest.raises(ImageNotFound):
        choose(store, ["absent"])
    with pytest.raises(InvalidInput, match="format"):
        save(store, (), io.BytesIO(), form="zip")


def test_a_file_is_there_whole_or_not_at_all(store, image, tmp_path):
    path = tmp_path / "out.tar"
    save_to_file(store, choose(store, ["example:1"]), str(path))
    assert path.read_bytes() == _saved(store, "example:1")
    path.write_bytes(b"precious")
    manifest = materialise(store, image.id).digest
    os.chmod(store.paths.blob(manifest), 0o600)
    os.truncate(store.paths.blob(manifest), 10)
    with pytest.raises(Corrupt):
        save_to_file(store, choose(store, ["example:1"]), str(path))
    assert path.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["in.tar", "out.tar", "root"]


def test_a_layer_is_compressed_once_and_its_form_survives_gc(store, image):
    first = materialise(store, image.id)
    collect(store)
    assert materialise(store, image.id) == first
    manifest = json.loads(store.blobs.read(first.digest, limit=1 << 20))
    assert [layer["mediaType"][-4:] for layer in manifest["layers"]] == ["gzip", "gzip"]


def test_an_altered_layer_is_noticed_before_it_travels(store, image):
    content = store.images.content(image.id)
    for diff_id in content.diff_ids:
        store.blobs.delete(diff_id)
    tree = store.snapshots.directories(content.chain_ids[0])[-1]
    with open(f"{tree}/etc/name", "w") as file:
        file.write("altered")
    with pytest.raises(Corrupt, match=r"layer 1 .* is not what it was"):
        materialise(store, image.id)
    assert store.images.get(image.id) == image


def test_a_layout_directory_comes_back(store, image, tmp_path):
    export_layout(store, choose(store, ["example:1"]), str(tmp_path / "layout"))
    assert sorted(os.listdir(tmp_path / "layout")) == ["blobs", "index.json", "oci-layout"]
    with Store.open(str(tmp_path / "other")) as other:
        load_layout(other, str(tmp_path / "layout"), platform=archives.PLATFORM)
        assert other.images.find("example:1").id == image.id
    with pytest.raises(AlreadyExists):
        export_layout(store, choose(store, ["example:1"]), str(tmp_path / "layout"))


def test_the_root_itself_becomes_a_layout(store, image, tmp_path):
    (packed,) = make_root_a_layout(store)
    assert packed.manifest.config.digest == image.id
    with Store.open(str(tmp_path / "other")) as other:
        load_layout(other, store.paths.root, platform=archives.PLATFORM)
        assert other.images.find("example:1").id == image.id
