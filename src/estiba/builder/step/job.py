"""What a step's process is asked to do, as values that travel as JSON through a pipe (secrets touch no disk)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from estiba.builder.context.tree import Entry, Item
from estiba.linux.mounts import Mount
from estiba.values import NamedTuple


class Place(NamedTuple):
    """Where a tree is: `mounts` to be made on a directory, or with none the `directory` as it is."""

    mounts: tuple[Mount, ...] = ()
    directory: str = ""


class StepMount(NamedTuple):
    """One ``--mount`` of a RUN, ready to be made.

    `kind` is ``bind``, ``cache``, ``tmpfs`` or ``secret``; `source` is the tree it comes from and `path` the place in
    it. Of the context only `items` are shown, as a copy. A secret's `data` is its content in Latin-1.
    """

    kind: str
    target: str
    source: Place = Place()
    path: str = ""
    read_only: bool = False
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    size: int = 0
    data: str = ""
    items: tuple[Item, ...] = ()


class RunAction(NamedTuple):
    """Run a command. `network` is ``bridge``, ``none`` or ``host``; `runtime` the command of an OCI runtime.

    `own_ids` is how many ids of its own it has; 0 are the host's. `terminal`: it has one, served from our own streams.
    """

    arguments: tuple[str, ...]
    env: tuple[str, ...]
    user: str
    working_dir: str
    mounts: tuple[StepMount, ...]
    files: tuple[tuple[str, str, int], ...]
    network: str
    privileged: bool
    container_id: str
    runtime: tuple[str, ...]
    runtime_root: str
    runtime_is_ours: bool
    networks_root: str
    networks_run: str
    resolv_conf: str
    extra_hosts: tuple[str, ...] = ()
    own_ids: int = 0
    terminal: bool = False


class CopyAction(NamedTuple):
    """Copy to `destination`.

    From a caller's directory the build has already selected `items`; from another stage `patterns` are selected here.
    `keeps_owner`: files keep their owner, as between stages, where `owner` is "". `then` are more copies into the same
    layer, for what the instruction names in other trees.
    """

    source: Place
    patterns: tuple[str, ...]
    items: tuple[Item, ...]
    contents: tuple[tuple[str, str, int], ...]
    destination: str
    owner: str
    mode: str
    parents: bool
    exclude: tuple[str, ...]
    unpack: bool
    keeps_owner: bool
    label: str
    then: tuple[CopyAction, ...] = ()


class DirectoryAction(NamedTuple):
    """Make a directory and its parents where they are missing."""

    path: str
    owner: str


class ExportAction(NamedTuple):
    """Write the whole filesystem to `destination`: a tar, or with `form` ``local`` a directory, owned by `owner`."""

    form: str
    destination: str
    owner: tuple[int, int]


def with_variables(env: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """The variables of a step, and those of `more` that it does not set itself; each ``NAME=value``."""
    own = tuple(env)
    names = {each.partition("=")[0] for each in own}
    return (*own, *(each for each in more if each.partition("=")[0] not in names))


Action = RunAction | CopyAction | DirectoryAction | ExportAction


class Job(NamedTuple):
    """`directory` is the step's own (mode 0700), `writable` where the layer's change lands.

    `epoch` is the time in seconds that every changed file gets; None leaves times alone.
    """

    directory: str
    root: Place
    writable: str
    epoch: int | None
    action: Action


class Outcome(NamedTuple):
    """How it ended: `exit_code` of the command with a `note` on why, or the `kind` of an error with its words."""

    exit_code: int = 0
    kind: str = ""
    message: str = ""
    remedy: str = ""
    note: str = ""


_ACTIONS: dict[str, type[RunAction] | type[CopyAction] | type[DirectoryAction] | type[ExportAction]] = {
    "run": RunAction,
    "copy": CopyAction,
    "directory": DirectoryAction,
    "export": ExportAction,
}


def encode(job: Job) -> bytes:
    """The job as JSON: every value as the list of its fields."""
    name = next(name for name, kind in _ACTIONS.items() if isinstance(job.action, kind))
    return json.dumps([name, *job]).encode()


def decode(data: bytes) -> Job:
    """What `encode` wrote."""
    name, directory, root, writable, epoch, action = json.loads(data)
    return Job(directory, _place(root), writable, epoch, _action(name, action))


def _place(fields: Any) -> Place:
    mounts, directory = fields
    return Place(tuple(Mount(m[0], m[1], m[2], tuple(m[3])) for m in mounts), directory)


def _action(name: str, fields: list[Any]) -> Action:
    fields = [tuple(field) if isinstance(field, list) else field for field in fields]
    if name == "directory":
        return DirectoryAction._make(fields)
    if name == "export":
        return ExportAction._make(fields)
    if name == "copy":
        return _copy(fields)
    run = RunAction._make(fields)
    return run._replace(
        mounts=tuple(
            StepMount._make(each)._replace(source=_place(each[2]), items=_items(each[-1])) for each in fields[4]
        ),
        files=_files(fields[5]),
    )


def _copy(fields: list[Any]) -> CopyAction:
    copy = CopyAction._make(tuple(field) if isinstance(field, list) else field for field in fields)
    return copy._replace(
        source=_place(fields[0]),
        items=_items(fields[2]),
        contents=_files(fields[3]),
        then=tuple(_copy(each) for each in fields[-1]),
    )


def _files(rows: list[Any]) -> tuple[tuple[str, str, int], ...]:
    return tuple((name, data, mode) for name, data, mode in rows)


def _items(rows: list[Any]) -> tuple[Item, ...]:
    return tuple(Item(source, tuple(_entry(each) for each in entries)) for source, entries in rows)


def _entry(fields: list[Any]) -> Entry:
    return Entry._make([*fields[:-1], tuple(fields[-1])])
