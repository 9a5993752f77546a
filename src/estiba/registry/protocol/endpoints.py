"""The endpoints as a table (distribution-spec, "Endpoints"), and the paths that lead to them."""

from __future__ import annotations

import re
from urllib.parse import quote

from estiba.oci.digest import Digest
from estiba.values import NamedTuple


class Endpoint(NamedTuple):
    """`pattern` names its variable parts in angle brackets; `<name>` may contain slashes, the others may not."""

    name: str
    methods: tuple[str, ...]
    pattern: str


# The most asked first. `end` numbers are the specification's.
ENDPOINTS = (
    Endpoint("manifest", ("GET", "HEAD", "PUT", "DELETE"), "/v2/<name>/manifests/<reference>"),  # end-3, 7, 9
    Endpoint("uploads", ("POST",), "/v2/<name>/blobs/uploads/"),  # end-4a, 4b, 11
    Endpoint("upload", ("GET", "PATCH", "PUT", "DELETE"), "/v2/<name>/blobs/uploads/<session>"),  # end-5, 6, 13, 14
    Endpoint("blob", ("GET", "HEAD", "DELETE"), "/v2/<name>/blobs/<digest>"),  # end-2, 10
    Endpoint("tags", ("GET",), "/v2/<name>/tags/list"),  # end-8a, 8b
    Endpoint("referrers", ("GET",), "/v2/<name>/referrers/<digest>"),  # end-12a, 12b
    Endpoint("base", ("GET", "HEAD"), "/v2/"),  # end-1
    Endpoint("catalog", ("GET",), "/v2/_catalog"),  # Docker's, not the specification's
    Endpoint("usage", ("GET",), "/estiba/v1/usage"),
)


class Match(NamedTuple):
    """An endpoint and the parts that the path gave. A part that the endpoint lacks is ""."""

    endpoint: Endpoint
    name: str = ""
    argument: str = ""


def _compile(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern)
    text = text.replace("<name>", "(?P<name>.+)")
    text = re.sub(r"<(?:reference|session|digest)>", "(?P<argument>[^/]+)", text)
    return re.compile(text.removesuffix("/") + "/?" if pattern.endswith("/") else text)


_COMPILED = tuple((endpoint, _compile(endpoint.pattern)) for endpoint in ENDPOINTS)


def match(path: str) -> Match | None:
    """The endpoint that a decoded path leads to, None where there is none."""
    for endpoint, pattern in _COMPILED:
        found = pattern.fullmatch(path)
        if found:
            return Match(endpoint, **found.groupdict())
    return None


def blob_path(repository: str, digest: Digest) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def manifest_path(repository: str, reference: str | Digest) -> str:
    return f"/v2/{repository}/manifests/{reference}"


def uploads_path(repository: str) -> str:
    return f"/v2/{repository}/blobs/uploads/"


def upload_path(repository: str, session: str) -> str:
    return f"/v2/{repository}/blobs/uploads/{session}"


def tags_path(repository: str, *, number: int | None = None, last: str = "") -> str:
    return f"/v2/{repository}/tags/list" + _page(number, last)


def referrers_path(repository: str, digest: Digest) -> str:
    return f"/v2/{repository}/referrers/{digest}"


def catalog_path(*, number: int | None = None, last: str = "") -> str:
    return "/v2/_catalog" + _page(number, last)


def _page(number: int | None, last: str) -> str:
    parts = [] if number is None else [f"n={number}"]
    if last:
        parts.append(f"last={quote(last, safe='')}")
    return "?" + "&".join(parts) if parts else ""
