"""The agent's configuration: which repositories it watches, and what becomes of them. Pure.

::

    [agent]
    workers = 1                       # builds at the same time

    [[repository]]
    name = "acme/quotes"              # as the forge calls it
    url = "https://github.com/acme/quotes.git"
    branch = "main"
    secret = "…"                      # of the webhook; or secret_file = "PATH"
    context = "."                     # below the repository
    dockerfile = "Dockerfile"         # below the context
    image = "registry.example.com/acme/quotes"
    tags = ["latest", "{sha}"]        # {sha}, {short_sha}, {branch}
    build_args = { NAME = "value" }
    secrets = { ca = "/etc/ssl/certs/ca-certificates.crt" }

    [repository.deploy]               # leave it out to build and push only
    name = "quotes"
    publish = ["127.0.0.1:8000:8000"]
    env = ["GREETING=hello"]
    probe = "http://127.0.0.1:8000/"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from estiba.deploy.app import App
from estiba.errors import InvalidInput
from estiba.oci.reference import TAG, Reference

_NAME = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)+")
_BRANCH = re.compile(r"[^\s~^:?*\[\\\x00-\x1f]{1,200}")
_SCHEMES = ("https://", "http://", "ssh://", "file://", "git@", "/")


class Repository(NamedTuple):
    """One repository that is watched. `secret` is the webhook's; `deploy` None builds and pushes only."""

    name: str
    url: str
    branch: str
    secret: bytes
    context: str
    dockerfile: str
    image: str
    tags: tuple[str, ...]
    build_args: tuple[tuple[str, str], ...]
    secrets: tuple[tuple[str, str], ...]
    deploy: App | None


class AgentConfig(NamedTuple):
    repositories: tuple[Repository, ...]
    workers: int = 1

    def find(self, name: str) -> Repository | None:
        """The repository of this name; forges compare without case."""
        return next((each for each in self.repositories if each.name.lower() == name.lower()), None)


class InvalidConfig(InvalidInput):
    def __init__(self, filename: str, where: str, problem: str) -> None:
        place = f"{filename}: {where}" if where else filename
        super().__init__(f"{place}: {problem}", remedy="docs/agent.md has a whole example.")


def parse(text: str, *, filename: str, secret_files: Mapping[str, bytes]) -> AgentConfig:
    """Read the file's text; `secret_files` has the content of every ``secret_file`` that it names.

    Raises:
        InvalidConfig: not TOML (with line and column), an unknown key, a missing or malformed value.
    """
    document = load(text, filename=filename)
    table = _Table(document, filename, "")
    agent = table.table("agent")
    workers = agent.integer("workers", 1) if agent else 1
    if agent:
        agent.done()
    if not 1 <= workers <= 64:
        raise InvalidConfig(filename, "agent.workers", f"{workers} is not between 1 and 64")
    repositories = tuple(_repository(each, secret_files) for each in table.tables("repository"))
    table.done()
    if not repositories:
        raise InvalidConfig(filename, "", "it names no repository")
    names = [each.name.lower() for each in repositories]
    for name in names:
        if names.count(name) > 1:
            raise InvalidConfig(filename, "repository", f"{name} stands twice")
    return AgentConfig(repositories, workers)


