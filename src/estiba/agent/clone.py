"""Getting a commit's files with git, whose own errors are told in a sentence.

The files come without a ``.git``: it would tell the address and the time of the clone to whoever gets the image.
Credentials in an address go to git in its environment, so that no list of processes and no file shows them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from estiba.agent.config import Repository
from estiba.agent.git_process import NOT_FOUND
from estiba.errors import NotFound, Unavailable
from estiba.graph.cancellation import Cancellation

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "git_process.py")
_TIMEOUT = 900
_PASSED_ON = re.compile(
    r"HOME|XDG_CONFIG_HOME|SSH_AUTH_SOCK|SSL_CERT_(?:FILE|DIR)|(?:https?|all|no)_proxy|(?:HTTPS?|ALL|NO)_PROXY"
    r"|GIT_(?:SSH|SSH_COMMAND|ASKPASS|SSL_\w+|PROXY_\w+|CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM))",
    re.ASCII,
)
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")
_SETTINGS = (
    ("core.hooksPath", "/dev/null"),
    ("protocol.ext.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1000"),  # bytes per second, for
    ("http.lowSpeedTime", "60"),  # seconds: then the server counts as gone
)


class Git:
    """Runs git without a terminal to ask at; `environment` is the agent's own, of which little is passed on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            **{name: value for name, value in environment.items() if _PASSED_ON.fullmatch(name)},
            "GIT_TERMINAL_PROMPT": "0",
        }

    def head(self, repository: Repository, *, cancellation: Cancellation) -> str:
        """The commit that the watched branch has now.

        Raises:
            NotFound: no such branch. Unavailable: the repository cannot be reached, or git is not installed. Cancelled.
        """
        name = f"refs/heads/{repository.branch}"
        found = self._run(["ls-remote", "origin", name], repository, "/", cancellation)
        for line in found.splitlines():
            commit, _, reference = line.partition("\t")
            if reference == name:  # the argument is a pattern, which a longer name may match too
                return commit
        raise NotFound(f"{shown(repository.url)} has no branch {repository.branch}")

    def fetch(self, repository: Repository, commit: str, directory: str, *, cancellation: Cancellation) -> None:
        """Put the files of `commit` into `directory`, which is made.

        Raises:
            Unavailable, Cancelled: as for `head`. NotFound: the branch does not have this commit any more.
        """
        store = f"{directory}.git"
        os.makedirs(directory, mode=0o755)
        try:
            self._fetch(repository, commit, directory, store, cancellation)
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def _fetch(
        self, repository: Repository, commit: str, directory: str, store: str, cancellation: Cancellation
    ) -> None:
        def run(*words: str) -> str:
            return self._run([f"--git-dir={store}", *words], repository, directory, cancellation)

        run("init", "--quiet", "--bare", "--template=")
        try:
            run("fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
        except Unavailable:  # a server may refuse to give single commits
            run("fetch", "--quiet", "--no-tags", "origin", f"refs/heads/{repository.branch}")
        try:
            run(f"--work-tree={directory}", "checkout", "--quiet", "--force", "--detach", commit)
        except Unavailable as error:
            raise NotFound(f"{shown(repository.url)} has no commit {commit}: {error.message}") from None

    def _run(self, words: list[str], repository: Repository, where: str, cancellation: Cancellation) -> str:
        verb = next(word for word in words if not word.startswith("-"))
        cancellation.raise_if_set()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM, *words],
            cwd=where,
            env=self._environment | settings(_SETTINGS + remote(repository.url)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        forget = cancellation.on_set(lambda: _kill(process))
        try:
            output, said = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"git {verb} of {shown(repository.url)} took longer than {_TIMEOUT} seconds") from None
        finally:
            forget()
            _kill(process)
            process.communicate()
        cancellation.raise_if_set()
        if process.returncode == NOT_FOUND:
            raise Unavailable("git is not installed", remedy="Install it with: apt-get install git")
        if process.returncode:
            raise Unavailable(f"git {verb} failed: {shown(said.decode('utf-8', 'replace').strip())}")
        return output.decode("utf-8", "replace")


def remote(url: str) -> tuple[tuple[str, str], ...]:
    """Git's settings for the remote ``origin`` at `url`; the user and password of an HTTP address become a header."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return (("remote.origin.url", url),)
    account, _, host = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    token = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return (
        ("remote.origin.url", parts._replace(netloc=host).geturl()),
        (f"http.{parts.scheme}://{host}/.extraHeader", f"Authorization: Basic {token}"),
    )


def settings(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The environment that gives git these settings (git-config(1), GIT_CONFIG_COUNT)."""
    found = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def shown(text: str) -> str:
    """A text without the credentials of its addresses."""
    return _CREDENTIALS.sub(r"\1***@", text)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and its helpers, which are a process group of their own."""
    if process.returncode is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
