"""The client of our own runtime: verbs that need no new process are done in this one, 15 ms sooner each.

What does them is loaded with the first one: a command that only asks a monitor to start something needs none of it.
"""

from __future__ import annotations

from estiba.errors import EstibaError
from estiba.runtime.client import ContainerMissing, RuntimeClient, RuntimeFailed, RuntimeState, runtime_error
from estiba.runtime.errors import ContainerUnknown
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from estiba.runtime.state import Container


class DirectClient(RuntimeClient):
    """As `RuntimeClient`. Where there are hooks it goes the long way: they fork, and the caller may be large."""

    def __init__(self, command: tuple[str, ...], root: str, *, creates: bool = False) -> None:
        """`creates`: this process is small, has one thread and nothing but this to do, so it may fork the container's
        first process itself, if its own interpreter is out of a container's reach."""
        from estiba.runtime import interpreter

        super().__init__(command, root, is_ours=True)
        self.forks = creates and interpreter.is_protected()

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
        streams = (stdin, stdout, stderr)
        if pass_fds or not self.forks:
            return super().create(
                container_id,
                bundle=bundle,
                pid_file=pid_file,
                console_socket=console_socket,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
            )
        from estiba.runtime import console, lifecycle
        from estiba.runtime.bundle import load_bundle

        try:
            terminal = console.send_to_socket(console_socket) if console_socket else None
            made = lifecycle.create(self.root, container_id, load_bundle(bundle), on_terminal=terminal, streams=streams)
        except (EstibaError, OSError) as error:
            raise runtime_error(container_id, f"create failed: unable to start container process: {error}") from None
        return made.pid

    def start(self, container_id: str) -> None:
        from estiba.runtime import lifecycle

        container = self._load(container_id)
        if container.config().get("hooks"):
            super().start(container_id)
        else:
            self._do(container, lifecycle.begin_locked)

    def state(self, container_id: str) -> RuntimeState:
        document = self._load(container_id).document()
        annotations = document["annotations"]
        return RuntimeState(container_id, document["status"], document["pid"], document["bundle"], annotations)

    def kill(self, container_id: str, signal: int, *, everything: bool = False) -> None:
        from estiba.runtime import signalling

        self._do(self._load(container_id), lambda c: signalling.signal_container(c, signal, everything=everything))

    def delete(self, container_id: str, *, force: bool = False) -> None:
        from estiba.runtime import lifecycle

        try:
            container = self._load(container_id)
            has_hooks = bool(container.config().get("hooks"))
        except (ContainerMissing, FileNotFoundError):
            if force:
                super().delete(container_id, force=True)  # also what a killed runtime left half made
                return
            raise
        if has_hooks:
            super().delete(container_id, force=force)
        else:
            self._do(container, lambda c: lifecycle.delete_locked(c, is_forced=force))

    def _load(self, container_id: str) -> Container:
        from estiba.runtime.state import load_container

        try:
            return load_container(self.root, container_id)
        except ContainerUnknown as error:
            raise ContainerMissing(error.message) from None

    def _do(self, container: Container, action: Callable[[Container], None]) -> None:
        try:
            action(container)
        except ContainerUnknown as error:
            raise ContainerMissing(error.message) from None
        except (EstibaError, OSError) as error:
            raise RuntimeFailed(f"container {container.id}: {error}", exit_code=125) from None
