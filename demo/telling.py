"""How the story looks in a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table


class Chapter(NamedTuple):
    """One row of the closing table."""

    number: int
    title: str
    seconds: float
    bytes: str


class Telling:
    """Prints the story as it happens."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, width=None if os.isatty(1) else 120)

    def opening(self, text: str) -> None:
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def chapter(self, number: int, title: str) -> None:
        self.console.print(f"\n[bold cyan]{number}. {escape(title)}[/bold cyan]")

    def command(self, arguments: Iterable[str], *, where: str = "") -> None:
        place = f"[dim]{escape(where)}[/dim] " if where else ""
        self.console.print(f"   {place}[green]$ estiba {escape(' '.join(arguments))}[/green]", soft_wrap=True)

    def fact(self, text: str) -> None:
        self.console.print(f"   {escape(text)}", soft_wrap=True)

    def output(self, text: str, *, lines: int = 8) -> None:
        """The end of what a command printed."""
        shown = text.rstrip().splitlines()[-lines:]
        for line in shown:
            self.console.print(f"   [dim]│ {escape(line)}[/dim]", soft_wrap=True)

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[str] = ()) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(column, justify="right" if column in set(right) else "left", overflow="ellipsis")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.console.print(_indented(table))

    def closing(self, chapters: Iterable[Chapter]) -> None:
        table = Table(title="The whole way", title_justify="left", title_style="bold")
        table.add_column("")
        table.add_column("what happened")
        table.add_column("time", justify="right")
        table.add_column("bytes", justify="right")
        total = 0.0
        for chapter in chapters:
            table.add_row(str(chapter.number), escape(chapter.title), f"{chapter.seconds:.1f} s", chapter.bytes)
            total += chapter.seconds
        table.add_section()
        table.add_row("", "all", f"{total:.1f} s", "")
        self.console.print()
        self.console.print(table)

    def failure(self, text: str) -> None:
        self.console.print(f"\n[bold red]The demo stopped here.[/bold red] {escape(text)}\n", soft_wrap=True)


def _indented(table: Table) -> Padding:
    return Padding(table, (0, 0, 0, 3))


def size(count: int) -> str:
    """A number of bytes as people read it: 1 234 567 -> "1.23 MB" (decimal, as Docker prints it)."""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}" if unit != "B" else f"{count} B"
        number /= 1000
    return f"{number:.3g} GB"
