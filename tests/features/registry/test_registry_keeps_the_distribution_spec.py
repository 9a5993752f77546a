"""The distribution specification 1.1, endpoint by endpoint and error by error, against a real server."""

from __future__ import annotations

import hashlib
import json
import os
import sys

import pytest

registries = sys.modules["estiba_test_registries"]
sha256 = registries.sha256
MISSING = sha256(b"this was never pushed")


# end-1, and what leads nowhere


def test_the_base_says_that_version_2_is_spoken(server):
    answer = server.request("GET", "/v2/")
    assert answer.status == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("path", ["/", "/v1/", "/v2/a", "/v2/a/b/unknown", "/v3/"])
def test_an_unknown_path_is_not_found(server, path):
    assert server.request("GET", path).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v2/"), ("POST", "/v2/a/tags/list"), ("PATCH", "/v2/a/manifests/1"), ("GET", "/v2/a/blobs/uploads/")],
)
def test_a_method_that_an_endpoint_lacks_is_unsupported(server, method, path):
    answer = server.request(method, path)
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"]


@pytest.mark.parametrize("name", ["UPPER", "a//b", "-a", "a-", "a..b", "a___b", "a" * 256, "a/%2e%2e/b", ".hidden"])
def test_a_malformed_name_is_refused_everywhere(server, name):
    for method, tail in (("GET", "manifests/1"), ("GET", f"blobs/{MISSING}"), ("POST", "blobs/uploads/")):
        answer = server.request(method, f"/v2/{name}/{tail}")
        assert (answer.status, answer.code) == (400, "NAME_INVALID"), (method, tail)


# end-2: blobs


def test_a_blob_comes_back_as_it_was_sent(server, repository):
    data = os.urandom(300_000)
    digest = server.push_blob(repository, data)
    head = server.request("HEAD", f"/v2/{repository}/blobs/{digest}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "300000", b"")
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, data)
    for found in (head, answer):
        assert found.headers["Docker-Content-Digest"] == digest


def test_an_empty_blob_is_a_blob(server, repository):
    digest = server.push_blob(repository, b"")
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize("size", [1000, 200_000])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=500-", slice(500, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=900-99999999", slice(900, None)),
    ],
)
def test_a_range_of_a_blob_is_partial_content(server, repository, size, text, part):
    data = os.urandom(size)
    digest = server.push_blob(repository, data)
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": text})
    assert (answer.status, answer.body) == (206, data[part])
    start, end, _ = part.indices(size)
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"


def test_a_range_past_the_end_is_not_satisfiable(server, repository):
    digest = server.push_blob(repository, b"0123456789")
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": "bytes=10-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10")


def test_a_malformed_range_is_ignored(server, repository):
    digest = server.push_blob(repository, b"0123456789")
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": "lines=1-2"})
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_a_blob_that_the_client_has_is_not_sent_again(server, repository):
    digest = server.push_blob(repository, b"cached")
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"If-None-Match": f'"{digest}"'})
    assert (answer.status, answer.body) == (304, b"")


def test_an_unknown_blob_is_not_found(server, repository):
    server.push_blob(repository, b"something")
    answer = server.request("GET", f"/v2/{repository}/blobs/{MISSING}")
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    assert server.request("HEAD", f"/v2/{repository}/blobs/{MISSING}").status == 404


def test_a_blob_of_an_unknown_repository_is_not_found(server):
    answer = server.request("GET", f"/v2/nobody/made/this/blobs/{MISSING}")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("digest", ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + "G" * 64])
