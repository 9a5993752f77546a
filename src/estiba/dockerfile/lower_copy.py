"""Lowering of COPY, ADD and WORKDIR: paths with variables expanded and the working directory applied."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import join, normpath

from estiba.dockerfile import addresses
from estiba.dockerfile.addresses import BadAddress
from estiba.dockerfile.instructions import Copy, Workdir
from estiba.dockerfile.state import StageState
from estiba.graph import vertex as graph
from estiba.graph.vertex import InlineFile, SourceGit, SourceUrl, Vertex

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
        DockerfileError: several here-documents and a destination that is no directory, a bad mode, a URL in COPY, an
            address or checksum that makes no sense.
    """
    at = copy.at
    sources = tuple(state.expand(at, text) for text in copy.sources)
    written = state.expand(at, copy.destination)
    _check_sources(state, copy, sources)
    destination = _destination(state, written)
    # Several files may go into a directory that is there, so only what stands in the text itself must say it.
    if copy.contents and len(sources) + len(copy.contents) > 1 and not destination.endswith("/"):
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
    found = tuple(_found(state, copy, number, text, source) for number, text in enumerate(sources))
    inputs = tuple(dict.fromkeys(vertex for vertex, _ in found))
    operation = graph.Copy(
        copy.kind,
        tuple(pattern for _, pattern in found),
        destination,
        contents=tuple(_inline(state, copy, index) for index in range(len(copy.contents))),
        owner=state.expand(at, copy.owner),
        mode=mode,
        link=copy.link,
        parents=copy.parents,
        exclude=tuple(state.expand(at, pattern) for pattern in copy.exclude),
        unpack=copy.kind == "ADD" and copy.unpack is not False,
        unpacks_urls=copy.unpack is True and any(isinstance(each.operation, SourceUrl) for each in inputs),
        origins=tuple(inputs.index(vertex) + 1 for vertex, _ in found) if len(inputs) > 1 else (),
    )
    title = _title(copy, operation, tuple(map(addresses.shown, sources)), written)
    state.step(operation, inputs, at=at, text=title, history=_title_with_flags(title, operation))


def _check_sources(state: StageState, copy: Copy, sources: tuple[str, ...]) -> None:
    for written, expanded in zip(copy.sources, sources, strict=True):
        if copy.kind == "COPY" and addresses.is_url(expanded):
            raise copy.at.error(
                "COPY takes files of the build context, no URL", word=written, remedy="Use ADD for a URL."
            )
        if not expanded:
            state.warn("EmptySource", f"the source {written} is empty, so everything is copied", copy.at)
    if not copy.checksum or not sources:
        return
    if len(sources) + len(copy.contents) > 1:
        raise copy.at.error("--checksum is for one source alone", word="--checksum", remedy="Write an ADD for each.")
    if not (addresses.is_url(sources[0]) or addresses.is_repository(sources[0])):
        raise copy.at.error("--checksum is for a URL or a git repository", word="--checksum")


def _found(
    state: StageState, copy: Copy, number: int, text: str, source: Callable[[str], Vertex]
) -> tuple[Vertex, str]:
    """Where a source is, and its pattern there."""
    if copy.kind != "ADD" or not (addresses.is_url(text) or addresses.is_repository(text)):
        return source(copy.source_name), _source(text, pivots=copy.parents)
    try:
        operation, pattern = _address(text, state.expand(copy.at, copy.checksum), keeps_git_dir=copy.keep_git_dir)
    except BadAddress as error:
        word = "--checksum" if copy.checksum else copy.sources[number]
        raise copy.at.error(error.claim, word=word, remedy=error.remedy) from None
    name = f"[fetch] {addresses.shown(text)}"
    at = copy.at
    return Vertex.of(operation, name=name, stage=state.stage.title, line=at.line, source=at.text), pattern


def _address(text: str, checksum: str, *, keeps_git_dir: bool) -> tuple[SourceUrl | SourceGit, str]:
    if not addresses.is_repository(text):
        if checksum:
            addresses.check_digest(checksum)
        name = addresses.file_name(text)
        return SourceUrl(text, name, checksum), _literal(name)
    found = addresses.git_address(text)
    if checksum:
        addresses.check_commit(checksum)
        if found.checksum and found.checksum != checksum:
            raise BadAddress(f"--checksum={checksum} and the address's {found.checksum} are two commits")
        found = found._replace(checksum=checksum)
    keeps = keeps_git_dir if found.keeps_git_dir is None else found.keeps_git_dir
    operation = SourceGit(found.remote, found.ref, found.checksum.lower(), keeps, found.submodules)
    return operation, _literal(found.subdir) or "."


def _literal(path: str) -> str:
    """A pattern that matches `path` alone."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


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
