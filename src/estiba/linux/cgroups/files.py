"""Control files: small texts that the kernel reads and writes."""

from __future__ import annotations

import os


def read(name: str) -> str:
    """The text of a control file."""
    with open(name, encoding="ascii", errors="replace") as file:
        return file.read()


def write(name: str, text: str) -> None:
    """Write a control file in one call, as the kernel wants it.

    Raises:
        OSError: it was refused; the message says what was written where.
    """
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {text!r} to {name}: {os.strerror(error.errno or 0)}") from None
    finally:
        os.close(descriptor)
