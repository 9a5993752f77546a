"""How pull, push, copy, load and save are shown: ``--progress auto|tty|plain|json|quiet``.

tty     a row for each layer, with a bar, rewritten as it moves
plain   a line for each change, as Docker prints them where there is no terminal
json    an object on a line of its own for each change and for the result: `status`, `id` and `progressDetail` as
        in the Docker Engine API, and `result`
quiet   the result alone
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

from estiba.image.progress import READING, WRITING
from estiba.registry.client.progress import DOWNLOADING, PUSHING
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import TextIO

    from estiba.oci.digest import Digest

_WAYS = ("auto", "tty", "plain", "json", "quiet")
_MOVING = frozenset({DOWNLOADING, PUSHING, READING, WRITING})


def add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print the result only")
    parser.add_argument(
        "--progress",
        default="auto",
        choices=_WAYS,
        help="how it is shown: bars in a terminal (tty), lines (plain), JSON lines (json), only the result (quiet)",
    )


class Quiet:
    """Shows the result alone. The others do what this does, and more."""

    is_quiet = True

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def line(self, text: str) -> None:
        pass

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        pass

    def result(self, text: str, **facts: object) -> None:
        """What came of it: `text` for people; `facts` say the same for programs."""
        print(text, file=self.out, flush=True)

    def close(self) -> None:
        pass


class Mute(Quiet):
    """Shows nothing: another command's output is told by that."""

    def result(self, text: str, **facts: object) -> None:
        pass


class Lines(Quiet):
    """A line for each change. Bytes that pass are not shown."""

    is_quiet = False

    def __init__(self, out: TextIO | None = None) -> None:
        super().__init__(out or sys.stdout)
        self._last: dict[Digest, str] = {}

    def line(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        if status in _MOVING or self._last.get(digest) == status:
            return
        self._last[digest] = status
        self.line(f"{digest.short}: {status}")


class JsonLines(Quiet):
    """An object on a line for each change; of bytes that pass no more than ten for a blob in a second."""

    is_quiet = False

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._told: dict[Digest, tuple[str, float]] = {}

    def line(self, text: str) -> None:
        self._write({"status": text})

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        from time import monotonic

        last, when = self._told.get(digest, ("", 0.0))
        now = monotonic()
        if last == status and (status not in _MOVING or (now - when < 0.1 and done != total)):
            return
        self._told[digest] = (status, now)
        detail = {"current": done, "total": total} if total else {}
        self._write({"status": status, "progressDetail": detail, "id": digest.short, "digest": str(digest)})

    def result(self, text: str, **facts: object) -> None:
        self._write({"result": facts})

    def _write(self, value: dict[str, object]) -> None:
        from estiba.cli.printable import printable_json

        print(printable_json(value), file=self.out, flush=True)


@contextmanager
def shown(args: argparse.Namespace, *, to_errors: bool = False, by_default: str = "plain") -> Iterator[Quiet]:
    """What shows a command's progress as its `add_progress` arguments say; it is put away at the end.

    `to_errors`: the output is the data itself, so that progress goes to standard error. `by_default` is what ``auto``
    means where there is no terminal.
    """
    out = sys.stderr if to_errors else sys.stdout
    way = "quiet" if args.quiet else args.progress
    if way == "auto":
        way = "tty" if out.isatty() else by_default
    display = _make(way, out)
    try:
        yield display
    finally:
        display.close()


@contextmanager
def shown_beside(*, quiet: bool) -> Iterator[Quiet]:
    """The same for a command whose own output is another matter: on standard error."""
    display = _make("quiet" if quiet else "tty" if sys.stderr.isatty() else "plain", sys.stderr)
    try:
        yield display
    finally:
        display.close()


def _make(way: str, out: TextIO) -> Quiet:
    if way == "tty":
        from estiba.cli.transfer_bars import Bars

        return Bars(out)
    kinds: dict[str, type[Quiet]] = {"plain": Lines, "json": JsonLines}
    return kinds.get(way, Quiet)(out)
