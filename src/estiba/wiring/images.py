"""Images by name: those that are here, and those that a registry has."""

from __future__ import annotations

from estiba.errors import EstibaError, NotFound
from estiba.oci.digest import Digest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.store.images import ImageRecord
    from estiba.store.store import Store


class ImageSource:
    """Finds an image in the store, else fetches it with `fetch`, which raises what the registry says."""

    def __init__(self, store: Store, fetch: Callable[[Reference, Platform], ImageRecord]) -> None:
        self._store = store
        self._fetch = fetch

    def find(self, reference: Reference, platform: Platform, *, pulls: bool) -> Digest:
        """The image ID of `reference` for `platform`.

        `pulls`: what is here is not looked at. Raises:
            NotFound: neither here nor in the registry. Unavailable: the registry cannot be reached.
        """
        if not pulls and (found := self.here(reference, platform)) is not None:
            return found
        try:
            return self._fetch(reference, platform).id
        except EstibaError as error:
            raise _explained(reference, error) from error

    def here(self, reference: Reference, platform: Platform) -> Digest | None:
        """The image ID of `reference` if it is in the store and for `platform`."""
        record = self._store.references.get(reference.tagged)
        if record is None:
            return None
        image = self._store.images.config(record.target)
        return record.target if platform.can_run(image.platform) else None


def _explained(reference: Reference, error: EstibaError) -> EstibaError:
    name = reference.familiar_name
    if reference.registry == "docker.io" and name in ("debian", "busybox"):
        remedy = f"Without a registry: estiba bootstrap {name}{':' + reference.tag if reference.tag else ''}"
        return NotFound(
            f"the image {reference.familiar} is not here, and cannot be pulled: {error.message}", remedy=remedy
        )
    return error
