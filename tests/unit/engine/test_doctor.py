"""What the doctor says of a machine."""

from __future__ import annotations

import pytest

from estiba.engine.doctor import FAIL, OK, WARN, Facts, diagnose, has_failed

HEALTHY = Facts(
    kernel="6.1.0-13-amd64",
    is_root=True,
    openat2_problem="",
    seccomp_problem="",
    user_namespaces_problem="",
    overlay_problem="",
    user_attributes_problem="",
    cgroup_version="2",
    cgroup_controllers=("cpu", "io", "memory", "pids"),
    network_problem="",
    forwards_everywhere=False,
    forward_denied_by=(),
    input_denied_by="",
    programs={"git": "/usr/bin/git", "mmdebstrap": "/usr/bin/mmdebstrap", "busybox": "/bin/busybox"},
    root="/var/lib/estiba",
    root_problem="",
    free=50 << 30,
    name_servers=("192.0.2.53",),
    used_servers=("192.0.2.53",),
)


def test_a_healthy_machine_has_nothing_to_do() -> None:
    findings = diagnose(HEALTHY)
    assert {finding.status for finding in findings} == {OK}
    assert not any(finding.remedy for finding in findings)


@pytest.mark.parametrize(
    ("changes", "status", "subject", "word"),
    [
        ({"kernel": "5.10.0"}, FAIL, "kernel", "older than 5.11"),
        ({"kernel": "4.19"}, FAIL, "kernel", "4.19"),
        ({"openat2_problem": "Function not implemented"}, FAIL, "openat2", "Function not implemented"),
        ({"root_problem": "/var/lib does not allow it"}, FAIL, "store", "/var/lib does not allow it"),
        ({"free": 1 << 20}, FAIL, "store", "0.0 GB free"),
        ({"free": 1 << 30}, WARN, "store", "only 1.1 GB free"),
        ({"overlay_problem": "Invalid argument"}, WARN, "overlay", "copied"),
        ({"user_attributes_problem": "Operation not supported"}, WARN, "attributes", "not supported"),
        ({"seccomp_problem": "Invalid argument"}, WARN, "seccomp", "cannot be filtered"),
        ({"cgroup_version": "", "cgroup_controllers": ()}, WARN, "control groups", "no control groups"),
        ({"cgroup_controllers": ("cpu",)}, WARN, "control groups", "--memory, --pids-limit will be refused"),
        (
            {"cgroup_controllers": (), "is_root": False, "systemd_problem": "none"},
            WARN,
            "control groups",
            "will be refused",
        ),
        ({"network_problem": "container networks need the program nft"}, WARN, "networks", "nft"),
        ({"forward_denied_by": ("the chain FORWARD of the table ip filter",)}, WARN, "host firewall", "FORWARD"),
        ({"input_denied_by": "the chain i of the table inet f"}, WARN, "host firewall", "only 127.0.0.1"),
        ({"name_servers": (), "used_servers": ("8.8.8.8",)}, WARN, "name servers", "public ones"),
        ({"programs": {}}, WARN, "git", "the agent"),
        ({"is_root": False}, WARN, "user", "not root"),
        ({"is_root": False}, WARN, "pasta", "has no network but the host"),
        ({"is_root": False, "user_namespaces_problem": "no"}, FAIL, "user namespaces", "cannot be made"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(
    changes: dict[str, object], status: str, subject: str, word: str
) -> None:
    findings = diagnose(HEALTHY._replace(**changes))
    found = next(finding for finding in findings if finding.subject == subject and finding.status != OK)
    assert (found.status, bool(found.remedy)) == (status, True)
    assert word in found.why
    assert has_failed(findings) is (status == FAIL)


def test_a_local_resolver_is_no_fault_but_told() -> None:
    findings = diagnose(HEALTHY._replace(name_servers=("127.0.0.53",), used_servers=("192.0.2.1",)))
    found = next(finding for finding in findings if finding.subject == "name servers")
    assert found.status == OK
    assert "127.0.0.53" in found.why
    assert "192.0.2.1" in found.why


@pytest.mark.parametrize(
    ("changes", "subject", "word"),
    [
        ({"cgroup_controllers": (), "is_root": False}, "control groups", "this user's systemd keeps the limits"),
        ({"systemd_problem": "systemd does not run here"}, "systemd", "systemd does not run here"),
        ({}, "systemd", "--systemd-cgroup"),
    ],
)
def test_what_systemd_can_do_for_control_groups_is_told(changes: dict[str, object], subject: str, word: str) -> None:
    found = next(f for f in diagnose(HEALTHY._replace(**changes)) if f.subject == subject)
    assert found.status == OK
    assert word in found.why


def test_root_needs_no_user_namespaces() -> None:
    assert not has_failed(diagnose(HEALTHY._replace(user_namespaces_problem="No space left on device")))


def test_an_ordinary_user_with_ranges_of_ids_is_told_how_many() -> None:
    found = next(f for f in diagnose(HEALTHY._replace(is_root=False, ids=65537)) if f.subject == "user")
    assert found.status == OK
    assert "65537 users" in found.why
