"""Every property that runtime-spec 1.3 gives config.json is one that the code knows by name.

What is not carried out must be refused, never ignored: a new property in this list fails until somebody has decided.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import estiba

SOURCES = Path(estiba.__file__).parent

PROPERTIES = {
    "config.json": "ociVersion root mounts process hostname domainname hooks annotations linux"
    " solaris windows vm zos freebsd",
    "root": "path readonly",
    "mounts[]": "destination source type options uidMappings gidMappings",
    "process": "terminal consoleSize cwd env args rlimits apparmorProfile capabilities noNewPrivileges oomScoreAdj"
    " scheduler selinuxLabel ioPriority execCPUAffinity user",
    "process.consoleSize": "height width",
    "process.rlimits[]": "type soft hard",
    "process.capabilities": "effective bounding inheritable permitted ambient",
    "process.scheduler": "policy nice priority flags runtime deadline period",
    "process.ioPriority": "class priority",
    "process.execCPUAffinity": "initial final",
    "process.user": "uid gid umask additionalGids",
    "hooks": "prestart createRuntime createContainer startContainer poststart poststop",
    "hooks.*[]": "path args env timeout",
    "linux": "namespaces uidMappings gidMappings timeOffsets devices netDevices cgroupsPath resources intelRdt"
    " memoryPolicy sysctl seccomp rootfsPropagation maskedPaths readonlyPaths mountLabel personality",
    "linux.namespaces[]": "type path",
    "linux.uidMappings[]": "containerID hostID size",
    "linux.timeOffsets.*": "secs nanosecs",
    "linux.devices[]": "type path major minor fileMode uid gid",
    "linux.netDevices.*": "name",
    "linux.resources": "devices memory cpu blockIO hugepageLimits network pids rdma unified",
    "linux.resources.devices[]": "allow type major minor access",
    "linux.resources.memory": "limit reservation swap kernel kernelTCP swappiness disableOOMKiller checkBeforeUpdate",
    "linux.resources.cpu": "shares quota burst period realtimeRuntime realtimePeriod cpus mems idle",
    "linux.resources.blockIO": "weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice"
    " throttleReadIOPSDevice throttleWriteIOPSDevice",
    "linux.resources.blockIO.*[]": "major minor weight leafWeight rate",
    "linux.resources.hugepageLimits[]": "pageSize limit",
    "linux.resources.network": "classID priorities",
    "linux.resources.network.priorities[]": "name priority",
    "linux.resources.pids": "limit",
    "linux.resources.rdma.*": "hcaHandles hcaObjects",
    "linux.memoryPolicy": "mode nodes flags",
    "linux.seccomp": "defaultAction defaultErrnoRet architectures flags listenerPath listenerMetadata syscalls",
    "linux.seccomp.syscalls[]": "names action errnoRet args",
    "linux.seccomp.syscalls[].args[]": "index value valueTwo op",
    "linux.personality": "domain flags",
}

# What is of no meaning here: property -> why
NOTHING_TO_DO = {
    "process.user.username": "for Windows alone; test_a_user_name_means_nothing_on_linux",
    "process.commandLine": "for Windows alone",
    "linux.resources.memory.useHierarchy": "since Linux 5.11 groups are never counted in any other way",
}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every word in a text, but for docstrings, of the rooms that carry config.json out."""
    found: set[str] = set()
    for room in ("runtime", "linux"):
        for path in (SOURCES / room).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_bytes())))
            told = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            texts = (n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in told)
            found.update(word for text in texts if isinstance(text, str) for word in text.split())
    return found


@pytest.mark.parametrize("place", PROPERTIES)
def test_the_code_knows_it(place: str, known: set[str]) -> None:
    unknown = [name for name in PROPERTIES[place].split() if name not in known]
    assert unknown == []


def test_what_has_no_meaning_is_not_carried_out(known: set[str]) -> None:
    assert [name for name in NOTHING_TO_DO if name.rpartition(".")[2] in known] == []
