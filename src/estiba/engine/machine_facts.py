"""Gathering what `doctor.py` judges: every fact is found out by trying it, and nothing of it stays."""

from __future__ import annotations

import os

from estiba.engine.doctor import Facts
from estiba.linux import machine, nftables, subordinate_ids, sysctl
from estiba.networks import host_firewall, naming, trial
from estiba.networks.resolver import name_servers, resolv_conf

_PROGRAMS = ("git", "mmdebstrap", "busybox", "newuidmap", "pasta", "slirp4netns")
_UPSTREAM = "/run/systemd/resolve/resolv.conf"


def gather(*, root: str, run: str, is_root: bool) -> Facts:
    """The facts of this machine for an installation in `root` and `run`; the caller has one thread."""
    place = machine.existing(root)
    disk = os.statvfs(place)
    version, controllers = machine.control_groups()
    denied, passed_by = _host_rules(run)
    host_text = _text("/etc/resolv.conf")
    maps = None if is_root else subordinate_ids.find(os.geteuid(), os.getegid())
    return Facts(
        kernel=os.uname().release,
        is_root=is_root,
        openat2_problem=machine.openat2_problem(),
        seccomp_problem=machine.seccomp_problem(),
        user_namespaces_problem=machine.user_namespaces_problem(),
        overlay_problem=machine.overlay_problem(place, maps),
        user_attributes_problem=machine.user_attributes_problem(place),
        cgroup_version=version,
        cgroup_controllers=controllers,
        network_problem=machine.tried(trial.make_all),
        forwards_everywhere=_forwards_everywhere(),
        forward_denied_by=denied,
        input_denied_by=passed_by,
        programs={name: machine.find_program(name) for name in _PROGRAMS},
        root=root,
        root_problem="" if os.access(place, os.W_OK | os.X_OK) else f"{place} does not allow it",
        free=disk.f_bavail * disk.f_frsize,
        name_servers=name_servers(host_text),
        used_servers=name_servers(resolv_conf(host_text, upstream_text=_text(_UPSTREAM))),
        ids=maps.number if maps else 1,
        systemd_problem=machine.systemd_problem(),
    )


def _host_rules(run: str) -> tuple[tuple[str, ...], str]:
    """The chains of others that drop forwarded packets by default, and the input chain that ports would pass by."""
    try:
        chains = nftables.base_chains()
    except OSError:  # not allowed to look: the trial of networks says so already
        return (), ""
    denying = host_firewall.forward_denials(chains)
    passed_by = host_firewall.passed_by(chains, own_table=naming.table_of(run))
    return tuple(map(_name, denying)), _name(passed_by) if passed_by else ""


def _name(chain: nftables.BaseChain) -> str:
    return f"the chain {chain.name} of the table {chain.family} {chain.table}"


def _forwards_everywhere() -> bool:
    try:
        return sysctl.read("net/ipv4/ip_forward") == "1"
    except OSError:
        return False


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
