"""Chapter 6: a forge with a Git repository, the agent, and what happens when someone pushes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

from demo import webhook
from demo.repository import Repository
from demo.stage import Failed, Installation, Stage, answers, get, wait_for
from demo.telling import Telling

SECRET = "a-secret-that-only-the-forge-and-the-agent-know"


class Addresses(NamedTuple):
    """HOST:PORT of everything that takes part; `page` is where the agent publishes the service."""

    forge: str
    agent: str
    registry: str
    page: str


class Delivery:
    """A repository and the agent that watches it."""

    def __init__(
        self, stage: Stage, telling: Telling, installation: Installation, addresses: Addresses, *, certificates: str
    ) -> None:
        self._stage = stage
        self._telling = telling
        self._installation = installation
        self._addresses = addresses
        self._certificates = certificates
        forge = stage.directory / "forge"
        self.repository = Repository(
            bare=forge / "quotes-api.git",
            working_copy=stage.directory / "working-copy",
            url=f"http://{addresses.forge}/quotes-api.git",
        )

    def start(self, sources: Path) -> None:
        """Serves a repository with these sources, and starts the agent."""
        forge = self._stage.directory / "forge"
        forge.mkdir()
        self.repository.create_from(sources)
        port = self._addresses.forge.rsplit(":", 1)[1]
        server = [sys.executable, "-m", "demo.git_server", str(forge), port]
        self._stage.serve("git server", server, until=lambda: answers(f"http://{self._addresses.forge}/"))
        self._telling.fact(f"A Git repository is served at {self.repository.url}")

        configuration = self._stage.directory / "agent.toml"
        configuration.write_text(self._configuration())
        configuration.chmod(0o600)
        self._telling.fact("agent.toml:")
        self._telling.output(self._configuration().replace(SECRET, "…"), lines=30)
        serve = ["agent", "serve", "--listen", self._addresses.agent, "--config", str(configuration)]
        self._telling.command(serve)
        command = [*self._installation.command, *serve]
        self._stage.serve("agent", command, until=lambda: answers(f"http://{self._addresses.agent}/"))

    def _configuration(self) -> str:
        return (
            "[[repository]]\n"
            'name = "ana/quotes-api"\n'
            f'url = "{self.repository.url}"\n'
            'branch = "main"\n'
            f'secret = "{SECRET}"\n'
            f'image = "{self._addresses.registry}/quotes-api"\n'
            'tags = ["live", "{short_sha}"]\n'
            + (f'secrets = {{ certificates = "{self._certificates}" }}\n' if self._certificates else "")
            + "\n"
            "[repository.deploy]\n"
            'name = "quotes-live"\n'
            f'publish = ["{self._addresses.page}:8000"]\n'
            f'probe = "http://{self._addresses.page}/healthz"\n'
        )

    def push_until(self, heading: str) -> float:
        """Pushes, delivers the webhook, and gives the seconds until the page has this heading.

        Raises:
            Failed: the page does not change; with what the agent said.
        """
        started = time.monotonic()
        push = self.repository.push()
        status, answer = webhook.deliver(f"http://{self._addresses.agent}/webhooks/github", push, secret=SECRET)
        self._telling.fact(f"git push of {push.after[:7]}; its signed webhook: {status} {answer.strip()}")
        page = f"http://{self._addresses.page}/"
        try:
            wait_for(lambda: f"<h1>{heading}</h1>" in get(page), f"the page with {heading}", patience=180)
        except Failed as failure:
            said = (self._stage.directory / "agent.log").read_text(errors="replace")
            raise Failed(f"{failure}; the agent said:\n{said[-4000:]}") from None
        return time.monotonic() - started
