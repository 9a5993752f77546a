"""Getting a commit's files with git, whose own errors are told in a sentence.

Nothing that a repository says is executed: no hook, no filter, no transport that is a command. The files come without a
``.git``, which would tell the address and the time of the clone to whoever gets the image. Credentials in an address go
to git in its environment, so that no list of processes and no file shows them, and for their host alone.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from estiba.builder.context.git_process import NOT_FOUND
from estiba.errors import NotFound, Unavailable
from estiba.graph.cancellation import Cancellation
from estiba.store.snapshots.trees import remove_tree

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "git_process.py")
_TIMEOUT = 900
_PASSED_ON = re.compile(
    r"HOME|XDG_CONFIG_HOME|SSH_AUTH_SOCK|SSL_CERT_(?:FILE|DIR)|(?:https?|all|no)_proxy|(?:HTTPS?|ALL|NO)_PROXY"
    r"|GIT_(?:SSH|SSH_COMMAND|ASKPASS|SSL_\w+|PROXY_\w+|CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM))",
    re.ASCII,
)
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SETTINGS = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("protocol.ext.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1000"),  # bytes per second, for
    ("http.lowSpeedTime", "60"),  # seconds: then the server counts as gone
)
# So that a commit gives the same files and the same .git whoever builds.
_REPRODUCIBLE = (
    ("core.autocrlf", "false"),
    ("core.eol", "lf"),
    ("core.symlinks", "true"),
    ("core.attributesFile", "/dev/null"),
    ("core.sparseCheckout", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.untrackedCache", "false"),
    ("index.version", "2"),
    ("feature.manyFiles", "false"),
    ("fetch.unpackLimit", "2000000000"),  # every object by itself: how a server packs them shows nowhere
    ("fetch.writeCommitGraph", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("init.defaultBranch", "main"),
)
_WEB = {"GIT_ALLOW_PROTOCOL": "http:https:git:ssh", "GIT_LFS_SKIP_SMUDGE": "1"}
_FORGOTTEN = ("FETCH_HEAD", "ORIG_HEAD", "index", "branches", "hooks", "info/exclude", "description")


class Resolved(NamedTuple):
    """A commit, the full name of the reference that it was found by ("": by itself), the tag's own object if any."""

    commit: str
    reference: str = ""
    tag: str = ""

    def is_meant_by(self, checksum: str) -> bool:
        """Whether `checksum` is this commit or its tag, or how their names begin."""
        return self.commit.startswith(checksum) or (bool(self.tag) and self.tag.startswith(checksum))


