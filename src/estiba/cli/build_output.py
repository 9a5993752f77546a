"""`--output`: where the result of a build goes besides the store."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from estiba.errors import InvalidInput, NotThereYet
from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.builder.request import BuildResult
    from estiba.graph.cancellation import Cancellation
    from estiba.wiring.house import House

_FILES = ("oci", "docker", "tar")
_KINDS = (*_FILES, "local", "image", "registry")
_FIELDS = ("type", "dest", "name", "push")
STANDARD_OUTPUT = "-"


class Export(NamedTuple):
    """One ``--output``: `kind` is ``oci``, ``docker``, ``tar`` (a file each) or ``local`` (a directory)."""

    kind: str
    destination: str


class Exports(NamedTuple):
    """`all` are what is to be written, `names` more names of the image; `pushes`: they are sent to their registry."""

    all: tuple[Export, ...]
    names: tuple[Reference, ...] = ()
    pushes: bool = False

    @classmethod
    def parse(cls, words: Sequence[str]) -> Exports:
        """Read every ``--output``.

        Raises:
            InvalidInput: an unknown type, or no destination. NotThereYet: an attribute that is not there yet.
        """
        found: list[Export] = []
        names: list[Reference] = []
        pushes = False
        for word in words:
            fields = _fields(word)
            kind = fields["type"]
            pushes = pushes or kind == "registry" or fields.get("push") == "true"
            names += [Reference.parse(name).tagged for name in fields.get("name", "").split() if name]
            if kind in _FILES or kind == "local":
                found.append(Export(kind, fields["dest"]))
        return cls(tuple(found), tuple(names), pushes)

    @property
    def uses_standard_output(self) -> bool:
        return any(export.destination == STANDARD_OUTPUT for export in self.all)

    def write(
        self, house: House, result: BuildResult, names: Sequence[Reference], *, cancellation: Cancellation
    ) -> None:
        """Write all of them."""
        for export in self.all:
            if export.destination != STANDARD_OUTPUT:
                _write(export, os.path.abspath(export.destination), house, result, names, cancellation)
                continue
            held, folder = house.store.scratch.folder("output")
            try:
                _write(export, f"{folder}/output", house, result, names, cancellation)
                _send(f"{folder}/output")
            finally:
                if os.path.exists(f"{folder}/output"):
                    os.unlink(f"{folder}/output")
                os.rmdir(folder)
                os.close(held)


def _write(
    export: Export,
    destination: str,
    house: House,
    result: BuildResult,
    names: Sequence[Reference],
    cancellation: Cancellation,
) -> None:
    if export.kind in ("oci", "docker"):
        from estiba.image.archive.save import save_to_file

        save_to_file(house.store, [(result.image_id, tuple(names))], destination, form=export.kind)
        return
    from estiba.builder.export import export as export_files

    export_files(
        house.store,
        result.config,
        form=export.kind,
        destination=destination,
        surroundings=house.build_surroundings,
        cancellation=cancellation,
    )


def _send(path: str) -> None:
    sys.stdout.flush()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _fields(word: str) -> dict[str, str]:
    """The fields of one ``--output``; a path alone is a directory, and ``-`` a tar on standard output."""
    if word == STANDARD_OUTPUT:
        word = "type=tar,dest=-"
    elif "=" not in word and "," not in word:
        return {"type": "local", "dest": word}
    fields = dict(field.partition("=")[::2] for field in word.split(","))
    kind = fields.get("type", "")
    if kind not in _KINDS:
        raise InvalidInput(f"--output {word}: unknown type {kind!r}", remedy=f"There are {', '.join(_KINDS)}.")
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        raise NotThereYet(f"--output {word}: {unknown[0]}= is not there yet", remedy=f"There are {', '.join(_FIELDS)}.")
    if kind in _FILES or kind == "local":
        destination = fields.setdefault("dest", "")
        if not destination:
            raise InvalidInput(f"--output {word}: no dest=", remedy=f"Write --output type={kind},dest=PATH.")
        if destination == STANDARD_OUTPUT and kind == "local":
            raise InvalidInput(f"--output {word}: a directory cannot be written to standard output")
        if destination == STANDARD_OUTPUT and sys.stdout.isatty():
            raise InvalidInput(f"--output {word}: standard output is a terminal", remedy="Send it to a file or a pipe.")
    return fields
