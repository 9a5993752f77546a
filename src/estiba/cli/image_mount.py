"""`estiba image mount` and `estiba image unmount`: the files of an image at a directory, read-only."""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.image.mounting import MountedImage
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", default="", metavar="IMAGE", help="a name or an ID; none: list what is")
    parser.add_argument("directory", nargs="?", default="", metavar="DIR", help="default: one below the run directory")
    parser.add_argument("--format", default="", help="of the list: table, json, 'table TEMPLATE' or a template")


def run(args: argparse.Namespace, house: House) -> int:
    from estiba.image.image import find
    from estiba.image.mounting import mount_image

    if not args.image:
        return _list(args, house)
    image = find(house.store, args.image)
    directory = os.path.abspath(args.directory or f"{house.settings.run}/images/{image.id.short}")
    print(mount_image(house.store, image, directory).directory)
    return 0


def _list(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.format import Column, render
    from estiba.image.mounting import mounted_images

    rows: list[dict[str, object]] = []
    for one in mounted_images(house.store):
        names = [record.name.familiar for record in house.store.references.names_of(one.image)]
        rows.append({"ID": one.image.short, "Image": ", ".join(names) or "<none>", "Directory": one.directory})
    columns = [Column("IMAGE", "Image"), Column("IMAGE ID", "ID"), Column("DIRECTORY", "Directory")]
    print(render(rows, columns, form=args.format), end="")
    return 0


def add_unmount_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="IMAGE|DIR")
    parser.add_argument("-a", "--all", action="store_true", help="every image that is mounted")
    parser.add_argument("-f", "--force", action="store_true", help="also where somebody is in it")


def unmount(args: argparse.Namespace, house: House) -> int:
    from estiba.cli.each import for_each
    from estiba.image.mounting import NotMounted, mounted_images, unmount_image

    if bool(args.names) == args.all:
        raise InvalidInput("name what to unmount, or give --all", remedy="See what is mounted: estiba image mount")
    mounted = mounted_images(house.store)
    if args.all:
        for one in mounted:
            unmount_image(house.store, one, force=args.force)
        return 0

    def take_away(text: str) -> str:
        found = [one for one in mounted if one.directory == os.path.abspath(text)] or _of_image(text, mounted, house)
        if not found:
            raise NotMounted(text)
        for one in found:
            unmount_image(house.store, one, force=args.force)
        return text

    return for_each(args.names, take_away)


def _of_image(text: str, mounted: tuple[MountedImage, ...], house: House) -> list[MountedImage]:
    image = house.store.images.find(text).id
    return [one for one in mounted if one.image == image]
