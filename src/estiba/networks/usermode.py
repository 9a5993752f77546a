"""A network for an ordinary user: `pasta` or `slirp4netns` carries the packets of one container's namespace.

Neither needs a right on the host: a program of the user's own opens the connections. The host's loopback addresses
cannot be reached from the container; only published ports lead into it. The program is a child of whoever calls
`begin`, and ends with it, also after a `kill -9`. The namespace belongs to the caller's own user namespace, whose root
the caller is: nobody else may connect it before its program has begun.
"""

from __future__ import annotations

import os
import signal

from estiba.errors import Conflict, NotFound, Unavailable
from estiba.linux.mounts import Mount, mount, unmount
from estiba.networks.ports import PortMapping
from estiba.networks.reservations import Reservation, reserve
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PASTA = "pasta"
SLIRP = "slirp4netns"
KINDS = (PASTA, SLIRP)
"""What `--network` takes; the first that is there is the default, as in Podman 5."""

_DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/bin")
_TUN = "/dev/net/tun"
_PASTA_LOG = "pasta.log"
_PASTA_LOG_SIZE = str(1 << 16)  # bytes, of which the newest stay
_PASTA_DNS = "169.254.1.1"
_SLIRP_SOCKET = "slirp.sock"
_PATIENCE = 10.0


class Place(NamedTuple):
    """What a container knows of its network: `gateway` and `address` are "" where they are the host's (pasta)."""

    kind: str
    program: str
    address: str = ""
    prefix: int = 0
    gateway: str = ""
    name_server: str = ""


def find(wanted: str = "") -> Place:
    """The program that is called `wanted`, or the first there is.

    Raises:
        NotFound: none is installed. Unavailable: this user may not make the device that both need.
    """
    for kind in (wanted,) if wanted else KINDS:
        for directory in _DIRECTORIES:
            program = f"{directory}/{kind}"
            if os.access(program, os.X_OK):
                _check_tun()
                if kind == SLIRP:
                    return Place(kind, program, "10.0.2.100", 24, "10.0.2.2", "10.0.2.3")
                return Place(kind, program, name_server=_PASTA_DNS)
    missing = f"{wanted} is not" if wanted else "neither pasta nor slirp4netns is"
    raise NotFound(
        f"{missing} installed, which a network without root needs",
        remedy=f"Install the package {'slirp4netns' if wanted == SLIRP else 'passt'}, or use --network none.",
    )


