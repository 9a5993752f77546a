"""`estiba inspect`: all about containers and images, as JSON or by a template."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from estiba.errors import NotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

Inspector = Callable[[str], dict[str, object]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME|ID", help="containers and images")
    parser.add_argument("--type", default="", choices=("container", "image"), help="look only for these")
    add_format(parser)
    parser.add_argument("-s", "--size", action="store_true", help="the sizes of containers too")


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", default="", metavar="TEMPLATE", help="such as '{{.Config.Env}}', or json")


def run(args: argparse.Namespace, house: House) -> int:
    kinds = {"container": [containers(house)], "image": [images(house)]}
    chosen = kinds.get(args.type, [*kinds["container"], *kinds["image"]])
    return show(args.names, chosen, form=args.format, what=args.type or "container or image")


def containers(house: House) -> Inspector:
    """Finds and tells containers."""
    from estiba.engine.inspect import inspect_container

    return lambda text: inspect_container(house.engine, text)


def images(house: House) -> Inspector:
    """Finds and tells images."""
    from estiba.image.image import find
    from estiba.image.inspect import inspect_image

    return lambda text: inspect_image(house.store, find(house.store, text))


def show(names: Sequence[str], kinds: Sequence[Inspector], *, form: str, what: str) -> int:
    """Print what the first of `kinds` that knows it says of each name; 1 if one is unknown to all."""
    from estiba.cli.printable import printable_json

    template = None
    if form not in ("", "json"):
        from estiba.cli.template import Template

        template = Template(form)
    found: list[dict[str, object]] = []
    status = 0
    for name in names:
        value = _first(name, kinds)
        if value is None:
            print(f"estiba: no such {what}: {name}", file=sys.stderr)
            status = 1
        else:
            found.append(value)
    if template is not None:
        for value in found:
            print(template.render(value))
    elif form == "json":
        print(printable_json(found))
    else:
        print(printable_json(found, indent=4))
    return status


def _first(name: str, kinds: Sequence[Inspector]) -> dict[str, object] | None:
    for inspect in kinds:
        try:
            return inspect(name)
        except NotFound:
            continue
    return None
