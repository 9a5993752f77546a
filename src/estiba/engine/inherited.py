"""What a new container has of others: their binds and volumes (``--volumes-from``), their ids. Pure, but for questions.

Docker's rules: ``:ro`` may make them stricter, a mount of the container's own at the same place wins, and what is in
memory is not passed on.
"""

from __future__ import annotations

from estiba.engine.options import VolumeMount
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiba.engine.options import ContainerOptions
    from estiba.engine.records import ContainerRecord


def with_mounts_of_others(
    options: ContainerOptions,
    *,
    find: Callable[[str], ContainerRecord],
    volumes_of: Callable[[str], list[tuple[str, str]]],
) -> ContainerOptions:
    """The options with the mounts of the containers in `volumes_from` in front of their own.

    Raises:
        NoSuchContainer.
    """
    taken = {mount.target for mount in options.mounts}
    found: dict[str, VolumeMount] = {}
    for text in options.volumes_from:
        name, _, mode = text.partition(":")
        other = find(name)
        for mount in _mounts(other, volumes_of(other.id)):
            if mount.target not in taken:
                found[mount.target] = mount._replace(read_only=mount.read_only or mode == "ro")
    return options._replace(mounts=(*found.values(), *options.mounts), inherited=len(found))


def with_ids_of_others(options: ContainerOptions, *, find: Callable[[str], ContainerRecord]) -> ContainerOptions:
    """The options with the ids of the containers whose namespaces are shared: a name may become somebody else's.

    That is where --pid, --ipc, --network or --userns name a container.

    Raises:
        NoSuchContainer.
    """

    def named(mode: str) -> str:
        kind, colon, name = mode.partition(":")
        return f"{kind}:{find(name).id}" if colon else mode

    shared = options.shared
    users = options.userns_target
    return options._replace(
        shared=shared._replace(pid=named(shared.pid), ipc=named(shared.ipc)),
        network=named(options.network),
        userns_target=find(users).id if options.userns == "container" else users,
    )


def _mounts(other: ContainerRecord, volumes: list[tuple[str, str]]) -> list[VolumeMount]:
    asked = {mount.target: mount for mount in other.parsed_options().mounts}
    mounts = [mount for mount in asked.values() if mount.kind == "bind"]
    for name, target in volumes:
        known = asked.get(target) or VolumeMount("volume", target)
        mounts.append(known._replace(source=name, copy_up=False, labels=()))
    return mounts
