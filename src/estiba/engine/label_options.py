"""`--security-opt apparmor=…` and `label=…`, where the kernel has what they name."""

from __future__ import annotations

import os

from estiba.engine import selinux
from estiba.errors import Unavailable
from estiba.linux import labels

_CONFIG = "/etc/selinux"


def apparmor(profile: str) -> str:
    """The profile that the container is to have.

    Raises:
        Unavailable: the kernel has no AppArmor.
    """
    if labels.has_apparmor():
        return profile
    if profile == "unconfined":
        return ""
    raise Unavailable(
        f"the AppArmor profile {profile!r} cannot be had: this kernel has no AppArmor, or it is off",
        remedy="Leave it out, or give apparmor=unconfined.",
    )


def label(options: tuple[str, ...], *, config: str = _CONFIG) -> tuple[str, str]:
    """The labels of the container's processes and of its files; "" for both with ``disable``.

    Raises:
        Unavailable: the kernel has no SELinux, or its policy knows no containers. InvalidInput: an option is none.
    """
    if "disable" in options:
        return "", ""
    if not labels.has_selinux():
        raise Unavailable(
            f"label={options[0]} cannot be had: this kernel has no SELinux, or it is off",
            remedy="Leave it out, or give label=disable.",
        )
    base = selinux.contexts(_text(f"{config}/{_policy(config)}/contexts/lxc_contexts"))
    if base is None:
        raise Unavailable(
            f"the SELinux policy {_policy(config)!r} knows no containers", remedy="Install container-selinux."
        )
    own_level = selinux.level(int.from_bytes(os.urandom(4), "little"))
    found = selinux.with_options(base, options, own_level=own_level)
    return found.process, found.files


def _policy(config: str) -> str:
    for line in _text(f"{config}/config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "SELINUXTYPE":
            return value.strip()
    return "targeted"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
