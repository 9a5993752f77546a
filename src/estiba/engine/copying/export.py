"""`export`: all files of a container as one tar, without volumes, binds and whatever else is mounted on them."""

from __future__ import annotations

from estiba.engine import lifecycle
from estiba.engine.copying.inside import Inside
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.engine import Engine


def export(engine: Engine, text: str, out: int) -> int:
    """Write the files of a container to the descriptor `out`; gives their bytes. Of one that runs they are as each is
    when its turn comes; what is mounted on is an empty directory or file, as in Docker.

    Raises:
        NoSuchContainer, WrongState; Unavailable: this user may not, or the files cannot be read.
    """
    record = engine.find(text)
    lifecycle.must_act("export", record.state, name=record.name)
    with Inside(engine, record, only_own=True) as inside:
        inside.send("/", ".", "", out)
        return int(inside.answer())
