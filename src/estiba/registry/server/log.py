"""The server's log: one JSON object a line, for people with grep and for machines."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TextIO


class Log:
    """Writes events to `stream`. `event` is a constant phrase; what varies is in the fields."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **fields}
        try:
            print(json.dumps(line, default=str, ensure_ascii=False), file=self._stream, flush=True)
        except (BrokenPipeError, ValueError):
            return  # nobody reads the log any more; serving goes on
