"""Reading a bundle: config.json checked for what this runtime must do and cannot (runtime-spec, config.md).

Unknown properties are ignored, as the spec demands; a known one that we do not carry out is refused, never ignored.
"""

from __future__ import annotations

import os

from estiba.errors import NotThereYet
from estiba.linux.mountpoints import PROPAGATION_OPTIONS
from estiba.linux.namespaces import NAMESPACES
from estiba.runtime import json_text
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

# property of `linux`, of `process` and of one of `mounts` -> why it is refused
_NOT_THERE = {
    "linux": ("intelRdt", "mountLabel", "timeOffsets", "memoryPolicy", "netDevices"),
    "process": ("selinuxLabel", "scheduler", "ioPriority", "execCPUAffinity"),
    "mount": ("uidMappings", "gidMappings"),
}
_NOT_THERE_OPTIONS = frozenset(("idmap", "ridmap"))


class Bundle:
    """A bundle directory and its config; `text` is config.json as it was."""

    __slots__ = ("config", "directory", "text")

    def __init__(self, directory: str, config: dict[str, Any], text: str) -> None:
        self.directory = directory
        self.config = config
        self.text = text

    @property
    def rootfs(self) -> str:
        """The root filesystem's absolute path, links resolved."""
        return os.path.realpath(os.path.join(self.directory, self.config["root"]["path"]))


def load_bundle(directory: str) -> Bundle:
    """The bundle in `directory`.

    Raises:
        BadBundle: there is none, or it asks for something impossible.
        NotThereYet: it asks for something that this runtime does not do.
    """
    absolute = os.path.realpath(directory)
    try:
        with open(os.path.join(absolute, "config.json"), encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        raise BadBundle(f"the bundle {absolute} has no readable config.json: {error.strerror}") from None
    config = json_text.loads(text, what=f"{absolute}/config.json")
    bundle = Bundle(absolute, config, text)
    _check(bundle)
    return bundle


def check_process(process: Mapping[str, Any]) -> None:
    """Raise BadBundle or NotThereYet for a `process` object that cannot be carried out."""
    arguments = process.get("args")
    if not arguments or not all(isinstance(a, str) and "\0" not in a for a in arguments):
        raise BadBundle("process.args must name a program")
    if not str(process.get("cwd", "")).startswith("/"):
        raise BadBundle(f"process.cwd must be an absolute path, not {process.get('cwd')!r}")
    _refuse("process", process)


def _check(bundle: Bundle) -> None:
    config = bundle.config
    if not isinstance(config, dict) or not str(config.get("ociVersion", "")).startswith("1."):
        raise BadBundle(f"config.json must be of ociVersion 1.x, not {config.get('ociVersion')!r}")
    if not isinstance(config.get("root"), dict) or not config["root"].get("path"):
        raise BadBundle("config.json has no root.path")
    if not os.path.isdir(bundle.rootfs):
        raise BadBundle(f"the root filesystem {bundle.rootfs} is not a directory")
    if "process" not in config:
        raise BadBundle("config.json has no process")
    check_process(config["process"])
    for name in ("windows", "solaris", "vm", "zos", "freebsd"):
        if config.get(name):
            raise BadBundle(f"config.json is for another platform: it has {name!r}")
    linux = config.get("linux") or {}
    _refuse("linux", linux)
    propagation = linux.get("rootfsPropagation")
    if propagation and propagation not in PROPAGATION_OPTIONS:
        raise BadBundle(f"there is no propagation {propagation!r}")
    _check_namespaces(linux.get("namespaces") or ())
    for mount in config.get("mounts") or ():
        if not str(mount.get("destination", "")).startswith("/"):
            # The spec demands an absolute path; older images' tools leave the slash out, and all runtimes add it.
            mount["destination"] = "/" + str(mount.get("destination", ""))
        _refuse("mount", mount)
        unsupported = _NOT_THERE_OPTIONS.intersection(mount.get("options") or ())
        if unsupported:
            raise NotThereYet(f"the mount option {min(unsupported)!r} (on {mount['destination']}) is not there yet")
    for name in config.get("hooks") or {}:
        if name not in HOOKS:
            raise BadBundle(f"there is no hook {name!r}")


def _check_namespaces(namespaces: Any) -> None:
    kinds = [namespace.get("type") for namespace in namespaces]
    for kind in kinds:
        if kind not in NAMESPACES:
            raise BadBundle(f"there is no namespace {kind!r}")
        if kind == "time":
            raise NotThereYet("time namespaces are not there yet")
    if len(set(kinds)) < len(kinds):
        raise BadBundle("linux.namespaces names one twice")
    if "mount" not in kinds:
        raise BadBundle("linux.namespaces lacks the mount namespace, without which the host's mounts would change")


def _refuse(kind: str, document: Mapping[str, Any]) -> None:
    for name in _NOT_THERE[kind]:
        if document.get(name):
            raise NotThereYet(f"the property {kind}.{name} is not there yet")
