"""Variables outside the stages: platforms, predefined arguments, and the ARGs before the first FROM.

Dockerfile reference, "ARG", "Scope" and "Automatic platform ARGs in the global scope".
"""

from __future__ import annotations

from collections.abc import Mapping

from estiba.dockerfile.expand import ExpansionError, expand
from estiba.dockerfile.instructions import Arg
from estiba.oci.platform import Platform
from estiba.values import NamedTuple

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Predefined arguments: a build argument of this name, in either case, reaches every RUN and no cache key."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH where an image sets none."""


class Scope(NamedTuple):
    """What FROM may use. A stage sees one of these only after naming it with ARG."""

    variables: Mapping[str, str]
    build_args: Mapping[str, str]
    platform: Platform
    build_platform: Platform

    @property
    def proxies(self) -> tuple[tuple[str, str], ...]:
        """The build arguments that are proxies, sorted by name."""
        return tuple(sorted((name, value) for name, value in self.build_args.items() if name.upper() in PROXIES))


def global_scope(
    arguments: tuple[Arg, ...],
    *,
    escape: str,
    build_args: Mapping[str, str],
    platform: Platform,
    build_platform: Platform,
    target: str,
) -> Scope:
    """Evaluate the ARGs before the first FROM; a build argument wins over a default.

    Raises:
        DockerfileError: a default that cannot be expanded.
    """
    variables = {
        **_platform_variables("BUILD", build_platform),
        **_platform_variables("TARGET", platform),
        "TARGETSTAGE": target or "default",
    }
    variables.update({name: build_args[name] for name in variables if name in build_args})
    for argument in arguments:
        for name, default in argument.arguments:
            if name in build_args:
                variables[name] = build_args[name]
            elif default is not None:
                try:
                    variables[name] = expand(default, variables, escape=escape).text
                except ExpansionError as error:
                    raise argument.at.error(str(error), word=default) from None
    return Scope(variables, build_args, platform, build_platform)


def _platform_variables(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": platform.os_version,
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }
