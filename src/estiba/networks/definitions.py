"""What users have defined: one JSON file per network under the root, so that it outlives a reboot.

ROOT/networks/
    NAME.json   {"name", "subnet", "internal", "labels", "created", "chosen"}; the built-in `bridge` has none
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from estiba.errors import AlreadyExists, Corrupt, InvalidInput, NotFound
from estiba.oci import json_text
from estiba.values import NamedTuple

_SUFFIX = ".json"


class NetworkRecord(NamedTuple):
    """A network as it is shown. `subnet` and `gateway` are "" while the built-in one has never been used.

    `driver` is ``bridge``, or ``host`` and ``null`` for the two words that mean no network of ours. `device` is the
    bridge on the host; `created` is in Unix seconds, 0 for the built-in ones.
    """

    name: str
    id: str
    driver: str = "bridge"
    device: str = ""
    subnet: str = ""
    gateway: str = ""
    internal: bool = False
    labels: Mapping[str, str] = {}
    created: int = 0


class Definition(NamedTuple):
    """What a user asked for. `chosen`: the subnet is ours, so another may take its place while nobody uses it."""

    name: str
    subnet: str
    internal: bool
    labels: dict[str, str]
    created: int
    chosen: bool = False


class NetworkNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no network {name!r}", remedy="`estiba network ls` lists them.")


class NetworkExists(AlreadyExists):
    def __init__(self, name: str) -> None:
        super().__init__(f"a network {name!r} exists already", remedy="Choose another name, or remove that one first.")


def identity(root: str, name: str, created: int) -> str:
    """The ID that is shown of a network, 64 hexadecimal digits as Docker's."""
    import hashlib

    return hashlib.sha256(f"{root}\0{name}\0{created}".encode()).hexdigest()


class Definitions:
    """The definitions in one directory, which is made when the first is written."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def add(self, definition: Definition) -> None:
        """Keep a new definition, durably.

        Raises:
            NetworkExists: the name is taken.
        """
        temporary = self._written(definition)
        try:
            os.link(temporary, self._path(definition.name))  # unlike a rename, it never replaces
        except FileExistsError:
            raise NetworkExists(definition.name) from None
        finally:
            os.unlink(temporary)
        self._sync()

    def replace(self, definition: Definition) -> None:
        """Keep a definition in the place of the one with its name, durably."""
        os.rename(self._written(definition), self._path(definition.name))
        self._sync()

    def _written(self, definition: Definition) -> str:
        from estiba.linux.private_directories import make_private

        make_private(self._directory)
        temporary = f"{self._path(definition.name)}.{os.getpid()}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json_text.dumps(dict(sorted(definition._asdict().items()))).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return temporary

    def get(self, name: str) -> Definition:
        """The definition of `name`.

        Raises:
            NetworkNotFound: there is none.
            Corrupt: its file is not what this class writes.
        """
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL):
                raise NetworkNotFound(name) from None
            raise
        try:
            fields = json_text.loads(data.decode(), what="it")
            return Definition(
                name=str(fields["name"]),
                subnet=str(fields["subnet"]),
                internal=bool(fields["internal"]),
                labels={str(key): str(value) for key, value in fields["labels"].items()},
                created=int(fields["created"]),
                chosen=bool(fields.get("chosen")),
            )
        except (InvalidInput, ValueError, KeyError, TypeError, AttributeError) as error:
            remedy = "Remove the file and create the network again."
            raise Corrupt(f"{path} is not the definition of a network: {error}", remedy=remedy) from None

    def remove(self, name: str) -> None:
        """Forget a definition.

        Raises:
            NetworkNotFound: there is none.
        """
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            raise NetworkNotFound(name) from None
        self._sync()

    def all(self) -> list[Definition]:
        """Every definition, by name."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return [self.get(name.removesuffix(_SUFFIX)) for name in sorted(names) if name.endswith(_SUFFIX)]

    def _path(self, name: str) -> str:
        if "/" in name or "\0" in name:
            raise NetworkNotFound(name)
        return os.path.join(self._directory, name + _SUFFIX)

    def _sync(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
