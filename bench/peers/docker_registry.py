"""docker-registry, the reference implementation of the distribution protocol."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.peers.processes import end, free_port, is_open, serve
from bench.workspace import CommandFailed

_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}, delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: {address}}}
"""


class DockerRegistry:
    name = "docker-registry"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: subprocess.Popen[bytes] | None = None
        self._problem = ""
        self.address = ""

    def problem(self) -> str:
        return self._problem

    def start(self) -> None:
        if shutil.which("docker-registry") is None:
            self._problem = "docker-registry is not installed"
            return
        self._directory.mkdir(parents=True)
        if not self.address:
            self.address = f"127.0.0.1:{free_port()}"
        port = int(self.address.rpartition(":")[2])
        configuration = self._directory / "config.yml"
        configuration.write_text(_CONFIGURATION.format(storage=self._directory / "storage", address=self.address))
        try:
            self._server = serve(
                ["docker-registry", "serve", str(configuration)],
                log=self._directory / "log",
                until=lambda: is_open(port),
            )
        except CommandFailed as failure:
            self._problem = str(failure)

    def stop(self) -> None:
        if self._server is not None:
            end(self._server)
        shutil.rmtree(self._directory, ignore_errors=True)
