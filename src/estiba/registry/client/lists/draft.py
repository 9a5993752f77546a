"""A list that is being composed: its name and its entries. Pure."""

from __future__ import annotations

from estiba.errors import InvalidInput, NotFound
from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.manifest import Index, Manifest, parse_manifest
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.values import NamedTuple

# fmt: off
_SYSTEMS = frozenset((
    "aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux",
    "netbsd", "openbsd", "plan9", "solaris", "unknown", "wasip1", "windows",
))
_ARCHITECTURES = frozenset((
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle",
    "ppc64", "ppc64le", "riscv64", "s390x", "sparc64", "unknown", "wasm",
))
# fmt: on


class NotInList(NotFound):
    def __init__(self, name: Reference, wanted: Reference) -> None:
        super().__init__(
            f"{wanted.familiar} is not in the list {name.familiar}",
            remedy=f"See what is in it: estiba manifest inspect {name.familiar}",
        )


class Entry(NamedTuple):
    """One document of a list: where it was found, its descriptor with its platform, and its bytes."""

    source: Reference
    descriptor: Descriptor
    raw: bytes

    @property
    def document(self) -> Manifest | Index:
        """Raises Malformed."""
        return parse_manifest(self.raw, media_type=self.descriptor.media_type)

    def is_called(self, reference: Reference) -> bool:
        """Whether `reference` means this entry: the name by which it was added, or its digest."""
        return reference == self.source or (
            reference.name == self.source.name and reference.digest == self.descriptor.digest
        )


class Draft(NamedTuple):
    name: Reference
    entries: tuple[Entry, ...] = ()

    def with_entries(self, entries: tuple[Entry, ...]) -> Draft:
        """The same with more; one that was added before under the same name is replaced in its place."""
        found = {entry.source: entry for entry in self.entries} | {entry.source: entry for entry in entries}
        return self._replace(entries=tuple(found.values()))

    def entry(self, reference: Reference) -> Entry:
        """Raises NotInList."""
        for entry in self.entries:
            if entry.is_called(reference):
                return entry
        raise NotInList(self.name, reference)

    def annotated(
        self,
        reference: Reference,
        *,
        system: str = "",
        architecture: str = "",
        variant: str = "",
        version: str = "",
        features: tuple[str, ...] = (),
    ) -> Draft:
        """The same, where the entry `reference` is said to be for another platform; what is empty stays as it was.

        Raises:
            NotInList. InvalidInput: no operating system or architecture that is known.
        """
        entry = self.entry(reference)
        old = entry.descriptor.platform or Platform("", "")
        platform = Platform(
            system or old.os,
            architecture or old.architecture,
            variant or old.variant,
            version or old.os_version,
            features or old.os_features,
        )
        if platform.os not in _SYSTEMS or platform.architecture not in _ARCHITECTURES:
            raise InvalidInput(
                f"{entry.source.familiar} would be for the unknown platform {platform}",
                remedy="Give --os and --arch as Go names them, such as linux and arm64.",
            )
        changed = entry._replace(descriptor=entry.descriptor._replace(platform=platform))
        return self._replace(entries=tuple(changed if one is entry else one for one in self.entries))

    def to_index(self) -> Index:
        """The index that this is: Docker's kind where every entry is Docker's, else OCI's."""
        is_docker = bool(self.entries) and all(
            entry.descriptor.media_type in (mediatypes.DOCKER_MANIFEST, mediatypes.DOCKER_INDEX)
            for entry in self.entries
        )
        kind = mediatypes.DOCKER_INDEX if is_docker else mediatypes.OCI_INDEX
        return Index.make(tuple(entry.descriptor for entry in self.entries), media_type=kind)

    def check_complete(self) -> None:
        """Raises InvalidInput: an entry does not say its platform, or there is none."""
        if not self.entries:
            raise InvalidInput(
                f"the list {self.name.familiar} is empty", remedy="Add images: estiba manifest create -a"
            )
        for entry in self.entries:
            platform = entry.descriptor.platform
            if platform is None or not platform.os or not platform.architecture:
                raise InvalidInput(
                    f"{entry.source.familiar} does not say for which operating system and architecture it is",
                    remedy=f"Say it: estiba manifest annotate --os OS --arch ARCH {self.name.familiar} "
                    + entry.source.familiar,
                )
