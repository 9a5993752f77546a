"""What `exec` is asked for, as a command gives it to a container's monitor."""

from __future__ import annotations

from estiba.oci import json_text
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any


class ExecOptions(NamedTuple):
    """What to run. `env` are ``KEY=value`` beside the container's own; `user` "" is the container's."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    interactive: bool = False
    privileged: bool = False

    def encoded(self) -> bytes:
        """The options as JSON."""
        return json_text.dumps(self._asdict()).encode()

    @classmethod
    def decode(cls, data: bytes) -> ExecOptions:
        """The options that `encoded` wrote.

        Raises:
            InvalidInput: it is no JSON. TypeError: it is not the JSON of options.
        """
        value: dict[str, Any] = json_text.loads(data.decode(), what="the request")
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
        return cls(**fields)
