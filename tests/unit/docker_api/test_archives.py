"""What is told of a path before its tar: the first header, however long it is and wherever its bytes are cut."""

from __future__ import annotations

import base64
import io
import json
import tarfile

from estiba.docker_api.handlers.archives import _described


def _tar(name: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = 3, 0o640
        tar.addfile(info, io.BytesIO(b"abc"))
    return written.getvalue()


def test_a_header_of_several_blocks_is_waited_for() -> None:
    name = "ü" * 300
    data = _tar(name)
    whole = data.index(b"abc")
    assert whole > 1024, "the control: one block is not enough"
    assert all(_described(data[:size], f"/d/{name}") is None for size in range(0, whole, 64))
    told = _described(data[:whole], f"/d/{name}")
    assert told is not None
    value = json.loads(base64.b64decode(told))
    assert (value["name"], value["size"], value["mode"]) == (name, 3, 0o640)


def test_what_is_no_tar_is_never_described() -> None:
    assert _described(b"no tar" * 200, "/f") is None
