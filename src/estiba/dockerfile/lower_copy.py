"""Lowering of COPY, ADD and WORKDIR: paths with variables expanded and the working directory applied."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import join, normpath

from estiba.dockerfile.instructions import Copy, Workdir
from estiba.dockerfile.state import StageState
from estiba.graph import vertex as graph
from estiba.graph.vertex import InlineFile, Vertex

_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"git://|ssh://|git@[^/]+:|https?://[^#?]+\.git(?:[#?]|$)|github\.com/[^/]+/[^/]+", re.IGNORECASE)
_MODE = re.compile(r"[0-7]{1,4}|[ugoa]*[-+=][rwxXstugo]*(?:[-+=][rwxXstugo]*)*(?:,[ugoa]*[-+=][rwxXstugo]*)*")


def lower_workdir(state: StageState, workdir: Workdir) -> None:
    """Change the working directory, and make it unless it is the root."""
    path = state.expand(workdir.at, workdir.path)
    if not path:
        raise workdir.at.error("the path of WORKDIR is empty", word=workdir.path)
    if not path.startswith("/") and not state.has_workdir:
        state.warn("WorkdirRelativePath", f"the relative path {path} depends on the base image", workdir.at)
    state.has_workdir = True
    absolute = _absolute(state, path)
    state.run = state.run._replace(working_dir=absolute)
    text = f"WORKDIR {absolute}"
    if absolute == "/":
        state.record(text)
        return
    state.step(graph.MakeDirectory(absolute, state.run.user), (), at=workdir.at, text=text, history=text)


def lower_copy(state: StageState, copy: Copy, *, source: Callable[[str], Vertex]) -> None:
    """Add the step of a COPY or ADD. `source` gives the filesystem of a name, "" the context.

    Raises:
        DockerfileError: several sources and a destination that is no directory, a bad mode, a URL in COPY.
        NotYetInDockerfile: a URL or git repository in ADD.
    """
    at = copy.at
    sources = tuple(state.expand(at, text) for text in copy.sources)
    written = state.expand(at, copy.destination)
    for text, expanded in zip(copy.sources, sources, strict=True):
        _check_source(state, copy, text, expanded)
    destination = _destination(state, written)
    if len(sources) + len(copy.contents) > 1 and not destination.endswith("/"):
        raise at.error(
            f"several sources need a directory as destination, and {written!r} does not end in '/'",
            word=copy.destination,
            remedy=f"Write {written}/.",
        )
    mode = state.expand(at, copy.mode)
    if mode and not _MODE.fullmatch(mode):
        raise at.error(
            f"invalid mode {mode!r}",
            word=copy.mode,
            remedy="Write an octal number such as 755, or such as u=rwX,go=rX.",
        )
    if copy.checksum and copy.sources:
        raise at.error("--checksum is for a URL only", word="--checksum")
    operation = graph.Copy(
        copy.kind,
        tuple(_source(text, pivots=copy.parents) for text in sources),
        destination,
        contents=tuple(_inline(state, copy, index) for index in range(len(copy.contents))),
        owner=state.expand(at, copy.owner),
        mode=mode,
        link=copy.link,
        parents=copy.parents,
        exclude=tuple(state.expand(at, pattern) for pattern in copy.exclude),
        unpack=copy.kind == "ADD" and copy.unpack is not False,
    )
    title = _title(copy, operation, sources, written)
    state.step(
        operation,
        (source(copy.source_name),) if sources else (),
        at=at,
        text=title,
        history=_title_with_flags(title, operation),
    )


def _check_source(state: StageState, copy: Copy, written: str, expanded: str) -> None:
    is_git, is_url = _GIT.match(expanded), _URL.match(expanded)
    if (is_git and not expanded.startswith("github.com/")) or is_url or (is_git and copy.kind == "ADD"):
        if copy.kind == "COPY":
            if is_url:
                raise copy.at.error(
                    "COPY takes files of the build context, no URL", word=written, remedy="Use ADD for a URL."
                )
            return
        what = "ADD of a git repository" if is_git else "ADD of a URL"
        raise copy.at.not_yet(what, word=written, remedy="Fetch it in a RUN, or put the file into the build context.")
    if not expanded:
        state.warn("EmptySource", f"the source {written} is empty, so everything is copied", copy.at)


def _source(text: str, *, pivots: bool) -> str:
    """A pattern relative to the root, which it cannot leave. A ``/./`` in it stays where `pivots`."""
    head, pivot, tail = text.partition("/./") if pivots else (text, "", "")
    clean = normpath(join("/", head)).lstrip("/") or "."
    return f"{clean}/./{normpath(join('/', tail)).lstrip('/')}" if pivot else clean


def _destination(state: StageState, text: str) -> str:
    """Absolute; it ends in a slash where it names a directory by its form."""
    is_directory = text in ("", ".", "..") or text.endswith(("/", "/.", "/.."))
    absolute = _absolute(state, text)
    return absolute + "/" if is_directory and absolute != "/" else absolute


def _absolute(state: StageState, path: str) -> str:
    return "/" + normpath(join("/", state.run.working_dir, path)).lstrip("/")


def _inline(state: StageState, copy: Copy, index: int) -> InlineFile:
    heredoc = copy.contents[index]
    if "/" in heredoc.name or heredoc.name in (".", ".."):
        raise copy.at.error(f"{heredoc.name!r} cannot be the name of a file", word=heredoc.name)
    content = state.expand_document(copy.at, heredoc.content) if heredoc.expands else heredoc.content
    return InlineFile(heredoc.name, content)


def _title(copy: Copy, operation: graph.Copy, sources: tuple[str, ...], destination: str) -> str:
    words = [copy.kind]
    if copy.source_name:
        words.append(f"--from={copy.source_name}")
    return " ".join([*words, *sources, *(f"<<{file.name}" for file in operation.contents), destination])


def _title_with_flags(title: str, operation: graph.Copy) -> str:
    kind, _, rest = title.partition(" ")
    flags = [f"--chown={operation.owner}"] * bool(operation.owner) + [f"--chmod={operation.mode}"] * bool(
        operation.mode
    )
    flags += ["--link"] * operation.link + ["--parents"] * operation.parents
    flags += [f"--exclude={pattern}" for pattern in operation.exclude]
    return " ".join([kind, *flags, rest])
