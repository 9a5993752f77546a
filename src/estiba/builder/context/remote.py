"""What ADD fetches: each address becomes a snapshot of its own, which is remembered by its content.

A file's server is asked each time whether it still is the same (RFC 9110 §13.1); where the digest is told, nobody is
asked for what is here. So a cache key further on has the digest of a content in it, never an address.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from estiba import __version__
from estiba.builder import keys, layer
from estiba.builder.cache import result_of
from estiba.builder.request import BuildRequest, BuildSurroundings
from estiba.dockerfile.addresses import shown
from estiba.errors import Corrupt
from estiba.graph.cancellation import Cancelled
from estiba.graph.protocols import CacheKey, Result, Step
from estiba.graph.vertex import SourceGit, SourceUrl
from estiba.oci.digest import Digest
from estiba.store.cache import CacheRecord
from estiba.store.snapshots.trees import remove_tree
from estiba.store.store import Store

_STRONG_AFTER = 60
"""Seconds after which a file that was not changed is believed by its date alone: dates are exact to a second."""


class RemoteSources:
    """Fetches for one build, from several threads; `build_id` names what it is writing."""

    def __init__(self, store: Store, request: BuildRequest, surroundings: BuildSurroundings, *, build_id: str) -> None:
        self._store = store
        self._request = request
        self._surroundings = surroundings
        self._build = build_id

    def url(self, source: SourceUrl, step: Step, *, key: str) -> Result:
        """The file that `source` names; `key` tells this fetch from the others of the build.

        Raises:
            Corrupt: it has another digest than it must have. What `web.download` raises. Cancelled.
        """
        if source.checksum and (known := self._known(self._file_key(source.name, source.checksum, None))):
            step.output(b"known by its checksum\n")
            return known
        asked = keys.make_key("url", (("url", source.url), ("name", source.name)), epoch=self._request.epoch)
        last = self._record(asked)
        if last is not None and source.checksum not in ("", last.parts["content"]):
            last = None
        return self._new(f"{self._build}-{key[:12]}", lambda place: self._fetch(source, asked, last, place, step))

    def git(self, source: SourceGit, step: Step, *, key: str) -> Result:
        """The files of the commit that `source` names; known ones come without a question where its name is given.

        Raises:
            Corrupt: it is another commit than it must be. What `context.git` raises. Cancelled.
        """
        from estiba.builder.context.git import Git

        if known := self._known(self._commit_key(source, source.checksum or source.ref.lower())):
            step.output(b"known by its commit\n")
            return known
        git = Git(self._surroundings.environment, only_web=True)
        wanted = git.resolve(source.remote, source.ref, cancellation=step.cancellation)
        if not wanted.is_meant_by(source.checksum):
            raise Corrupt(
                f"{shown(source.remote)} is not what the checksum names at {source.ref or 'its default branch'}:"
                f" expected {source.checksum}, got {wanted.commit}",
                remedy="If the new commit is right, change the checksum; nothing of it was kept.",
            )
        step.output(f"commit {wanted.commit}\n".encode())
        by_commit = self._commit_key(source, wanted.commit)
        if known := self._known(by_commit):
            return known

        def fill(place: str) -> tuple[CacheKey, ...]:
            held, folder = self._store.scratch.folder("git")
            try:
                time = git.fetch(
                    source.remote,
                    wanted,
                    place,
                    store=f"{place}/.git" if source.keeps_git_dir else f"{folder}/git",
                    keeps_git_dir=source.keeps_git_dir,
                    submodules=source.submodules,
                    cancellation=step.cancellation,
                )
            finally:
                remove_tree(folder)
                os.close(held)
            if self._request.epoch is None:
                _set_times(place, time)
            return (by_commit,)

        return self._new(f"{self._build}-{key[:12]}", fill)

    def _commit_key(self, source: SourceGit, commit: str) -> CacheKey:
        """A commit is the same wherever it comes from; a kept ``.git`` names the address."""
        parts = (
            ("commit", commit),
            ("submodules", "with" if source.submodules else "without"),
            (".git", f"of {shown(source.remote)}" if source.keeps_git_dir else "without"),
        )
        return keys.make_key("git", parts, epoch=self._request.epoch)

    def _fetch(
        self, source: SourceUrl, asked: CacheKey, last: CacheRecord | None, place: str, step: Step
    ) -> Result | tuple[CacheKey, ...]:
        from estiba.web.download import Request, download
        from estiba.web.proxies import Proxies

        algorithm = source.checksum.partition(":")[0] or "sha256"
        request = Request(source.url, _conditions(last), algorithm, may_lose_tls=bool(source.checksum))
        path = f"{place}/{source.name}"
        into = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(into, 0o600)
            found = download(
                request,
                into,
                proxies=Proxies.of(self._surroundings.environment),
                agent=f"estiba/{__version__}",
                on_stop=step.cancellation.on_set,
            )
        finally:
            os.close(into)
        if found is None:
            raise Cancelled
        if found.is_unchanged and last is not None and last.chain_id is not None:
            step.output(b"not changed since it was fetched\n")
            return result_of(self._store, last.chain_id)
        if source.checksum and found.digest != source.checksum:
            raise Corrupt(
                f"{shown(source.url)} is not what --checksum names: expected {source.checksum}, got {found.digest}"
                f" after {found.size} bytes",
                remedy="If the new content is right, change --checksum; nothing of it was kept.",
            )
        step.output(f"{found.size} bytes, {found.digest}\n".encode())
        seconds = max(0, found.last_modified)
        for each in (path, place):
            os.utime(each, (seconds, seconds))
        is_dated = 0 <= found.last_modified <= found.date - _STRONG_AFTER
        facts = (("content", found.digest), ("etag", found.etag), ("date", str(seconds) if is_dated else ""))
        by_address = asked._replace(parts=(("url", shown(source.url)), *facts))
        return by_address, self._file_key(source.name, found.digest, seconds)

    def _file_key(self, name: str, digest: str, seconds: int | None) -> CacheKey:
        """A file by its content; its time counts where times are kept, and then no checksum alone names it."""
        time = "" if self._request.epoch is not None else str(seconds)
        return keys.make_key("file", (("name", name), ("content", digest), ("time", time)), epoch=self._request.epoch)

    def _record(self, key: CacheKey) -> CacheRecord | None:
        """What is remembered under `key`, if it is here still."""
        record = self._store.cache.get(key.digest) if self._request.uses_cache else None
        if record is None or record.chain_id is None or not self._store.snapshots.has(record.chain_id):
            return None
        return record

    def _known(self, key: CacheKey) -> Result | None:
        record = self._record(key)
        return result_of(self._store, record.chain_id) if record and record.chain_id else None

    def _new(self, name: str, fill: Callable[[str], Result | tuple[CacheKey, ...]]) -> Result:
        """What `fill` puts into a directory, as a snapshot, remembered under the keys that it gives.

        Where `fill` finds that all is here already it gives that.
        """
        snapshots = self._store.snapshots
        snapshots.prepare(name, None)
        try:
            found = fill(snapshots.writable(name))
            if isinstance(found, Result):
                layer.discard(self._store, name)
                return found
            result = layer.commit(self._store, name, None, Result(), epoch=self._request.epoch)
        except BaseException:
            layer.discard(self._store, name)
            raise
        assert result.chain_id is not None
        for key in found:
            chain_id, diff_id = Digest.parse(result.chain_id), Digest.parse(result.diff_ids[-1])
            self._store.cache.put(key.digest, chain_id, diff_id, dict(key.parts))
        return result


def _conditions(last: CacheRecord | None) -> dict[str, str]:
    """The headers that ask for it only if it is another than the last."""
    from email.utils import formatdate

    if last is None:
        return {}
    if last.parts["etag"]:
        return {"If-None-Match": last.parts["etag"]}
    return {"If-Modified-Since": formatdate(int(last.parts["date"]), usegmt=True)} if last.parts["date"] else {}


def _set_times(directory: str, seconds: int) -> None:
    """Everything there gets the time of its commit: the one of the clone tells nothing."""
    for top, directories, files in os.walk(directory):
        for name in (*directories, *files):
            os.utime(f"{top}/{name}", (seconds, seconds), follow_symlinks=False)
    os.utime(directory, (seconds, seconds))