def test_a_malformed_digest_is_invalid(server, digest):
    answer = server.request("GET", f"/v2/a/blobs/{digest}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_a_blob_can_be_read_only_through_repositories_that_hold_it(server, repository):
    digest = server.push_blob(repository, b"mine")
    server.push_blob(f"{repository}/other", b"theirs")
    assert server.request("GET", f"/v2/{repository}/other/blobs/{digest}").status == 404


# end-4 to end-6: pushing blobs


def test_post_then_put_stores_a_blob(server, repository):
    data, location = b"in two steps", server.begin(repository)
    digest = sha256(data)
    answer = server.request("PUT", f"{location}?digest={digest}", data)
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest
    assert server.request("GET", answer.headers["Location"]).body == data


def test_chunks_are_joined_in_order(server, repository):
    location = server.begin(repository)
    answer = server.request("PATCH", location, b"01234", {"Content-Range": "0-4"})
    assert (answer.status, answer.headers["Range"]) == (202, "0-4")
    location = answer.headers["Location"]
    status = server.request("GET", location)
    assert (status.status, status.headers["Range"]) == (204, "0-4")
    answer = server.request("PATCH", location, b"56789", {"Content-Range": "5-9"})
    assert (answer.status, answer.headers["Range"]) == (202, "0-9")
    answer = server.request("PUT", f"{answer.headers['Location']}?digest={sha256(b'0123456789')}")
    assert answer.status == 201


def test_the_last_chunk_may_come_with_put(server, repository):
    location = server.begin(repository)
    server.request("PATCH", location, b"01234", {"Content-Range": "0-4"})
    answer = server.request("PUT", f"{location}?digest={sha256(b'0123456789')}", b"56789", {"Content-Range": "5-9"})
    assert answer.status == 201


def test_a_stream_without_a_length_is_taken(server, repository):
    location = server.begin(repository)
    answer = server.request("PATCH", location, iter([b"a" * 1000, b"b" * 1000]))
    assert (answer.status, answer.headers["Range"]) == (202, "0-1999")
    digest = sha256(b"a" * 1000 + b"b" * 1000)
    assert server.request("PUT", f"{location}?digest={digest}").status == 201


@pytest.mark.parametrize("chunk", ["6-9", "0-4", "4-8"])
def test_a_chunk_out_of_order_is_told_where_to_go_on(server, repository, chunk):
    location = server.begin(repository)
    server.request("PATCH", location, b"01234", {"Content-Range": "0-4"})
    start, end = map(int, chunk.split("-"))
    for method, target in (("PATCH", location), ("PUT", f"{location}?digest={MISSING}")):
        answer = server.request(method, target, b"x" * (end - start + 1), {"Content-Range": chunk})
        assert (answer.status, answer.headers["Range"]) == (416, "0-4"), method
        assert answer.headers["Location"] == location
    assert server.request("PATCH", location, b"56789", {"Content-Range": "5-9"}).status == 202


def test_a_malformed_content_range_is_refused(server, repository):
    answer = server.request("PATCH", server.begin(repository), b"x", {"Content-Range": "zero to one"})
    assert (answer.status, answer.code) == (416, "BLOB_UPLOAD_INVALID")


def test_a_content_range_of_another_length_than_the_body_is_refused(server, repository):
    location = server.begin(repository)
    answer = server.request("PATCH", location, b"0123456789", {"Content-Range": "0-4"})
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    streamed = server.request("PATCH", location, iter([b"0123456789"]), {"Content-Range": "0-4"})
    assert (streamed.status, streamed.code) == (400, "SIZE_INVALID")
    assert server.request("GET", location).headers["Range"] == "0-0"


@pytest.mark.parametrize("how", ["POST", "PUT", "PATCH"])
def test_bytes_that_are_not_the_digest_are_not_kept(server, repository, how):
    before = os.listdir(f"{server.storage}/uploads")
    if how == "POST":
        answer = server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={MISSING}", b"others")
    else:
        location = server.begin(repository)
        if how == "PATCH":
            server.request("PATCH", location, b"others")
        answer = server.request("PUT", f"{location}?digest={MISSING}", b"others" if how == "PUT" else None)
        gone = server.request("GET", location)
        assert (gone.status, gone.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert server.request("HEAD", f"/v2/{repository}/blobs/{MISSING}").status == 404
    assert os.listdir(f"{server.storage}/uploads") == before


def test_closing_an_upload_needs_a_digest(server, repository):
    location = server.begin(repository)
    for query in ("", "?digest=", "?digest=nonsense"):
        answer = server.request("PUT", location + query, b"x")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID"), query
    assert server.request("DELETE", location).status == 204


def test_a_cancelled_upload_is_gone(server, repository):
    before = os.listdir(f"{server.storage}/uploads")
    location = server.begin(repository)
    server.request("PATCH", location, b"half")
    assert server.request("DELETE", location).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = server.request(method, location, b"x" if method == "PATCH" else None)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN"), method
    assert os.listdir(f"{server.storage}/uploads") == before


def test_an_upload_belongs_to_its_repository(server, repository):
    session = server.begin(repository).rsplit("/", 1)[1]
    server.push_blob(f"{repository}/other", b"x")
    answer = server.request("GET", f"/v2/{repository}/other/blobs/uploads/{session}")
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    server.request("DELETE", f"/v2/{repository}/blobs/uploads/{session}")


@pytest.mark.parametrize("session", ["nonsense", "..", "0" * 32, "%2e%2e%2fcatalogue.db"])
def test_an_upload_that_was_never_begun_is_unknown(server, repository, session):
    server.push_blob(repository, b"x")
    answer = server.request("PATCH", f"/v2/{repository}/blobs/uploads/{session}", b"x")
    assert answer.status in (400, 404)


def test_a_finished_upload_is_over(server, repository):
    location = server.begin(repository)
    assert server.request("PUT", f"{location}?digest={sha256(b'x')}", b"x").status == 201
    answer = server.request("PUT", f"{location}?digest={sha256(b'x')}", b"x")
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_sha512_names_a_blob_as_well(server, repository):
    data = os.urandom(100)
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"
    assert server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data).status == 201
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}")
    assert (answer.body, answer.headers["Docker-Content-Digest"]) == (data, digest)