def choose_ports(ports: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """`ports` with free numbers of the host where none was asked for.

    Raises:
        Conflict, InvalidInput, PermissionDenied: as `reservations.reserve`.
    """
    held: list[Reservation] = []
    try:
        for port in ports:
            held.append(reserve(port, [(other.mapping, "this container") for other in held]))
        return tuple(one.mapping for one in held)
    finally:
        for one in held:
            one.close()


class UserNetwork:
    """The network of one container, over its restarts: `begin` for each first process, `end` when that has ended."""

    def __init__(self, place: Place, *, ports: Sequence[PortMapping], directory: str) -> None:
        self.place = place
        self.ports = choose_ports(ports)
        self._directory = directory
        self._process = -1
        self._alive: list[int] = []

    def begin(self, namespace: str) -> None:
        """Connect the network namespace at the path `namespace`; returns when it is connected.

        Raises:
            Conflict: a port of the host was taken meanwhile. Unavailable: the program refused.
        """
        try:
            if self.place.kind == PASTA:
                self._begin_pasta(namespace)
            else:
                self._begin_slirp(namespace)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Nothing of it is left; may be called more than once."""
        if self._process >= 0:
            try:
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
                os.waitid(os.P_PIDFD, self._process, os.WEXITED)
            except (ProcessLookupError, ChildProcessError):
                pass  # it has ended before, and was reaped
            os.close(self._process)
            self._process = -1
        for descriptor in self._alive:
            os.close(descriptor)
        self._alive = []

    # pasta(1)

    def _begin_pasta(self, wanted: str) -> None:
        # By that name, for pasta may not look into a process that hides its memory. Only we see this mount.
        namespace = f"{self._directory}/netns"
        os.close(os.open(namespace, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        mount(Mount("", wanted, "", ("bind",)), namespace)
        # Its number comes when the namespace is connected, or the end of the pipe.
        ready = f"{self._directory}/pasta.pid"
        os.mkfifo(ready, 0o600)
        told = os.memfd_create("pasta")
        reading = os.open(ready, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            child = _spawn(self._pasta_command(namespace, ready), {2: told}, is_mortal=True)
            self._process = os.pidfd_open(child)
            if not _is_readable(reading, self._process) or not _has_text(reading):
                raise self._refusal(_text_of(told) or _text_of_file(f"{self._directory}/{_PASTA_LOG}"))
        finally:
            os.close(reading)
            os.close(told)
            os.unlink(ready)
            unmount(namespace, detach=True)
            os.unlink(namespace)

    def _pasta_command(self, namespace: str, pid_file: str) -> list[str]:
        log = f"{self._directory}/{_PASTA_LOG}"
        command = [
            self.place.program,
            "--foreground",
            "--log-file",
            log,
            "--log-size",
            _PASTA_LOG_SIZE,
            "--config-net",
            "--quiet",
            "--no-map-gw",
            "--dns-forward",
            _PASTA_DNS,
        ]
        command += ["-T", "none", "-U", "none", "--pid", pid_file, "--ns-ifname", "eth0"]
        for protocol, flag in (("tcp", "-t"), ("udp", "-u")):
            asked = [port for port in self.ports if port.protocol == protocol]
            for port in asked:
                address = "" if port.host_address == "0.0.0.0" else f"{port.host_address}/"
                command += [flag, f"{address}{port.host_port}:{port.container_port}"]
            if not asked:
                command += [flag, "none"]
        return [*command, "--no-netns-quit", "--netns", namespace]

    # slirp4netns(1)

    def _begin_slirp(self, namespace: str) -> None:
        ready, theirs_ready = os.pipe2(os.O_CLOEXEC)
        theirs_exit, ours = os.pipe2(os.O_CLOEXEC)
        self._alive.append(ours)  # slirp4netns ends when this is closed, by whatever
        told = os.memfd_create("slirp4netns")
        # The address of a socket is short: it is named from its directory.
        os.chdir(self._directory)
        try:
            command = [self.place.program, "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp"]
            command += ["--enable-sandbox", "--ready-fd=3", "--exit-fd=4"]
            if os.path.exists("/proc/net/if_inet6"):
                command.append("--enable-ipv6")
            if self.ports:
                command += ["--api-socket", _SLIRP_SOCKET]
            command += ["--netns-type=path", namespace, "eth0"]
            child = _spawn(command, {2: told, 3: theirs_ready, 4: theirs_exit})
            self._process = os.pidfd_open(child)
            os.close(theirs_ready)
            theirs_ready = -1
            if not _is_readable(ready) or os.read(ready, 1) != b"1":
                raise self._refusal(_text_of(told))
            for port in self.ports:
                self._forward(port)
            if self.ports:
                os.unlink(_SLIRP_SOCKET)
        finally:
            for descriptor in (ready, theirs_ready, theirs_exit, told):
                if descriptor >= 0:
                    os.close(descriptor)
            os.chdir("/")

    def _forward(self, port: PortMapping) -> None:
        import _socket
        import json

        facts = {
            "proto": port.protocol,
            "host_addr": port.host_address,
            "host_port": port.host_port,
            "guest_port": port.container_port,
        }
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE)
            connection.connect(_SLIRP_SOCKET)
            connection.sendall(json.dumps({"execute": "add_hostfwd", "arguments": facts}).encode())
            connection.shutdown(_socket.SHUT_WR)
            answer = b""
            while more := connection.recv(4096):
                answer += more
        finally:
            connection.close()
        if "error" in json.loads(answer):
            raise Conflict(f"slirp4netns cannot publish {port}", remedy="Publish another port of the host.")

    def _refusal(self, told: str) -> Unavailable:
        return Unavailable(
            f"{self.place.kind} could not connect the container: {told or 'it did not say why'}",
            remedy="Try --network pasta or --network slirp4netns, or use --network none.",
        )


def _check_tun() -> None:
    if not os.access(_TUN, os.R_OK | os.W_OK):
        raise Unavailable(
            f"{_TUN} may not be opened by this user, which a network without root needs",
            remedy=f"Let root load the module tun and run: chmod 666 {_TUN}. Or use --network none.",
        )


def _spawn(command: list[str], descriptors: dict[int, int], *, is_mortal: bool = False) -> int:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # High copies first, so that no descriptor is overwritten before it has been moved.
    high = {number: os.dup2(source, 100 + number, inheritable=False) for number, source in descriptors.items()}
    try:
        actions = [(os.POSIX_SPAWN_DUP2, high.get(number, null), number) for number in (0, 1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, source, number) for number, source in high.items() if number > 2]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        if is_mortal:
            from estiba.linux import mortal

            streams = {number: high.get(number, null) for number in (0, 1, 2)}
            return mortal.spawn(command[0], command, environment, descriptors=streams)
        return os.posix_spawn(
            command[0], command, environment, file_actions=actions, setsigdef=[signal.SIGPIPE], setsigmask=[]
        )
    finally:
        for descriptor in (null, *high.values()):
            os.close(descriptor)


def _is_readable(*descriptors: int) -> bool:
    import select

    return bool(select.select(descriptors, [], [], _PATIENCE)[0])


def _has_text(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 16))
    except BlockingIOError:
        return False


def _text_of_file(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        return _text_of(descriptor)
    finally:
        os.close(descriptor)


def _text_of(descriptor: int) -> str:
    text = os.pread(descriptor, 4096, 0).decode(errors="replace")
    lines = [line for line in text.splitlines() if line and not line.startswith(("Failed to send", "sent tapfd"))]
    return "; ".join(lines[-6:])
