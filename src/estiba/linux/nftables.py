"""The host's packet filter: rules by `nft` in one transaction, elements of maps straight over netlink.

Rules change once per network, so they go as text through the `nft` program; an element changes with every container,
so it is one message of our own (`linux/netfilter/nf_tables.h`), 0.1 ms instead of the start of a program.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from estiba.errors import EstibaError, PermissionDenied, Unavailable
from estiba.linux.netlink import (
    CREATE,
    NETLINK_NETFILTER,
    Message,
    NetlinkSocket,
    attribute,
    attributes,
    nested,
    text,
)
from estiba.values import NamedTuple

# Fixed places, so that no variable of the caller chooses what root runs.
PROGRAM_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin", "/usr/local/bin")

_SUBSYSTEM = 10 << 8
_BATCH_BEGIN = 16
_BATCH_END = 17
_GET_TABLE = _SUBSYSTEM | 1
_DELETE_TABLE = _SUBSYSTEM | 2
_GET_CHAIN = _SUBSYSTEM | 4
_NEW_ELEMENTS = _SUBSYSTEM | 12
_DELETE_ELEMENTS = _SUBSYSTEM | 14
_IPV4 = 2  # NFPROTO_IPV4; the same number as AF_INET

_TABLE_NAME = 1
_ELEMENTS_TABLE = 1
_ELEMENTS_SET = 2
_ELEMENTS_LIST = 3
_LIST_ELEMENT = 1
_ELEMENT_KEY = 1
_ELEMENT_DATA = 2
_DATA_VALUE = 1

_CHAIN_TABLE = 1
_CHAIN_NAME = 3
_CHAIN_HOOK = 4
_CHAIN_POLICY = 5
_HOOK_NUMBER = 1
_HOOK_PRIORITY = 2
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}


class RulesRefused(EstibaError):
    """The kernel or `nft` did not take a set of rules: a kernel without a feature, or a fault in the rules."""


class Element(NamedTuple):
    """An element of a map: `key` and `data` are concatenations, each field padded to four bytes."""

    map: str
    key: bytes
    data: bytes


class BaseChain(NamedTuple):
    """A chain that the kernel calls at `hook`; `family` is ip, ip6 or inet, `drops` says that its policy is drop."""

    family: str
    table: str
    name: str
    hook: str
    priority: int
    drops: bool


def find_program() -> str | None:
    """The path of `nft`, or None where it is not installed."""
    for directory in PROGRAM_DIRECTORIES:
        path = f"{directory}/nft"
        if os.access(path, os.X_OK):
            return path
    return None


def run_script(script: str) -> None:
    """Carry out `script` (nft(8)) as one transaction: all of it or nothing.

    Raises:
        Unavailable: `nft` is not installed.
        PermissionDenied: the kernel refused (CAP_NET_ADMIN is needed).
        RulesRefused: anything else, with the first line that `nft` said.
    """
    program = find_program()
    if program is None:
        raise Unavailable(
            "container networks need the program nft, which is not installed",
            remedy="Install it (on Debian and Ubuntu: apt install nftables), or use --network host or none.",
        )
    script_fd = os.memfd_create("nft-script", os.MFD_CLOEXEC)
    said_fd = os.memfd_create("nft-said", os.MFD_CLOEXEC)
    try:
        os.write(script_fd, script.encode())
        os.lseek(script_fd, 0, os.SEEK_SET)
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((script_fd, null, said_fd))]
            pid = os.posix_spawn(program, [program, "-f", "-"], {"LC_ALL": "C"}, file_actions=actions)
        finally:
            os.close(null)
        status = os.waitstatus_to_exitcode(_wait(pid))
        said = os.pread(said_fd, 4096, 0).decode(errors="replace").strip()
    finally:
        os.close(script_fd)
        os.close(said_fd)
    if status == 0:
        return
    if "Operation not permitted" in said:
        raise PermissionDenied(
            "the kernel does not let this user change the packet filter", remedy="Run as root (CAP_NET_ADMIN)."
        )
    reason = f"nft was killed by signal {-status}" if status < 0 else said.splitlines()[0] if said else ""
    raise RulesRefused(
        f"the packet filter did not take the rules of the container networks: {reason or f'nft ended with {status}'}",
        remedy="`estiba doctor` says which part of the kernel is missing.",
    )


def _wait(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


def concatenate(*fields: bytes) -> bytes:
    """A key or value of several fields, as the kernel keeps it: each padded to four bytes."""
    return b"".join(field + bytes(-len(field) % 4) for field in fields)


def _generic(family: int, resource: int = 0) -> bytes:
    return struct.pack("=BB", family, 0) + struct.pack("!H", resource)


def _elements(kind: int, flags: int, table: str, element: Element, what: str) -> Message:
    fields = [nested(_ELEMENT_KEY, attribute(_DATA_VALUE, element.key))]
    if element.data:
        fields.append(nested(_ELEMENT_DATA, attribute(_DATA_VALUE, element.data)))
    body = _generic(_IPV4) + text(_ELEMENTS_TABLE, table) + text(_ELEMENTS_SET, element.map)
    body += nested(_ELEMENTS_LIST, nested(_LIST_ELEMENT, *fields))
    return Message(kind, flags, body, f"{what} the map {element.map} of the table {table}")


def add_message(table: str, element: Element) -> Message:
    return _elements(_NEW_ELEMENTS, CREATE, table, element, "add an element to")


def delete_message(table: str, element: Element) -> Message:
    return _elements(_DELETE_ELEMENTS, 0, table, element._replace(data=b""), "take an element from")


def _transaction(messages: Sequence[Message]) -> None:
    begin = Message(_BATCH_BEGIN, 0, _generic(0, 10), "begin the change of the packet filter")
    end = Message(_BATCH_END, 0, _generic(0, 10), "end the change of the packet filter")
    with NetlinkSocket(NETLINK_NETFILTER) as netlink:
        netlink.batch(begin, messages, end)


def add_elements(table: str, elements: Sequence[Element]) -> None:
    """Put `elements` into maps of the IPv4 table `table`: all of them or none.

    Raises:
        OSError: ENOENT where the table or map does not exist, EEXIST where a key has other data.
    """
    if elements:
        _transaction([add_message(table, element) for element in elements])


def delete_elements(table: str, elements: Sequence[Element]) -> None:
    """Take `elements` out; one that is gone already (or whose table is) is no error.

    Raises:
        OSError: the kernel refused for another reason.
    """
    if not elements:
        return
    try:  # all at once, for the kernel lets each transaction that removes wait for every reader (10 ms)
        _transaction([delete_message(table, element) for element in elements])
    except FileNotFoundError:
        if len(elements) > 1:
            for element in elements:
                delete_elements(table, [element])


def has_table(table: str) -> bool:
    """Whether the IPv4 table `table` exists.

    Raises:
        OSError: the kernel refused.
    """
    message = Message(_GET_TABLE, 0, _generic(_IPV4) + text(_TABLE_NAME, table), f"look for the table {table}")
    with NetlinkSocket(NETLINK_NETFILTER) as netlink:
        try:
            netlink.transact([message])
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
    return True


def delete_table(table: str) -> None:
    """Remove the IPv4 table `table` with all in it; one that is gone already is no error.

    Raises:
        OSError: the kernel refused.
    """
    message = Message(_DELETE_TABLE, 0, _generic(_IPV4) + text(_TABLE_NAME, table), f"remove the table {table}")
    try:
        _transaction([message])
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def base_chains() -> list[BaseChain]:
    """Every chain that the kernel calls for IP packets, whoever made it; those of iptables-legacy are not among them.

    Raises:
        OSError: the kernel refused.
    """
    message = Message(_GET_CHAIN, 0, _generic(0), "list the chains of the packet filter")
    found: list[BaseChain] = []
    with NetlinkSocket(NETLINK_NETFILTER) as netlink:
        for reply in netlink.dump(message):
            family = _FAMILIES.get(reply.body[0])
            values = attributes(reply.body[4:])
            hook = attributes(values.get(_CHAIN_HOOK, b""))
            number = struct.unpack("!I", hook[_HOOK_NUMBER])[0] if _HOOK_NUMBER in hook else len(_HOOKS)
            if family is None or number >= len(_HOOKS):
                continue
            priority = struct.unpack("!i", hook[_HOOK_PRIORITY])[0]
            drops = struct.unpack("!I", values[_CHAIN_POLICY])[0] == 0 if _CHAIN_POLICY in values else False
            table, name = _name(values[_CHAIN_TABLE]), _name(values[_CHAIN_NAME])
            found.append(BaseChain(family, table, name, _HOOKS[number], priority, drops))
    return found


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
