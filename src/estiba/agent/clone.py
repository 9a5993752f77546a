"""Getting a commit's files with git, whose own errors are told in a sentence."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

from estiba.agent.config import Repository
from estiba.errors import NotFound, Unavailable

_TIMEOUT = 600
_PASSED_ON = re.compile(r"(?:GIT_.*|SSH_AUTH_SOCK|HOME|LANG|.*_proxy|.*_PROXY|SSL_CERT_.*)", re.ASCII)
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")


class Git:
    """Runs git without a terminal to ask at; `environment` is the agent's own, of which little is passed on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {name: value for name, value in environment.items() if _PASSED_ON.fullmatch(name)}
        self._environment |= {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        }

    def head(self, repository: Repository) -> str:
        """The commit that the watched branch has now.

        Raises:
            NotFound: no such branch. Unavailable: the repository cannot be reached, or git is not installed.
        """
        lines = self._run(["ls-remote", "--", repository.url, f"refs/heads/{repository.branch}"], None).split()
        if not lines:
            raise NotFound(f"{_shown(repository.url)} has no branch {repository.branch}")
        return lines[0]

    def fetch(self, repository: Repository, commit: str, directory: str) -> None:
        """Put the files of `commit` into the new `directory`.

        Raises:
            Unavailable: as for `head`. NotFound: the branch does not have this commit any more.
        """
        os.makedirs(directory, mode=0o700)
        self._run(["init", "--quiet"], directory)
        self._run(["remote", "add", "origin", repository.url], directory)
        try:
            self._run(["fetch", "--quiet", "--depth=1", "origin", commit], directory)
        except Unavailable:  # a server may refuse to give single commits
            self._run(["fetch", "--quiet", "origin", f"refs/heads/{repository.branch}"], directory)
        try:
            self._run(["checkout", "--quiet", "--detach", commit], directory)
        except Unavailable as error:
            raise NotFound(f"{_shown(repository.url)} has no commit {commit}: {error.message}") from None

    def _run(self, words: list[str], directory: str | None) -> str:
        command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", *words]
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError:
            raise Unavailable("git is not installed", remedy="Install it with: apt-get install git") from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f"git {words[0]} took longer than {_TIMEOUT} seconds") from None
        if done.returncode:
            said = _shown(done.stderr.decode("utf-8", "replace").strip())
            raise Unavailable(f"git {words[0]} failed: {said}")
        return done.stdout.decode("utf-8", "replace")


def _shown(text: str) -> str:
    """A text without the credentials of its addresses."""
    return _CREDENTIALS.sub(r"\1***@", text)
