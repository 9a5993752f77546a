"""From the runtime's process to the program: limits, user, capabilities, working directory, filter, and the exec.

The order matters: what needs privileges comes before they go, and the filter comes last of all where no_new_privs lets
us load it without any (a filter that forbids setuid must not stop us from giving up root).
"""

from __future__ import annotations

import errno
import os
import resource
import stat

from estiba.linux import capabilities, scheduling
from estiba.linux.libc import checked, libc
from estiba.linux.processes import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, close_on_exec_from, prctl
from estiba.linux.seccomp import NEW_LISTENER, load_filter
from estiba.linux.signals import restore_defaults
from estiba.runtime.errors import BadBundle, ProgramMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_LARGEST_PASSWD = 1 << 20
_FALLBACK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}


class Identity:
    """What is left to do at the very end."""

    __slots__ = ("arguments", "environment", "filter_flags", "late_filter", "path")

    def __init__(
        self, path: str, arguments: list[str], environment: dict[str, str], late_filter: bytes, filter_flags: int
    ) -> None:
        self.filter_flags = filter_flags
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.late_filter = late_filter


def prepare(
    process: Mapping[str, Any], *, seccomp: bytes, seccomp_flags: int, on_listener: Callable[[int], None]
) -> Identity:
    """Become the user of `process` with its capabilities and limits, in its working directory; find the program.

    `on_listener` gets the descriptor that hears of system calls, where the filter has one: then it is loaded here.

    Raises:
        ProgramMissing: there is no such program.
        BadBundle: the working directory cannot be entered, or leads out of the container.
    """
    no_new_privileges = bool(process.get("noNewPrivileges"))
    _set_limits(process.get("rlimits") or ())
    _set_priorities(process)
    _set_labels(process)
    user = process.get("user") or {}
    _own_streams(user.get("uid") or 0)
    if seccomp and not no_new_privileges:
        # Needs CAP_SYS_ADMIN, which is about to go.
        _load(seccomp, seccomp_flags, on_listener)
    is_inside = _enter_directory(process["cwd"], is_last_try=False)
    _take_identity(user, process.get("capabilities"))
    if not is_inside:
        _enter_directory(process["cwd"], is_last_try=True)
    if no_new_privileges:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    os.umask(user["umask"] if user.get("umask") is not None else 0o022)
    environment = _environment(process.get("env") or (), user.get("uid") or 0)
    arguments = list(process["args"])
    path = find_program(arguments[0], environment.get("PATH") or _FALLBACK_PATH) if arguments else ""
    late = seccomp if no_new_privileges else b""
    if late and seccomp_flags & NEW_LISTENER:
        _load(late, seccomp_flags, on_listener)
        late = b""
    return Identity(path, arguments, environment, late, seccomp_flags)


def become(identity: Identity, *, preserve: int) -> ProgramMissing:
    """Become the program; gives the error if the kernel will not."""
    try:
        restore_defaults()
        close_on_exec_from(3 + preserve)
        if identity.late_filter:
            load_filter(identity.late_filter, flags=identity.filter_flags)
        os.execve(identity.path, identity.arguments, identity.environment)
    except OSError as error:
        code = 127 if error.errno == errno.ENOENT else 126
        return ProgramMissing(identity.path, os.strerror(error.errno or 0).lower(), exit_code=code)
    raise AssertionError("unreachable")


def find_program(name: str, search: str) -> str:
    """The path of a program as execvp would find it, with an error that says which of the reasons it was."""
    if "/" in name:
        fact = _why_not(name)
        if fact:
            raise ProgramMissing(name, fact[0], exit_code=fact[1])
        return name
    denied = False
    for directory in search.split(":"):
        candidate = os.path.join(directory or ".", name)
        fact = _why_not(candidate)
        if fact is None:
            return candidate
        denied = denied or fact[1] == 126
    if denied:
        raise ProgramMissing(name, "permission denied", exit_code=126)
    raise ProgramMissing(name, "executable file not found in $PATH", exit_code=127)


def set_personality(document: Mapping[str, Any]) -> None:
    """The execution domain (config-linux.md, "Personality")."""
    domain = document.get("domain")
    if domain not in _PERSONALITIES or document.get("flags"):
        raise BadBundle(f"there is no personality {domain!r}, or it has flags, which the spec reserves")
    checked(libc.personality(_PERSONALITIES[domain]), f"set the personality {domain}")


def _why_not(path: str) -> tuple[str, int] | None:
    try:
        info = os.stat(path)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        fact = f"stat {path}: {os.strerror(error.errno or 0).lower()}"
        return fact, 127 if missing else 126
    if stat.S_ISDIR(info.st_mode):
        return "is a directory", 126
    if not os.access(path, os.X_OK, effective_ids=True):
        return "permission denied", 126
    return None


def _load(seccomp: bytes, flags: int, on_listener: Callable[[int], None]) -> None:
    listener = load_filter(seccomp, flags=flags)
    if flags & NEW_LISTENER:
        on_listener(listener)


