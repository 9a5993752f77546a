"""Any OCI runtime behind its command line (runc's), started by posix_spawn: ours, crun or runc.

The runtime's own words go to an anonymous file (`--log`), because its standard streams are those of the container.
"""

from __future__ import annotations

import fcntl
import os
import sys

from estiba.errors import CommandFailed, InvalidInput, NotFound, Unavailable
from estiba.oci import json_text
from estiba.runtime import interpreter
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


_REMEDIES = {
    126: "Name a program that this user may execute.",
    127: "Check the command's name, its directory, and that the image has the program.",
}


class RuntimeFailed(CommandFailed):
    """The runtime refused or failed; `exit_code` is 127 or 126 where the container's program is missing or not
    executable, else 125 (Docker's codes)."""


class ContainerMissing(NotFound):
    """The runtime knows no such container."""


class RuntimeState(NamedTuple):
    """A container's state (runtime-spec, runtime.md). `status` is creating, created, running, paused or stopped."""

    id: str
    status: str
    pid: int
    bundle: str
    annotations: Mapping[str, str]


class RuntimeClient:
    """Speaks runc's command line to the executable `command`, whose state lies in the directory `root`.

    Every method waits for the runtime to end, which for `create`, `start` and a detached `exec` is at once.
    """

    def __init__(
        self, command: tuple[str, ...], root: str, *, is_ours: bool = False, ends_with_caller: bool = False
    ) -> None:
        """`ends_with_caller`: a `kill -9` of this process, which has one thread and whose part nobody takes over, ends
        a runtime at work too; else it would finish a container that nobody knows of."""
        self.command = command
        self._ends_with_caller = ends_with_caller
        self.root = root
        self.is_ours = is_ours
        self.forks = False
        """Whether this process may fork a container's processes itself."""

    @staticmethod
    def ours(*, root: str, creates: bool = False) -> RuntimeClient:
        """Estiba's own runtime: it is started without the site module and with few imports, and only where a process
        is needed; what reads and writes its records alone is done here. With `creates`, for a process that has one
        thread and nothing else to do, making the container is too."""
        from estiba.runtime.direct import DirectClient

        launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
        return DirectClient((sys.executable, "-I", "-S", launcher), root, creates=creates)

    @classmethod
    def named(cls, name: str, *, root: str) -> RuntimeClient:
        """Another runtime (``crun``, ``runc`` or a path), which is looked for in the usual directories.

        Raises:
            NotFound: no such executable.
        """
        places = [name] if "/" in name else [os.path.join(d, name) for d in _ENVIRONMENT["PATH"].split(":")]
        for place in map(os.path.abspath, places):
            if os.path.isfile(place) and os.access(place, os.X_OK):
                return cls((place,), root)
        why = "that path is no program" if "/" in name else f"it is not in {_ENVIRONMENT['PATH']}"
        raise NotFound(
            f"the runtime {name!r} is not installed: {why}", remedy="Leave --runtime out to use Estiba's own."
        )

    def create(
        self,
        container_id: str,
        *,
        bundle: str,
        pid_file: str,
        console_socket: str | None = None,
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
        pass_fds: Sequence[int] = (),
    ) -> int:
        """Make the container of `bundle` up to the point where its program would begin; gives its pid.

        `pass_fds` become the program's descriptors 3, 4, … .

        Raises:
            RuntimeFailed: nothing of the container is left.
        """
        arguments = ["create", "--bundle", bundle, "--pid-file", pid_file]
        if console_socket is not None:
            arguments += ["--console-socket", console_socket]
        if pass_fds:
            arguments += ["--preserve-fds", str(len(pass_fds))]
        self._checked([*arguments, container_id], streams=(stdin, stdout, stderr), pass_fds=pass_fds)
        with open(pid_file, encoding="ascii") as file:
            return int(file.read())

    def run(self, container_id: str, *, bundle: str, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> int:
        """Run the container of `bundle` to its end and remove it; gives its program's exit status.

        Raises:
            RuntimeFailed: its program could not begin; nothing of the container is left.
        """
        status, log = self._run(["run", "--bundle", bundle, container_id], streams=(stdin, stdout, stderr))
        failed = _failure(log)
        if status and failed:
            raise runtime_error(container_id, failed, status)
        return status

    def start(self, container_id: str) -> None:
        """Let the program of a created container begin."""
        self._checked(["start", container_id])

    def state(self, container_id: str) -> RuntimeState:
        """How the container is.

        Raises:
            ContainerMissing: no such container.
        """
        raw = json_text.loads(self._output(["state", container_id]).decode(), what="the state")
        return RuntimeState(
            raw["id"], raw["status"], raw.get("pid", 0), raw.get("bundle", ""), raw.get("annotations") or {}
        )

    def kill(self, container_id: str, signal: int, *, everything: bool = False) -> None:
        """Send a signal to the container's first process, or to all of them."""
        self._checked(["kill", *(("--all",) if everything else ()), container_id, str(signal)])

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """Remove a stopped container's state and cgroup; `force` kills it before, and accepts that it is gone."""
        self._checked(["delete", *(("--force",) if force else ()), container_id])

    def pause(self, container_id: str) -> None:
        """Freeze every process of the container."""
        self._checked(["pause", container_id])

    def resume(self, container_id: str) -> None:
        """Let a paused container go on."""
        self._checked(["resume", container_id])

    def update(self, container_id: str, resources: Mapping[str, Any]) -> None:
        """Set other limits (runtime-spec's `resources` object) of a container that exists.

        Raises:
            RuntimeFailed: the kernel refused one.
        """
        description = _anonymous_file("resources", json_text.dumps(resources).encode())
        arguments = ["update", "--resources", "/proc/self/fd/4", container_id]
        try:
            status, log = self._run(arguments, streams=(0, 1, 2), more=description)
        finally:
            os.close(description)
        if status:
            raise runtime_error(container_id, _failure(log), status)

    def exec(
        self,
        container_id: str,
        process: Mapping[str, Any],
        *,
        detach: bool = True,
        pid_file: str | None = None,
        console_socket: str | None = None,
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
        pass_fds: Sequence[int] = (),
    ) -> int:
        """Run one more process (runtime-spec's `process` object) in a running container.

        Gives its pid when it is detached and `pid_file` is given, else its exit status.

        Raises:
            RuntimeFailed: it could not be started.
        """
        description = _anonymous_file("process", json_text.dumps(process).encode())
        place = 3 + len(pass_fds) + 1
        arguments = ["exec", "--process", f"/proc/self/fd/{place}"]
        if detach:
            arguments.append("--detach")
        if pid_file is not None:
            arguments += ["--pid-file", pid_file]
        if console_socket is not None:
            arguments += ["--console-socket", console_socket]
        if process.get("terminal"):
            arguments.append("--tty")
        if pass_fds:
            arguments += ["--preserve-fds", str(len(pass_fds))]
        try:
            streams = (stdin, stdout, stderr)
            status, log = self._run([*arguments, container_id], streams=streams, pass_fds=pass_fds, more=description)
        finally:
            os.close(description)
        failed = _failure(log)
        if failed or (detach and status):
            program = str((process.get("args") or ("",))[0])
            told = failed if program in failed else f"exec {program}: {failed}"  # crun does not name it
            raise runtime_error(container_id, told, status)
        if detach and pid_file is not None:
            with open(pid_file, encoding="ascii") as file:
                return int(file.read())
        return status

    def _checked(
        self, arguments: list[str], *, streams: tuple[int, int, int] = (0, 1, 2), pass_fds: Sequence[int] = ()
    ) -> None:
        status, log = self._run(arguments, streams=streams, pass_fds=pass_fds)
        if status:
            raise runtime_error(arguments[-1], _failure(log), status)

    def _output(self, arguments: list[str]) -> bytes:
        output = _anonymous_file("output")
        try:
            status, log = self._run(arguments, streams=(0, output, 2))
            if status:
                raise runtime_error(arguments[-1], _failure(log), status)
            return _content(output)
        finally:
            os.close(output)

    def _run(
        self,
        arguments: list[str],
        *,
        streams: tuple[int, int, int],
        pass_fds: Sequence[int] = (),
        more: int | None = None,
    ) -> tuple[int, bytes]:
        """Run the runtime; gives its exit status and what it logged."""
        log = _anonymous_file("log")
        silent = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        is_quiet = arguments[0] not in ("create", "run", "exec")
        wanted = [streams[0], streams[1], silent if is_quiet else streams[2], *pass_fds, log]
        if more is not None:
            wanted.append(more)
        # Out of the way first: a descriptor that is wanted as number 3 may be somebody else's number 4.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(wanted)) for fd in wanted]
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(moved)]
        command = [
            *self.command,
            "--root",
            self.root,
            "--log",
            f"/proc/self/fd/{3 + len(pass_fds)}",
            "--log-format",
            "json",
            *(("--quiet",) if self.is_ours else ()),
            *arguments,
        ]
        executable = command[0]
        if self.is_ours:
            # What the runtime would do first, at the price of starting the interpreter twice.
            executable, held = interpreter.protected(executable)
            if held:
                moved.append(fcntl.fcntl(held[0], fcntl.F_DUPFD_CLOEXEC, len(wanted)))
                os.close(held[0])
                executable = f"/proc/self/fd/{moved[-1]}"
        try:
            try:
                if self._ends_with_caller:
                    from estiba.linux import mortal

                    pid = mortal.spawn(executable, command, _ENVIRONMENT, descriptors=dict(enumerate(moved)))
                else:
                    pid = os.posix_spawn(executable, command, _ENVIRONMENT, file_actions=actions)
            except OSError as error:
                raise Unavailable(
                    f"the runtime {command[0]} cannot be executed: {(error.strerror or str(error)).lower()}",
                    remedy="Check the path, and for a script the interpreter in its first line.",
                ) from error
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            return (code if code >= 0 else 128 - code), _content(log)
        finally:
            for descriptor in (*moved, silent, log):
                os.close(descriptor)


