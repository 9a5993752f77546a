"""The files of an image, shown read-only at a directory of this machine until they are taken away again.

A use in the store holds the image for as long as it is mounted; one whose mount a reboot has taken away is released by
the next who asks.
"""

from __future__ import annotations

import errno
import os

from estiba.errors import Conflict, NotFound, PermissionDenied, Unavailable
from estiba.image.image import Image
from estiba.linux.mountpoints import is_mounted, unmount
from estiba.linux.mounts import mount_all
from estiba.linux.namespaces import has_root
from estiba.oci.digest import Digest
from estiba.store.store import Store
from estiba.store.uses import IMAGE
from estiba.values import NamedTuple

_HOLDER = "mount/"
_MADE = "mount-made/"
"""The holder of an image's use, before the directory: as the user had it, or as it was made for the mount."""


class MountedImage(NamedTuple):
    """`directory` is where the image's files are shown."""

    image: Digest
    directory: str


class NeedsRoot(PermissionDenied):
    def __init__(self) -> None:
        super().__init__(
            "only root can mount an image where others see it",
            remedy="Unpack its files instead: estiba image export IMAGE | tar -x -C DIRECTORY",
        )


class NotMounted(NotFound):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not mounted", remedy="See what is: estiba image mount")


def mount_image(store: Store, image: Image, directory: str) -> MountedImage:
    """Show the image at `directory`, an absolute path, which is made where it is missing.

    Raises:
        NeedsRoot. Conflict: something is mounted there, or lies there. Unavailable: the kernel refuses.
    """
    if not has_root():
        raise NeedsRoot
    wanted = MountedImage(image.id, directory)
    if wanted in mounted_images(store):
        return wanted
    chain = image.config.chain_id
    try:
        holder = (_MADE if _makes(directory) else _HOLDER) + directory
        if is_mounted(directory) or os.listdir(directory):
            raise Conflict(f"{directory} is in use", remedy="Name an empty directory.")
    except OSError as error:
        raise Unavailable(f"cannot mount at {directory}: {error.strerror}") from error
    with store.leases.hold(f"mount {image.id.short}"):
        store.uses.add(holder, IMAGE, image.id)
        try:
            if chain is not None:
                mount_all(store.snapshots.view(chain), directory)
        except OSError as error:
            store.uses.release(holder)
            raise Unavailable(f"cannot mount at {directory}: {error.strerror}") from error
    return wanted


def mounted_images(store: Store) -> tuple[MountedImage, ...]:
    """What is mounted now, by directory. Uses that a reboot has left are released."""
    found = []
    for use in store.uses.list():
        if use.kind != IMAGE or not use.holder.startswith((_HOLDER, _MADE)):
            continue
        directory = use.holder.removeprefix(_HOLDER).removeprefix(_MADE)
        if os.path.isdir(directory) and is_mounted(directory):
            found.append(MountedImage(Digest.parse(use.target), directory))
        else:
            store.uses.release(use.holder)
    return tuple(sorted(found, key=lambda one: one.directory))


def unmount_image(store: Store, one: MountedImage, *, force: bool = False) -> None:
    """Take it away; with `force` also where somebody is in it, for whom it stays until then. A directory that was there
    before the image stays.

    Raises:
        Conflict: somebody is in it.
    """
    try:
        unmount(one.directory, detach=force)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Conflict(f"{one.directory} is in use", remedy="Leave it, or take it away with --force.") from error
        raise Unavailable(f"cannot unmount {one.directory}: {error.strerror}") from error
    was_made = any(use.holder == _MADE + one.directory for use in store.uses.list())
    for holder in (_HOLDER, _MADE):
        store.uses.release(holder + one.directory)
    if was_made:
        try:
            os.rmdir(one.directory)
        except OSError:
            pass  # it is somebody's by now: the working directory of one in it, say, or no longer empty


def _makes(directory: str) -> bool:
    """Make the directory; False where it is there. Raises OSError."""
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    try:
        os.mkdir(directory)
    except FileExistsError:
        return False
    return True
