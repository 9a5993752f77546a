"""What comes from the environment, and to whom."""

from __future__ import annotations

import os

import pytest

from estiba.engine.userns import Users
from estiba.errors import InvalidInput
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


def test_when_a_monitor_settles_is_a_setting_in_seconds():
    assert settings.read({}, root="/nowhere", run="/nowhere").settle_after == 0
    assert settings.read({"ESTIBA_SETTLE_AFTER": "0.5"}, root="/nowhere", run="/nowhere").settle_after == 0.5
    for text in ("soon", "-1", "nan", "inf"):
        with pytest.raises(InvalidInput, match=f"ESTIBA_SETTLE_AFTER: '{text}' is no number of seconds"):
            settings.read({"ESTIBA_SETTLE_AFTER": text}, root="/nowhere", run="/nowhere")
