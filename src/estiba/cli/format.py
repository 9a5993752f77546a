"""Rows as a table, as JSON lines or by a template, as ``--format`` asks, in Docker's layout."""

from __future__ import annotations

from estiba.cli.printable import printable, printable_json
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, object]

_PADDING = 3
_NARROWEST = 10


class Column(NamedTuple):
    """`heading` as the table shows it, `field` as templates name it."""

    heading: str
    field: str


def render(
    rows: Iterable[Row], columns: Sequence[Column], *, form: str = "", headings: Mapping[str, str] | None = None
) -> str:
    """The rows as text that ends with a line break, or "" for nothing to say.

    `form` is what ``--format`` got: "" or ``table`` for `columns`, ``json``, ``table TEMPLATE`` with a heading, or a
    template. `headings` names the headings of further fields that a template may show.

    Raises:
        BadTemplate: it cannot be read, or names a field that the rows have not.
    """
    if form in ("", "table"):
        body = [[str(row[column.field]) for column in columns] for row in rows]
        return align([[column.heading for column in columns], *body])
    if form == "json":
        return "".join(_json(row) + "\n" for row in rows)
    from estiba.cli.template import Template

    is_table = form.startswith("table ")
    template = Template(form.removeprefix("table ").lstrip() if is_table else form)
    lines = [template.render(dict(row)) for row in rows]
    if not is_table:
        return "".join(line + "\n" for line in lines)
    known = {column.field: column.heading for column in columns} | dict(headings or {})
    heading = "".join(text if field is None else known.get(field, field.upper()) for text, field in template.fields())
    return align([line.split("\t") for line in [heading, *lines]])


def _json(row: Row) -> str:
    """One object, as Go's encoder writes a map: keys sorted, and nothing in it that HTML would take for its own."""
    text = printable_json({key: row[key] for key in sorted(row)})
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def align(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, three spaces apart and at least ten wide, as Docker's tables."""
    rows = [[printable(cell) for cell in row] for row in rows]
    count = max((len(row) for row in rows), default=0)
    widths = [max([len(row[i]) + _PADDING for row in rows if i < len(row) - 1] + [_NARROWEST]) for i in range(count)]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])]
        lines.append("".join([*cells, row[-1] if row else ""]).rstrip() + "\n")
    return "".join(lines)
