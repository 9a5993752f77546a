"""`cp`: both sides found, the goal decided, and a tar between the two."""

from __future__ import annotations

import errno
import os

from estiba.engine.copying import stream
from estiba.engine.copying.inside import Inside
from estiba.engine.copying.plan import Goal, Place, base_name, check_places, goal, must_be_directory, wants_contents
from estiba.engine.copying.tree import Side
from estiba.errors import Conflict, EstibaError, InvalidInput, NotFound
from estiba.linux.paths import IN_ROOT_NO_LINKS, make_directories, open_in_root
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from estiba.engine.engine import Engine

STREAM = "-"


class Copied(NamedTuple):
    """Bytes of files; names of devices and the like that were not made on the host."""

    size: int
    left_out: tuple[str, ...] = ()


def copy(engine: Engine, source: Place, target: Place, *, follows: bool = False, keeps_owners: bool = False) -> Copied:
    """Copy files between the host and a container, with Docker's rules; ``-`` is standard input or output, as a tar.

    `follows` copies what a link at the end of the source leads to; `keeps_owners` keeps users and groups, else the
    files are root's in a container, and the caller's on the host.

    Raises:
        NoSuchContainer. NotFound: the source, or the target's directory. Conflict: something is in the way, or
        read-only; or the container has ended meanwhile. InvalidInput: both or neither are in a container, or a stream
        that is no tar. Unavailable: no space. BrokenPipeError: nobody reads standard output.
    """
    check_places(source, target)
    record = engine.find(source.container or target.container)
    with Inside(engine, record) as inside:
        act = _out if source.container else _in
        copied = act(inside, source.path, target.path, follows=follows, keeps_owners=keeps_owners)
        inside.must_live_on()
        return copied


def _out(inside: Inside, source: str, target: str, *, follows: bool, keeps_owners: bool) -> Copied:
    found = inside.find(source, follows=follows)
    if not found.exists:
        raise NotFound(f"the container has no {source}", remedy="Check the path: it begins at the container's root.")
    if must_be_directory(source) and not found.is_directory:
        raise Conflict(f"{source} is a file, not a directory", remedy="Leave the slash out.")
    directory, name = _split(found.resolved)
    if target == STREAM:
        inside.send(directory, name, base_name(source) or base_name(found.resolved) or ".", 1)
        return Copied(inside.answer())
    whole = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        host = Side(whole, "the host")
        to = goal(source, found.is_directory, target, host.find(_absolute(target), follows=True))
        root = host.directory(to.directory)
    finally:
        os.close(whole)
    try:
        owner = None if keeps_owners else (os.geteuid(), os.getegid())
        reader, writer = os.pipe2(os.O_CLOEXEC)
        with open(reader, "rb") as pipe:
            try:
                inside.send(directory, name, to.name, writer)
            finally:
                os.close(writer)
            left_out = _both(inside, lambda: _taken(pipe, root, stream.Taken(owner, keeps_owners)), pipe)
    finally:
        os.close(root)
    return Copied(inside.answer(), tuple(left_out))


def _taken(pipe: BinaryIO, root: int, how: stream.Taken) -> list[str]:
    """The stream comes from a container that may be hostile: below the target no link is followed."""
    left_out = stream.take(pipe, lambda path: _below(root, path), how)
    while pipe.read(1 << 16):
        pass
    return left_out


def _below(root: int, path: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        return open_in_root(root, path or ".", flags, resolve=IN_ROOT_NO_LINKS)
    except FileNotFoundError:
        os.close(make_directories(root, path, resolve=IN_ROOT_NO_LINKS))
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Conflict(
            f"{path} is a link or a file on the host, and a directory is wanted in its place",
            remedy="Choose another target.",
        ) from None
    return open_in_root(root, path or ".", flags, resolve=IN_ROOT_NO_LINKS)


def _both(inside: Inside, act: Callable[[], list[str]], pipe: BinaryIO) -> list[str]:
    """Our end of the stream; where the other end has failed by itself, that is what is told."""
    try:
        return act()
    except (EstibaError, OSError):
        pipe.close()
        try:
            inside.answer()
        except BrokenPipeError:
            pass  # for we read no more of it
        raise


def _in(inside: Inside, source: str, target: str, *, follows: bool, keeps_owners: bool) -> Copied:
    found = inside.find(target, follows=True)
    how = stream.Taken(None if keeps_owners else (0, 0), True)
    if source == STREAM:
        if not (found.exists and found.is_directory):
            raise NotFound(f"the container has no directory {target}", remedy="Make it first: a stream needs one.")
        inside.take(found.resolved, 0, how._replace(owner=None))
        inside.answer()
        return Copied(0)
    whole = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        host = Side(whole, "the host")
        ours = host.find(_absolute(source), follows=follows)
        if not ours.exists:
            raise NotFound(f"the host has no {source}", remedy="Check the path.")
        if must_be_directory(source) and not ours.is_directory:
            raise Conflict(f"{source} is a file, not a directory", remedy="Leave the slash out.")
        written = source if base_name(source) else ours.resolved + ("/." if wants_contents(source) else "")
        to = goal(written, ours.is_directory, target, found)
        _check_goal(inside, to)
        directory, name = _split(ours.resolved)
        place = host.directory(directory)
    finally:
        os.close(whole)
    try:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                inside.take(to.directory, reader, how)
            finally:
                os.close(reader)
            size = _given(inside, place, name, to.name, writer, source)
        finally:
            os.close(writer)
    finally:
        os.close(place)
    inside.answer()
    return Copied(size)


def _given(inside: Inside, place: int, name: str, as_name: str, writer: int, source: str) -> int:
    """Our end of the stream; gives the bytes of its files."""
    try:
        return stream.send(place, name, as_name, stream.Pipe(writer))
    except BrokenPipeError:
        inside.answer()
        raise
    except OSError as error:
        where = f"{source} ({error.filename})" if error.filename not in (None, as_name) else source
        raise InvalidInput(f"{where} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _check_goal(inside: Inside, to: Goal) -> None:
    """Raise NotFound before anything is sent where the directory is missing."""
    found = inside.find(to.directory, follows=True)
    if not found.exists or not found.is_directory:
        raise NotFound(f"the container has no directory {to.directory}", remedy="Make it first.")


def _split(path: str) -> tuple[str, str]:
    """A directory and a name in it that leads nowhere else: ``..`` is only followed where the whole path is opened."""
    directory, _, name = path.rpartition("/")
    return (path, ".") if name in ("", "..") else (directory or "/", name)


def _absolute(path: str) -> str:
    """Without taking anything away, since a slash or a dot at the end has a meaning."""
    return path if path.startswith("/") else f"{os.getcwd()}/{path}"
