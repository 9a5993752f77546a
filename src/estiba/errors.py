"""The kinds of errors. A concrete error lives beside the code that raises it and subclasses one of these.

The edges map a kind once: `cli/main.py` to an exit code and a message, `registry/server` to a status and a code.
"""

from __future__ import annotations


class EstibaError(Exception):
    """Something that the user can understand: what was wrong and, in `remedy`, what to do about it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class InvalidInput(EstibaError):
    """What was given cannot be right: a flag, a name, a Dockerfile, a document."""


class NotFound(EstibaError):
    """A named thing does not exist."""


class AlreadyExists(EstibaError):
    """A name is taken."""


class Conflict(EstibaError):
    """The thing exists but is not in a state that allows this (a running container, an image in use)."""


class PermissionDenied(EstibaError):
    """The caller may not: no credentials, or the kernel refused."""


class Unavailable(EstibaError):
    """Something needed from outside is missing: a tool, a kernel feature, a server, space on the disk."""


class Corrupt(EstibaError):
    """Bytes are not what their digest, size or format claims."""


class NotThereYet(EstibaError):
    """A feature of the field that Estiba does not have yet; the message names it."""


class CommandFailed(EstibaError):
    """A command run on the user's behalf ended with a status other than zero.

    `exit_code` is the command's own status, 0-255.
    """

    def __init__(self, message: str, *, exit_code: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = exit_code
