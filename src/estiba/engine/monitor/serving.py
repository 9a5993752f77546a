"""What a monitor does while its container runs: it keeps and passes on the output, hears whoever attaches, brings
further processes in, and sees the end. Next to nothing is loaded for that."""

from __future__ import annotations

import _socket
import os
import time

from estiba.engine import frames
from estiba.engine.monitor.clients import Client
from estiba.engine.monitor.execs import Execs
from estiba.engine.monitor.log_file import LogFile, NoLog
from estiba.engine.monitor.loop import LITTLE, READ, Loop, child_signals, stop_child_signals
from estiba.engine.monitor.names import SleepingNames
from estiba.engine.monitor.orders import NotUnderstood, understood
from estiba.engine.monitor.stamp import is_as_loaded
from estiba.engine.monitor.streams import Streams
from estiba.errors import EstibaError
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from estiba.engine.monitor.life import Life
    from estiba.networks.names.server import NameServer

_MOST_NEWS = 16


class Serving:
    """What is at hand while a container runs. `pid` is its first process, 0 while there is none; `status` how that has
    ended, as waitpid gives it. `starter` is the command that started it. `names` answers for names, where the container
    knows others by theirs; with `may_be_looked_into` it has a tracer's rights, and what answers knows of others.
    `life` gives all the rest, where more than this is to be done. `begin_anew` executes this program again; where it
    comes back, it gives whether that is possible later."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.clients: list[Client] = []
        self.starter: Client | None = None
        self.log: LogFile | NoLog = NoLog()
        self.listener: _socket.socket | None = None
        self.execs: Execs | None = None
        self.names: NameServer | SleepingNames | None = None
        self.may_be_looked_into = False
        self.begin_anew: Callable[[], bool] | None = None
        self.streams: Streams | None = None
        self._news: list[dict[str, object]] = []
        self.pid = 0
        self.status: int | None = None
        self.stop_wanted = False
        self.life: Callable[[], Life] | None = None
        self._wakeups = -1
        self.open_wakeups()

    def listen(self, listener: _socket.socket) -> None:
        """Answer whoever connects."""
        self.listener = listener
        self.loop.watch(listener.fileno(), READ, lambda _events: self.accept())

    def accept(self) -> None:
        """Take in those who have connected, as far as there is room; the others wait until somebody leaves."""
        assert self.listener is not None
        while len(self.clients) < self.loop.room:
            try:
                socket = frames.accept(self.listener)
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left; we would be told again and again
                if self.clients:
                    break
                time.sleep(LITTLE)
                return
            self.add_client(socket)
        self.loop.forget(self.listener.fileno())

    def add_client(self, socket: _socket.socket) -> Client:
        """Hear somebody from now on."""
        client = Client(socket, self.loop, self._frame, on_change=self._changed)
        self.clients.append(client)
        return client

    def new_streams(self, *, tty: bool, interactive: bool) -> Streams:
        """The streams of a run that is about to begin."""
        self.streams = Streams(self.loop, self._output, tty=tty, interactive=interactive)
        return self.streams

    def reap(self) -> None:
        """Wait for every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.pid:
                self.status = status
            elif self.execs is not None:
                self.execs.ended(pid, status)

    def say_goodbye(self) -> None:
        """Stay until everybody has what was meant for them, or is gone."""
        while any(client.is_open and client.has_waiting for client in self.clients):
            self.loop.turn()
        for client in list(self.clients):
            client.close()

    def close_doors(self) -> None:
        """Take nobody in any more."""
        if self.listener is not None:
            self.loop.forget(self.listener.fileno())
            self.listener.close()
        if self.execs is not None:
            self.execs.close()

    # Handing over to the next program of this process (`settling`)

    def state(self) -> dict[str, Any] | None:
        """What the next program needs to go on: plain values and the numbers of descriptors; None where something is
        under way that has no such form."""
        if self.listener is None or self.streams is None:
            return None
        streams, execs = self.streams.state(), self.execs.state() if self.execs is not None else {}
        names = self.names.state() if self.names is not None else {}
        clients = [client.state() for client in self.clients]
        if streams is None or execs is None or names is None or None in clients:
            return None
        known = {self._wakeups, self.listener.fileno(), *self.streams.descriptors}
        known.update(client.socket.fileno() for client in self.clients)
        if self.execs is not None:
            known |= self.execs.descriptors
        if self.names is not None:
            known |= self.names.descriptors
        if self.loop.descriptors - known:
            return None  # somebody is served that we do not know
        return {
            "pid": self.pid,
            "status": self.status,
            "stop_wanted": self.stop_wanted,
            "listener": self.listener.fileno(),
            "streams": streams,
            "log": self.log.state(),
            "execs": execs,
            "names": names,
            "may_be_looked_into": self.may_be_looked_into,
            "clients": clients,
            "starter": self.clients.index(self.starter) if self.starter in self.clients else -1,
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Serving:
        """As it was in the program before this one."""
        serving = cls()
        serving.pid, serving.status, serving.stop_wanted = state["pid"], state["status"], state["stop_wanted"]
        serving.log = LogFile.restored(state["log"]) if state["log"] else NoLog()
        serving.streams = Streams.restored(serving.loop, serving._output, state["streams"])
        for one in state["clients"]:
            client = serving.add_client(_socket.socket(fileno=one["descriptor"]))
            client.wants_output, client.gives_input = one["wants_output"], one["gives_input"]
            client.wants_news = one.get("wants_news", False)
        serving.starter = serving.clients[state["starter"]] if state["starter"] >= 0 else None
        serving.listen(_socket.socket(fileno=state["listener"]))
        if state["execs"]:
            serving.execs = Execs.restored(serving.loop, state["execs"])
        serving.may_be_looked_into = state.get("may_be_looked_into", False)
        if state.get("names"):
            serving.names = SleepingNames(serving.loop, state["names"], serving.wake_names)
        serving._balance()
        serving.reap()  # nobody has told us of those who ended meanwhile
        return serving

    def open_wakeups(self) -> None:
        """Hear of children that end from now on."""
        self._wakeups = child_signals()
        self.loop.watch(self._wakeups, READ, lambda _events: self._signalled())

    def close_wakeups(self) -> None:
        """Hear of them no more: the next program has its own way."""
        self.loop.forget(self._wakeups)
        stop_child_signals(self._wakeups)

    def wake_names(self) -> None:
        """Load what answers for names; where another version is installed now, in a program begun anew."""
        if not isinstance(self.names, SleepingNames):
            return
        if not is_as_loaded() and self.begin_anew is not None and self.begin_anew():
            time.sleep(LITTLE)  # the question waits until what is under way has been done
            return
        from estiba.networks.names.server import restored

        self.names = restored(self.loop, self.names.state())
        if self.execs is not None:
            self.execs.is_closed = self.execs.is_closed or self.may_be_looked_into

    # What happens meanwhile

    def _signalled(self) -> None:
        try:
            while os.read(self._wakeups, 512):
                pass
        except BlockingIOError:
            pass
        self.reap()

    def _output(self, stream: str, data: bytes) -> None:
        self.log.write(stream, data)
        kind = frames.OUTPUT if stream == "stdout" else frames.ERROR_OUTPUT
        for client in self.clients:
            if client.wants_output:
                client.send(kind, data)
        self._balance()

    def _balance(self) -> None:
        """A client that is behind holds up the container, and a container that reads nothing its clients."""
        if self.streams is None:
            return
        self.streams.hold(any(client.is_behind for client in self.clients))
        for client in self.clients:
            if client.is_open and client.gives_input and client.is_heard == self.streams.is_input_full:
                client.listen(not self.streams.is_input_full)

    def _changed(self, client: Client) -> None:
        """A client has caught up or is gone."""
        if not client.is_open:
            self.clients = [other for other in self.clients if other.is_open]
            if self.listener is not None and self.listener.fileno() >= 0:
                self.listen(self.listener)
            # `run -i` is the only one who gives input: without it there is no more (Docker's StdinOnce).
            if client is self.starter and client.gives_input and self.streams is not None:
                self.streams.end_input()
        self._balance()

    def _frame(self, client: Client, frame: frames.Frame) -> None:
        try:
            order = understood(frame)
        except NotUnderstood as error:
            client.send(frames.REFUSED, {"message": error.message, "remedy": error.remedy})
        else:
            self._obey(client, frame.kind, order)

    def _obey(self, client: Client, kind: int, order: Any) -> None:
        if kind == frames.INPUT and self.streams is not None:
            self.streams.write(order)
            self._balance()
        elif kind == frames.INPUT_END and self.streams is not None:
            self.streams.end_input()
        elif kind == frames.RESIZE and self.streams is not None:
            self.streams.resize(*order)
        elif kind == frames.ATTACH:
            client.wants_output, client.gives_input = True, order
            client.send(frames.DONE)
        elif kind == frames.WAIT:
            client.wants_news = order is not None
            for one in self._news if order else ():
                client.send(frames.NEWS, one)
        elif kind in (frames.CONNECT, frames.DISCONNECT):
            self._change_networks(client, kind, order)
        elif kind in (frames.SIGNAL, frames.STOP):
            self.stop_wanted = self.stop_wanted or kind == frames.STOP
            self.signal(order)
            client.send(frames.DONE)

    def _change_networks(self, client: Client, kind: int, order: Any) -> None:
        assert self.life is not None
        try:
            life = self.life()
        except EstibaError as error:
            client.send(frames.REFUSED, {"message": error.message, "remedy": error.remedy})
        else:
            life.change_networks(client, kind, order)

    def tell(self, action: str, about: dict[str, str]) -> None:
        """Have those who want news hear that something has happened; those who come a moment late hear of it too."""
        self._news.append({"action": action, "about": about})
        del self._news[:-_MOST_NEWS]
        for client in list(self.clients):
            if client.wants_news:
                client.send(frames.NEWS, self._news[-1])

    def signal(self, number: int) -> None:
        """Send the first process a signal, if it runs."""
        if self.pid and self.status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass
