"""Where images lie, as a person names it (the words of skopeo). Pure.

NAME[:TAG|@DIGEST], docker://NAME    a registry
oci:DIRECTORY[:NAME]                 an OCI image layout
oci-archive:FILE[:NAME]              the same in a tar
docker-archive:FILE[:NAME]           what `docker load` reads
store:NAME                           Estiba's own store
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.oci.reference import Reference
from estiba.values import NamedTuple

REGISTRY, LAYOUT, OCI_ARCHIVE, DOCKER_ARCHIVE, STORE = "docker", "oci", "oci-archive", "docker-archive", "store"
_WITH_PATH = (LAYOUT, OCI_ARCHIVE, DOCKER_ARCHIVE)


class Place(NamedTuple):
    """`reference` for a registry; `path` and `name` ("" where none is given) for files; `name` for the store."""

    kind: str
    reference: Reference | None = None
    path: str = ""
    name: str = ""

    def __str__(self) -> str:
        if self.reference is not None:
            return f"docker://{self.reference}"
        parts = [part for part in (self.kind, self.path, self.name) if part]
        return ":".join(parts)


def parse_place(text: str) -> Place:
    """Read one.

    Raises:
        InvalidInput: no path, or a name that is none.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == REGISTRY and rest.startswith("//"):
        return Place(REGISTRY, Reference.parse(rest[2:]).tagged)
    if colon and kind == STORE:
        if not rest:
            raise InvalidInput(f"{text!r} names no image", remedy="Write store:NAME[:TAG].")
        return Place(STORE, name=rest)
    if colon and kind in _WITH_PATH:
        path, _, name = rest.partition(":")
        if not path:
            raise InvalidInput(f"{text!r} names no file", remedy=f"Write {kind}:PATH[:NAME].")
        return Place(kind, path=path, name=name)
    return Place(REGISTRY, Reference.parse(text).tagged)
