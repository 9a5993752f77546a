"""Paths lead to endpoints, and back."""

from __future__ import annotations

import pytest

from estiba.oci.digest import Digest
from estiba.registry.protocol import endpoints
from estiba.registry.server.handlers.table import HANDLERS

DIGEST = Digest("sha256", "a" * 64)


@pytest.mark.parametrize(
    ("path", "name", "repository", "argument"),
    [
        ("/v2/", "base", "", ""),
        ("/v2", "base", "", ""),
        ("/v2/_catalog", "catalog", "", ""),
        ("/v2/a/b/tags/list", "tags", "a/b", ""),
        (endpoints.manifest_path("a/b", "v1"), "manifest", "a/b", "v1"),
        (endpoints.blob_path("a", DIGEST), "blob", "a", str(DIGEST)),
        (endpoints.uploads_path("a/b/c"), "uploads", "a/b/c", ""),
        ("/v2/a/blobs/uploads", "uploads", "a", ""),
        (endpoints.upload_path("a", "f" * 32), "upload", "a", "f" * 32),
        (f"/v2/a/referrers/{DIGEST}", "referrers", "a", str(DIGEST)),
        ("/v2/manifests/manifests/manifests", "manifest", "manifests", "manifests"),
        ("/v2/blobs/uploads/blobs/uploads/", "uploads", "blobs/uploads", ""),
    ],
)
def test_a_path_leads_to_its_endpoint(path, name, repository, argument):
    found = endpoints.match(path)
    assert found is not None
    assert (found.endpoint.name, found.name, found.argument) == (name, repository, argument)


@pytest.mark.parametrize("path", ["", "/", "/v2/a", "/v2/a/tags", "/v2//tags/list", "/v1/a/manifests/1"])
def test_other_paths_lead_nowhere(path):
    assert endpoints.match(path) is None


def test_every_endpoint_and_method_has_a_handler():
    wanted = {(endpoint.name, method) for endpoint in endpoints.ENDPOINTS for method in endpoint.methods}
    assert set(HANDLERS) == wanted


def test_a_page_is_quoted():
    assert endpoints.tags_path("a", number=3, last="x&y") == "/v2/a/tags/list?n=3&last=x%26y"
    assert endpoints.catalog_path() == "/v2/_catalog"
