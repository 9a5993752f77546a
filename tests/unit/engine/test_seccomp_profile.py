"""Docker's form of a seccomp profile becomes the runtime-spec's, for one container on one machine."""

from __future__ import annotations

import json

import pytest

from estiba.engine.seccomp_profile import compiled, parsed
from estiba.errors import InvalidInput

PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "comment": "always"},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["old"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8"}},
        {
            "name": "personality",
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
        },
    ],
}


def names(capabilities=(), architecture="amd64", release=(6, 1)):
    found = compiled(parsed(json.dumps(PROFILE)), capabilities=capabilities, architecture=architecture, release=release)
    return [name for rule in found["syscalls"] for name in rule["names"]]


def test_the_rules_that_hold_are_those_of_the_container_and_the_machine():
    assert names() == ["read", "write", "clone3", "arch_prctl", "ptrace", "personality"]
    assert names(["CAP_SYS_ADMIN"]) == ["read", "write", "mount", "arch_prctl", "ptrace", "personality"]
    assert "arch_prctl" not in names(architecture="arm64")
    assert {"old"} == set(names(release=(4, 7))) - set(names())


def test_the_rest_is_the_runtime_specs():
    found = compiled(parsed(json.dumps(PROFILE)), capabilities=(), architecture="amd64", release=(6, 1))
    assert found["defaultAction"] == "SCMP_ACT_ERRNO"
    assert found["defaultErrnoRet"] == 38
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert found["syscalls"][-1] == {
        "names": ["personality"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
    }


def test_the_runtime_specs_own_form_passes_unchanged():
    own = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
    assert compiled(parsed(json.dumps(own)), capabilities=(), architecture="amd64", release=(6, 1)) == own


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"defaultAction": "SCMP_ACT_PERHAPS"},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {"mkdir": 1}},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": ["mkdir"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "name": "b", "action": "SCMP_ACT_ERRNO"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [1], "action": "SCMP_ACT_ERRNO"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "deny"}]},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "op": "="}]}],
        },
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "new"}}],
        },
        {"defaultAction": "SCMP_ACT_ALLOW", "archMap": ["SCMP_ARCH_X86_64"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "flags": 5},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "args": 5}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{}], "architectures": ["SCMP_ARCH_X86_64"]},
    ],
)
def test_what_is_no_profile_is_refused(document):
    with pytest.raises(InvalidInput, match="profile"):
        parsed(json.dumps(document))


def test_what_is_no_json_is_refused():
    with pytest.raises(InvalidInput, match="seccomp profile"):
        parsed("{")