def _set_priorities(process: Mapping[str, Any]) -> None:
    scheduler = process.get("scheduler") or {}
    if scheduler.get("policy"):
        numbers = {
            name: int(scheduler.get(name) or 0) for name in ("nice", "priority", "runtime", "deadline", "period")
        }
        scheduling.set_policy(scheduler["policy"], flags=scheduler.get("flags") or (), **numbers)
    io_priority = process.get("ioPriority") or {}
    if io_priority.get("class"):
        scheduling.set_io_priority(io_priority["class"], int(io_priority.get("priority") or 0))


def _set_limits(limits: Any) -> None:
    if not limits:
        return
    for limit in limits:
        kind = getattr(resource, str(limit["type"]), None)
        if not str(limit["type"]).startswith("RLIMIT_") or kind is None:
            raise BadBundle(f"there is no limit {limit['type']!r}")
        soft, hard = _clamp(limit["soft"]), _clamp(limit["hard"])
        try:
            resource.setrlimit(kind, (soft, hard))
        except ValueError:
            # Raising a hard limit takes CAP_SYS_RESOURCE: what we have ourselves is as far as it goes.
            _, allowed = resource.getrlimit(kind)
            hard = _least(hard, allowed)
            resource.setrlimit(kind, (_least(soft, hard), hard))


def _clamp(value: int) -> int:
    return -1 if value >= 1 << 63 or value < 0 else value


def _least(one: int, other: int) -> int:
    if one == -1 or other == -1:
        return max(one, other)
    return min(one, other)


def _set_labels(process: Mapping[str, Any]) -> None:
    """What the security modules are told of the program; that the kernel has them was seen when the bundle was read."""
    profile, label = process.get("apparmorProfile") or "", process.get("selinuxLabel") or ""
    if not profile and not label:
        return
    from estiba.linux import labels

    try:
        if profile:
            labels.set_profile(profile, has_no_new_privileges=bool(process.get("noNewPrivileges")))
        if label:
            labels.set_program_label(label)
    except OSError as error:
        name = f"AppArmor profile {profile!r}" if profile and not label else f"SELinux label {label!r}"
        raise BadBundle(f"the {name} was refused: {error.strerror}") from None


def _own_streams(uid: int) -> None:
    """Let the user open /dev/stdout again: our pipes and terminals become the user's; other files stay as they are."""
    if not uid:
        return
    for number in (0, 1, 2):
        try:
            info = os.fstat(number)
        except OSError:
            continue
        is_terminal = stat.S_ISCHR(info.st_mode) and os.major(info.st_rdev) in range(136, 144)
        if info.st_uid != uid and (is_terminal or stat.S_ISFIFO(info.st_mode)):
            try:
                os.fchown(number, uid, -1)
            except OSError:
                continue  # an id without a mapping, or somebody else's pipe: reopening it is all that will not work


def _take_identity(user: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> None:
    sets = wanted or {}
    _, permitted, _ = capabilities.current()
    # What we lack ourselves nobody can have: the kernel would refuse the whole set.
    masks = {kind: capabilities.bits(sets.get(kind) or ()) & permitted for kind in _SETS}
    if permitted:
        capabilities.limit_bounding(masks["bounding"])
        capabilities.keep_across_setuid(True)
    groups = user.get("additionalGids") or []
    uid, gid = user.get("uid") or 0, user.get("gid") or 0
    try:
        os.setgroups(groups)
    except PermissionError:
        if set(groups) - {gid}:  # its own group it has anyhow
            raise
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # A change of user makes a process dumpable again where fs.suid_dumpable says so.
    prctl(PR_SET_DUMPABLE, 0)
    if permitted:
        capabilities.keep_across_setuid(False)
        capabilities.set_current(masks["effective"], masks["permitted"], masks["inheritable"])
        capabilities.set_ambient(masks["ambient"] & masks["permitted"] & masks["inheritable"])


_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def _enter_directory(path: str, *, is_last_try: bool) -> bool:
    try:
        os.chdir(path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM) and not is_last_try:
            return False
        raise BadBundle(f"the working directory {path} cannot be entered: {os.strerror(error.errno or 0)}") from None
    try:
        os.getcwd()
    except FileNotFoundError:
        # A descriptor of the host's that leaked would lead there (CVE-2024-21626).
        raise BadBundle(f"the working directory {path} is outside of the container") from None
    return True


def _environment(entries: Any, uid: int) -> dict[str, str]:
    environment: dict[str, str] = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not name or not separator or "\0" in entry:
            raise BadBundle(f"process.env holds {entry!r}, which is not NAME=value")
        environment[name] = value
    if "HOME" not in environment:
        environment["HOME"] = _home(uid)
    return environment


def _home(uid: int) -> str:
    """The user's home directory by the container's own list of users."""
    try:
        # The file is the image's: it may be a pipe that nobody writes to, or without end.
        descriptor = os.open("/etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return "/"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "/"
        text = os.read(descriptor, _LARGEST_PASSWD).decode(errors="surrogateescape")
    finally:
        os.close(descriptor)
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) >= 6 and fields[2] == str(uid):
            return fields[5] or "/"
    return "/"
