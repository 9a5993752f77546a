"""A build context from an address: a repository's directory, or a file, fetched into a folder of the caller's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from estiba import __version__
from estiba.dockerfile.addresses import BadAddress, git_address, shown
from estiba.errors import InvalidInput, NotFound
from estiba.graph.cancellation import Cancellation, Cancelled
from estiba.linux.paths import resolved_in_root


class Elsewhere(NamedTuple):
    """How contexts are fetched. `environment` is the caller's; `tell` hears what is on its way."""

    environment: Mapping[str, str]
    cancellation: Cancellation
    tell: Callable[[str], None]
    keeps_git_dir: bool = False

    def repository(self, address: str, folder: str) -> str:
        """Put the files of a commit below the empty directory `folder`; gives the directory that the address names.

        Raises:
            InvalidInput: the address makes no sense, or another commit came than it names. NotFound: no such reference,
            commit or directory. Unavailable. Cancelled.
        """
        from estiba.builder.context.git import Git

        try:
            found = git_address(address)
        except BadAddress as error:
            raise InvalidInput(f"the context {shown(address)}: {error.claim}", remedy=error.remedy) from None
        git = Git(self.environment, only_web=True)
        wanted = git.resolve(found.remote, found.ref, cancellation=self.cancellation)
        if not wanted.is_meant_by(found.checksum.lower()):
            raise InvalidInput(
                f"the context {shown(address)} is another commit: expected {found.checksum}, got {wanted.commit}"
            )
        self.tell(f"context {shown(address)} is commit {wanted.commit}")
        directory = f"{folder}/files"
        os.mkdir(directory)
        keeps = self.keeps_git_dir if found.keeps_git_dir is None else found.keeps_git_dir
        git.fetch(
            found.remote,
            wanted,
            directory,
            store=f"{directory}/.git" if keeps else f"{folder}/git",
            keeps_git_dir=keeps,
            submodules=found.submodules,
            cancellation=self.cancellation,
        )
        return _inside(directory, found.subdir, shown(address))

    def file(self, url: str, path: str) -> None:
        """Put what `url` gives into the new file `path`.

        Raises:
            what `web.download` raises. Cancelled.
        """
        from estiba.web.download import Request, download
        from estiba.web.proxies import Proxies

        self.tell(f"context {shown(url)}")
        into = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            proxies, agent = Proxies.of(self.environment), f"estiba/{__version__}"
            found = download(Request(url), into, proxies=proxies, agent=agent, on_stop=self.cancellation.on_set)
        finally:
            os.close(into)
        if found is None:
            raise Cancelled


def _inside(directory: str, subdirectory: str, address: str) -> str:
    """A directory of the files, its links followed inside of them."""
    try:
        return resolved_in_root(directory, subdirectory, os.O_DIRECTORY)
    except OSError:
        raise NotFound(
            f"the context {address} has no directory {subdirectory!r}", remedy="Name one that it has after the colon."
        ) from None
