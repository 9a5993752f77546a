"""A runtime that cannot be executed is told as what it is."""

from __future__ import annotations

import os

import pytest

from estiba.errors import NotFound, Unavailable
from estiba.runtime.client import RuntimeClient


@pytest.mark.parametrize("name", ["/no/such", "/etc", "/etc/passwd", "none-such", "./none", ""])
def test_a_runtime_that_is_none_is_refused_by_its_name(name):
    with pytest.raises(NotFound, match=f"the runtime '{name}' is not installed"):
        RuntimeClient.named(name, root="/none")


def test_a_runtime_is_known_by_its_whole_path(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("#!/bin/sh\n")
    (tmp_path / "mine").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert RuntimeClient.named("./mine", root="/none").command == (f"{tmp_path}/mine",)


@pytest.mark.parametrize("ends_with_caller", [False, True])
def test_one_that_has_gone_meanwhile_or_has_no_interpreter_is_told(tmp_path, ends_with_caller):
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    before = sorted(os.listdir("/proc/self/fd"))
    for name in ("gone", "script"):
        client = RuntimeClient((f"{tmp_path}/{name}",), str(tmp_path), ends_with_caller=ends_with_caller)
        with pytest.raises(Unavailable, match=f"{name} cannot be executed: no such file"):
            client.state("one")
    assert sorted(os.listdir("/proc/self/fd")) == before
