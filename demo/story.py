"""The story itself, chapter by chapter: every step is a command that a user would type."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from demo import webhook
from demo.registry_view import Layer, Published, published
from demo.repository import Repository
from demo.stage import Failed, Installation, Stage, answers, disk_usage, free_port, get, wait_for
from demo.telling import Chapter, Telling, size

# The machine's certificate authorities, for pip in a build: a proxy may have one of its own.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

EXAMPLES = Path(__file__).parent.parent / "examples"
SECRET = "a-secret-that-only-the-forge-and-the-agent-know"


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
            ("the agent's webhook", f"http://{self._agent}/hooks/github"),
            ("the Git repository", f"http://{self._forge}/quotes-api.git"),
        ):
            self._telling.fact(f"{what:<36} {address}")
        self._telling.fact(f"{'its command line':<36} {' '.join(self._here.command)} ps")
        self._telling.fact(f"{'to end it all':<36} {sys.executable} -m demo end {self._stage.directory}")

    # The chapters

    def bootstrap(self) -> str:
        done = self._estiba(self._here, "bootstrap", "debian:bookworm")
        unpacked = size(self._size_of("debian:bookworm"))
        self._telling.fact(f"debian:bookworm is there after {done:.1f} s, without any hub: one layer of {unpacked}.")
        return f"{unpacked} unpacked"

    def build(self) -> str:
        name = self._name("quotes-api")
        first = self._build("quotes-api")
        self._show_layers(name)
        again = self._build("quotes-api")
        self._telling.fact(f"Built in {first:.1f} s; again, with nothing changed, in {again:.2f} s from the cache.")
        return f"{size(self._size_of(name))} unpacked"

    def push(self) -> str:
        command = [
            *self._here.command,
            "registry",
            "serve",
            "--listen",
            self._registry,
            "--storage",
            str(self._storage),
        ]
        self._telling.command(["registry", "serve", "--listen", self._registry])
        self._stage.serve("registry", command, until=lambda: answers(f"http://{self._registry}/v2/"))
        self._estiba(self._here, "push", self._name("quotes-api"))
        self._quotes = published(self._registry, "quotes-api", "latest")
        self._show_blobs(self._quotes.layers)
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
        self._show_blobs(weather.layers, known=set(known))
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
        self._telling.fact(f"GET http://{self._page}/")
        self._telling.output(get(f"http://{self._page}/"))
        self._show(self._there, "exec", "quotes", "sh", "-c", "id; python3 --version; ls")
        self._show(self._there, "logs", "quotes")
        self._show(self._there, "ps")
        assert self._quotes is not None
        return f"{size(sum(self._quotes.blobs.values()))} pulled"

    def deploy_commits(self) -> str:
        repository = self._repository()
        self._start_agent(repository)
        seconds = self._push_and_wait(repository, "Quotes")
        self._telling.fact(f"Commit {repository.head()[:7]} was built, pushed and deployed in {seconds:.1f} s.")
        before = self._stored()
        title = "Quotes for everyone"
        repository.change("main.py", lambda text: text.replace('TITLE = "Quotes"', f'TITLE = "{title}"'))
        repository.commit(f"A new title: {title}")
        self._telling.fact("main.py: the title is changed, committed and pushed.")
        seconds = self._push_and_wait(repository, title)
        self._telling.fact(f"GET http://{self._live_page}/")
        self._telling.output(get(f"http://{self._live_page}/"))
        sent = self._stored() - before
        self._telling.fact(f"From git push to the changed page: {seconds:.1f} s; {size(sent)} went to the registry.")
        self._show(self._here, "ps")
        return f"{size(sent)} for the change"

    def _repository(self) -> Repository:
        """A repository of quotes-api on a forge of its own, served over HTTP."""
        forge = self._stage.directory / "forge"
        forge.mkdir()
        repository = Repository(
            bare=forge / "quotes-api.git",
            working_copy=self._stage.directory / "working-copy",
            url=f"http://{self._forge}/quotes-api.git",
        )
        repository.create_from(EXAMPLES / "quotes-api")
        port = self._forge.rsplit(":", 1)[1]
        self._stage.serve(
            "git server",
            [sys.executable, "-m", "demo.git_server", str(forge), port],
            until=lambda: answers(f"http://{self._forge}/"),
        )
        self._telling.fact(f"A Git repository with quotes-api is served at {repository.url}.")
        return repository

    def _start_agent(self, repository: Repository) -> None:
        configuration = self._stage.directory / "agent.toml"
        configuration.write_text(self._configuration(repository))
        configuration.chmod(0o600)
        self._telling.fact("agent.toml")
        self._telling.output(configuration.read_text().replace(SECRET, "…"), lines=30)
        serve = ["agent", "serve", "--listen", self._agent, "--config", str(configuration)]
        self._telling.command(serve)
        self._stage.serve("agent", [*self._here.command, *serve], until=lambda: answers(f"http://{self._agent}/"))

    def _configuration(self, repository: Repository) -> str:
        secrets = f'secrets = {{ certificates = "{CERTIFICATES}" }}\n' if os.path.exists(CERTIFICATES) else ""
        return (
            "[[repository]]\n"
            'name = "ana/quotes-api"\n'
            f'url = "{repository.url}"\n'
            'branch = "main"\n'
            f'secret = "{SECRET}"\n'
            f'image = "{self._registry}/quotes-api"\n'
            'tags = ["live", "{short_sha}"]\n'
            f"{secrets}"
            "\n"
            "[repository.deploy]\n"
            'name = "quotes-live"\n'
            f'publish = ["{self._live_page}:8000"]\n'
            f'probe = "http://{self._live_page}/healthz"\n'
        )

    def _push_and_wait(self, repository: Repository, title: str) -> float:
        """Pushes, delivers the webhook, and gives the seconds until the page has a title.

        Raises:
            Failed: the page does not change; with what the agent said.
        """
        started = time.monotonic()
        push = repository.push()
        status, answer = webhook.deliver(f"http://{self._agent}/webhooks/github", push, secret=SECRET)
        self._telling.fact(
            f"git push; POST /webhooks/github of commit {push.after[:7]}, signed: {status} {answer.strip()}"
        )
        try:
            wait_for(lambda: f"<h1>{title}</h1>" in get(f"http://{self._live_page}/"), "the new page", patience=180)
        except Failed as failure:
            said = (self._stage.directory / "agent.log").read_text(errors="replace")
            raise Failed(f"{failure}; the agent said:\n{said[-4000:]}") from None
        return time.monotonic() - started

    # What the chapters are made of

    def _name(self, repository: str) -> str:
        return f"{self._registry}/{repository}:latest"

    def _estiba(self, installation: Installation, *arguments: str) -> float:
        """Runs a command, shows it, and gives the seconds that it took."""
        self._telling.command(arguments, where="" if installation is self._here else f"[{installation.name}]")
        return installation.estiba(*arguments).seconds

    def _show(self, installation: Installation, *arguments: str) -> None:
        """Runs a command, shows it and what it says."""
        self._telling.command(arguments, where="" if installation is self._here else f"[{installation.name}]")
        self._telling.output(installation.estiba(*arguments).output)

    def _build(self, example: str) -> float:
        """Builds an example under its name in the registry, and gives the seconds that it took."""
        secret = ["--secret", f"id=certificates,src={CERTIFICATES}"] if os.path.exists(CERTIFICATES) else []
        return self._estiba(self._here, "build", *secret, "-t", self._name(example), str(EXAMPLES / example))

    def _show_layers(self, name: str) -> None:
        """An image's layers from the bottom up: what made each, its digest and its size on disk."""
        steps = self._layers_of(name)
        digests = json.loads(self._here.estiba("inspect", name).output)[0]["RootFS"]["Layers"]
        rows = [(made_by, digest[7:19], size(count)) for (made_by, count), digest in zip(steps, digests, strict=True)]
        self._telling.table(("layer", "diff ID", "unpacked"), rows, right=("unpacked",))

    def _show_blobs(self, layers: Iterable[Layer], *, known: Collection[str] = ()) -> None:
        """What of an image travelled to the registry, and what was there."""
        rows = [
            (
                instruction(layer.created_by),
                layer.digest[7:19],
                size(layer.size),
                "there already" if layer.digest in known else "sent",
            )
            for layer in layers
        ]
        self._telling.table(("layer", "blob digest", "compressed", ""), rows, right=("compressed",))

    def _layers_of(self, name: str) -> list[tuple[str, int]]:
        """What made each layer and its size, from the bottom up; what made no layer has no size."""
        told = self._here.estiba("history", "--no-trunc", "--no-human", "--format", "json", name).output
        steps = [json.loads(line) for line in told.splitlines()]
        return [
            (instruction(step["CreatedBy"]), int(step["Size"])) for step in reversed(steps) if int(step["Size"]) > 0
        ]

    def _size_of(self, name: str) -> int:
        """The bytes of an image on disk."""
        return sum(count for _, count in self._layers_of(name))

    def _stored(self) -> int:
        """The bytes of all blobs in the registry."""
        return disk_usage(str(self._storage / "blobs"))


def instruction(created_by: str) -> str:
    """A history entry as the Dockerfile has it, on a line of the table."""
    words = " ".join(created_by.replace("RUN /bin/sh -c ", "RUN ").split())
    return words if len(words) <= 60 else words[:59] + "…"
