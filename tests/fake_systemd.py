"""systemd as runtimes see it: a real bus, real control groups below a place of the test's own, and no systemd.

`FakeSystemd` starts a dbus-daemon and answers on it as org.freedesktop.systemd1 until it is closed. It notes each call.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from waiting import wait_until

jeepney = pytest.importorskip("jeepney")

from jeepney.auth import Authenticator  # noqa: E402
from jeepney.bus_messages import message_bus  # noqa: E402
from jeepney.io.blocking import DBusConnection  # noqa: E402

NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def bus(directory: str) -> Iterator[str]:
    """A message bus of its own; gives its address."""
    path, config = os.path.join(directory, "bus"), os.path.join(directory, "bus.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(_CONFIG.format(socket=path))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--nosyslog", "--print-address"]
    try:
        daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError:
        pytest.skip("dbus-daemon is not installed")
    assert daemon.stdout is not None
    try:
        address = daemon.stdout.readline().strip()
        assert address, "the bus did not start"
        os.chmod(path, 0o666)
        yield address
    finally:
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()


class FakeSystemd:
    """`calls` are (method, arguments) in order; `units` has each unit's properties and directories.

    `places` are mount points of hierarchies in which it makes the group of a unit, below the group `root` in each. They
    are the user `owner`'s.
    """

    def __init__(
        self, address: str, *, places: list[str], root: str, version: str = "252.38-1~deb12u1", owner: int = 0
    ) -> None:
        self.places = places
        self.root = root
        self.version = version
        self.owner = owner
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.units: dict[str, dict[str, Any]] = {}
        self.result = "done"
        self.is_silent = False
        self.denied = ""
        for place in places:
            self._make(place, root)
        self._connection = DBusConnection(_socket(address))
        self._connection.send_and_get_reply(message_bus.RequestName(NAME))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Leave the bus, and take the groups away."""
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()
        wait_until(self._is_clean, "all processes have left systemd's groups")

    def _is_clean(self) -> bool:
        try:
            for place in self.places:
                for directory, _, _ in os.walk(place + self.root, topdown=False):
                    os.rmdir(directory)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of a method."""
        return [arguments for name, arguments in self.calls if name == method]

    def started(self) -> dict[str, Any]:
        """The properties, without their types, of the one unit that was started."""
        [arguments] = self.of("StartTransientUnit")
        return {name: value for name, (_, value) in arguments[2]}

    def path_of(self, unit: str) -> str:
        """The unit's group: a dash in a slice's name is a level."""
        path, above = self.root, ""
        for part in self.units[unit]["Slice"].removesuffix(".slice").split("-"):
            above = f"{above}-{part}" if above else part
            path += f"/{above}.slice"
        return f"{path}/{unit}"

    def _serve(self) -> None:
        while True:
            try:
                message = self._connection.receive()
            except OSError:
                return
            if message.header.message_type == jeepney.MessageType.method_call:
                self._answer(message)

    def _answer(self, message: Any) -> None:
        fields = message.header.fields
        method = fields[jeepney.HeaderFields.member]
        self.calls.append((method, message.body))
        if self.denied == method:
            self._fail(message, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
        elif method == "Get":
            value = {"Version": self.version, "ControlGroup": self.root}[message.body[1]]
            self._reply(message, "v", (("s", value),))
        elif method in ("Subscribe", "ResetFailedUnit"):
            self._reply(message)
        elif method == "StartTransientUnit" and self.is_silent:
            self._move_all(*message.body[::2])
        elif method == "StartTransientUnit":
            self._start(message)
        elif method == "StopUnit":
            self._stop(message)
        elif method == "SetUnitProperties":
            self.units[message.body[0]].update({name: value for name, (_, value) in message.body[2]})
            self._reply(message)
        elif method == "AttachProcessesToUnit":
            for pid in message.body[2]:
                self._move(message.body[0], pid)
            self._reply(message)
        else:
            self._fail(message, "org.freedesktop.DBus.Error.UnknownMethod", method)

    def _start(self, message: Any) -> None:
        unit, _, properties, _ = message.body
        if unit in self.units:
            self._fail(message, f"{NAME}.UnitExists", f"Unit {unit} was already loaded or has a fragment file.")
            return
        if self.result == "done":
            self._move_all(unit, properties)
        self._job(message, unit)

    def _move_all(self, unit: str, properties: list[Any]) -> None:
        given = {name: value for name, (_, value) in properties}
        self.units[unit] = given
        for pid in given["PIDs"]:
            self._move(unit, pid)

    def _stop(self, message: Any) -> None:
        unit = message.body[0]
        if unit not in self.units:
            self._fail(message, f"{NAME}.NoSuchUnit", f"Unit {unit} not loaded.")
            return
        path = self.path_of(unit)
        del self.units[unit]
        for place in self.places:
            for directory, _, _ in os.walk(place + path, topdown=False):
                os.rmdir(directory)
        self._job(message, unit)

    def _move(self, unit: str, pid: int) -> None:
        for place in self.places:
            directory = place + self.path_of(unit)
            self._make(place, self.path_of(unit))
            with open(directory + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(pid))

    def _make(self, place: str, path: str) -> None:
        """A group; what is new belongs to the manager's user."""
        current = place
        for part in path.strip("/").split("/"):
            current += f"/{part}"
            if not os.path.isdir(current):
                os.mkdir(current)
                for name in ("", "/cgroup.procs", "/cgroup.subtree_control") if self.owner else ():
                    os.chown(current + name, self.owner, -1)

    def _job(self, message: Any, unit: str) -> None:
        job = f"{_PATH}/job/{len(self.calls)}"
        self._reply(message, "o", (job,))
        emitter = jeepney.DBusAddress(_PATH, NAME, f"{NAME}.Manager")
        self._connection.send(jeepney.new_signal(emitter, "JobRemoved", "uoss", (1, f"{_PATH}/job/0", unit, "done")))
        signal = jeepney.new_signal(emitter, "JobRemoved", "uoss", (len(self.calls), job, unit, self.result))
        self._connection.send(signal)

    def _reply(self, message: Any, signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
        self._connection.send(jeepney.new_method_return(message, signature, body))

    def _fail(self, message: Any, name: str, text: str) -> None:
        self._connection.send(jeepney.new_error(message, name, "s", (text,)))


def _socket(address: str) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    end.connect(address.partition("path=")[2].partition(",")[0])
    end.send(b"\0")
    conversation = Authenticator(inc_null_byte=False)
    for data in conversation:
        end.sendall(data)
        conversation.feed(end.recv(1024))
    end.sendall(b"BEGIN\r\n")
    return end
