"""What a runtime can refuse, in runc's words where callers look for them (podman and conmon search the text)."""

from __future__ import annotations

from estiba.errors import AlreadyExists, CommandFailed, Conflict, InvalidInput, NotFound


class BadBundle(InvalidInput):
    """The bundle's config.json, or an option, cannot be carried out as written."""


class ContainerUnknown(NotFound):
    """No container of this id under the root."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"container {container_id!r} does not exist")


class ContainerExists(AlreadyExists):
    """The id is taken."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"container with id exists: {container_id}")


class WrongStatus(Conflict):
    """The container is not in a state that allows the verb."""


class ProgramMissing(CommandFailed):
    """The program is not there (127), or not executable (126)."""

    def __init__(self, program: str, fact: str, *, exit_code: int) -> None:
        super().__init__(f'exec: "{program}": {fact}', exit_code=exit_code)


class InitFailed(CommandFailed):
    """The process that was to become the container failed; the message is its own."""
