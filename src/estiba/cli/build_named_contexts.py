"""`--build-context NAME=…`: what a Dockerfile's ``FROM NAME`` and ``--from=NAME`` mean in this build."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType

from estiba.builder.request import NamedContext
from estiba.cli.build_context import Context, ignore_rules, is_address
from estiba.dockerfile.sources import SCRATCH, context_name
from estiba.errors import InvalidInput, NotFound
from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.builder.context.elsewhere import Elsewhere
    from estiba.oci.platform import Platform
    from estiba.store.store import Store

_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"
_RESERVED = (SCRATCH, "context", "dockerfile")


class NamedContexts:
    """``with NamedContexts(words, …) as contexts:`` fetches what is elsewhere, and keeps it till then.

    Raises:
        InvalidInput: no name, or one that is reserved, or a scheme that there is not. NotFound: nothing there. What
        fetching raises.
    """

    def __init__(self, words: Sequence[str], store: Store, platform: Platform, elsewhere: Elsewhere) -> None:
        self._words = words
        self._store = store
        self._platform = platform
        self._elsewhere = elsewhere
        self._open: list[Context] = []
        self._lease = store.leases.hold("contexts of a build")

    def __enter__(self) -> tuple[NamedContext, ...]:
        if not self._words:
            return ()
        self._lease.__enter__()
        try:
            found = dict(self._one(word) for word in self._words)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return tuple(found.values())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for context in self._open:
            context.__exit__(None, None, None)
        if self._words:
            self._lease.__exit__(None, None, None)

    def _one(self, word: str) -> tuple[str, NamedContext]:
        written, _, value = word.partition("=")
        name = context_name(written)
        if not written or not value:
            raise InvalidInput(f"--build-context {word}: no name and place", remedy="Write --build-context NAME=PLACE.")
        if name in _RESERVED:
            raise InvalidInput(
                f"--build-context {word}: the name {name} means something else", remedy="Choose another name."
            )
        if value.startswith(_IMAGE):
            return name, NamedContext(name, reference=str(Reference.parse(value.removeprefix(_IMAGE)).tagged))
        if value.startswith(_LAYOUT):
            return name, self._layout(name, value.removeprefix(_LAYOUT))
        if is_address(value):
            context = Context(value, "", self._store.scratch, self._elsewhere, needs_dockerfile=False)
            self._open.append(context)
            sources = context.__enter__()
            return name, NamedContext(name, sources.directory, sources.ignore)
        if "://" in value:
            raise InvalidInput(
                f"--build-context {word}: there is no {value.partition('://')[0]}://",
                remedy="There are a directory, docker-image://NAME, oci-layout://DIRECTORY:TAG and addresses.",
            )
        if not os.path.isdir(value):
            raise NotFound(
                f"--build-context {word}: {value} is not a directory",
                remedy="Give a directory, docker-image://NAME, oci-layout://DIRECTORY:TAG or an address.",
            )
        directory = os.path.realpath(value)
        return name, NamedContext(name, directory, ignore_rules(directory))

    def _layout(self, name: str, place: str) -> NamedContext:
        """An image of a layout in a directory, ``DIRECTORY[:TAG][@DIGEST]``."""
        from estiba.image.archive.load import load_from_layout

        directory, _, digest = place.partition("@")
        head, colon, tag = directory.rpartition(":")
        if colon and "/" not in tag and not os.path.isdir(directory):
            directory = head
        else:
            tag = ""
        if not os.path.isdir(directory):
            raise NotFound(
                f"the layout {directory} of the context {name} is not a directory",
                remedy="Give oci-layout://DIRECTORY:TAG.",
            )
        record = load_from_layout(self._store, directory, wanted=digest or tag, platform=self._platform)
        # A name that no registry has, and another one for another image.
        reference = str(Reference.parse(f"oci-layout.invalid/{record.id.hex[:32]}").tagged)
        return NamedContext(name, reference=reference, image_id=record.id)
