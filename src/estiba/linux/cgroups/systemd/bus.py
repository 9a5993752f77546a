"""systemd's manager as it is reached over D-Bus (org.freedesktop.systemd1(5)): units started, changed and stopped."""

from __future__ import annotations

import os

from estiba.errors import EstibaError, PermissionDenied, Unavailable
from estiba.linux.cgroups.group import GroupInUse
from estiba.linux.cgroups.systemd.properties import version_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Sequence
    from typing import Any

    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

    from estiba.linux.cgroups.systemd.properties import Property

_SYSTEM_BUS = "/run/dbus/system_bus_socket"
# Where systemd itself listens, with or without a bus: for root, and for the user whose manager it is.
_DIRECT = "/systemd/private"
NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = f"{NAME}.Manager"
_WAIT = 30.0  # seconds for a call, and for a job
_HELLO = 5.0  # seconds for the bus to let us in

CGROUPFS = "Use --cgroup-manager cgroupfs (podman: --cgroup-manager too; docker: native.cgroupdriver=cgroupfs)."


class Refused(EstibaError):
    """systemd said no; `name` is the error's own."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Manager:
    """A connection to the manager at `address`: the machine's own, or a user's.

    `version` is systemd's, `root` the group below which its slices lie ("" for the hierarchy's own root).
    """

    def __init__(self, address: str) -> None:
        """Connect.

        Raises:
            Unavailable: nobody listens there, or no systemd is on that bus.
        """
        self.address = address
        self._is_direct = address.endswith(_DIRECT)
        self._connection = _connect(address, is_direct=self._is_direct)
        try:
            if not self._is_direct:
                self._refuse_where_missing()
            self.version = version_of(str(self._manager_property("Version")))
            root = str(self._manager_property("ControlGroup"))
        except BaseException:
            self.close()
            raise
        # The machine's manager lives in a group of its own, and its slices beside it.
        self.root = root.removesuffix("/init.scope").rstrip("/")

    def close(self) -> None:
        self._connection.close()

    def start(self, unit: str, properties: Sequence[Property]) -> None:
        """Make the transient unit and wait until it is there.

        Raises:
            GroupInUse: there is one of this name.
            Unavailable, PermissionDenied: systemd did not do it.
        """
        arguments: tuple[Any, ...] = (unit, "replace", _encoded(properties), [])
        try:
            self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", arguments, unit)
        except Refused as error:
            if error.name != f"{NAME}.UnitExists":
                raise _translated(error, f"start the unit {unit}") from None
            # What failed earlier keeps its name until it is forgotten.
            self.reset(unit)
            try:
                self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", arguments, unit)
            except Refused as again:
                if again.name != f"{NAME}.UnitExists":
                    raise _translated(again, f"start the unit {unit}") from None
                raise GroupInUse(unit) from None

    def stop(self, unit: str) -> None:
        """End the unit, if there is one, and let systemd forget it."""
        try:
            self._job("StopUnit", "ss", (unit, "replace"), unit)
        except Refused as error:
            if error.name not in (f"{NAME}.NoSuchUnit", f"{NAME}.LoadFailed"):
                raise _translated(error, f"stop the unit {unit}") from None
        self.reset(unit)

    def reset(self, unit: str) -> None:
        """Forget that the unit has failed; nothing happens where it has not."""
        try:
            self._call("ResetFailedUnit", "s", (unit,))
        except Refused:
            return

    def set_properties(self, unit: str, properties: Sequence[Property]) -> None:
        """Change properties of a unit that is there, until the next start of the machine. Comes back when systemd has
        written them.

        Raises:
            Unavailable, PermissionDenied: systemd did not do it.
        """
        try:
            self._call("SetUnitProperties", "sba(sv)", (unit, True, _encoded(properties)))
        except Refused as error:
            raise _translated(error, f"change the unit {unit}") from None
        # It answers first and writes then, but before it reads the next call.
        self._manager_property("Version")

    def attach(self, unit: str, pid: int) -> None:
        """Move a process into the unit's group, which a user may not always do without help.

        Raises:
            Unavailable, PermissionDenied: systemd did not do it.
        """
        try:
            self._call("AttachProcessesToUnit", "ssau", (unit, "", [pid]))
        except Refused as error:
            raise _translated(error, f"move process {pid} into the unit {unit}") from None

    def _refuse_where_missing(self) -> None:
        from jeepney import DBusAddress, new_method_call

        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        try:
            (is_there,) = self._ask(new_method_call(bus, "NameHasOwner", "s", (NAME,)))
        except Refused as error:
            raise _translated(error, "look for systemd") from None
        if not is_there:
            raise Unavailable(
                f"there is no systemd on the bus {self.address}, so it manages no control groups", remedy=CGROUPFS
            )

    def _manager_property(self, name: str) -> Any:
        from jeepney import DBusAddress, new_method_call

        place = DBusAddress(_PATH, NAME, "org.freedesktop.DBus.Properties")
        try:
            ((_, value),) = self._ask(new_method_call(place, "Get", "ss", (_MANAGER, name)))
        except Refused as error:
            raise _translated(error, f"tell its {name}") from None
        return value

    def _call(self, method: str, signature: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        from jeepney import DBusAddress, new_method_call

        return self._ask(new_method_call(DBusAddress(_PATH, NAME, _MANAGER), method, signature, arguments))

    def _job(self, method: str, signature: str, arguments: tuple[Any, ...], unit: str) -> None:
        """Call what makes a job, and wait for the job's end.

        Raises:
            Refused: at once. Unavailable: it failed, or took too long.
        """
        from collections import deque

        from jeepney import MatchRule
        from jeepney.bus_messages import message_bus

        rule = MatchRule(type="signal", interface=_MANAGER, member="JobRemoved", path=_PATH)
        ended: deque[Message] = deque()
        with self._connection.filter(rule, queue=ended):
            if not self._is_direct:
                self._ask(message_bus.AddMatch(rule))
            try:
                self._call("Subscribe", "", ())
            except Refused:
                pass  # we are told of our own jobs anyway
            (job,) = self._call(method, signature, arguments)
            result = self._end_of(job, ended, unit)
        if result != "done" and method == "StartTransientUnit":
            self.reset(unit)
            raise Unavailable(f"systemd could not start the unit {unit}: {result}", remedy=_look(unit))

    def _end_of(self, job: str, ended: deque[Message], unit: str) -> str:
        import time

        deadline = time.monotonic() + _WAIT
        while True:
            try:
                left = deadline - time.monotonic()
                message = self._connection.recv_until_filtered(ended, timeout=max(left, 0.0))
            except TimeoutError:
                raise Unavailable(
                    f"systemd has not done its job for the unit {unit} within {_WAIT:g} seconds"
                ) from None
            except OSError as error:
                raise _lost(self.address, error) from None
            if message.body[1] == job:
                return str(message.body[3])

    def _ask(self, message: Message) -> tuple[Any, ...]:
        from jeepney.wrappers import DBusErrorResponse, unwrap_msg

        try:
            body: tuple[Any, ...] = unwrap_msg(self._connection.send_and_get_reply(message, timeout=_WAIT))
        except DBusErrorResponse as error:
            raise Refused(error.name, " ".join(map(str, error.data)) or error.name) from None
        except TimeoutError:
            raise Unavailable(f"systemd has not answered within {_WAIT:g} seconds") from None
        except OSError as error:
            raise _lost(self.address, error) from None
        return body


def system_address() -> str:
    """Where the machine's systemd is reached: on the bus, else directly."""
    return _first(_SYSTEM_BUS, f"/run{_DIRECT}")


