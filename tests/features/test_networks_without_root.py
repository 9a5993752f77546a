"""An ordinary user's container has a network: pasta or slirp4netns carries its packets."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

import ordinary_user as ordinary
from ordinary_user import User, ordinary_user
from waiting import wait_until

pytestmark = pytest.mark.root  # to give ranges to the user

KINDS = ("pasta", "slirp4netns")


@pytest.fixture
def user() -> Iterator[User]:
    yield from ordinary_user(has_ranges=True, has_network=True)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def _ask(port: int, text: str) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(text.encode())
            return connection.recv(100).decode()
    except OSError:
        return ""


def test_a_published_port_leads_into_the_container(user: User, kind: str) -> None:
    user(
        "run", "-d", "--name", "one", "--network", kind, "-p", "8000", "busybox", "nc", "-ll", "-p", "8000", "-e", "cat"
    )
    address = user("port", "one", "8000").stdout.strip()
    assert address.startswith("127.0.0.1:")
    port = int(address.rpartition(":")[2])
    wait_until(lambda: _ask(port, "hello\n") == "hello\n", "the container answers on the published port", patience=10)
    assert user("inspect", "-f", "{{.HostConfig.NetworkMode}}", "one").stdout.strip() == kind
    user("stop", "-t", "0", "one")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_taken_port_is_told_with_its_number(user: User, kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = user("run", "--rm", "--network", kind, "-p", f"{port}:80", "busybox", "true", check=False)
    assert done.returncode == 125
    assert f"port {port}/tcp of 127.0.0.1 is in use" in done.stderr
    assert user("ps", "-aq").stdout == ""


def test_the_loopback_of_the_host_is_out_of_reach_and_its_own_address_is_not(user: User, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        script = f"""
            gateway=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')
            test -n "$gateway" || exit 9
            for address in $gateway 127.0.0.1 10.0.2.2; do nc -w 1 $address {port} < /dev/null && exit 8; done
            exit 0
        """
        done = user("run", "--rm", "--network", kind, "busybox", "sh", "-c", script, check=False)
        assert done.returncode == 0, (done.returncode, done.stderr)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_container_reaches_what_its_user_reaches(user: User) -> None:
    """The address of the host's own link, as seen through slirp4netns."""
    if shutil.which("slirp4netns") is None:
        pytest.skip("slirp4netns is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        address = probe.getsockname()[0]
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"reached\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        done = user("run", "--rm", "--network", "slirp4netns", "busybox", "nc", "-w", "5", address, str(port))
        assert done.stdout == "reached\n"
        thread.join(5)


def test_the_helper_ends_with_the_container_and_with_a_killed_monitor(user: User, kind: str) -> None:
    user("run", "-d", "--name", "one", "--network", kind, "-p", "8000", "busybox", "sleep", "1000")
    pid = user("inspect", "-f", "{{.State.Pid}}", "one").stdout.strip()
    helpers = [process for process in _children(_parent(int(pid))) if _name(process).startswith((kind, "passt"))]
    assert len(helpers) == 1
    os.kill(_parent(int(pid)), signal.SIGKILL)
    wait_until(lambda: not _is_alive(helpers[0]), "the helper ends with its container", patience=10)
    user("rm", "-f", "one")

    user("run", "-d", "--name", "two", "--network", kind, "-p", "8000", "busybox", "sleep", "1000")
    pid = user("inspect", "-f", "{{.State.Pid}}", "two").stdout.strip()
    helpers = [process for process in _children(_parent(int(pid))) if _name(process).startswith((kind, "passt"))]
    assert len(helpers) == 1
    user("rm", "-f", "two")
    wait_until(lambda: not _is_alive(helpers[0]), "the helper ends with its container", patience=10)


def test_a_name_server_on_the_loopback_of_the_host_answers(
    user: User, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = tmp_path_factory.mktemp("etc") / "resolv.conf"
    text.write_text("nameserver 127.0.0.77\n")
    show = f"mount --bind {text} /etc/resolv.conf && exec"
    monkeypatch.setattr(ordinary, "_WITH_RANGES", ordinary._WITH_RANGES.replace("exec", show))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.77", 53))
        server.settimeout(20)

        def answer() -> None:
            question, peer = server.recvfrom(512)
            # RFC 1035: the same question, and one address for its name (a pointer to byte 12).
            head = question[:2] + b"\x81\x80" + question[4:6] + b"\0\1" + bytes(4)
            server.sendto(head + question[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 77)), peer)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        for one in ordinary_user(has_ranges=True, has_network=True):
            done = one("run", "--rm", "--network", kind, "busybox", "nslookup", "-type=a", "some.example")
        thread.join(20)
    assert "192.0.2.77" in done.stdout


def test_a_step_of_a_build_reaches_the_network_and_leaves_no_helper(user: User) -> None:
    if not any(shutil.which(kind) for kind in KINDS):
        pytest.skip("neither pasta nor slirp4netns is installed")
    script = "FROM busybox\nRUN ls /sys/class/net > /found && ip route >> /found && cat /etc/resolv.conf >> /found\n"
    before = _programs()
    user("build", "-t", "made", "-", stdin=script)
    found = user("run", "--rm", "--network", "none", "made", "cat", "/found").stdout
    assert "eth0\n" in found
    assert "default via " in found
    assert "nameserver " in found
    wait_until(lambda: _programs() <= before, "no helper is left", patience=10)


def test_what_no_helper_can_carry_is_refused_by_name(user: User) -> None:
    done = user("run", "--rm", "--network", "mine", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "the network mine takes root" in done.stderr


def _programs() -> set[int]:
    names = ((int(name), _name(int(name))) for name in os.listdir("/proc") if name.isdigit())
    return {pid for pid, name in names if name.startswith((*KINDS, "passt")) and _is_alive(pid)}


def _status(pid: int, field: str) -> str:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next((line.split()[1] for line in file if line.startswith(field + ":")), "")
    except (OSError, IndexError):
        return ""


def _parent(pid: int) -> int:
    return int(_status(pid, "PPid"))


def _name(pid: int) -> str:
    return _status(pid, "Name")


def _is_alive(pid: int) -> bool:
    return _status(pid, "State") not in ("", "Z")


def _children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]
