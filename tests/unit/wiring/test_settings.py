"""What comes from the environment, and to whom."""

from __future__ import annotations

import os

import pytest

from estiba.engine.userns import Users
from estiba.wiring import settings
from estiba.wiring.house import House


@pytest.mark.parametrize(("user", "userns"), [(0, "auto"), (1000, "")])
def test_the_ids_of_containers_are_a_setting_of_roots(monkeypatch, user, userns):
    """An ordinary user's containers have that user's ids in any case."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = settings.read({"ESTIBA_USERNS": "auto"}, root="/nowhere", run="/nowhere")
    assert found.userns == userns
    assert settings.read({}, root="/nowhere", run="/nowhere").userns == ""
    assert House(found)._users() == (Users("auto") if userns else None)