def user_address(directory: str = "") -> str:
    """Where the user's own systemd is reached; `directory` is the user's for run-time files, "" the usual one."""
    place = directory or f"/run/user/{own_user()}"
    return _first(f"{place}/bus", f"{place}{_DIRECT}")


def _first(bus: str, direct: str) -> str:
    return f"unix:path={direct if os.path.exists(direct) and not os.path.exists(bus) else bus}"


def own_user() -> int:
    """Our user on the machine: in a user namespace of their own the user is another, often root."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        rows = [[int(word) for word in line.split()] for line in file]
    user = os.getuid()
    for inside, outside, size in rows:
        if inside <= user < inside + size:
            return outside + user - inside
    return user


def _connect(address: str, *, is_direct: bool) -> DBusConnection:
    """A connection to a bus, or `is_direct` to one other process, to which nobody says Hello.

    Raises:
        Unavailable: there is none.
    """
    _load_library()
    from jeepney.auth import AuthenticationError
    from jeepney.io.blocking import DBusConnection, DBusConnectionBase
    from jeepney.io.common import MessageFilters

    try:
        if not is_direct:
            return DBusConnection(_admitted(address))
        connection = DBusConnection.__new__(DBusConnection)
        DBusConnectionBase.__init__(connection, _admitted(address))
        connection._filters = MessageFilters()
        return connection
    except (OSError, AuthenticationError, RuntimeError, ValueError) as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> Unavailable:
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    if not os.path.isdir("/run/systemd/system"):  # what sd_booted(3) looks for
        claim = "systemd does not run here, so it manages no control groups"
    else:
        claim = "systemd cannot be asked for a control group"
    return Unavailable(f"{claim} (the bus {address}: {reason})", remedy=CGROUPFS)


def _admitted(address: str) -> socket.socket:
    """A socket on which the bus waits for messages.

    Whom we are the bus sees itself: our number is another in a user namespace (D-Bus specification, "EXTERNAL").
    """
    import socket

    from jeepney.auth import BEGIN, AuthenticationError
    from jeepney.bus import get_connectable_addresses

    wrong: OSError | None = None
    for place in get_connectable_addresses(address):
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            end.settimeout(_HELLO)
            end.connect(place)
            # All of it at once, as systemd's own clients do: its server loses a message that comes right behind BEGIN.
            end.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\n" + BEGIN)
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := end.recv(512)):
                answer += more
            if not (answer.startswith(b"DATA\r\nOK ") and answer.endswith(b"\r\n")):
                raise AuthenticationError(answer)
            end.settimeout(None)
        except OSError as error:
            end.close()
            wrong = error
        except BaseException:
            end.close()
            raise
        else:
            return end
    raise wrong or OSError(f"{address!r} is no address of a bus")


def _load_library() -> None:
    """Make jeepney importable: our own start leaves the directories of other packages out."""
    try:
        import jeepney
    except ImportError:
        import site

        site.main()
        try:
            import jeepney  # noqa: F401
        except ImportError:
            raise Unavailable(
                "systemd is asked over D-Bus, and the Python package jeepney is not installed",
                remedy=f"pip install jeepney. Or: {CGROUPFS}",
            ) from None


def _encoded(properties: Sequence[Property]) -> list[Property]:
    return [(name, (kind, bytes(value) if kind == "ay" else value)) for name, (kind, value) in properties]


def _translated(error: Refused, what: str) -> EstibaError:
    if error.name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired")):
        return PermissionDenied(f"systemd may not {what} for this user: {error.message}", remedy=CGROUPFS)
    return Unavailable(f"systemd could not {what}: {error.message}", remedy=CGROUPFS)


def _lost(address: str, error: OSError) -> Unavailable:
    return Unavailable(f"the bus {address} was lost: {error.strerror or error}")


def _look(unit: str) -> str:
    return f"See: systemctl status {unit}; journalctl -u {unit}."
