"""Transfers in a terminal: a row for each blob, below what was said of the whole."""

from __future__ import annotations

from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from estiba.cli.printable import printable
from estiba.cli.transfers import Lines
from estiba.registry.client.progress import PREPARING, WAITING
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from estiba.oci.digest import Digest

_EVERY = 0.1  # seconds between two paintings
_WAITING = (WAITING, PREPARING)


class _WhileMoving:
    """A column that is empty where no bytes move: before, and once the row says how it ended."""

    def render(self, task: Task) -> Text | object:
        return super().render(task) if task.fields["is_moving"] else Text()  # type: ignore[misc]


class _Bar(_WhileMoving, BarColumn):  # type: ignore[misc]
    pass


class _Bytes(_WhileMoving, DownloadColumn):  # type: ignore[misc]
    pass


class _Speed(_WhileMoving, TransferSpeedColumn):  # type: ignore[misc]
    pass


class Bars(Lines):
    """Painted by whoever tells something, not by a thread: processes are started meanwhile."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._console = Console(file=out, force_terminal=True, highlight=False, markup=False)
        self._begin()

    def _begin(self) -> None:
        self._progress = Progress(*self._columns(), console=self._console, auto_refresh=False)
        self._rows: dict[Digest, TaskID] = {}
        self._painted = 0.0
        self._progress.start()

    @staticmethod
    def _columns() -> tuple[ProgressColumn, ...]:
        words = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[status]}"))
        return (*words, _Bar(bar_width=30), _Bytes(), _Speed())

    def line(self, text: str) -> None:
        """Above the rows while they move, below them once all have come to their end."""
        if self._rows and all(task.fields["has_ended"] for task in self._progress.tasks):
            self._progress.refresh()
            self._progress.stop()
            self._begin()
        self._progress.console.print(printable(text), soft_wrap=True)

    def blob(self, digest: Digest, status: str, *, done: int = 0, total: int = 0) -> None:
        is_moving = bool(total)
        changed = digest not in self._rows
        if changed:
            self._rows[digest] = self._progress.add_task(
                digest.short, total=None, status="", is_moving=False, has_ended=False
            )
        row = self._rows[digest]
        task = next(task for task in self._progress.tasks if task.id == row)
        changed = changed or task.fields["status"] != status
        self._progress.update(
            row,
            completed=done,
            total=total or None,
            status=printable(status),
            is_moving=is_moving,
            has_ended=not is_moving and not status.startswith(_WAITING),
        )
        now = monotonic()
        if changed or now - self._painted >= _EVERY:
            self._painted = now
            self._progress.refresh()

    def result(self, text: str, **facts: object) -> None:
        self.line(text)

    def close(self) -> None:
        self._progress.refresh()
        self._progress.stop()
