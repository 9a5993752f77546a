"""Waiting for what nothing announces: a condition is asked again and again, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


def wait_until(
    condition: Callable[[], object], what: str, *, patience: float = 60, more: Callable[[], object] | None = None
) -> None:
    """Wait until `condition` is true; after `patience` seconds the test fails, naming `what`, and what `more` says."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {patience:g} seconds: {what}{f' ({more()})' if more else ''}")
        time.sleep(0.01)  # the condition is what is waited for
