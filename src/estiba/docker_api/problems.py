"""Errors as Docker's clients know them: a status, and a message whose words some of them read. One mapping. Pure."""

from __future__ import annotations

from estiba.builder.failures import StepFailed
from estiba.errors import (
    AlreadyExists,
    CommandFailed,
    Conflict,
    EstibaError,
    InvalidInput,
    NotFound,
    NotThereYet,
    PermissionDenied,
    Unavailable,
)
from estiba.values import NamedTuple


class NoSwarm(Unavailable):
    """What is asked of a cluster, of which this machine is no part."""

    def __init__(self) -> None:
        super().__init__("This node is not a swarm manager: Estiba runs on a single node, without a swarm.")


class Problem(NamedTuple):
    """`code` is what a command in a build ended with, 0 where none did."""

    status: int
    message: str
    code: int = 0

    def to_json(self) -> dict[str, object]:
        """The last line of an answer that has begun."""
        detail = ({"code": self.code} if self.code else {}) | {"message": self.message}
        return {"errorDetail": detail, "error": self.message}


_STATUSES: tuple[tuple[type[EstibaError], int], ...] = (
    (NoSwarm, 503),
    (NotThereYet, 501),
    (InvalidInput, 400),
    (NotFound, 404),
    (AlreadyExists, 409),
    (Conflict, 409),
    (PermissionDenied, 403),
)

# The docker command line finds its own exit code in these words.
_WORDS = {
    127: (("executable file not found", "no such file or directory"), "executable file not found in $PATH"),
    126: (("permission denied", "is a directory"), "permission denied"),
}


def problem_of(error: EstibaError) -> Problem:
    """Status and message."""
    if isinstance(error, StepFailed):
        return Problem(
            500, f"The command '{error.command}' returned a non-zero code: {error.exit_code}", error.exit_code
        )
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    message = error.message
    if isinstance(error, CommandFailed) and error.exit_code in _WORDS:
        status = 400
        message = words_of_failure(message, error.exit_code)
    if message.startswith("no such "):
        message = "No" + message[2:]
    if status in (400, 501, 500) and error.remedy:
        message = f"{message}\n{error.remedy}"
    return Problem(status, message)


def words_of_failure(message: str, exit_code: int) -> str:
    """The message of a command that could not be run, with the words that tell why."""
    known, word = _WORDS.get(exit_code, ((), ""))
    return message if not word or any(each in message for each in known) else f"{message}: {word}"
