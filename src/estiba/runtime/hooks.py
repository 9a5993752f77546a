"""Hooks: programs of the caller that run at points of the life cycle (config.md, "POSIX-platform Hooks")."""

from __future__ import annotations

import os

from estiba.errors import CommandFailed
from estiba.linux.processes import has_ended
from estiba.linux.signals import restore_defaults
from estiba.oci import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class HookFailed(CommandFailed):
    """A hook ended with an error, or took longer than its timeout."""


def run_all(config: Mapping[str, Any], point: str, document: Mapping[str, Any]) -> None:
    """Run the hooks of one point in order, each with the container's state on its standard input.

    Raises:
        HookFailed: one failed; those behind it do not run.
    """
    for number, hook in enumerate((config.get("hooks") or {}).get(point) or ()):
        _run(hook, f"error running {point} hook #{number}: {hook['path']}", json_text.dumps(document).encode())


def _run(hook: Mapping[str, Any], claim: str, state: bytes) -> None:
    path = hook["path"]
    # A file, not a pipe: a hook that does not read must not hold us up.
    standard_input = os.memfd_create("state", os.MFD_CLOEXEC)
    os.write(standard_input, state)
    os.lseek(standard_input, 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        try:
            restore_defaults()
            os.dup2(standard_input, 0)
            environment = dict(entry.split("=", 1) for entry in hook.get("env") or () if "=" in entry)
            os.execve(path, list(hook.get("args") or [path]), environment)
        except BaseException as error:  # noqa: BLE001 - a forked child must end here, whatever happened
            os.write(2, f"hook {path}: {error}\n".encode(errors="surrogateescape"))
        finally:
            os._exit(127)
    os.close(standard_input)
    timeout = hook.get("timeout")
    if timeout:
        descriptor = os.pidfd_open(pid)
        timed_out = not has_ended(descriptor, timeout=timeout)
        os.close(descriptor)
        if timed_out:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise HookFailed(f"{claim} took longer than its {timeout} seconds", exit_code=125)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        ending = f"signal {-code}" if code < 0 else str(code)
        raise HookFailed(f"{claim} ended with {ending}", exit_code=125)