def load(text: str, *, filename: str) -> dict[str, Any]:
    """The TOML document alone.

    Raises:
        InvalidConfig: not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(filename, "", f"not TOML: {error}") from None


def _repository(table: _Table, secret_files: Mapping[str, bytes]) -> Repository:
    name = table.matching("name", _NAME, "a repository's full name such as acme/quotes")
    url = table.text("url")
    if not url.startswith(_SCHEMES):
        table.fail("url", f"{url!r} is not an address that git clones from")
    secret = _secret(table, secret_files)
    image = table.text("image")
    reference = Reference.parse(image)
    if reference.tag or reference.digest:
        table.fail("image", f"{image!r} has a tag; the tags have a key of their own")
    tags = table.texts("tags", ("latest",))
    for tag in tags:
        example = (
            tag.format_map({"sha": "0" * 40, "short_sha": "0" * 12, "branch": "main"}) if _is_template(tag) else ""
        )
        if not TAG.fullmatch(example):
            table.fail("tags", f"{tag!r} does not make a tag ({{sha}}, {{short_sha}} and {{branch}} are replaced)")
    context, dockerfile = table.text("context", "."), table.text("dockerfile", "Dockerfile")
    for key, path in (("context", context), ("dockerfile", dockerfile)):
        if path.startswith("/") or ".." in path.split("/"):
            table.fail(key, f"{path!r} leads out of the repository")
    found = Repository(
        name=name,
        url=url,
        branch=table.matching("branch", _BRANCH, "a branch", "main"),
        secret=secret,
        context=context,
        dockerfile=dockerfile,
        image=image,
        tags=tags,
        build_args=table.text_map("build_args"),
        secrets=table.text_map("secrets"),
        deploy=_app(deploy) if (deploy := table.table("deploy")) else None,
    )
    table.done()
    return found


def _is_template(tag: str) -> bool:
    names = re.findall(r"\{([^{}]*)\}", tag)
    rest = re.sub(r"\{[^{}]*\}", "", tag)
    return set(names) <= {"sha", "short_sha", "branch"} and "{" not in rest and "}" not in rest


def _secret(table: _Table, secret_files: Mapping[str, bytes]) -> bytes:
    text, file = table.text("secret", ""), table.text("secret_file", "")
    if bool(text) == bool(file):
        table.fail("secret", "give either secret or secret_file: without one anybody could start builds")
    secret = text.encode() if text else secret_files[file].strip()
    if not secret:
        table.fail("secret_file", f"{file} is empty")
    return secret


def _app(table: _Table) -> App:
    app = App(
        name=table.text("name"),
        publish=table.texts("publish", ()),
        env=table.texts("env", ()),
        volumes=table.texts("volumes", ()),
        network=table.text("network", "bridge"),
        memory=table.text("memory", ""),
        cpus=table.text("cpus", ""),
        restart=table.text("restart", "unless-stopped"),
        command=table.texts("command", ()),
        probe=table.text("probe", ""),
        ready_within=float(table.integer("ready_within", 30)),
    )
    if app.probe and not app.probe.startswith("http://"):
        table.fail("probe", f"{app.probe!r} is not an http:// address")
    table.done()
    return app


class _Table:
    """A table of the document, which knows what has been asked of it, so that unknown keys are found."""

    def __init__(self, value: dict[str, Any], filename: str, where: str) -> None:
        self._value = dict(value)
        self._filename = filename
        self._where = where

    def fail(self, key: str, problem: str) -> None:
        raise InvalidConfig(self._filename, self._path(key), problem)

    def text(self, key: str, default: str | None = None) -> str:
        found = self._value.pop(key, default)
        if found is None:
            raise InvalidConfig(self._filename, self._path(key), "required, but missing")
        if not isinstance(found, str):
            raise InvalidConfig(self._filename, self._path(key), "expected a string")
        return found

    def matching(self, key: str, form: re.Pattern[str], what: str, default: str | None = None) -> str:
        text = self.text(key, default)
        if not form.fullmatch(text) or text.startswith("-"):
            raise InvalidConfig(self._filename, self._path(key), f"{text!r} is not {what}")
        return text

    def integer(self, key: str, default: int) -> int:
        found = self._value.pop(key, default)
        if isinstance(found, bool) or not isinstance(found, int):
            raise InvalidConfig(self._filename, self._path(key), "expected an integer")
        return found

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        found = self._value.pop(key, None)
        if found is None:
            return default
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise InvalidConfig(self._filename, self._path(key), "expected an array of strings")
        return tuple(found)

    def text_map(self, key: str) -> tuple[tuple[str, str], ...]:
        found = self._value.pop(key, {})
        if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
            raise InvalidConfig(self._filename, self._path(key), "expected a table of strings")
        return tuple(found.items())

    def table(self, key: str) -> _Table | None:
        found = self._value.pop(key, None)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise InvalidConfig(self._filename, self._path(key), "expected a table")
        return _Table(found, self._filename, self._path(key))

    def tables(self, key: str) -> list[_Table]:
        found = self._value.pop(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise InvalidConfig(self._filename, self._path(key), f"write [[{key}]]")
        return [_Table(item, self._filename, f"{key}[{number}]") for number, item in enumerate(found)]

    def done(self) -> None:
        """Every key has been asked for, or it is unknown."""
        if self._value:
            raise InvalidConfig(self._filename, self._path(next(iter(self._value))), "unknown key")

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
