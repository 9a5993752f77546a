"""SELinux labels of a container's files, where it is to have some; loaded only then."""

from __future__ import annotations

from estiba.engine import selinux
from estiba.errors import InvalidInput, Unavailable
from estiba.linux import labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.engine.monitor.request import StartRequest
    from estiba.engine.paths import ContainerPaths
    from estiba.linux.mounts import Mount


def labelled_rootfs(mounts: tuple[Mount, ...], label: str) -> tuple[Mount, ...]:
    """The mounts of the container's root, all of whose files have the label.

    Raises:
        Unavailable: they are files as they are on disk, which have labels of their own.
    """
    if mounts[0].type != "overlay":
        raise Unavailable(
            "the files of a container without an overlay cannot have an SELinux label", remedy="Give label=disable."
        )
    # Without quotes: where there is a comma in it the overlay is not mounted by one line of options.
    return (mounts[0]._replace(options=(*mounts[0].options, f"context={label}")), *mounts[1:])


def label_files(request: StartRequest, paths: ContainerPaths) -> None:
    """Label what is shown in the container beside its root: /etc/hosts and its like, volumes, binds that ask for it.

    Raises:
        InvalidInput: a directory of the system is to be labelled. OSError: the policy knows no such label.
    """
    own = request.options.security.mount_label
    for path in (paths.hosts, paths.hostname, paths.resolv_conf):
        labels.set_file_label(path, own)
    asked = {mount.target: mount.relabels for mount in request.options.mounts}
    for place in request.volumes:
        labels.relabel(place.source, own if asked.get(place.target) == "Z" else selinux.shared(own))
    for mount in request.options.mounts:
        if mount.kind == "bind" and mount.relabels:
            if mount.source in selinux.NEVER_RELABELLED:
                raise InvalidInput(
                    f"{mount.source} is of the system: its files are not relabelled",
                    remedy=f"Leave {mount.relabels} out, or bind a directory of your own.",
                )
            labels.relabel(mount.source, own if mount.relabels == "Z" else selinux.shared(own))
