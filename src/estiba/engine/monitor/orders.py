"""What a command wants of a monitor, read from its frame and checked: the command may be of another version. Pure."""

from __future__ import annotations

from estiba.engine import frames
from estiba.errors import EstibaError, InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from estiba.engine.options import Membership

_LAST_SIGNAL = 64
_LARGEST_SIZE = 0xFFFF  # struct winsize has two bytes for each (ioctl_tty(2))


class NotUnderstood(InvalidInput):
    def __init__(self, what: str) -> None:
        super().__init__(
            f"the container's monitor does not understand {what}",
            remedy="It may be of another version of Estiba than the command: restart the container.",
        )


def understood(frame: frames.Frame) -> Any:
    """The content of a frame: bytes of INPUT, (rows, columns) of RESIZE, the number of SIGNAL and STOP, whether who
    ATTACHes gives input and who WAITs for news wants those of a moment ago too (None: it wants none), the Membership of
    CONNECT, the name of DISCONNECT.

    Raises:
        NotUnderstood: another kind of frame, or another content.
    """
    if frame.kind in (frames.INPUT, frames.INPUT_END):
        return frame.content
    if frame.kind == frames.WAIT and not frame.content:
        return None
    if frame.kind not in _READERS:
        raise NotUnderstood(f"a request of kind {frame.kind}")
    name, read = _READERS[frame.kind]
    try:
        value = frame.json()
    except (ValueError, RecursionError, EstibaError):
        raise NotUnderstood(f"what it was told to {name}") from None
    return read(value, f"what it was told to {name}")


def _size(value: Any, what: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise NotUnderstood(what)
    rows, columns = (_number(one, what, least=0, most=_LARGEST_SIZE) for one in value)
    return rows, columns


def _signal(value: Any, what: str) -> int:
    return _number(value, what, least=1, most=_LAST_SIGNAL)


def _news(value: Any, what: str) -> bool:
    if not isinstance(value, dict):
        raise NotUnderstood(what)
    return bool(value.get("past"))


def _attachment(value: Any, what: str) -> bool:
    if not isinstance(value, dict):
        raise NotUnderstood(what)
    return bool(value.get("input"))


def _membership(value: Any, what: str) -> Membership:
    from estiba.engine.options import Membership  # of all that a settled monitor hears, only this takes it

    if not isinstance(value, dict):
        raise NotUnderstood(what)
    for field in value.keys() - set(Membership._fields):
        if value[field]:  # a later version says more, and not what it always is
            raise NotUnderstood(f"{field!r} of a network")
    aliases = value.get("aliases", ())
    if not isinstance(aliases, list | tuple):
        raise NotUnderstood(what)
    return Membership(
        network=_name(value.get("network"), what),
        aliases=tuple(_text(alias, what) for alias in aliases),
        address=_text(value.get("address", ""), what),
        mac_address=_text(value.get("mac_address", ""), what),
    )


def _name(value: Any, what: str) -> str:
    if not value:
        raise NotUnderstood(what)
    return _text(value, what)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise NotUnderstood(what)
    return value


def _number(value: Any, what: str, *, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise NotUnderstood(what)
    return value


_READERS = {
    frames.WAIT: ("wait for", _news),
    frames.ATTACH: ("attach", _attachment),
    frames.RESIZE: ("resize", _size),
    frames.SIGNAL: ("signal", _signal),
    frames.STOP: ("stop with", _signal),
    frames.CONNECT: ("join", _membership),
    frames.DISCONNECT: ("leave", _name),
}
