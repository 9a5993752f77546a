"""`--output`: where the result of a build goes besides the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from estiba.errors import InvalidInput, NotThereYet

if TYPE_CHECKING:
    from estiba.oci.digest import Digest
    from estiba.oci.reference import Reference
    from estiba.wiring.house import House

_THERE = ("oci", "docker", "image")
_LATER = ("local", "tar", "registry")


class Export(NamedTuple):
    """One ``--output``: `kind` is ``oci`` or ``docker``, `destination` a file."""

    kind: str
    destination: str


class Exports(NamedTuple):
    all: tuple[Export, ...]

    @classmethod
    def parse(cls, words: Sequence[str]) -> Exports:
        """Read every ``--output``.

        Raises:
            InvalidInput: an unknown type, or no destination. NotThereYet: a type that is not there yet.
        """
        found = [_parse(word) for word in words]
        return cls(tuple(export for export in found if export.kind != "image"))

    def write(self, house: House, image_id: Digest, names: Sequence[Reference]) -> None:
        """Write the archives."""
        from estiba.image.archive.save import save_to_file

        for export in self.all:
            save_to_file(house.store, [(image_id, tuple(names))], export.destination, form=export.kind)


def _parse(word: str) -> Export:
    fields = dict(field.partition("=")[::2] for field in word.split(","))
    kind, destination = fields.get("type", ""), fields.get("dest", "")
    if kind in _LATER or not kind:
        raise NotThereYet(
            f"--output {word}: {'type=' + kind if kind else 'a plain directory'} is not there yet",
            remedy="type=oci,dest=FILE and type=docker,dest=FILE are.",
        )
    if kind not in _THERE:
        raise InvalidInput(f"--output {word}: unknown type {kind!r}", remedy=f"There are {', '.join(_THERE)}.")
    if kind != "image" and not destination:
        raise InvalidInput(f"--output {word}: no dest=", remedy=f"Write --output type={kind},dest=FILE.")
    return Export(kind, destination)
