"""Layers that are odd but right: what each is, as a tar, and the tree that it must give.

Other tools are asked too, so that the answer is not ours alone (`test_hostile_corpus.py`, `tests/compat`).
"""

from __future__ import annotations

import tarfile

from tars import Member, directory, fifo, file, hard_link, symlink, tar, with_pax

LONG = "/".join(["d" * 90] * 20) + "/" + "n" * 200
"""A path of 2 000 bytes, which only a pax record or a GNU long name can say."""


def _numbers_in_base_256(member: Member, **values: int) -> bytes:
    """The entry with GNU's binary numbers in these fields of its header."""
    info, data = member
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    places = {"uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12)}
    for field, value in values.items():
        at, length = places[field]
        header[at : at + length] = (value % (1 << (8 * length - 1)) | 1 << (8 * length - 1)).to_bytes(length, "big")
        if value < 0:
            header[at] |= 0x40
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def _cut_sparse_map() -> bytes:
    """A file of GNU's old sparse kind whose map goes on in a block that is not there."""
    header = bytearray(file("s", type=tarfile.GNUTYPE_SPARSE)[0].tobuf(tarfile.GNU_FORMAT))
    header[482] = 1
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


TARS: dict[str, bytes] = {
    "the last of equal names": tar(file("a", b"1"), file("a", b"2" * 700), directory("a.d"), file("a", b"3")),
    "a file that becomes a directory and back": tar(
        file("a", b"1"), directory("a"), file("a/b", b"2"), file("c", b"3")
    ),
    "a directory twice, with other modes": tar(
        directory("d", mode=0o700), file("d/f", b"x"), directory("d", mode=0o711)
    ),
    "chains of hard links": tar(
        file("a", b"x"), *(hard_link(f"h{n}", "a" if n == 0 else f"h{n - 1}") for n in range(50))
    ),
    "a hard link to a link": tar(symlink("s", "nowhere"), hard_link("h", "s")),
    "a hard link with a size": tar(file("a", b"x"), hard_link("h", "a", size=0), file("b", b"y")),
    "names with a dot and slashes": tar(directory("./d"), file("./d//f", b"x"), file("d/./g", b"y")),
    "GNU long names": tar(file(LONG, b"x"), symlink("l", LONG), hard_link("h", LONG), format=tarfile.GNU_FORMAT),
    "pax long names": tar(file(LONG, b"x"), symlink("l", LONG), hard_link("h", LONG), format=tarfile.PAX_FORMAT),
    "numbers in base 256": _numbers_in_base_256(file("f", b"x" * 600), uid=3_000_000, gid=4_000_000, size=600)
    + tar(file("g", b"y")),
    "a time before 1970": _numbers_in_base_256(file("f", b"x"), mtime=-1000) + tar(),
    "a time with a fraction": tar(with_pax(file("f", b"x"), mtime="12345.75")),
    "an entry of V7": tar(file("f", b"x", type=b"\0"), file("d/", type=b"\0")),
    "a contiguous file": tar(file("f", b"x" * 600, type=b"7")),
    "no end of the archive": tar(file("f", b"x" * 600), end=b""),
    "an end of one block": tar(file("f", b"x"), end=bytes(512)),
    "entries behind the end": tar(file("f", b"x")) + tar(file("behind", b"y")),
    "a fifo": tar(fifo("p", mode=0o640)),
    "modes with all bits": tar(file("f", b"x", mode=0o6755), directory("d", mode=0o3777)),
    "an empty file at the end": tar(file("a", b"x"), file("b")),
    "names in UTF-8 and in nothing": tar(file("ñandú", b"x"), file("\udcff\udc80", b"y"), format=tarfile.GNU_FORMAT),
    "a global header": tar(with_pax(file("f", b"x"), mtime="5"), file("g", b"y")),
    "a backslash and a line break": tar(file("a\\b\nc", b"x")),
}

_FIRST = tar(file("a", b"x"), end=b"")
_RECORDS = tar(with_pax(file("b"), mtime="1"), end=b"")[:-512]

DAMAGED_TARS: dict[str, bytes] = {
    "a pax record leads back": _FIRST + tar(with_pax(file("b", b"y"), size="-1536")),
    "a global pax record leads back": _FIRST
    + tarfile.TarInfo.create_pax_global_header({"size": "-1536"})
    + tar(with_pax(file("b", b"y"), mtime="1")),
    "a sparse file leads back": _FIRST
    + _numbers_in_base_256(file("s", type=tarfile.GNUTYPE_SPARSE), size=-1536)
    + tar(file("b", b"y")),
    "a sparse size that is no number": _FIRST + tar(with_pax(file("b", b"y"), GNU__sparse__realsize="x")),
    "a sparse map that is no numbers": _FIRST + tar(with_pax(file("b", b"y"), GNU__sparse__map="0,x")),
    "a sparse map that is cut": _FIRST + _cut_sparse_map(),
    "records without end": _FIRST + _RECORDS * 2000 + tar(file("b", b"y")),
}
"""Tars that are wrong from their second entry on, in ways that the standard library takes for right or dies of."""
