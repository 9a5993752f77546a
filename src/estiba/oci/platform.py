"""Platforms: for which operating system and architecture an image is (image-spec, image-index.md, "platform")."""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.values import NamedTuple

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")

# What uname(2) and people call an architecture -> (architecture, variant) as Go and the image-spec call it.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "386": ("386", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv5l": ("arm", "v5"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v7"),
    "arm": ("arm", "v7"),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
}


class Platform(NamedTuple):
    """`os` and `architecture` are Go's names (``linux``, ``amd64``); `variant` is "" or such as ``v7``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def of_machine(cls, machine: str) -> Platform:
        """The Linux platform of a machine as uname(2) names it, such as ``x86_64``."""
        architecture, variant = _ARCHITECTURES.get(machine.lower(), (machine.lower(), ""))
        return cls("linux", architecture, variant)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/architecture[/variant]``.

        Raises:
            InvalidInput: another number of parts, or an odd character.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(part and _ALLOWED.issuperset(part) for part in parts):
            raise InvalidInput(
                f"invalid platform {text!r}",
                remedy="Write OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7.",
            )
        architecture, variant = _ARCHITECTURES.get(parts[1].lower(), (parts[1].lower(), ""))
        if len(parts) == 3:
            variant = parts[2].lower()
        if architecture == "arm64" and variant == "v8":
            variant = ""
        return cls(parts[0].lower(), architecture, variant)

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Platform:
        """From a descriptor's `platform` object or an image configuration, which has the same fields."""

        def text(key: str) -> str:
            found = value.get(key, "")
            return found if isinstance(found, str) else ""

        found = value.get("os.features")
        features = tuple(map(str, found)) if isinstance(found, list) else ()
        return cls(text("os"), text("architecture"), text("variant"), text("os.version"), features)

    @property
    def plain(self) -> Platform:
        """What counts when platforms are compared: no version, no features, and no variant that goes without saying."""
        is_default = (self.architecture, self.variant) == ("arm64", "v8")
        return Platform(self.os, self.architecture, "" if is_default else self.variant)

    def to_json(self) -> dict[str, object]:
        value: dict[str, object] = {"architecture": self.architecture, "os": self.os}
        if self.variant:
            value["variant"] = self.variant
        if self.os_version:
            value["os.version"] = self.os_version
        if self.os_features:
            value["os.features"] = list(self.os_features)
        return value

    def can_run(self, image: Platform) -> bool:
        """Whether a machine of this platform runs `image` without emulation."""
        image = image.plain
        if self.os != image.os or self.architecture != image.architecture:
            return False
        if self.architecture == "arm" and self.variant and image.variant:
            return image.variant <= self.variant
        return not image.variant or image.variant == self.variant or not self.variant

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")
