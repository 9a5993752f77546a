"""Docker: a dockerd of our own, in private directories, with its own socket and bridge, beside no other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.peers.processes import end, serve
from bench.workspace import CommandFailed, call

# Debian's own client, which fits its daemon; a newer one elsewhere may lack the builder.
CLIENT = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
_BRIDGE, _ADDRESS = "est-bench0", "10.88.250.1/24"


class Docker:
    name = "Docker"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keeps = False
        self._daemon: subprocess.Popen[bytes] | None = None
        self._problem = ""
        self._socket = f"unix://{directory}/s"
        self._command = [CLIENT, "--host", self._socket]

    def problem(self) -> str:
        return self._problem

    def start(self, base: Path) -> None:
        if shutil.which("dockerd") is None or shutil.which(self._command[0]) is None:
            self._problem = "docker.io is not installed"
            return
        self._directory.mkdir(parents=True)
        # Its own bridge, and no firewall rules: the default docker0 and its rules belong to the machine.
        call(["ip", "link", "add", _BRIDGE, "type", "bridge"])
        call(["ip", "address", "add", _ADDRESS, "dev", _BRIDGE])
        call(["ip", "link", "set", _BRIDGE, "up"])
        places = ["--data-root", f"{self._directory}/data", "--exec-root", f"{self._directory}/exec"]
        firewall = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        command = ["dockerd", *places, "--pidfile", f"{self._directory}/pid", "--host", self._socket]
        command += ["--bridge", _BRIDGE, *firewall, "--userland-proxy=false"]
        try:
            self._daemon = serve(command, log=self._directory / "log", until=self._answers)
            call([*self._command, "import", str(base), "busybox:latest"])
            self.run(network=False)
        except CommandFailed as failure:
            self._problem = str(failure)

    def _answers(self) -> bool:
        try:
            call([*self._command, "version"])
        except CommandFailed:
            return False
        return True

    def stop(self) -> None:
        if self._keeps:
            call([*self._command, "rm", "-f", "kept"])
        if self._daemon is not None:
            end(self._daemon)
        if self._directory.exists():
            if Path(f"/sys/class/net/{_BRIDGE}").exists():
                call(["ip", "link", "delete", _BRIDGE])
            shutil.rmtree(self._directory)

    def docker_command(self) -> list[str]:
        """Docker's command line on this daemon."""
        return self._command

    def run(self, *, network: bool) -> None:
        call([*self._command, "run", "--rm", "--network", "bridge" if network else "none", "busybox", "true"])

    def keep_one(self) -> None:
        if not self._keeps:
            call([*self._command, "run", "-d", "--name", "kept", "--network", "none", "busybox", "sleep", "100000"])
            self._keeps = True

    def enter(self) -> None:
        call([*self._command, "exec", "kept", "true"])

    def list(self) -> None:
        call([*self._command, "ps"])

    def build(self, context: Path, tag: str, *, cached: bool) -> None:
        arguments = ["build", "-q", *([] if cached else ["--no-cache"]), "-t", tag, str(context)]
        call([*self._command, *arguments], environment={"DOCKER_BUILDKIT": "1"})

    def push(self, reference: str) -> None:
        call([*self._command, "push", "-q", reference])

    def pull(self, reference: str) -> None:
        call([*self._command, "pull", "-q", reference])

    def remove_image(self, reference: str) -> None:
        call([*self._command, "rmi", "-f", reference])
        call([*self._command, "builder", "prune", "-a", "-f"])

    def load(self, archive: Path) -> None:
        call([*self._command, "load", "-i", str(archive)])

    def save(self, reference: str, archive: Path) -> None:
        call([*self._command, "save", "-o", str(archive), reference])

    def images(self) -> None:
        call([*self._command, "images"])

    def inspect(self, reference: str) -> None:
        call([*self._command, "image", "inspect", reference])

    def disk_use(self) -> None:
        call([*self._command, "system", "df"])
