"""Where what `cp` copies ends up: Docker's rules for files, directories and what does not exist yet. Pure."""

from __future__ import annotations

from estiba.errors import Conflict, InvalidInput, NotFound
from estiba.values import NamedTuple


class Place(NamedTuple):
    """A path on the command line; `container` "" is the host, `path` ``-`` a stream."""

    container: str
    path: str

    def __str__(self) -> str:
        return f"{self.container}:{self.path}" if self.container else self.path


class Found(NamedTuple):
    """What lies at a path. `resolved` is the path with links followed as far as asked; it is there as well where the
    last name does not exist, so that it could be made."""

    resolved: str
    exists: bool
    is_directory: bool = False


class Goal(NamedTuple):
    """Into `directory`, under `name`; "" puts the contents of a directory there."""

    directory: str
    name: str


def parse_place(text: str) -> Place:
    """``CONTAINER:PATH`` or a path of the host; what begins with ``/`` or ``.`` is always the host's."""
    if text.startswith((".", "/")) or ":" not in text:
        return Place("", text)
    container, _, path = text.partition(":")
    return Place(container, path)


def check_places(source: Place, target: Place) -> None:
    """Raise InvalidInput unless exactly one of the two is in a container, and it names a path."""
    if source.container and target.container:
        raise InvalidInput(
            "files cannot be copied from one container to another",
            remedy="Copy them to the host first, or through a stream: estiba cp A:/x - | estiba cp - B:/",
        )
    if not source.container and not target.container:
        raise InvalidInput(
            "neither the source nor the target is in a container", remedy="Write CONTAINER:PATH for one of them."
        )
    for place in (source, target):
        if not place.path:
            raise InvalidInput(f"{place} names no path", remedy="Write CONTAINER:/PATH or a path of the host.")


def wants_contents(path: str) -> bool:
    """Whether ``/.`` at the end asks for what a directory holds."""
    return path.endswith("/.") or path == "."


def must_be_directory(path: str) -> bool:
    return path.endswith(("/", "/.")) or path == "."


def goal(source: str, is_directory: bool, target: str, found: Found) -> Goal:
    """Where the source goes, whose path was written as `source`, when the target was written as `target`.

    Raises:
        Conflict: a directory cannot replace a file. NotFound: the target's directory is missing.
    """
    if found.exists and found.is_directory:
        name = "" if is_directory and wants_contents(source) else base_name(source)
        return Goal(found.resolved, name)
    if found.exists and (is_directory or must_be_directory(target)):
        raise Conflict(f"{target} is a file, not a directory", remedy="Name a directory, or another file.")
    if not found.exists and must_be_directory(target) and not is_directory:
        raise NotFound(f"the directory {target} does not exist", remedy="Make it first, or leave the slash out.")
    directory, _, name = found.resolved.rpartition("/")
    return Goal(directory or "/", name)


def base_name(path: str) -> str:
    """The last name of a path; "" of the root."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    return names[-1] if names and names[-1] != ".." else ""
