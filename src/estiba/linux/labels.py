"""What the security modules are told of a program that is about to begin: SELinux labels, AppArmor profiles.

A process tells them by writing to files of its own in procfs (proc(5), /proc/thread-self/attr). On the way there no
link and no mount is followed: what was put over such a file would swallow the word, or obey it (CVE-2025-52881).
"""

from __future__ import annotations

import errno
import os

from estiba.linux.filesystems import PROC, SELINUX, filesystem_type
from estiba.linux.paths import IN_ROOT_NO_LINKS, RESOLVE_NO_XDEV, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT_OF_PROC = 1  # the inode's number (PROC_ROOT_INO)
_LABEL = "security.selinux"
_CONTEXTS = ("context=", "fscontext=", "defcontext=", "rootcontext=")


def has_selinux(directory: str = "/sys/fs/selinux", *, magic: int = SELINUX) -> bool:
    """Whether SELinux is on: its filesystem (selinuxfs) is mounted where everybody looks for it."""
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return filesystem_type(descriptor) == magic and os.path.exists(f"{directory}/enforce")
    finally:
        os.close(descriptor)


def has_apparmor(directory: str = "/sys/module/apparmor") -> bool:
    """Whether AppArmor is on."""
    try:
        # In bytes: a container's first process can load no codec any more.
        with open(f"{directory}/parameters/enabled", "rb", buffering=0) as file:
            return file.read(1) == b"Y"
    except OSError:
        return False


def open_own(name: str, flags: int = os.O_WRONLY, *, proc: str = "/proc") -> int:
    """A file of this very thread in procfs.

    Raises:
        OSError: there is none, or `proc` is something else.
    """
    place = os.open(proc, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if filesystem_type(place) != PROC or os.fstat(place).st_ino != _ROOT_OF_PROC:
            raise NotADirectoryError(errno.ENOTDIR, f"{proc} is not procfs")
        path = f"{os.readlink('thread-self', dir_fd=place)}/{name}"
        return open_in_root(place, path, flags, resolve=IN_ROOT_NO_LINKS | RESOLVE_NO_XDEV)
    finally:
        os.close(place)


def set_profile(profile: str, *, has_no_new_privileges: bool, opened: Callable[..., int] = open_own) -> None:
    """The AppArmor profile (or stack of some, ``one//&other``) of the program that this process becomes.

    Who is confined already and may gain no privilege may only be confined further, so the profile is stacked on ours.
    `opened` gives the files of the process's `attr` in procfs.

    Raises:
        OSError: the kernel refused: there is no such profile, or the step is not allowed.
    """
    # Where several modules are on, the old name is another one's.
    is_shared = _exists("attr/apparmor/exec", opened)
    directory = "attr/apparmor" if is_shared else "attr"
    word = "exec"
    if has_no_new_privileges and _is_confined(f"{directory}/current", opened):
        word = "stack"
    _write(f"{directory}/exec", f"{word} {profile}", opened)


def set_program_label(label: str, *, opened: Callable[..., int] = open_own) -> None:
    """The SELinux label of the program that this process becomes.

    Raises:
        OSError: the policy knows no such label, or does not allow the step.
    """
    _write("attr/exec", label, opened)


def set_keyring_label(label: str, *, opened: Callable[..., int] = open_own) -> None:
    """The SELinux label of keyrings that this process makes; "" for the policy's own.

    Raises:
        OSError: as `set_program_label`.
    """
    _write("attr/keycreate", label, opened)


def set_file_label(path: str, label: str) -> None:
    """The SELinux label of the file itself, a link too; nothing where its filesystem keeps none.

    Raises:
        OSError: the policy knows no such label.
    """
    try:
        os.setxattr(path, _LABEL, label.encode(), follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def relabel(path: str, label: str) -> None:
    """The SELinux label of a file, or of a directory and all in it, links themselves included; nothing where the
    directory has it already.

    Raises:
        OSError: as `set_file_label`.
    """
    try:
        if os.getxattr(path, _LABEL).rstrip(b"\0") == label.encode():
            return
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
    if os.path.isdir(path):
        for _, directories, files, descriptor in os.fwalk(path):
            for name in (*directories, *files):
                # By the directory's descriptor: others may change the tree meanwhile.
                set_file_label(f"/proc/self/fd/{descriptor}/{name}", label)
    set_file_label(path, label)


def labelled(options: list[str], label: str) -> list[str]:
    """The options of a new mount whose files all have the SELinux label (mount(8), ``context=``), unless they say so
    already. The quotes keep the commas of a level in it."""
    if not label or any(option.startswith(_CONTEXTS) for option in options):
        return options
    return [*options, f'context="{label}"']


def _exists(name: str, opened: Callable[..., int]) -> bool:
    try:
        os.close(opened(name))
    except FileNotFoundError:
        return False
    return True


def _is_confined(name: str, opened: Callable[..., int]) -> bool:
    descriptor = opened(name, os.O_RDONLY)
    try:
        return not os.read(descriptor, 4096).startswith(b"unconfined")
    finally:
        os.close(descriptor)


def _write(name: str, text: str, opened: Callable[..., int]) -> None:
    descriptor = opened(name)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
