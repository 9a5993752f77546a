"""A Git repository with a developer's working copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from demo.stage import Failed
from demo.webhook import Push

_AUTHOR, _EMAIL = "Ana Torres", "ana@example.org"
_NOTHING = "0" * 40


class Repository:
    """A bare repository below the forge's directory, and a working copy; `push` tells what a webhook would say."""

    def __init__(self, *, bare: Path, working_copy: Path, url: str, branch: str = "main") -> None:
        self._bare = bare
        self._copy = working_copy
        self._branch = branch
        self.url = url
        self._published = _NOTHING

    def create_from(self, directory: Path) -> None:
        """Makes both, the files of a directory as the first commit."""
        self._git(
            "init", "--quiet", "--bare", f"--initial-branch={self._branch}", str(self._bare), where=self._bare.parent
        )
        shutil.copytree(directory, self._copy)
        self._git("init", "--quiet", f"--initial-branch={self._branch}", str(self._copy))
        self._git("remote", "add", "origin", str(self._bare))
        self.commit("The first version")

    def change(self, name: str, edit: Callable[[str], str]) -> None:
        """Edits a file of the working copy.

        Raises:
            Failed: the edit changes nothing.
        """
        file = self._copy / name
        before = file.read_text()
        file.write_text(edit(before))
        if file.read_text() == before:
            raise Failed(f"nothing in {name} was changed")

    def commit(self, message: str) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)

    def head(self) -> str:
        """The commit that the working copy is at."""
        return self._git("rev-parse", "HEAD").strip()

    def push(self) -> Push:
        """Pushes, and gives what the forge tells its webhooks."""
        self._git("push", "--quiet", "origin", self._branch)
        before, self._published = self._published, self.head()
        return Push(
            owner="ana",
            repository=self._bare.name.removesuffix(".git"),
            clone_url=self.url,
            branch=self._branch,
            before=before,
            after=self._published,
            message=self._git("log", "-1", "--format=%s").strip(),
            author=_AUTHOR,
            email=_EMAIL,
            timestamp=self._git("log", "-1", "--format=%cI").strip(),
        )

    def _git(self, *arguments: str, where: Path | None = None) -> str:
        """Runs git as its author, whatever the user's own configuration says.

        Raises:
            Failed: git ended with an exit code other than 0.
        """
        person = {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (("NAME", _AUTHOR), ("EMAIL", _EMAIL))
        }
        plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=where or self._copy,
            env=os.environ | person | plain,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"git {' '.join(arguments)}: {done.stdout.strip()}")
        return done.stdout
