"""What is told to the kernel about projects has the kernel's own layout, and what is missing is said."""

from __future__ import annotations

import os

import pytest

from estiba.errors import Unavailable
from estiba.linux import project_quota


def test_the_structures_are_as_long_as_the_kernels():
    assert project_quota._QUOTA.size == 72  # struct if_dqblk
    assert project_quota._ATTRIBUTES.size == 28  # struct fsxattr


def test_a_filesystem_without_projects_is_named_with_a_remedy():
    with pytest.raises(Unavailable, match="quota") as told:
        project_quota.check("/proc/self/fdinfo" if not os.path.isdir("/dev/shm") else "/dev/shm")
    assert "Leave" in told.value.remedy or "leave" in told.value.remedy


def test_lifting_a_limit_that_is_not_there_does_nothing(tmp_path):
    project_quota.lift(str(tmp_path))
    project_quota.lift(str(tmp_path / "missing"))