# end-11: mounting


def test_a_blob_is_mounted_from_another_repository(server, repository):
    digest = server.push_blob(f"{repository}/from", b"shared")
    answer = server.request("POST", f"/v2/{repository}/to/blobs/uploads/?mount={digest}&from={repository}/from")
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v2/{repository}/to/blobs/{digest}"
    assert server.request("GET", answer.headers["Location"]).body == b"shared"


def test_a_blob_is_mounted_from_wherever_it_is(server, repository):
    digest = server.push_blob(f"{repository}/from", b"shared by whom it may concern")
    assert server.request("POST", f"/v2/{repository}/to/blobs/uploads/?mount={digest}").status == 201


@pytest.mark.parametrize("source", ["nobody/made/this", "{}/wrong"])
def test_what_cannot_be_mounted_becomes_an_upload(server, repository, source):
    digest = server.push_blob(f"{repository}/from", b"not there")
    server.push_blob(f"{repository}/wrong", b"something else")
    source = source.format(repository)
    answer = server.request("POST", f"/v2/{repository}/to/blobs/uploads/?mount={digest}&from={source}")
    assert answer.status == 202
    assert server.request("PUT", f"{answer.headers['Location']}?digest={digest}", b"not there").status == 201


# end-3, end-7: manifests


def test_a_manifest_comes_back_as_it_was_sent(server, repository):
    manifest = server.push_image(repository, "v1", b"layer")
    for reference in ("v1", sha256(manifest)):
        answer = server.request("GET", f"/v2/{repository}/manifests/{reference}")
        assert (answer.status, answer.body) == (200, manifest)
        head = server.request("HEAD", f"/v2/{repository}/manifests/{reference}")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(manifest)))
        for found in (answer, head):
            assert found.headers["Content-Type"] == registries.OCI_MANIFEST
            assert found.headers["Docker-Content-Digest"] == sha256(manifest)


def test_a_push_by_digest_makes_no_tag(server, repository):
    server.push_blob(repository, b"{}")
    manifest = registries.image_manifest(b"{}")
    answer = server.push_manifest(repository, sha256(manifest), manifest)
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v2/{repository}/manifests/{sha256(manifest)}"
    assert server.request("GET", f"/v2/{repository}/tags/list").json == {"name": repository, "tags": []}


def test_a_push_under_a_wrong_digest_is_refused(server, repository):
    server.push_blob(repository, b"{}")
    answer = server.push_manifest(repository, MISSING, registries.image_manifest(b"{}"))
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_a_manifest_may_be_named_by_sha512(server, repository):
    server.push_blob(repository, b"{}")
    manifest = registries.image_manifest(b"{}")
    digest = f"sha512:{hashlib.sha512(manifest).hexdigest()}"
    assert server.push_manifest(repository, digest, manifest).headers["Docker-Content-Digest"] == digest
    assert server.request("GET", f"/v2/{repository}/manifests/{digest}").body == manifest


