"""`estiba image diff A B`: what is different between two images; exit code 1 if anything is."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.image.difference import Difference
    from estiba.wiring.house import House

_SECTIONS = ("config", "history", "layers", "packages", "files")
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_SHOWN = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help="a name or an ID")
    parser.add_argument("after", metavar="B", help="a name or an ID")
    parser.add_argument(
        "--only", action="append", default=[], choices=_SECTIONS, help="one section; may be given several times"
    )
    parser.add_argument("--json", action="store_true", help="as a JSON document")
    parser.add_argument("--no-trunc", action="store_true", help="whole values and commands")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.image.difference import compare
    from estiba.image.image import find

    found = compare(house.store, find(house.store, args.before), find(house.store, args.after))
    sections = {name: getattr(found, name) for name in args.only or _SECTIONS}
    if args.json:
        import json

        value = {name: [difference._asdict() for difference in parts] for name, parts in sections.items()}
        print(json.dumps({"sharedLayers": found.shared, **value}, indent=2, ensure_ascii=False))
    else:
        for name, parts in sections.items():
            _show(name, parts, found.shared, whole=args.no_trunc)
    return 1 if any(sections.values()) else 0


def _show(name: str, parts: tuple[Difference, ...], shared: int, *, whole: bool) -> None:
    more = f" ({shared} shared)" if name == "layers" else ""
    print(f"{name.capitalize()}: {len(parts) or 'no'} {'difference' if len(parts) == 1 else 'differences'}{more}")
    for part in parts:
        print(f"  {_SIGNS[part.how]} {_line(part, whole=whole)}")


def _line(part: Difference, *, whole: bool) -> str:
    values = f"{part.before} → {part.after}" if part.before and part.after else part.before or part.after
    text = (part.what + (f": {values}" if values else "")).replace("\n", " ").replace("\t", " ")
    return text if whole or len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
