"""What can be bootstrapped, and as what: pure."""

from __future__ import annotations

from typing import NamedTuple

from estiba.errors import InvalidInput
from estiba.oci.image_config import RunConfig
from estiba.oci.reference import Reference

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Recipe(NamedTuple):
    """A base image: `distribution`, the `suite` of its archive ("" where there is none), its name and configuration."""

    distribution: str
    suite: str
    name: Reference
    run: RunConfig
    history: str


def recipe(text: str) -> Recipe:
    """Read ``DISTRO[:RELEASE]``, such as ``debian:bookworm`` or ``busybox``.

    Raises:
        InvalidInput: another distribution, or a release that cannot be one.
    """
    distribution, _, release = text.partition(":")
    if distribution == "busybox":
        if release not in ("", "latest"):
            raise InvalidInput(
                f"busybox has no release {release!r} here: it is the one that this machine has installed",
                remedy="Write `estiba bootstrap busybox`; --tag gives it another name.",
            )
        run = RunConfig(env=(_PATH,), cmd=("sh",))
        return Recipe("busybox", "", Reference.parse("busybox:latest"), run, "bootstrap busybox")
    if distribution == "debian":
        suite = release or "stable"
        if not suite.isascii() or not suite.replace("-", "").isalnum():
            raise InvalidInput(f"{suite!r} is not a Debian release", remedy="Write such as debian:bookworm.")
        suite = "stable" if suite == "latest" else suite
        run = RunConfig(env=(_PATH,), cmd=("bash",))
        name = Reference.parse(f"debian:{'latest' if suite == 'stable' else suite}")
        return Recipe("debian", suite, name, run, f"bootstrap debian:{suite}")
    raise InvalidInput(
        f"there is no recipe for {distribution!r}",
        remedy="`estiba bootstrap debian:bookworm` and `estiba bootstrap busybox` are there. Pull others.",
    )
