"""The packages of an image, read from the records that package managers leave in it. Nothing of the image is run."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator

from estiba.errors import Corrupt, InvalidInput
from estiba.image.tree import Entry, ImageTree, PathNotFound
from estiba.values import NamedTuple

_LARGEST = 64 << 20
_LARGEST_METADATA = 1 << 20
_RPM_HOMES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
_PYTHON_HOMES = ("/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/local/lib64")
_PYTHON = re.compile(r"python3?(?:\.[0-9]+)?")
_NODE_HOMES = ("/usr/lib/node_modules", "/usr/local/lib/node_modules", "/app/node_modules", "/node_modules")
_ENVIRONMENTS = ("/opt", "/app", "/venv", "/.venv", "/opt/venv", "/app/.venv", "/app/venv")


class Package(NamedTuple):
    """`manager` is ``dpkg``, ``apk``, ``rpm``, ``pip`` or ``npm``."""

    manager: str
    name: str
    version: str


def packages(tree: ImageTree) -> tuple[Package, ...]:
    """All that are found, sorted. Records that are damaged give what can be read of them."""
    found = {*_dpkg(tree), *_apk(tree), *_rpm(tree), *_pip(tree), *_npm(tree)}
    return tuple(sorted(found))


def parse_dpkg(text: str) -> Iterator[Package]:
    """``/var/lib/dpkg/status`` (deb-control(5)): the packages that are installed."""
    for fields in _paragraphs(text):
        if "installed" in fields.get("Status", "install ok installed").split() and "Package" in fields:
            yield Package("dpkg", fields["Package"], fields.get("Version", ""))


def parse_apk(text: str) -> Iterator[Package]:
    """``/lib/apk/db/installed``: a letter, a colon and a value on each line."""
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if line[1:2] == ":")
        if "P" in fields:
            yield Package("apk", fields["P"], fields.get("V", ""))


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    for paragraph in text.split("\n\n"):
        yield {
            name: value.strip()
            for name, colon, value in (line.partition(":") for line in paragraph.splitlines())
            if colon and not name.startswith((" ", "\t"))
        }


def _dpkg(tree: ImageTree) -> Iterator[Package]:
    yield from parse_dpkg(_text(tree, "/var/lib/dpkg/status"))
    for name in _names(tree, "/var/lib/dpkg/status.d"):  # images without a shell keep them apart
        if not name.endswith(".md5sums"):
            yield from parse_dpkg(_text(tree, f"/var/lib/dpkg/status.d/{name}"))


def _apk(tree: ImageTree) -> Iterator[Package]:
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        yield from parse_apk(_text(tree, path))


def _rpm(tree: ImageTree) -> Iterator[Package]:
    from estiba.image import rpm

    for directory in _RPM_HOMES:
        entry = _file(tree, f"{directory}/rpmdb.sqlite")
        found = list(rpm.of_sqlite(entry.path)) if entry is not None else []
        if _file(tree, f"{directory}/Packages.db") is not None:
            try:
                found += rpm.of_ndb(tree.read_file(f"{directory}/Packages.db", limit=_LARGEST))
            except Corrupt:
                pass
        yield from (Package("rpm", one.name, one.version) for one in found)


def _file(tree: ImageTree, path: str) -> Entry | None:
    """The regular file at `path`; None where there is none."""
    try:
        entry = tree.stat(path)
    except (PathNotFound, InvalidInput):
        return None
    return entry if stat.S_ISREG(entry.status.st_mode) else None


def _pip(tree: ImageTree) -> Iterator[Package]:
    for directory in _python_directories(tree):
        for name in _names(tree, directory):
            if name.endswith(".dist-info"):
                path = f"{directory}/{name}/METADATA"
            elif name.endswith(".egg-info"):
                path = f"{directory}/{name}/PKG-INFO"
            else:
                continue
            head = next(_paragraphs(_text(tree, path, limit=_LARGEST_METADATA)), {})
            if "Name" in head:
                yield Package("pip", head["Name"], head.get("Version", ""))


def _python_directories(tree: ImageTree) -> Iterator[str]:
    homes = list(_PYTHON_HOMES)
    for place in _ENVIRONMENTS:
        homes.append(f"{place}/lib")
        homes += [f"{place}/{name}/lib" for name in _names(tree, place)]
    for home in dict.fromkeys(homes):
        for name in _names(tree, home):
            if _PYTHON.fullmatch(name):
                yield f"{home}/{name}/site-packages"
                yield f"{home}/{name}/dist-packages"


def _npm(tree: ImageTree) -> Iterator[Package]:
    for home in _NODE_HOMES:
        for name in _names(tree, home):
            members = [f"{name}/{member}" for member in _names(tree, f"{home}/{name}")] if name[:1] == "@" else [name]
            for member in members:
                try:
                    value = json.loads(_text(tree, f"{home}/{member}/package.json", limit=_LARGEST_METADATA) or "null")
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict) and isinstance(value.get("version"), str):
                    yield Package("npm", member, value["version"])


def _text(tree: ImageTree, path: str, *, limit: int = _LARGEST) -> str:
    try:
        return tree.read_file(path, limit=limit).decode("utf-8", "replace")
    except (PathNotFound, InvalidInput, Corrupt):
        return ""


def _names(tree: ImageTree, path: str) -> tuple[str, ...]:
    entries: dict[str, Entry] = {}
    try:
        entries = tree.list(path)
    except (PathNotFound, InvalidInput):
        pass
    return tuple(entries)
