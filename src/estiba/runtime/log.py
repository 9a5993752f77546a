"""The runtime's own words: lines in the file of --log, as JSON or text; errors to standard error as well."""

from __future__ import annotations

import os
import time

from estiba.oci import json_text


def utc_now() -> str:
    """The time as RFC 3339 has it. (strftime would read the machine's time zone first, 1 ms.)"""
    year, month, day, hour, minute, second, *_ = time.gmtime()
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"


class Log:
    """Where messages go. `path` "" is standard error alone; `is_quiet` leaves that out, it may be the container's."""

    __slots__ = ("is_debug", "is_json", "is_quiet", "path")

    def __init__(self, *, path: str, is_json: bool, is_debug: bool, is_quiet: bool) -> None:
        self.path = path
        self.is_quiet = is_quiet
        self.is_json = is_json
        self.is_debug = is_debug

    def error(self, message: str) -> None:
        """Say why a verb failed."""
        if self.path:
            self._write("error", message)
        if not (self.is_quiet and self.path):
            os.write(2, f"estiba-runtime: {message}\n".encode(errors="surrogateescape"))

    def warning(self, message: str) -> None:
        """Say what was not done as asked."""
        if self.path:
            self._write("warning", message)
        elif not self.is_quiet:
            os.write(2, f"estiba-runtime: warning: {message}\n".encode(errors="surrogateescape"))

    def debug(self, message: str) -> None:
        """Say what is being done, where --debug asks for it."""
        if not self.is_debug:
            return
        if self.path:
            self._write("debug", message)
        else:
            os.write(2, self._line("debug", message))

    def _line(self, level: str, message: str) -> bytes:
        now = utc_now()
        if self.is_json:
            line = json_text.dumps({"level": level, "msg": message, "time": now})
        else:
            line = f"time={json_text.dumps(now)} level={level} msg={json_text.dumps(message)}"
        return line.encode(errors="surrogateescape") + b"\n"

    def _write(self, level: str, message: str) -> None:
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            os.write(2, f"estiba-runtime: the log {self.path} cannot be written: {error.strerror}\n".encode())
            return
        try:
            os.write(descriptor, self._line(level, message))
        finally:
            os.close(descriptor)