def test_a_manifest_whose_blobs_are_missing_is_refused_by_their_names(server, repository):
    server.push_blob(repository, b"{}")
    answer = server.push_manifest(repository, "v1", registries.image_manifest(b"{}", b"one", b"two"))
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    missing = [entry["digest"] for entry in answer.json["errors"][0]["detail"]]
    assert sorted(missing) == sorted([sha256(b"one"), sha256(b"two")])
    assert server.request("GET", f"/v2/{repository}/manifests/v1").status == 404


def test_a_blob_of_another_repository_is_missing_too(server, repository):
    server.push_blob(f"{repository}/other", b"{}")
    answer = server.push_manifest(repository, "v1", registries.image_manifest(b"{}"))
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")


def test_layers_that_others_distribute_need_not_be_here(server, repository):
    server.push_blob(repository, b"{}")
    foreign = registries.descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"elsewhere")
    manifest = json.loads(registries.image_manifest(b"{}")) | {"layers": [foreign]}
    assert server.push_manifest(repository, "v1", json.dumps(manifest).encode()).status == 201


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"schemaVersion": 3}',
        b'{"schemaVersion": 2}',
        b'{"schemaVersion": 2, "config": {"digest": "x"}, "layers": []}',
        b'{"schemaVersion": 1, "name": "old"}',
        b'{"schemaVersion": 2, "schemaVersion": 2}',
    ],
)
def test_a_malformed_manifest_is_invalid(server, repository, content):
    answer = server.push_manifest(repository, "v1", content)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_a_manifest_of_another_type_than_it_says_is_invalid(server, repository):
    server.push_blob(repository, b"{}")
    answer = server.push_manifest(repository, "v1", registries.image_manifest(b"{}"), registries.OCI_INDEX)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_a_manifest_over_four_mebibytes_is_too_large(server, repository):
    answer = server.push_manifest(repository, "v1", b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")
    streamed = server.request(
        "PUT",
        f"/v2/{repository}/manifests/v1",
        (b" " * 65536 for _ in range(80)),
        {"Content-Type": registries.OCI_MANIFEST},
    )
    assert streamed.status == 413


def test_a_manifest_just_below_the_limit_is_taken(server, repository):
    server.push_blob(repository, b"{}")
    manifest = registries.image_manifest(b"{}", annotations={"pad": "x" * (4 * 1024 * 1024 - 400)})
    assert len(manifest) <= 4 * 1024 * 1024
    assert server.push_manifest(repository, "v1", manifest).status == 201


def test_an_unknown_manifest_is_not_found(server, repository):
    server.push_blob(repository, b"x")
    for reference in ("v9", MISSING):
        answer = server.request("GET", f"/v2/{repository}/manifests/{reference}")
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    answer = server.request("GET", "/v2/nobody/made/this/manifests/v1")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_a_malformed_tag_is_refused(server):
    for tag in (".hidden", "-flag", "a" * 129, "ü"):
        answer = server.request("GET", f"/v2/a/manifests/{tag.encode().hex() if tag == 'ü' else tag}")
        assert answer.status in (400, 404)
    assert server.request("GET", "/v2/a/manifests/.hidden").code == "TAG_INVALID"


def test_dockers_media_types_are_kept(server, repository):
    server.push_blob(repository, b"{}")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": registries.descriptor("application/vnd.docker.container.image.v1+json", b"{}"),
            "layers": [],
        }
    ).encode()
    assert server.push_manifest(repository, "v1", manifest, kind).status == 201
    answer = server.request("GET", f"/v2/{repository}/manifests/v1")
    assert (answer.headers["Content-Type"], answer.body) == (kind, manifest)


def test_an_index_needs_its_manifests(server, repository):
    child = server.push_image(repository, "child", b"layer")
    index = registries.index(child)
    assert server.push_manifest(repository, "all", index, registries.OCI_INDEX).status == 201
    assert server.request("GET", f"/v2/{repository}/manifests/all").body == index
    orphan = registries.index(b"nobody")
    answer = server.push_manifest(repository, "none", orphan, registries.OCI_INDEX)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")


