"""seccomp's user notification: an agent outside hears of a call, and answers it for the program."""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import socket
import struct
import threading

import pytest

from estiba.runtime.spec import SpecOptions, container_spec

pytestmark = pytest.mark.root

RECEIVE, ANSWER = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, …_SEND


class Agent:
    """Listens for one container, and answers each call with the errno `answer` (0: with success)."""

    def __init__(self, path: str, *, answer: int) -> None:
        self.path = path
        self.state: dict = {}
        self.calls: list[int] = []
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        self._socket.listen(1)
        self._socket.settimeout(30)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return
        data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(4))
        connection.close()
        self.state = json.loads(data)
        descriptors = array.array("i")
        descriptors.frombytes(ancillary[0][2])
        with open(descriptors[0], "rb", buffering=0) as listener:
            while True:
                asked = ctypes.create_string_buffer(80)
                try:
                    fcntl.ioctl(listener, RECEIVE, asked)
                except OSError:  # the last process under the filter has ended
                    return
                number, _pid, _flags, call = struct.unpack_from("=QIIi", asked.raw)
                self.calls.append(call)
                fcntl.ioctl(listener, ANSWER, bytearray(struct.pack("=QqiI", number, 0, -self._answer, 0)))

    def close(self) -> None:
        self._socket.close()
        self._thread.join(timeout=30)


@pytest.fixture
def agent(tmp_path):
    agent = Agent(str(tmp_path / "agent"), answer=38)
    yield agent
    agent.close()


def _notify(path, *names):
    def change(config):
        seccomp = container_spec(SpecOptions(args=("x",)))["linux"]["seccomp"]
        seccomp["syscalls"].insert(0, {"names": list(names), "action": "SCMP_ACT_NOTIFY"})
        seccomp.update(listenerPath=path, listenerMetadata="of the test")
        config["linux"]["seccomp"] = seccomp

    return change


@pytest.mark.parametrize("guarded", [True, False])
def test_the_agent_hears_of_the_call_and_its_answer_is_the_programs(box, agent, guarded):
    """With no_new_privs and without: the filter is loaded at different places."""
    done = box.run("mkdir /made; echo $?", _notify(agent.path, "mkdir", "mkdirat"), no_new_privileges=guarded)
    assert "Function not implemented" in done.stderr
    assert done.stdout == "1\n"
    agent.close()
    assert len(agent.calls) == 1
    state = agent.state
    assert (state["fds"], state["metadata"], state["state"]["status"]) == (["seccompFd"], "of the test", "creating")
    assert state["pid"] == state["state"]["pid"] > 0


def test_exec_asks_too(box, tmp_path):
    first = Agent(str(tmp_path / "agent"), answer=13)
    box.start("est-ask", "sleep", "1000", change=_notify(first.path, "mkdir", "mkdirat"))
    os.unlink(first.path)
    second = Agent(str(tmp_path / "agent"), answer=13)
    done = box.call("exec", "est-ask", "mkdir", "/made")
    second.close()
    box.client.delete("est-ask", force=True)
    first.close()
    assert "Permission denied" in done.stderr
    assert second.state["state"]["status"] == "running"


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (_notify("", "mkdir"), "need a listenerPath"),
        (_notify("/nowhere", "mkdir"), "nobody listens for system calls at /nowhere"),
        (_notify("/nowhere", "sendmsg"), "sendmsg cannot have SCMP_ACT_NOTIFY"),
        (
            lambda config: config["linux"].update(seccomp={"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}),
            "default action",
        ),
    ],
)
def test_what_could_not_work_is_refused(box, change, fact):
    done = box.run("true", change)
    assert done.returncode != 0
    assert fact in done.stderr
