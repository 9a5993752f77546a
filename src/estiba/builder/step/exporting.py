"""``--output type=tar|local``: the filesystem of an image as a file or as a directory of the caller."""

from __future__ import annotations

import os

from estiba.builder.step.copying import carry
from estiba.builder.step.job import ExportAction
from estiba.errors import InvalidInput


def export(action: ExportAction, root: str) -> None:
    """Write what is below `root`.

    A tar appears whole or not at all. A directory is merged with what is there; its files belong to the caller.

    Raises:
        InvalidInput: the image has no layer.
    """
    if not root:
        raise InvalidInput("the image is empty, so there is nothing to write")
    if action.form == "local":
        os.makedirs(action.destination, exist_ok=True)
        carry(root, action.destination, owner=action.owner)
        return
    partial = f"{action.destination}.partial.{os.getpid()}"
    try:
        _write_tar(root, partial)
        os.chown(partial, *action.owner)
        os.rename(partial, action.destination)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def _write_tar(root: str, path: str) -> None:
    from estiba.layers.pack import pack
    from estiba.layers.tar.writer import TarPolicy

    with open(path, "xb", buffering=0) as file:
        pack(root, file, TarPolicy(), compression="none")
