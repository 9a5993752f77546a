"""The agent's configuration: which repositories it watches, and what becomes of them. Pure.

::

    [agent]
    workers = 1                       # builds at the same time

    [[repository]]
    name = "acme/quotes"              # as the forge calls it
    url = "https://github.com/acme/quotes.git"
    branch = "main"
    secret = "…"                      # of the webhook; or secret_file = "/PATH"
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

The keys of the last table are the fields of `deploy.app.App`. docs/agent.md tells what each means.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from estiba.agent import tags
from estiba.deploy.app import App
from estiba.deploy.options import InvalidSetting, check
from estiba.errors import InvalidInput
from estiba.oci.reference import Reference

_NAME = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)+")
_BRANCH = re.compile(r"(?!refs/)[^\s~^:?*\[\\\x00-\x1f\x7f]{1,200}")
_URL = re.compile(r"(?:https?://|ssh://|file:///|git@[^-]|/)[^\s\x00-\x1f\x7f]+")
_MOST_WORKERS = 64


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

    def __repr__(self) -> str:
        return f"Repository({self.name!r})"  # the rest holds secrets


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
    table = _Table(load(text, filename=filename), filename, "")
    workers = 1
    if agent := table.table("agent"):
        workers = agent.integer("workers", 1)
        if not 1 <= workers <= _MOST_WORKERS:
            agent.fail("workers", f"{workers} is not between 1 and {_MOST_WORKERS}")
        agent.done()
    repositories = tuple(_repository(each, secret_files) for each in table.tables("repository"))
    table.done()
    if not repositories:
        table.fail("repository", "there is none to watch; write [[repository]]")
    _refuse_doubles(table, "name", [each.name.lower() for each in repositories])
    _refuse_doubles(table, "deploy.name", [each.deploy.name for each in repositories if each.deploy])
    return AgentConfig(repositories, workers)


def load(text: str, *, filename: str) -> dict[str, Any]:
    """The TOML document alone.

    Raises:
        InvalidConfig: not TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidConfig(filename, "", f"not TOML: {error}") from None


def secret_files(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The files with webhook secrets that a document names, whatever else is wrong with it."""
    tables = document.get("repository", [])
    if not isinstance(tables, list):
        return ()
    files = (table.get("secret_file") for table in tables if isinstance(table, dict))
    return tuple(file for file in files if isinstance(file, str) and file.startswith("/"))


def _refuse_doubles(table: _Table, key: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            table.fail(f"repository.{key}", f"{name} stands twice")


def _repository(table: _Table, secrets: Mapping[str, bytes]) -> Repository:
    branch = table.matching("branch", _BRANCH, "a branch such as main", "main")
    found = Repository(
        name=table.matching("name", _NAME, "a repository's full name such as acme/quotes"),
        url=table.matching("url", _URL, "an address to clone from (https, http, ssh, file, or an absolute path)"),
        branch=branch,
        secret=_secret(table, secrets),
        context=_inner_path(table, "context", "."),
        dockerfile=_inner_path(table, "dockerfile", "Dockerfile"),
        image=_image(table),
        tags=_tags(table, branch),
        build_args=table.text_map("build_args"),
        secrets=_build_secrets(table),
        deploy=_app(deploy) if (deploy := table.table("deploy")) else None,
    )
    table.done()
    return found


def _image(table: _Table) -> str:
    image = table.text("image")
    try:
        reference = Reference.parse(image)
    except InvalidInput as error:
        table.fail("image", error.message)
    if reference.tag or reference.digest:
        table.fail("image", f"{image!r} has a tag or a digest; tags have a key of their own")
    return image


def _tags(table: _Table, branch: str) -> tuple[str, ...]:
    templates = table.texts("tags", ("latest",))
    if not templates:
        table.fail("tags", "give at least one, or leave the key out")
    for template in templates:
        try:
            tags.fill(template, commit="0" * 64, branch=branch)
        except InvalidInput as error:
            table.fail("tags", str(error))
    return templates


def _inner_path(table: _Table, key: str, default: str) -> str:
    path = table.text(key, default)
    if not path or path.startswith("/") or ".." in path.split("/") or "\0" in path:
        table.fail(key, f"{path!r} is not a path inside the repository")
    return path


def _build_secrets(table: _Table) -> tuple[tuple[str, str], ...]:
    pairs = table.text_map("secrets")
    for name, path in pairs:
        if not path.startswith("/"):
            table.fail(f"secrets.{name}", f"{path!r} is not an absolute path")
    return pairs


def _secret(table: _Table, files: Mapping[str, bytes]) -> bytes:
    text, file = table.text("secret", ""), table.text("secret_file", "")
    if bool(text) == bool(file):
        table.fail("secret", "give either secret or secret_file: without one anybody could start builds")
    if text:
        return text.encode()
    if not file.startswith("/"):
        table.fail("secret_file", f"{file!r} is not an absolute path")
    secret = files[file].strip()
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
    table.done()
    try:
        check(app)
    except InvalidSetting as error:
        table.fail(error.key, str(error))
    return app


class _Table:
    """A table of the document, which knows what has been asked of it, so that unknown keys are found."""

    def __init__(self, value: dict[str, Any], filename: str, where: str) -> None:
        self._value = dict(value)
        self._filename = filename
        self._where = where

    def fail(self, key: str, problem: str) -> NoReturn:
        raise InvalidConfig(self._filename, self._path(key), problem)

    def text(self, key: str, default: str | None = None) -> str:
        found = self._value.pop(key, default)
        if found is None:
            self.fail(key, "required, but missing")
        if not isinstance(found, str):
            self.fail(key, "expected a string")
        return found

    def matching(self, key: str, form: re.Pattern[str], what: str, default: str | None = None) -> str:
        text = self.text(key, default)
        if not form.fullmatch(text) or text.startswith("-"):
            self.fail(key, f"{text!r} is not {what}")
        return text

    def integer(self, key: str, default: int) -> int:
        found = self._value.pop(key, default)
        if isinstance(found, bool) or not isinstance(found, int):
            self.fail(key, "expected an integer")
        return found

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        found = self._value.pop(key, None)
        if found is None:
            return default
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            self.fail(key, "expected an array of strings")
        return tuple(found)

    def text_map(self, key: str) -> tuple[tuple[str, str], ...]:
        found = self._value.pop(key, {})
        if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
            self.fail(key, "expected a table of strings")
        return tuple(found.items())

    def table(self, key: str) -> _Table | None:
        found = self._value.pop(key, None)
        if found is None:
            return None
        if not isinstance(found, dict):
            self.fail(key, "expected a table")
        return _Table(found, self._filename, self._path(key))

    def tables(self, key: str) -> list[_Table]:
        found = self._value.pop(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.fail(key, f"write [[{key}]]")
        return [_Table(item, self._filename, f"{key}[{number}]") for number, item in enumerate(found, 1)]

    def done(self) -> None:
        """Every key has been asked for, or it is unknown."""
        if self._value:
            self.fail(next(iter(self._value)), "unknown key")

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
