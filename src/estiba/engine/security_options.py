"""``--security-opt``: what each option asks for, as the command line and Docker's API take them."""

from __future__ import annotations

from estiba.engine.options import Security
from estiba.errors import InvalidInput, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def with_options(security: Security, options: Iterable[str], *, profile: Callable[[str], str]) -> Security:
    """`security` with what the options ask for. `profile` gives the JSON text of what follows ``seccomp=``.

    Raises:
        InvalidInput: an option has no such value, or a profile is none. NotThereYet: an option that Estiba has not.
        Unavailable: the kernel has not what it takes. What `profile` raises.
    """
    labels: tuple[str, ...] = ()
    for option in options:
        name, value = _split(option)
        if name == "seccomp" and value:
            security = security._replace(seccomp=_seccomp(value, profile))
        elif name == "systempaths" and value == "unconfined":
            security = security._replace(shows_system_paths=True)
        elif name == "no-new-privileges" and value in ("", "true", "false"):
            security = security._replace(allow_new_privileges=value == "false")
        elif name == "no-new-privileges":
            raise InvalidInput(f"invalid --security-opt {option[:80]!r}", remedy="Its value is true or false.")
        elif name == "apparmor" and value:
            from estiba.engine.label_options import apparmor

            security = security._replace(apparmor=apparmor(value))
        elif name == "label" and value:
            labels += (value,)
        else:
            raise NotThereYet(
                f"the security option {option[:80]!r} is not there yet",
                remedy="There are seccomp, no-new-privileges, apparmor, label and systempaths.",
            )
    if labels:
        from estiba.engine.label_options import label

        process, files = label(labels)
        security = security._replace(process_label=process, mount_label=files)
    return security


def _split(option: str) -> tuple[str, str]:
    """``NAME=VALUE``, or as it was once written ``NAME:VALUE``. A value may have both signs: it may be JSON."""
    name, equals, value = option.partition("=")
    if not equals or ":" in name:
        name, _, value = option.partition(":")
    return name, value


def _seccomp(value: str, profile: Callable[[str], str]) -> str:
    if value == "unconfined":
        return value
    if value == "builtin":
        return "default"
    from estiba.engine.seccomp_profile import parsed

    text = profile(value)
    parsed(text)
    return text