def _anonymous_file(name: str, content: bytes = b"") -> int:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    if content:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)


def _failure(log: bytes) -> str:
    """The last error in a log of JSON lines; "" when there is none."""
    for line in reversed(log.decode(errors="replace").splitlines()):
        try:
            entry = json_text.loads(line, what="a line of the log")
        except InvalidInput:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal") and entry.get("msg"):
            return str(entry["msg"])
    return ""


def runtime_error(container_id: str, message: str, status: int = 1) -> CommandFailed | NotFound:
    """The error that a runtime's last words mean: only they tell a missing program from a container that is none."""
    text = message or f"the runtime ended with status {status} and said nothing"
    lowered = text.lower()
    if "container" in lowered and ("does not exist" in lowered or "no such container" in lowered):
        return ContainerMissing(f"container {container_id}: {text}")
    is_program = "exec" in lowered
    if is_program and ("executable file not found" in lowered or "no such file or directory" in lowered):
        code = 127
    elif is_program and (
        "permission denied" in lowered
        or "is a directory" in lowered
        or "exec format error" in lowered
        or "open executable: operation not permitted" in lowered  # crun's word for a directory
    ):
        code = 126
    else:
        code = 125
    return RuntimeFailed(f"container {container_id[:12]}: {text}", exit_code=code, remedy=_REMEDIES.get(code, ""))
