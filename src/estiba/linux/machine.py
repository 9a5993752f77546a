"""What this machine can do, found out by trying it: each probe gives "" where it works, else the reason why not.

What changes a process or mounts something is tried in a child that ends at once, so nothing stays.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from estiba.errors import EstibaError
from estiba.linux import namespaces
from estiba.linux.cgroups import delegation
from estiba.linux.cgroups import layout as cgroups
from estiba.linux.mounts import Mount, make_private_namespace, mount
from estiba.linux.paths import open_in_root
from estiba.linux.processes import PR_SET_NO_NEW_PRIVS, prctl
from estiba.linux.seccomp import load_filter
from estiba.linux.user_namespace import create
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.linux.subordinate_ids import IdMaps

PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

_ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET | BPF_K, SECCOMP_RET_ALLOW


def tried(act: Callable[[], None]) -> str:
    """Call `act` in a child process; gives "" or why it failed. The caller has one thread."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            try:
                act()
            except (OSError, EstibaError) as error:
                os.write(writer, _reason(error).encode()[:4000])
            os._exit(0)
        finally:
            os._exit(70)
    os.close(writer)
    try:
        reason = b""
        while chunk := os.read(reader, 4096):
            reason += chunk
    finally:
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0 and not reason:
        return f"the trial ended with {status}"
    return reason.decode(errors="replace")


def _reason(error: OSError | EstibaError) -> str:
    if isinstance(error, EstibaError):
        return error.message
    return error.strerror or str(error)


def openat2_problem() -> str:
    """Whether paths can be opened inside a root (Linux 5.6; some sandboxes refuse the call)."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(open_in_root(root, "proc", os.O_PATH))
    except OSError as error:
        return _reason(error)
    finally:
        os.close(root)
    return ""


def seccomp_problem() -> str:
    """Whether a filter of system calls can be loaded."""

    def load() -> None:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        load_filter(_ALLOW_ALL)

    return tried(load)


def user_namespaces_problem() -> str:
    """Whether this user can make user namespaces."""
    return tried(lambda: namespaces.unshare(namespaces.CLONE_NEWUSER))


def overlay_problem(directory: str, maps: IdMaps | None = None) -> str:
    """Whether an overlay whose layers lie in `directory` can be mounted and written to.

    With `maps` as root of an ordinary user's namespace, which is what its commands are.
    """

    def act() -> None:
        if maps is not None:
            create(maps)
        make_private_namespace()
        place = os.path.join(directory, f".estiba-doctor-{os.getpid()}")
        names = [os.path.join(place, name) for name in ("lower", "upper", "work", "merged")]
        os.mkdir(place, 0o700)
        try:
            for name in names:
                os.mkdir(name)
            lower, upper, work, merged = names
            options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
            if maps is not None:
                options.append("userxattr")
            mount(Mount("overlay", "overlay", "", tuple(options)), merged)
            os.mkdir(os.path.join(merged, "written"))
            from estiba.linux.mountpoints import unmount

            unmount(merged)
        finally:
            import shutil

            shutil.rmtree(place)

    return tried(act)


def user_attributes_problem(directory: str) -> str:
    """Whether files in `directory` can have extended attributes of the user's."""
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return _reason(error)
    try:
        os.setxattr(descriptor, "user.estiba", b"y")
    except OSError as error:
        return _reason(error)
    finally:
        os.close(descriptor)
    return ""


def control_groups() -> tuple[str, tuple[str, ...]]:
    """The version of control groups (``1``, ``2``, ``1 beside 2``, or "") and the controllers that can be used."""
    try:
        layout = cgroups.detect()
    except EstibaError:
        return "", ()
    if layout.is_unified and not namespaces.has_root():
        given = delegation.find(layout)
        return "2", given.controllers if given is not None else ()
    if layout.is_unified:
        with open(os.path.join(layout.unified, "cgroup.controllers"), encoding="ascii") as file:
            offered = file.read().split()
        return "2", tuple(sorted(offered)) if _can_make_group(layout.unified) else ()
    places = {place: _can_make_group(place) for place in layout.hierarchies()}
    usable = tuple(sorted(name for name, place in layout.controllers.items() if places[place]))
    return ("1 beside 2" if layout.unified else "1"), usable


def systemd_problem() -> str:
    """Whether systemd, the machine's for root and else the user's own, can be asked for control groups."""
    from estiba.linux.cgroups.systemd import bus

    try:
        bus.Manager(bus.system_address() if namespaces.has_root() else bus.user_address()).close()
    except EstibaError as error:
        return error.message
    return ""


def _can_make_group(place: str) -> bool:
    group = os.path.join(place, f"estiba-doctor-{os.getpid()}")
    try:
        os.mkdir(group)
    except OSError:
        return False
    os.rmdir(group)
    return True


def find_program(name: str) -> str:
    """The path of a program of the system, or ""."""
    for directory in PROGRAM_DIRECTORIES:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    return ""


def existing(path: str) -> str:
    """`path`, or the nearest directory above it that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