def test_an_index_may_point_at_blobs(server, repository):
    """As the caches of BuildKit do."""
    server.push_blob(repository, b"cache")
    index = json.loads(registries.index()) | {"manifests": [registries.descriptor(registries.OCI_LAYER, b"cache")]}
    assert server.push_manifest(repository, "cache", json.dumps(index).encode(), registries.OCI_INDEX).status == 201


def test_a_tag_moves_and_the_old_manifest_stays(server, repository):
    first = server.push_image(repository, "latest", b"one")
    second = server.push_image(repository, "latest", b"two")
    assert server.request("GET", f"/v2/{repository}/manifests/latest").body == second
    assert server.request("GET", f"/v2/{repository}/manifests/{sha256(first)}").body == first


def test_a_manifest_that_the_client_has_is_not_sent_again(server, repository):
    manifest = server.push_image(repository, "v1")
    answer = server.request("GET", f"/v2/{repository}/manifests/v1", headers={"If-None-Match": f'"{sha256(manifest)}"'})
    assert (answer.status, answer.body) == (304, b"")


# end-8: tags


def test_tags_are_listed_in_lexical_order_whatever_their_case(server, repository):
    for tag in ("b", "A", "c", "B", "a"):
        server.push_image(repository, tag)
    assert server.request("GET", f"/v2/{repository}/tags/list").json == {
        "name": repository,
        "tags": ["A", "a", "B", "b", "c"],
    }


def test_tags_come_in_pages_that_link_to_the_next(server, repository):
    tags = [f"t{number}" for number in range(7)]
    for tag in tags:
        server.push_image(repository, tag)
    found, target = [], f"/v2/{repository}/tags/list?n=3"
    while target:
        answer = server.request("GET", target)
        assert len(answer.json["tags"]) <= 3
        found += answer.json["tags"]
        link = answer.headers["Link"]
        target = link.split(">")[0].lstrip("<") if link else ""
    assert found == tags
    assert server.request("GET", f"/v2/{repository}/tags/list?last=t4").json["tags"] == ["t5", "t6"]
    assert server.request("GET", f"/v2/{repository}/tags/list?n=1&last=t0x").json["tags"] == ["t1"]
    assert server.request("GET", f"/v2/{repository}/tags/list?n=0").json["tags"] == []


@pytest.mark.parametrize("number", ["-1", "many", "1.5"])
def test_a_page_size_that_is_no_number_is_refused(server, number):
    answer = server.request("GET", f"/v2/_catalog?n={number}")
    assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID")


def test_tags_of_an_unknown_repository_are_not_found(server):
    answer = server.request("GET", "/v2/nobody/made/this/tags/list")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_the_catalog_lists_repositories_in_pages(server, repository):
    names = [f"{repository}/{letter}" for letter in "abc"]
    for name in names:
        server.push_blob(name, b"x")
    found = [name for name in server.request("GET", "/v2/_catalog").json["repositories"] if name in names]
    assert found == names
    page = server.request("GET", f"/v2/_catalog?n=1&last={names[0]}")
    assert page.json["repositories"] == [names[1]]
    assert 'rel="next"' in page.headers["Link"]


# end-12: referrers


def test_referrers_are_listed_and_filtered(server, repository):
    subject = server.push_image(repository, "v1", b"layer")
    described = registries.descriptor(registries.OCI_MANIFEST, subject)
    signature = registries.image_manifest(
        b"{}", subject=described, artifactType="application/x-signature", annotations={"by": "us"}
    )
    answer = server.push_manifest(repository, sha256(signature), signature)
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, sha256(subject))
    plain = registries.image_manifest(b"{}", subject=described)
    server.push_manifest(repository, sha256(plain), plain)
    listed = server.request("GET", f"/v2/{repository}/referrers/{sha256(subject)}")
    assert (listed.status, listed.headers["Content-Type"]) == (200, registries.OCI_INDEX)
    assert listed.headers["OCI-Filters-Applied"] is None
    entry = {
        "mediaType": registries.OCI_MANIFEST,
        "digest": sha256(signature),
        "size": len(signature),
        "artifactType": "application/x-signature",
        "annotations": {"by": "us"},
    }
    assert listed.json["manifests"][0] == entry
    assert listed.json["manifests"][1]["artifactType"] == registries.OCI_CONFIG
    filtered = server.request(
        "GET", f"/v2/{repository}/referrers/{sha256(subject)}?artifactType=application/x-signature"
    )
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert filtered.json["manifests"] == [entry]


