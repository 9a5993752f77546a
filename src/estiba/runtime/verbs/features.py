"""`features`: what this runtime can do (runtime-spec, features.md and features-linux.md)."""

from __future__ import annotations

import os

from estiba import __version__
from estiba.linux import capabilities, mountpoints, scheduling
from estiba.linux.cgroups.systemd import variants
from estiba.linux.namespaces import NAMESPACES
from estiba.oci import json_text
from estiba.runtime.bundle import HOOKS
from estiba.runtime.rootfs import mapped
from estiba.runtime.seccomp import filter as seccomp_filter

_EXTRA_OPTIONS = ("tmpcopyup", *mapped.OPTIONS)


def run() -> int:
    options = {
        *mountpoints.FLAG_OPTIONS,
        *mountpoints.PROPAGATION_OPTIONS,
        *mountpoints.RECURSIVE_OPTIONS,
        *_EXTRA_OPTIONS,
    }
    document = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": list(HOOKS),
        "mountOptions": sorted(options),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": list(seccomp_filter.ACTIONS),
                "operators": list(seccomp_filter.OPERATORS),
                "archs": list(seccomp_filter.MACHINES.get(os.uname().machine, ())),
                "knownFlags": list(seccomp_filter.FLAGS),
                "supportedFlags": list(seccomp_filter.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False, "schemata": False, "monitoring": False},
            "memoryPolicy": {"modes": list(scheduling.MEMORY_MODES), "flags": list(scheduling.MEMORY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "potentiallyUnsafeConfigAnnotations": [variants.PREFIX],
        "annotations": {"io.estiba.runtime.version": __version__},
    }
    os.write(1, json_text.dumps(document, indent=2).encode() + b"\n")
    return 0
