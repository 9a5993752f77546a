"""The story itself, chapter by chapter: every step is a command that a user would type."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from demo.delivery import Addresses, Delivery
from demo.layers import show_blobs, show_layers, size_of
from demo.registry_view import Published, published
from demo.stage import Failed, Installation, Stage, answers, disk_usage, free_port, get, wait_for
from demo.telling import Chapter, Telling, size

PROJECT = Path(__file__).parent.parent
EXAMPLES = PROJECT / "examples"


def certificates() -> str:
    """The file with the certificate authorities that this machine trusts, for pip in a build: a proxy may have its own.
    "" where there is none."""
    named = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"))
    return next((file for file in (*named, "/etc/ssl/certs/ca-certificates.crt") if os.path.isfile(file)), "")


class Story:
    """Seven chapters, told once. The first that fails ends it."""

    def __init__(self, stage: Stage, telling: Telling) -> None:
        self._stage = stage
        self._telling = telling
        self._chapters: list[Chapter] = []
        self._here = stage.installation("here")
        self._there = stage.installation("there")
        self._registry = f"127.0.0.1:{free_port()}"
        self._storage = stage.directory / "registry"
        self._page = f"127.0.0.1:{free_port()}"
        self._live_page = f"127.0.0.1:{free_port()}"
        self._agent = f"127.0.0.1:{free_port()}"
        self._forge = f"127.0.0.1:{free_port()}"
        self._quotes: Published | None = None

    def tell(self) -> None:
        """Tells all of it.

        Raises:
            Failed: a step did not work.
        """
        self._telling.opening("From a Dockerfile to a running service that updates itself, with Estiba alone")
        for number, (title, chapter) in enumerate(self._plan(), start=1):
            self._telling.chapter(number, title)
            started = time.monotonic()
            what = chapter()
            self._chapters.append(Chapter(number, title, time.monotonic() - started, what))
        self._telling.chapter(len(self._chapters) + 1, "What it took")
        self._telling.closing(self._chapters)

    def _plan(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("The operating system, made from Debian's own packages", self.bootstrap),
            ("quotes-api is built: operating system, language, libraries, our code", self.build),
            ("A registry is started, and the image pushed to it", self.push),
            ("weather-api on the same base: only what is its own travels", self.push_second),
            ("Another machine pulls it and runs it", self.run_elsewhere),
            ("A commit becomes a running release: the agent", self.deploy_commits),
        )

    def tell_addresses(self) -> None:
        """Where everything is, for a demo that is kept."""
        self._telling.opening("It is still running (KEEP=1):")
        for what, address in (
            ("the service of chapter 5", f"http://{self._page}/"),
            ("the service that the agent deploys", f"http://{self._live_page}/"),
            ("the registry", f"http://{self._registry}/v2/_catalog"),
            ("the agent's webhook", f"http://{self._agent}/webhooks/github"),
            ("the Git repository", f"http://{self._forge}/quotes-api.git"),
        ):
            self._telling.fact(f"{what:<36} {address}")
        self._telling.fact(f"{'its command line':<36} {' '.join(self._here.command)} ps")
        self._telling.fact(f"{'to end it all':<36} {PROJECT}/scripts/demo end {self._stage.directory}")

    # The chapters

    def bootstrap(self) -> str:
        done = self._estiba(self._here, "bootstrap", "debian:bookworm")
        unpacked = size(size_of(self._here, "debian:bookworm"))
        self._telling.fact(f"debian:bookworm is there after {done:.1f} s, without any hub: one layer of {unpacked}.")
        return f"{unpacked} unpacked"

    def build(self) -> str:
        name = self._name("quotes-api")
        first = self._build("quotes-api")
        show_layers(self._telling, self._here, name)
        again = self._build("quotes-api")
        self._telling.fact(f"Built in {first:.1f} s; again, with nothing changed, in {again:.2f} s from the cache.")
        return f"{size(size_of(self._here, name))} unpacked"

    def push(self) -> str:
        serve = ["registry", "serve", "--listen", self._registry, "--storage", str(self._storage)]
        self._telling.command(serve)
        self._stage.serve(
            "registry", [*self._here.command, *serve], until=lambda: answers(f"http://{self._registry}/v2/")
        )
        self._estiba(self._here, "push", self._name("quotes-api"))
        self._quotes = published(self._registry, "quotes-api", "latest")
        show_blobs(self._telling, self._quotes.layers)
        sent = sum(self._quotes.blobs.values())
        count = len(self._quotes.layers)
        self._telling.fact(f"{count} layers and the configuration travelled, compressed once: {size(sent)}.")
        return f"{size(sent)} sent"

    def push_second(self) -> str:
        name = self._name("weather-api")
        self._build("weather-api")
        before = self._stored()
        self._estiba(self._here, "push", name)
        grown = self._stored() - before
        weather = published(self._registry, "weather-api", "latest")
        assert self._quotes is not None
        known = self._quotes.blobs
        new = {digest: count for digest, count in weather.blobs.items() if digest not in known}
        show_blobs(self._telling, weather.layers, known=set(known))
        expected = sum(new.values())
        if grown != expected:
            raise Failed(f"the registry's blobs grew by {grown} bytes, but weather-api's own blobs have {expected}")
        shared = sum(known[digest] for digest in weather.blobs if digest in known)
        self._telling.fact(
            f"The registry grew by {grown:,} bytes, exactly those of the {len(new)} blobs that are weather-api's own; "
            f"{size(shared)} were there already and did not travel."
        )
        return f"{size(grown)} sent, {size(shared)} shared"

    def run_elsewhere(self) -> str:
        name = self._name("quotes-api")
        self._estiba(self._there, "pull", name)
        self._estiba(self._there, "run", "-d", "--name", "quotes", "-p", f"{self._page}:8000", name)
        wait_for(lambda: "<h1>" in get(f"http://{self._page}/"), "the page of quotes-api", patience=30)
        self._show_page(self._page)
        self._show(self._there, "exec", "quotes", "sh", "-c", "id; python3 --version; ls")
        self._show(self._there, "logs", "quotes")
        self._show(self._there, "ps")
        assert self._quotes is not None
        return f"{size(sum(self._quotes.blobs.values()))} pulled"

    def deploy_commits(self) -> str:
        addresses = Addresses(self._forge, self._agent, self._registry, self._live_page)
        delivery = Delivery(self._stage, self._telling, self._here, addresses, certificates=certificates())
        delivery.start(EXAMPLES / "quotes-api")
        seconds = delivery.push_until("Quotes")
        self._telling.fact(f"The first version was cloned, built, pushed and deployed in {seconds:.1f} s.")
        before = self._stored()
        delivery.repository.change("main.py", lambda text: text.replace('"Quotes"', '"Quotes for everyone"'))
        delivery.repository.commit("A title for everyone")
        self._telling.fact('main.py: TITLE = "Quotes" becomes TITLE = "Quotes for everyone", and is committed')
        seconds = delivery.push_until("Quotes for everyone")
        self._show(self._here, "agent", "logs", "2", lines=12)
        self._show_page(self._live_page)
        sent = self._stored() - before
        self._telling.fact(f"From git push to the changed page: {seconds:.1f} s; {size(sent)} went to the registry.")
        self._show(self._here, "ps")
        return f"{size(sent)} sent for the change"

    # What the chapters are made of

    def _name(self, repository: str) -> str:
        return f"{self._registry}/{repository}:latest"

    def _estiba(self, installation: Installation, *arguments: str) -> float:
        """Runs a command, shows it, and gives the seconds that it took."""
        self._telling.command(arguments, where="" if installation is self._here else f"[{installation.name}]")
        return installation.estiba(*arguments).seconds

    def _show(self, installation: Installation, *arguments: str, lines: int = 8) -> None:
        """Runs a command, shows it and the end of what it says."""
        self._telling.command(arguments, where="" if installation is self._here else f"[{installation.name}]")
        self._telling.output(installation.estiba(*arguments).output, lines=lines)

    def _build(self, example: str) -> float:
        """Builds an example under its name in the registry, and gives the seconds that it took."""
        file = certificates()
        secret = ["--secret", f"id=certificates,src={file}"] if file else []
        return self._estiba(self._here, "build", *secret, "-t", self._name(example), str(EXAMPLES / example))

    def _show_page(self, address: str) -> None:
        self._telling.fact(f"GET http://{address}/")
        self._telling.output(get(f"http://{address}/"))

    def _stored(self) -> int:
        """The bytes of all blobs in the registry."""
        return disk_usage(str(self._storage / "blobs"))
