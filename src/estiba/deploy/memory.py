"""A machine that is only a dictionary: what `Containers` promises, without a kernel. For tests and dry runs."""

from __future__ import annotations

from collections.abc import Callable

from estiba.deploy.app import Actual, Release
from estiba.errors import AlreadyExists, EstibaError, NotFound


class MemoryContainers:
    """`Containers` in memory.

    `answers` says whether a release answers once it runs. `before` is called before every change with its action and
    name: an error that it raises is the change's own. `changes` tells what was done, in order.
    """

    def __init__(
        self,
        *there: Actual,
        answers: Callable[[Release], bool] = lambda release: True,
        before: Callable[[str, str], None] = lambda action, name: None,
    ) -> None:
        self._there = {each.name: each for each in there}
        self._answers = answers
        self._before = before
        self.changes: list[str] = []

    def actual(self) -> dict[str, Actual]:
        return dict(self._there)

    def create(self, name: str, release: Release) -> None:
        self._begin("create", name)
        if name in self._there:
            raise AlreadyExists(f"the container name {name} is in use")
        self._there[name] = Actual(name, False, release.app.name, release.fingerprint, release.version)

    def start(self, name: str) -> None:
        self._begin("start", name)
        self._there[name] = self._get(name)._replace(is_running=True)

    def stop(self, name: str, *, at_once: bool = False) -> None:
        self._begin("stop", name)
        self._there[name] = self._get(name)._replace(is_running=False)

    def remove(self, name: str) -> None:
        self._begin("remove", name)
        del self._there[self._get(name).name]

    def rename(self, name: str, to: str) -> None:
        self._begin("rename", name)
        found = self._get(name)
        if to in self._there:
            raise AlreadyExists(f"the container name {to} is in use")
        del self._there[name]
        self._there[to] = found._replace(name=to)

    def await_ready(self, name: str, release: Release) -> None:
        self._begin("probe", name)
        if not self._get(name).is_running or not self._answers(release):
            raise EstibaError(f"{name} does not answer")

    def last_words(self, name: str) -> str:
        return f"the log of {name}" if name in self._there else ""

    def _begin(self, action: str, name: str) -> None:
        self._before(action, name)
        self.changes.append(f"{action} {name}")

    def _get(self, name: str) -> Actual:
        if name not in self._there:
            raise NotFound(f"no such container: {name}")
        return self._there[name]
