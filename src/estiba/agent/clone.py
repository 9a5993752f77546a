"""Getting the files of a commit of a watched repository, with git as the builder runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from estiba.agent.config import Repository
from estiba.builder.context import git
from estiba.builder.context.git import Resolved, shown
from estiba.errors import NotFound
from estiba.graph.cancellation import Cancellation


class Git:
    """`environment` is the agent's own, of which little is passed on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._git = git.Git(environment)

    def head(self, repository: Repository, *, cancellation: Cancellation) -> str:
        """The commit that the watched branch has now.

        Raises:
            NotFound: no such branch. Unavailable: the repository cannot be reached, or git is not installed. Cancelled.
        """
        name = f"refs/heads/{repository.branch}"
        try:
            found = self._git.resolve(repository.url, name, cancellation=cancellation)
        except NotFound:
            found = Resolved("")
        if found.reference != name:
            raise NotFound(f"{shown(repository.url)} has no branch {repository.branch}", remedy="Name one that it has.")
        return found.commit

    def fetch(self, repository: Repository, commit: str, directory: str, *, cancellation: Cancellation) -> None:
        """Put the files of `commit` into `directory`, which is made.

        Raises:
            Unavailable, Cancelled: as for `head`. NotFound: the branch does not have this commit any more.
        """
        os.makedirs(directory, mode=0o755)
        wanted = Resolved(commit, f"refs/heads/{repository.branch}")
        self._git.fetch(repository.url, wanted, directory, store=f"{directory}.git", cancellation=cancellation)
