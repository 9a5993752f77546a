"""Lowering of RUN: the whole argument vector, the environment, the mounts with what they show."""

from __future__ import annotations

from collections.abc import Callable
from posixpath import basename, join, normpath

from estiba.dockerfile.heredocs import marker
from estiba.dockerfile.instructions import MountFlag, Run
from estiba.dockerfile.mounts import BadMount, Mount, read_mount
from estiba.dockerfile.state import StageState
from estiba.graph import vertex as graph
from estiba.graph.vertex import InlineFile, Vertex

INLINE_FILES = "/dev/pipes"
"""Where the scripts of here-documents lie while they run."""

_SSH_SOCKET = "/run/buildkit/ssh_agent.{}"
_SECRETS = "/run/secrets"


def lower_run(state: StageState, run: Run, *, source: Callable[[str], Vertex], epoch: str | None) -> None:
    """Add the step of a RUN. `source` gives the filesystem that a mount names, "" the context; `epoch` is shown to it.

    Raises:
        DockerfileError: a mount that makes no sense. NotYetInDockerfile: a device.
    """
    if run.devices:
        raise run.at.not_yet("RUN --device", word="--device")
    words, files = _script(run)
    if run.command.shell_form:
        words = (*state.shell, *words)
    elif not words:
        raise run.at.error("RUN needs a command", remedy='Write RUN ["program", "argument"].')
    inputs: list[Vertex] = []
    mounts = tuple(_mount(state, run, flag, number, inputs, source) for number, flag in enumerate(run.mounts))
    env = dict(state.variables)
    if epoch is not None:
        env.setdefault("SOURCE_DATE_EPOCH", epoch)
    operation = graph.Run(
        words,
        run.command.shell_form,
        env=tuple(env.items()),
        passing_env=tuple(pair for pair in state.scope.proxies if pair[0] not in env),
        user=state.run.user,
        working_dir=state.run.working_dir or "/",
        mounts=mounts,
        files=files,
        network=run.network,
        security=run.security,
    )
    state.step(operation, inputs, at=run.at, text=_title(run), history=_history(state, words))


def _script(run: Run) -> tuple[tuple[str, ...], tuple[InlineFile, ...]]:
    """The words without the shell. A lone here-document is the script itself; with ``#!`` it is a file to run."""
    words, heredocs = run.command.words, run.at.heredocs
    if not heredocs or not run.command.shell_form:
        return words, ()
    if len(heredocs) == 1 and marker(words[0]) is not None:
        name, script = heredocs[0].name, heredocs[0].content
        if not script.startswith("#!"):
            return (script,), ()
        if "/" in name or name in (".", ".."):
            raise run.at.error(f"{name!r} cannot be the name of a script", word=name)
        return (f"{INLINE_FILES}/{name}",), (InlineFile(name, script, 0o755),)
    # The shell reads the others itself.
    return (words[0] + "".join(f"\n{each.raw}{each.name}" for each in heredocs),), ()


def _title(run: Run) -> str:
    text = "RUN " + " ".join(run.at.arguments.split())
    if run.at.heredocs:
        lines = run.at.heredocs[0].raw.strip().splitlines()
        text += f" ({lines[0] if lines else ''}{'...' if len(lines) > 1 else ''})"
    return text


def _history(state: StageState, words: tuple[str, ...]) -> str:
    """As Docker writes it: the number of arguments and their values before the command."""
    arguments = [f"{name}={state.variables.get(name, value or '')}" for name, value in state.arguments.items()]
    return " ".join(["RUN", *([f"|{len(arguments)}", *arguments] if arguments else []), *words])


def _mount(
    state: StageState,
    run: Run,
    flag: MountFlag,
    number: int,
    inputs: list[Vertex],
    source: Callable[[str], Vertex],
) -> graph.RunMount:
    try:
        mount = read_mount(flag, lambda text: state.expand(run.at, text))
    except BadMount as error:
        raise run.at.error(error.claim, word=flag.text, remedy=error.remedy) from None
    mount = _with_defaults(mount, number)
    target = normpath(join(state.run.working_dir or "/", mount.target)) if mount.target else ""
    if target == "/":
        raise run.at.error("a mount cannot cover the whole filesystem", word=flag.text, remedy="Name another target.")
    position = -1
    if mount.kind == "bind" or (mount.kind == "cache" and mount.source_name):
        vertex = source(mount.source_name)
        if vertex not in inputs:
            inputs.append(vertex)
        position = inputs.index(vertex) + 1
    return graph.RunMount(
        mount.kind,
        target,
        source=normpath(join("/", mount.source)).lstrip("/") if mount.kind in ("bind", "cache") else "",
        source_input=position,
        identifier=mount.identifier or (target if mount.kind == "cache" else ""),
        read_only=mount.read_only,
        sharing=mount.sharing,
        required=mount.required,
        mode=mount.mode,
        uid=mount.uid,
        gid=mount.gid,
        size=mount.size,
        variable=mount.variable,
    )


def _with_defaults(mount: Mount, number: int) -> Mount:
    """The names and targets that secrets and agents have where nothing is said."""
    if mount.kind == "secret":
        identifier = mount.identifier or mount.source or basename(mount.target)
        target = mount.target
        if not target and not mount.variable:
            target = f"{_SECRETS}/{basename(identifier)}"
        return mount._replace(identifier=identifier, target=target)
    if mount.kind == "ssh":
        return mount._replace(
            identifier=mount.identifier or "default", target=mount.target or _SSH_SOCKET.format(number)
        )
    return mount
