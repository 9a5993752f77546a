"""Which controllers an ordinary user's limits need."""

from __future__ import annotations

from typing import Any

import pytest

from estiba.runtime.ordinary_groups import controllers_of


@pytest.mark.parametrize(
    ("resources", "controllers"),
    [
        ({}, set()),
        ({"memory": {"limit": 1, "swap": 2}, "pids": {"limit": 5}}, {"memory", "pids"}),
        ({"cpu": {"quota": 1, "cpus": "0"}}, {"cpu", "cpuset"}),
        ({"blockIO": {"weight": 10}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}, {"io", "hugetlb"}),
        ({"unified": {"misc.max": "sev 1"}}, {"misc"}),
        ({"devices": [{"allow": False, "access": "rwm"}]}, set()),
        ({"memory": {"disableOOMKiller": False}, "cpu": {"shares": 0}, "blockIO": {"weight": 0}}, set()),
    ],
)
def test_only_what_is_asked_for_needs_a_controller(resources: dict[str, Any], controllers: set[str]) -> None:
    """Zeros are what engines write where nobody said anything."""
    assert controllers_of(resources) == controllers
