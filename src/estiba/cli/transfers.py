"""How pull and push are shown: a line for each change, as Docker prints them where there is no terminal."""

from __future__ import annotations

import sys

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.oci.digest import Digest

_MOVING = frozenset({"Downloading", "Pushing"})


class Lines:
    """A `Progress` on standard output. Bytes that pass are shown on a terminal only, on the line that they rewrite."""

    def __init__(self) -> None:
        self._last: dict[Digest, str] = {}
        self._is_terminal = sys.stdout.isatty()
        self._is_moving = False

    def line(self, text: str) -> None:
        self._clear()
        print(text, flush=True)

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        if status in _MOVING:
            self._show(digest, status, done, total)
            return
        if self._last.get(digest) == status:
            return
        self._last[digest] = status
        self.line(f"{digest.short}: {status}")

    def _show(self, digest: Digest, status: str, done: int, total: int) -> None:
        if self._is_terminal:
            share = f"{100 * done // total}%" if total else ""
            print(f"\r\x1b[K{digest.short}: {status} {share} of {total} bytes", end="", flush=True)
            self._is_moving = True

    def _clear(self) -> None:
        if self._is_moving:
            print("\r\x1b[K", end="")
            self._is_moving = False