class Git:
    """Runs git without a terminal to ask at; `environment` is the caller's, of which little is passed on.

    With `only_web` repositories come from servers alone, never from this machine's files, their submodules included,
    and what comes is the same for every caller.
    """

    def __init__(self, environment: Mapping[str, str], *, only_web: bool = False) -> None:
        self._settings = _SETTINGS + (_REPRODUCIBLE if only_web else ())
        self._environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            **{name: value for name, value in environment.items() if _PASSED_ON.fullmatch(name)},
            "GIT_TERMINAL_PROMPT": "0",
            **(_WEB if only_web else {}),
        }

    def resolve(self, url: str, reference: str, *, cancellation: Cancellation) -> Resolved:
        """The commit that `reference` names at `url`: a full or short name, a commit, or "" for the default branch.

        Where a branch and a tag have the same name it is the branch. A commit is believed without asking.

        Raises:
            NotFound: there is no such thing. Unavailable: the repository cannot be reached, or git is not installed.
            Cancelled.
        """
        if _COMMIT.fullmatch(reference.lower()):
            return Resolved(reference.lower())
        name = reference or "HEAD"
        said = self._run(["ls-remote", "--", remote(url)[0], name, f"{name}^{{}}"], url, "/", cancellation)
        # The argument is a pattern, which a longer name may match too.
        found = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
        short = name.removeprefix("refs/")
        for full in (name, f"refs/{short}", f"refs/heads/{short}", f"refs/tags/{short}"):
            if full in found:
                return Resolved(found.get(f"{full}^{{}}", found[full]), full, found[full])
        if not reference:
            raise NotFound(f"{shown(url)} has no default branch", remedy="Name a branch, a tag or a commit.")
        raise NotFound(
            f"{shown(url)} has no {reference}", remedy="Name a branch, a tag, or a commit with all its digits."
        )

    def fetch(
        self,
        url: str,
        wanted: Resolved,
        directory: str,
        *,
        store: str,
        keeps_git_dir: bool = False,
        submodules: bool = False,
        cancellation: Cancellation,
    ) -> int:
        """Put the files of a commit into the empty `directory`; gives the commit's time in Unix seconds.

        `store` is a path for what git needs meanwhile; it is made, and removed unless `keeps_git_dir` (then it lies in
        `directory`, and holds nothing that differs from one clone to the next).

        Raises:
            Unavailable, Cancelled: as for `resolve`. NotFound: the repository does not have this commit any more.
        """

        def run(*words: str) -> str:
            tree = [f"--work-tree={directory}"] if words[0] in ("checkout", "submodule") else []
            return self._run([f"--git-dir={store}", *tree, *words], url, directory, cancellation)

        commit = wanted.commit
        try:
            kind = ["--object-format=sha256"] if len(commit) == 64 else []
            self._run(["init", "--quiet", "--bare", "--template=", *kind, store], url, directory, cancellation)
            run("config", "remote.origin.url", remote(url)[0])
            self._fetch(run, wanted)
            try:
                run("checkout", "--quiet", "--force", "--detach", commit)
            except Unavailable as error:
                raise NotFound(
                    f"{shown(url)} has no commit {commit}: {error.message}",
                    remedy="Name a branch, a tag or another commit.",
                ) from None
            if submodules and os.path.lexists(f"{directory}/.gitmodules"):
                _with_or_without_depth(run, "submodule", "--quiet", "update", "--init", "--recursive")
            time = int(run("show", "--no-patch", "--format=%ct", commit))
            if keeps_git_dir:
                self._settle(store, url, directory, cancellation)
        finally:
            if not keeps_git_dir and os.path.lexists(store):
                remove_tree(store)
        if not keeps_git_dir:
            _remove_links(directory)
        return time

    def _fetch(self, run: _Run, wanted: Resolved) -> None:
        """Little where the server allows it, and everything where it does not."""
        ways = [["--depth=1", "origin", wanted.commit]]
        if wanted.reference:
            ways += [["--depth=1", "origin", wanted.reference], ["origin", wanted.reference]]
        ways += [["origin", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]]
        failure: Unavailable | None = None
        for words in ways:
            try:
                run("fetch", "--quiet", "--no-tags", *words)
            except Unavailable as error:
                failure = error
                continue
            failure = None
            try:
                run("cat-file", "-e", f"{wanted.commit}^{{commit}}")
            except Unavailable:
                continue
            return
        if failure is not None:
            raise failure

    def _settle(self, store: str, url: str, directory: str, cancellation: Cancellation) -> None:
        """Take out of a .git, and those of its submodules, what tells when and how it was cloned."""
        self._run([f"--git-dir={store}", "config", "core.bare", "false"], url, directory, cancellation)
        for place in _repositories(store):
            for name in _FORGOTTEN:
                if os.path.isdir(f"{place}/{name}"):
                    remove_tree(f"{place}/{name}")
                elif os.path.lexists(f"{place}/{name}"):
                    os.unlink(f"{place}/{name}")
            self._run([f"--git-dir={place}", "read-tree", "HEAD"], url, directory, cancellation)

    def _run(self, words: list[str], url: str, where: str, cancellation: Cancellation) -> str:
        verb = next(word for word in words if not word.startswith("-"))
        cancellation.raise_if_set()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM, *words],
            cwd=where,
            env=self._environment | settings(self._settings + remote(url)[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        forget = cancellation.on_set(lambda: _kill(process))
        try:
            output, said = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"git {verb} of {shown(url)} took longer than {_TIMEOUT} seconds",
                remedy="Try again, or clone it yourself and give the directory.",
            ) from None
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


_Run = Callable[..., str]


def _with_or_without_depth(run: _Run, *words: str) -> None:
    """Without history, where the server can leave it out."""
    try:
        run(*words, "--depth=1")
    except Unavailable:
        run(*words)


def _repositories(store: str) -> Iterator[str]:
    """A repository and those of its submodules, which lie below ``modules``."""
    for top, directories, files in os.walk(store):
        if "HEAD" in files and "objects" in directories:
            yield top
            directories[:] = [name for name in directories if name == "modules"]


def _remove_links(directory: str) -> None:
    """Remove the files ``.git`` of submodules, which lead to where they were cloned."""
    for top, directories, files in os.walk(directory):
        if ".git" in files:
            os.unlink(f"{top}/.git")
        directories[:] = [name for name in directories if not os.path.islink(f"{top}/{name}")]


def remote(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """An address without user and password, and git's setting that makes a header of them where it is HTTP."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url, ()
    account, _, host = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    token = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    bare = parts._replace(netloc=host).geturl()
    return bare, ((f"http.{parts.scheme}://{host}/.extraHeader", f"Authorization: Basic {token}"),)


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
