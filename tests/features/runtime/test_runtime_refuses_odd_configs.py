"""A config.json that is not of the spec's shape: one clear sentence, an exit code, and nothing left."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

pytestmark = pytest.mark.root

ODD: dict[str, Any] = {
    "no process": lambda spec: spec.pop("process"),
    "no root": lambda spec: spec.pop("root"),
    "no args": lambda spec: spec["process"].update(args=[]),
    "args of numbers": lambda spec: spec["process"].update(args=[1]),
    "a relative cwd": lambda spec: spec["process"].update(cwd="tmp"),
    "a cwd that is a file": lambda spec: spec["process"].update(cwd="/etc/passwd"),
    "env without =": lambda spec: spec["process"].update(env=["X"]),
    "an unknown limit": lambda spec: spec["process"].update(rlimits=[{"type": "RLIMIT_FUN", "soft": 1, "hard": 1}]),
    "user as text": lambda spec: spec["process"].update(user="root"),
    "linux as a list": lambda spec: spec.update(linux=[]),
    "mounts as text": lambda spec: spec.update(mounts="all"),
    "a mount without destination": lambda spec: spec["mounts"].append({"type": "tmpfs"}),
    "a mount on the root": lambda spec: spec["mounts"].append({"destination": "/", "type": "tmpfs"}),
    "an unknown filesystem": lambda spec: spec["mounts"].append({"destination": "/x", "type": "nofs"}),
    "bad data": lambda spec: spec["mounts"].append({"destination": "/x", "type": "tmpfs", "options": ["size=lots"]}),
    "an unknown namespace": lambda spec: spec["linux"]["namespaces"].append({"type": "dream"}),
    "a namespace twice": lambda spec: spec["linux"]["namespaces"].append({"type": "pid"}),
    "no mount namespace": lambda spec: spec["linux"].update(namespaces=[{"type": "pid"}]),
    "a missing namespace": lambda spec: spec["linux"]["namespaces"][1].update(path="/proc/0/ns/pid"),
    "a user namespace without maps": lambda spec: spec["linux"]["namespaces"].append({"type": "user"}),
    "an unknown device": lambda spec: spec["linux"].update(devices=[{"path": "/dev/x", "type": "z"}]),
    "a device where a file is": lambda spec: spec["linux"].update(
        devices=[{"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}]
    ),
    "capabilities as text": lambda spec: spec["process"]["capabilities"].update(bounding="CAP_KILL"),
    "an unknown action": lambda spec: spec["linux"].update(seccomp={"defaultAction": "SCMP_ACT_FUN"}),
    "seccomp without an action": lambda spec: spec["linux"].update(seccomp={"syscalls": []}),
    "a version that is none": lambda spec: spec.update(ociVersion="1.x"),
    "a limit twice": lambda spec: spec["process"].update(
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": n, "hard": n} for n in (10, 11)]
    ),
    "a soft limit above the hard one": lambda spec: spec["process"].update(
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": -1, "hard": 10}]
    ),
    "a hostname without its namespace": lambda spec: spec.update(
        hostname="est-odd",
        linux=spec["linux"] | {"namespaces": [n for n in spec["linux"]["namespaces"] if n["type"] != "uts"]},
    ),
    "a hostname twice": lambda spec: (
        spec.update(hostname="est-odd"),
        spec["linux"].update(sysctl={"kernel.hostname": "other"}),
    ),
    "an unknown propagation": lambda spec: spec["linux"].update(rootfsPropagation="wide"),
    "owners by a map without a user namespace": lambda spec: spec["linux"].update(
        uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
        gidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
    ),
    "a hostname for the host's own namespace": lambda spec: (
        spec.update(hostname=os.uname().nodename),
        next(n for n in spec["linux"]["namespaces"] if n["type"] == "uts").update(path="/proc/self/ns/uts"),
    ),
    "a scheduler without a policy": lambda spec: spec["process"].update(scheduler={"nice": 5}),
    "an I/O priority without a class": lambda spec: spec["process"].update(ioPriority={"priority": 3}),
    "an errno for what has none": lambda spec: spec["linux"]["seccomp"]["syscalls"].append(
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}
    ),
    "a default errno for what has none": lambda spec: spec["linux"].update(
        seccomp={"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}
    ),
    "seccomp rules for no call": lambda spec: spec["linux"]["seccomp"]["syscalls"].append(
        {"names": [], "action": "SCMP_ACT_KILL"}
    ),
    "metadata for nobody who listens": lambda spec: spec["linux"]["seccomp"].update(listenerMetadata="for whom"),
    "a limit of the kernel's memory": lambda spec: spec["linux"]["resources"].update(memory={"kernel": 1 << 26}),
    "a hook without an absolute path": lambda spec: spec.update(hooks={"prestart": [{"path": "true"}]}),
    "a hook without a path": lambda spec: spec.update(hooks={"poststop": [{"args": ["true"]}]}),
    "a hook without time": lambda spec: spec.update(hooks={"prestart": [{"path": "/bin/true", "timeout": 0}]}),
    "an unknown hook": lambda spec: spec.update(hooks={"atLunch": []}),
    "a cgroup outside": lambda spec: spec["linux"].update(cgroupsPath="/../x"),
    "a later version": lambda spec: spec.update(ociVersion="2.0.0"),
    "a list": None,
}


@pytest.mark.parametrize("name", ODD)
def test_it_is_refused_in_one_sentence(box, name: str) -> None:
    bundle = box.bundle("true")
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    if ODD[name] is not None:
        ODD[name](spec)
    else:
        spec = [spec]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    result = box.call("run", "-b", bundle, "est-odd")
    assert result.returncode in (125, 126), result.stderr
    assert result.stderr.startswith("estiba-runtime: run failed: ")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 2
    assert not os.path.isdir(box.root) or os.listdir(box.root) == []


@pytest.mark.parametrize("propagation", ["private", "rslave", "shared", "rshared"])
def test_every_propagation_is_carried_out(box, propagation: str) -> None:
    result = box.run(
        "grep ' / / ' /proc/self/mountinfo || cat /proc/self/mountinfo | head -1", rootfs_propagation=propagation
    )
    assert result.returncode == 0, result.stderr
    assert ("shared:" in result.stdout) == propagation.endswith("shared")
