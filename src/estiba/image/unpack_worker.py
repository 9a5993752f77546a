"""The process that unpacks one layer: ``python -I -S -c`` with where to find modules, one a line, and a job in JSON as
arguments, started by `image.unpack`.

Descriptor 0 is the blob, 1 takes the answer (one JSON document), 3 is a lock that is let go of when this process ends.
A process of its own, because Python's threads would take turns and because it may have a mount namespace of its own.
"""

from __future__ import annotations

import os
import sys

from estiba import errors
from estiba.layers.unpack import UnpackLimits, UnpackResult, unpack
from estiba.oci import json_text
from estiba.oci.digest import Digest
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PROGRAM = "import sys;sys.path[:]=sys.argv[1].split('\\n');import estiba.image.unpack_worker as w;w.main(sys.argv[2])"


def main(job: str) -> None:
    """Do the job and answer."""
    os.umask(0)  # modes come from the layer alone
    try:
        answer = _result(_unpack(json_text.loads(job, what="the job")))
        status = 0
    except errors.EstibaError as error:
        answer = {"error": kind_of(error), "message": error.message, "remedy": error.remedy}
        status = 1
    try:
        with os.fdopen(1, "w", encoding="utf-8", closefd=False) as out:
            out.write(json_text.dumps(answer))
    except BrokenPipeError:
        status = 1  # nobody waits for it any more
    sys.stdout = None
    os._exit(status)


def kind_of(error: errors.EstibaError) -> str:
    """The name of the kind in `errors` that `error` is."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)


def _unpack(job: Mapping[str, Any]) -> UnpackResult:
    if job["mounts"]:
        # On top of the layers below, for a layer that cannot do without them.
        from estiba.linux.mounts import Mount, make_private_namespace, mount_all

        try:
            make_private_namespace()
            mount_all([Mount(m[0], m[1], m[2], tuple(m[3])) for m in job["mounts"]], job["into"])
        except OSError as error:
            raise errors.Unavailable(f"the layers below cannot be mounted: {error.strerror}") from error
    with open(0, "rb", buffering=0, closefd=False) as blob:
        return unpack(
            blob,
            job["into"],
            whiteouts=job["whiteouts"],
            expected_diff_id=Digest.parse(job["diff_id"]),
            expected_digest=Digest.parse(job["digest"]),
            expected_size=job["size"],
            limits=UnpackLimits(*job["limits"]),
        )


def _result(result: UnpackResult) -> dict[str, object]:
    return {
        "content": result.content,
        "needs_below": bool(result.lower_links or result.implied),
        "has_root": result.has_root,
    }
