"""Where a build's files and its Dockerfile come from: a directory, standard input, an address, a file elsewhere."""

from __future__ import annotations

import os
import stat
import sys
from types import TracebackType

from estiba.errors import InvalidInput, NotFound
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

    from estiba.builder.context.elsewhere import Elsewhere
    from estiba.layers.decompress import Readable
    from estiba.store.scratch import Scratch

_STANDARD_INPUT = "-"
_ARCHIVES = ((0, b"\x1f\x8b"), (0, b"BZh"), (0, b"\xfd7zXZ\x00"), (0, b"\x28\xb5\x2f\xfd"), (257, b"ustar"))
_LONGEST_DOCKERFILE = 16 << 20


class Sources(NamedTuple):
    """`directory` holds the context; `dockerfile` is the text, `filename` what errors call it, `ignore` the rules."""

    directory: str
    dockerfile: str
    filename: str
    ignore: str


class Context:
    """``with Context(path, file, scratch, elsewhere) as sources:`` what is not in a directory of the caller lies in
    scratch space till then.

    `path` is a directory; ``-``: a tar with the files, compressed or not, or a Dockerfile alone without any file; a URL
    of the same; or the address of a git repository. `file` is the Dockerfile: "" is that of the context, ``-`` standard
    input; with files from elsewhere it is one of them.

    Raises:
        NotFound: there is no such directory or file. InvalidInput: both are standard input, or what came is neither
        files nor a Dockerfile. What `elsewhere` raises.
    """

    def __init__(
        self, path: str, file: str, scratch: Scratch, elsewhere: Elsewhere, *, needs_dockerfile: bool = True
    ) -> None:
        self._path = path
        self._file = file
        self._scratch = scratch
        self._elsewhere = elsewhere
        self._needs_dockerfile = needs_dockerfile
        self._folder = ""
        self._held = -1

    def __enter__(self) -> Sources:
        try:
            return self._sources()
        except BaseException:
            self._remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _sources(self) -> Sources:
        if self._path == _STANDARD_INPUT:
            if self._file == _STANDARD_INPUT:
                raise InvalidInput(
                    "the context and the Dockerfile cannot both come from standard input",
                    remedy="Give one of them as a file.",
                )
            self._held, self._folder = self._scratch.folder("context")
            return self._from_stream(sys.stdin.buffer)
        if is_address(self._path):
            return self._from_address()
        if not os.path.isdir(self._path):
            raise NotFound(
                f"the build context {self._path} is not a directory", remedy="Give the directory with the sources."
            )
        directory = os.path.realpath(self._path)
        text, filename = _dockerfile(self._file, directory)
        return Sources(directory, text, filename, ignore_rules(directory, filename))

    def _from_address(self) -> Sources:
        from estiba.dockerfile.addresses import is_repository

        self._held, self._folder = self._scratch.folder("context")
        if is_repository(self._path, takes_short_form=True):
            return self._with_dockerfile(self._elsewhere.repository(self._path, self._folder))
        path = f"{self._folder}/download"
        self._elsewhere.file(self._path, path)
        with open(path, "rb") as stream:
            return self._from_stream(stream)

    def _from_stream(self, stream: BinaryIO) -> Sources:
        """An archive with the files, or a Dockerfile alone."""
        head = stream.read(512)
        directory = f"{self._folder}/files"
        os.mkdir(directory)
        if not any(head[at : at + len(magic)] == magic for at, magic in _ARCHIVES):
            if not self._needs_dockerfile:
                raise InvalidInput(f"{self._path} gives no archive of files", remedy="Name a tar, or a repository.")
            text = (head + stream.read(_LONGEST_DOCKERFILE)).decode("utf-8", "surrogateescape")
            return Sources(directory, text, "Dockerfile", "")
        from estiba.layers.unpack import unpack

        unpack(_decompressed(_Rejoined(head, stream), head), directory, whiteouts="ignore")
        return self._with_dockerfile(directory)

    def _with_dockerfile(self, directory: str) -> Sources:
        """Files that came from elsewhere, and the Dockerfile among them."""
        if not self._needs_dockerfile:
            return Sources(directory, "", "", ignore_rules(directory))
        if self._file == _STANDARD_INPUT:
            text, _ = _dockerfile(self._file, directory)
            return Sources(directory, text, "Dockerfile", ignore_rules(directory, f"{directory}/Dockerfile"))
        text, filename = _dockerfile(os.path.join(directory, self._file or "Dockerfile"), directory)
        return Sources(directory, text, os.path.relpath(filename, directory), ignore_rules(directory, filename))

    def _remove(self) -> None:
        if self._folder:
            from estiba.store.snapshots.trees import remove_tree

            remove_tree(self._folder)
            os.close(self._held)
            self._folder = ""


def is_address(path: str) -> bool:
    """A directory of that name is meant where there is one."""
    if "://" not in path and "@" not in path and not path.startswith("github.com/"):
        return False  # as nearly always, and without loading what knows addresses
    from estiba.dockerfile.addresses import is_repository, is_url

    return (is_url(path) or is_repository(path, takes_short_form=True)) and not os.path.isdir(path)


class _Rejoined:
    """A stream of which the first bytes have been read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if not self._head:
            return self._rest.read(size)
        piece = self._head if size < 0 else self._head[:size]
        self._head = self._head[len(piece) :]
        return piece + self._rest.read() if size < 0 else piece


def _decompressed(stream: _Rejoined, head: bytes) -> Readable:
    """What `layers` cannot decompress by itself."""
    if head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2File(stream)  # type: ignore[call-overload, no-any-return]
    if head.startswith(b"\xfd7zXZ"):
        import lzma

        return lzma.LZMAFile(stream)  # type: ignore[arg-type]
    return stream


def _dockerfile(file: str, context: str) -> tuple[str, str]:
    """The text, and the path that errors name."""
    if file == _STANDARD_INPUT:
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), "Dockerfile"
    path = file or os.path.join(context, "Dockerfile")
    if file and not os.path.isabs(file) and not os.path.exists(file):
        path = os.path.join(context, file)
    try:
        return _text(path, context), os.path.realpath(path)
    except FileNotFoundError:
        raise NotFound(
            f"there is no Dockerfile at {path}", remedy="Give its place with -f FILE; - reads it from standard input."
        ) from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a directory, not a Dockerfile", remedy="Give a file with -f.") from None


def ignore_rules(context: str, dockerfile: str = "") -> str:
    """`Dockerfile.dockerignore` beside the Dockerfile, if there is one, else `.dockerignore` of the context."""
    beside = [f"{dockerfile}.dockerignore"] if dockerfile else []
    for path in (*beside, os.path.join(context, ".dockerignore")):
        try:
            return _text(path, context)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return ""


def _text(path: str, context: str) -> str:
    """The text of a file. What a context has at its own path may be hostile; what the user names elsewhere is not.

    Raises:
        FileNotFoundError, NotADirectoryError, IsADirectoryError. InvalidInput: it leads out, is no file, or too long.
    """
    real = os.path.realpath(path)
    if _is_below(os.path.abspath(path), context):
        if not _is_below(real, context):
            raise InvalidInput(
                f"{path} is a link that leads out of the build context", remedy="Name its target itself, with -f FILE."
            )
        mode = os.stat(real).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise InvalidInput(f"{path} is no file")
    with open(real, "rb") as source:
        data = source.read(_LONGEST_DOCKERFILE + 1)
    if len(data) > _LONGEST_DOCKERFILE:
        raise InvalidInput(f"{path} has more than {_LONGEST_DOCKERFILE} bytes")
    return data.decode("utf-8", "surrogateescape")


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
