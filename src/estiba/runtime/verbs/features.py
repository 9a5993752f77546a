"""`features`: what this runtime can do (runtime-spec, features.md)."""

from __future__ import annotations

import os

from estiba import __version__
from estiba.linux import capabilities, mountpoints
from estiba.linux.namespaces import NAMESPACES
from estiba.runtime import json_text
from estiba.runtime.bundle import HOOKS
from estiba.runtime.seccomp import filter as seccomp_filter


def run() -> int:
    options = sorted(
        {*mountpoints.FLAG_OPTIONS, *mountpoints.PROPAGATION_OPTIONS, *mountpoints.RECURSIVE_OPTIONS, "tmpcopyup"}
    )
    document = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": list(HOOKS),
        "mountOptions": options,
        "linux": {
            "namespaces": sorted(name for name in NAMESPACES if name != "time"),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": False},
            "seccomp": {
                "enabled": True,
                "actions": list(seccomp_filter.ACTIONS),
                "operators": list(seccomp_filter.OPERATORS),
                "archs": list(seccomp_filter.MACHINES.get(os.uname().machine, ())),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": False}},
        },
        "annotations": {"io.estiba.runtime.version": __version__},
    }
    os.write(1, json_text.dumps(document, indent=2).encode() + b"\n")
    return 0