def test_an_index_may_refer_too(server, repository):
    subject = server.push_image(repository, "v1", b"layer")
    index = registries.index(subject=registries.descriptor(registries.OCI_MANIFEST, subject), artifactType="a/b")
    answer = server.push_manifest(repository, sha256(index), index, registries.OCI_INDEX)
    assert answer.headers["OCI-Subject"] == sha256(subject)
    listed = server.request("GET", f"/v2/{repository}/referrers/{sha256(subject)}").json["manifests"]
    assert [one["artifactType"] for one in listed] == ["a/b"]


def test_nothing_refers_to_what_nobody_pushed(server, repository):
    """The list is empty, not missing (distribution-spec, "Listing Referrers")."""
    answer = server.request("GET", f"/v2/{repository}/referrers/{MISSING}")
    assert (answer.status, answer.json["manifests"]) == (200, [])
    assert server.request("GET", f"/v2/{repository}/referrers/nonsense").status == 400


def test_a_subject_need_not_be_there(server, repository):
    server.push_blob(repository, b"{}")
    early = registries.image_manifest(b"{}", subject=registries.descriptor(registries.OCI_MANIFEST, b"later"))
    assert server.push_manifest(repository, sha256(early), early).status == 201
    listed = server.request("GET", f"/v2/{repository}/referrers/{sha256(b'later')}").json["manifests"]
    assert [one["digest"] for one in listed] == [sha256(early)]
    assert server.request("DELETE", f"/v2/{repository}/manifests/{sha256(early)}").status == 202
    assert server.request("GET", f"/v2/{repository}/referrers/{sha256(b'later')}").json["manifests"] == []


# end-9, end-10: deleting


def test_deleting_a_tag_keeps_its_manifest(server, repository):
    manifest = server.push_image(repository, "v1")
    assert server.request("DELETE", f"/v2/{repository}/manifests/v1").status == 202
    assert server.request("GET", f"/v2/{repository}/manifests/v1").code == "MANIFEST_UNKNOWN"
    assert server.request("GET", f"/v2/{repository}/manifests/{sha256(manifest)}").status == 200
    assert server.request("DELETE", f"/v2/{repository}/manifests/v1").status == 404


def test_deleting_a_manifest_deletes_its_tags(server, repository):
    manifest = server.push_image(repository, "v1")
    server.push_manifest(repository, "v2", manifest)
    assert server.request("DELETE", f"/v2/{repository}/manifests/{sha256(manifest)}").status == 202
    assert server.request("GET", f"/v2/{repository}/tags/list").json["tags"] == []
    assert server.request("DELETE", f"/v2/{repository}/manifests/{sha256(manifest)}").status == 404


def test_a_blob_in_use_is_not_deleted(server, repository):
    manifest = server.push_image(repository, "v1", b"needed")
    answer = server.request("DELETE", f"/v2/{repository}/blobs/{sha256(b'needed')}")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    server.request("DELETE", f"/v2/{repository}/manifests/{sha256(manifest)}")
    assert server.request("DELETE", f"/v2/{repository}/blobs/{sha256(b'needed')}").status == 202
    assert server.request("GET", f"/v2/{repository}/blobs/{sha256(b'needed')}").status == 404
    assert server.request("DELETE", f"/v2/{repository}/blobs/{sha256(b'needed')}").status == 404


def test_deleting_in_one_repository_leaves_the_others_alone(server, repository):
    digest = server.push_blob(f"{repository}/one", b"for both")
    server.push_blob(f"{repository}/two", b"for both")
    assert server.request("DELETE", f"/v2/{repository}/one/blobs/{digest}").status == 202
    assert server.request("GET", f"/v2/{repository}/two/blobs/{digest}").body == b"for both"
