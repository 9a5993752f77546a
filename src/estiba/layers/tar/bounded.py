"""The standard library's reader of tars within bounds, for tars of strangers that `reader` does not take: those of any
compression, or whose files are found by their offsets.

Headers may neither ask for more than there should be of one, nor lead back to where it has been (CVE-2025-8194); and
whatever is wrong with them is a `tarfile.TarError`. Entries are forgotten when the next one is read.
"""

from __future__ import annotations

import tarfile

LARGEST_HEADER = 1 << 20
"""Bytes of pax records or of a GNU long name; all of them are read into memory at once."""

_READ_AT_ONCE = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _BoundedEntry(tarfile.TarInfo):
    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0:
            raise tarfile.ReadError(f"a file of {self.size} bytes")
        if self.type in _READ_AT_ONCE and self.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]

    def _block(self, count: int) -> int:
        """How far to go on: this sees sizes of pax records too, which come after the header's own."""
        if count < 0:
            raise tarfile.ReadError(f"a file of {count} bytes")
        return super()._block(count)  # type: ignore[misc, no-any-return]


class BoundedTar(tarfile.TarFile):
    """To be opened as any: ``BoundedTar.open(fileobj=file, mode="r:*")``."""

    tarinfo = _BoundedEntry
    members: list[tarfile.TarInfo]

    def next(self) -> tarfile.TarInfo | None:
        """
        Raises:
            tarfile.TarError: the next header is damaged, in any way.
        """
        self.members.clear()
        try:
            return super().next()
        except RecursionError:
            raise tarfile.ReadError("too many headers for one entry") from None
        except (ValueError, OverflowError, IndexError) as error:
            raise tarfile.ReadError(f"a header that cannot be read: {error}") from None
