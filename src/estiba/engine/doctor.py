"""What works on a machine and what does not, with the reason and the remedy: facts in, findings out. Pure.

`machine_facts.py` gathers the facts. A finding fails only where nothing of use is left without it; what makes a part
slower or unavailable is a warning that names the part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from estiba.values import NamedTuple

OK = "ok"
WARN = "warn"
FAIL = "fail"

_OLDEST_KERNEL = (5, 11)
_LITTLE_SPACE = 2 << 30
_NO_SPACE = 64 << 20
# What limits of containers need, in the words of either version: the flag that needs it.
_CONTROLLERS = {"memory": "--memory", "cpu": "--cpus", "pids": "--pids-limit"}
_TOOLS = {
    "git": ("the agent fetches repositories with it", "git"),
    "mmdebstrap": ("`estiba bootstrap debian:…` makes a base image with it", "mmdebstrap"),
    "busybox": ("`estiba bootstrap busybox` makes a base image of it", "busybox-static"),
}


class Facts(NamedTuple):
    """The machine. What ends in `_problem` is "" where it works, else the reason why not. Sizes are bytes.

    `ids` is how many users an ordinary user's containers can have: one, or as many as /etc/subuid gives.
    """

    kernel: str
    is_root: bool
    openat2_problem: str
    seccomp_problem: str
    user_namespaces_problem: str
    overlay_problem: str
    user_attributes_problem: str
    cgroup_version: str
    cgroup_controllers: tuple[str, ...]
    network_problem: str
    forwards_everywhere: bool
    forward_denied_by: tuple[str, ...]
    input_denied_by: str
    programs: dict[str, str]
    root: str
    root_problem: str
    free: int
    name_servers: tuple[str, ...]
    used_servers: tuple[str, ...]
    ids: int = 1
    systemd_problem: str = ""


class Finding(NamedTuple):
    """`status` is ``ok``, ``warn`` or ``fail``; `remedy` is "" where there is nothing to do."""

    status: str
    subject: str
    why: str
    remedy: str = ""


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """What to tell of the machine, in the order in which things need each other."""
    return (
        *_kernel(facts),
        *_user(facts),
        *_disk(facts),
        *_overlay(facts),
        *_isolation(facts),
        *_cgroups(facts),
        *_networks(facts),
        *_names(facts),
        *_programs(facts),
    )


def has_failed(findings: tuple[Finding, ...]) -> bool:
    return any(finding.status == FAIL for finding in findings)


def _kernel(facts: Facts) -> Iterator[Finding]:
    found = re.match(r"(\d+)\.(\d+)", facts.kernel)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _OLDEST_KERNEL:
        why = f"Linux {facts.kernel} is older than 5.11, from which on everything that Estiba uses is there"
        yield Finding(FAIL, "kernel", why, "Run a newer kernel; Debian 12 and Ubuntu 22.04 have one.")
    else:
        yield Finding(OK, "kernel", f"Linux {facts.kernel}")
    if facts.openat2_problem:
        why = f"openat2 does not work ({facts.openat2_problem}), so no path inside an image can be opened safely"
        yield Finding(FAIL, "openat2", why, "A sandbox around Estiba may refuse it: update that, or leave it.")
    else:
        yield Finding(OK, "openat2", "paths inside images are resolved by the kernel")


def _user(facts: Facts) -> Iterator[Finding]:
    if facts.is_root:
        yield Finding(OK, "user", "root: everything is allowed that the machine can do")
        return
    if facts.ids > 1:
        why = f"not root: containers and builds have {facts.ids} users; networks of bridges take root"
        yield Finding(OK, "user", why)
        return
    why = "not root, and this user has one id to give: containers have one user, and RUN in a build takes root"
    remedy = "Install uidmap, and have ranges for this user in /etc/subuid and /etc/subgid (usermod --add-subuids)."
    yield Finding(WARN, "user", why, remedy)


def _disk(facts: Facts) -> Iterator[Finding]:
    free = f"{facts.free / 1e9:.1f} GB free"
    if facts.root_problem:
        why = f"{facts.root} cannot be written: {facts.root_problem}"
        yield Finding(FAIL, "store", why, "Choose another place with --root or ESTIBA_ROOT.")
    elif facts.free < _NO_SPACE:
        yield Finding(FAIL, "store", f"{facts.root} has {free}", "Free space, with `estiba gc` for instance.")
    elif facts.free < _LITTLE_SPACE:
        yield Finding(WARN, "store", f"{facts.root} has only {free}", "Free space, or put --root on a larger disk.")
    else:
        yield Finding(OK, "store", f"{facts.root}, {free}")


def _overlay(facts: Facts) -> Iterator[Finding]:
    if facts.overlay_problem:
        why = (
            f"an overlay cannot be mounted on {facts.root} ({facts.overlay_problem}): layers are copied, which is slow"
        )
        yield Finding(WARN, "overlay", why, "Put --root on ext4, xfs or btrfs, not on an overlay, and run as root.")
    else:
        yield Finding(OK, "overlay", "layers are stacked by the kernel")
    if facts.user_attributes_problem:
        why = f"files cannot have attributes of the user's ({facts.user_attributes_problem}): images' own are lost"
        yield Finding(WARN, "attributes", why, "Put --root on a filesystem with extended attributes.")


def _isolation(facts: Facts) -> Iterator[Finding]:
    if facts.seccomp_problem:
        why = f"system calls of containers cannot be filtered ({facts.seccomp_problem})"
        yield Finding(
            WARN, "seccomp", why, "Use a kernel with CONFIG_SECCOMP_FILTER; else --security-opt seccomp=unconfined."
        )
    else:
        yield Finding(OK, "seccomp", "system calls of containers are filtered")
    if facts.user_namespaces_problem:
        status = OK if facts.is_root else FAIL
        why = f"user namespaces cannot be made ({facts.user_namespaces_problem})"
        remedy = (
            "" if facts.is_root else "Set kernel.unprivileged_userns_clone and user.max_user_namespaces, or be root."
        )
        yield Finding(status, "user namespaces", why + (", which root does not need" if facts.is_root else ""), remedy)
    else:
        yield Finding(OK, "user namespaces", "they can be made")


def _cgroups(facts: Facts) -> Iterator[Finding]:
    if not facts.cgroup_version:
        why = "no control groups are mounted: containers cannot be limited"
        yield Finding(WARN, "control groups", why, "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        return
    missing = {name: flag for name, flag in _CONTROLLERS.items() if name not in facts.cgroup_controllers}
    told = f"version {facts.cgroup_version}"
    if missing and not facts.is_root and facts.cgroup_version == "2" and not facts.systemd_problem:
        yield Finding(OK, "control groups", f"{told}: this user's systemd keeps the limits of containers")
    elif missing:
        why = f"{told}, but {', '.join(missing)} cannot be used: {', '.join(missing.values())} will be refused"
        remedy = "Run as root; or log in through systemd with control groups of version 2, which it gives to users."
        yield Finding(WARN, "control groups", why, remedy)
    else:
        yield Finding(OK, "control groups", f"{told}: {' '.join(facts.cgroup_controllers)}")
    if facts.systemd_problem:
        yield Finding(OK, "systemd", f"it is not asked for control groups: {facts.systemd_problem}")
    else:
        yield Finding(OK, "systemd", "it can make control groups (estiba-runtime --systemd-cgroup)")


def _networks(facts: Facts) -> Iterator[Finding]:
    if facts.network_problem:
        remedy = "Install nftables (apt install nftables)" if "nft" in facts.network_problem else "Run as root"
        why = f"container networks cannot be made: {facts.network_problem}"
        yield Finding(WARN, "networks", why, f"{remedy}; or use --network host or none.")
        return
    yield Finding(OK, "networks", "bridges, NAT and published ports can be made; IPv4 only")
    if facts.forward_denied_by:
        why = f"{', '.join(facts.forward_denied_by)} drops what is passed on by default, so containers reach nothing"
        remedy = (
            "Allow the bridges in those rules. Where Docker set them: iptables -I DOCKER-USER -i estiba0 -j ACCEPT; "
            "iptables -I DOCKER-USER -o estiba0 -j ACCEPT"
        )
        yield Finding(WARN, "host firewall", why, remedy)
    if facts.input_denied_by:
        why = f"{facts.input_denied_by} denies by default, and no forward chain decides: only 127.0.0.1 is published to"
        yield Finding(WARN, "host firewall", why, "Add a chain of the hook forward that says what may be passed on.")
    how = (
        "net.ipv4.ip_forward is on, so every interface of this host passes packets on (Docker and podman set it)"
        if facts.forwards_everywhere
        else "net.ipv4.ip_forward is off; Estiba lets only its bridges and interfaces with a route pass packets on; "
        "an interface that comes later with the next container"
    )
    yield Finding(OK, "forwarding", how)


def _names(facts: Facts) -> Iterator[Finding]:
    if not facts.name_servers:
        why = "/etc/resolv.conf names no server: containers get public ones"
        yield Finding(WARN, "name servers", why, "Give containers --dns, or fill in /etc/resolv.conf.")
    elif not set(facts.used_servers) & set(facts.name_servers):
        why = f"the host's own ({', '.join(facts.name_servers)}) cannot be reached from containers, which get "
        yield Finding(OK, "name servers", why + ", ".join(facts.used_servers))
    else:
        yield Finding(OK, "name servers", ", ".join(facts.used_servers))


def _programs(facts: Facts) -> Iterator[Finding]:
    for name, (use, package) in _TOOLS.items():
        if facts.programs.get(name):
            yield Finding(OK, name, facts.programs[name])
        else:
            yield Finding(WARN, name, f"not installed: {use}", f"apt install {package}")
    if not facts.is_root and not facts.programs.get("newuidmap"):
        why = "not installed: without it a container of this user has one user ID only"
        yield Finding(WARN, "newuidmap", why, "apt install uidmap")
    if not facts.is_root and not (facts.programs.get("pasta") or facts.programs.get("slirp4netns")):
        why = "neither it nor slirp4netns is installed: a container of this user has no network but the host's"
        yield Finding(WARN, "pasta", why, "apt install passt")
