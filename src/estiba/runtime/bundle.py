"""Reading a bundle: config.json checked for what this runtime must do and cannot (runtime-spec, config.md).

Unknown properties are ignored, as the spec demands; a known one that we do not carry out is refused, never ignored.
"""

from __future__ import annotations

import os

from estiba.errors import NotThereYet
from estiba.linux import capabilities
from estiba.linux.mountpoints import PROPAGATION_OPTIONS
from estiba.linux.namespaces import NAMESPACES
from estiba.oci import json_text
from estiba.runtime.errors import BadBundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

_LABELS = ("selinuxLabel", "mountLabel", "apparmorProfile")
_RLIMIT_NUMBERS = 1 << 64  # modulo these, -1 is RLIM_INFINITY, the greatest
_OFFSET_CLOCKS = ("monotonic", "boottime")


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


def load_bundle(directory: str, *, config: str = "") -> Bundle:
    """The bundle in `directory`, whose config.json may lie elsewhere (`config`).

    Raises:
        BadBundle: there is none, or it asks for something impossible.
        NotThereYet: it asks for something that this runtime does not do.
    """
    absolute = os.path.realpath(directory)
    path = os.path.abspath(config) if config else os.path.join(absolute, "config.json")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        if config:
            raise BadBundle(f"the configuration {path} cannot be read: {error.strerror}") from None
        raise BadBundle(f"the bundle {absolute} has no readable config.json: {error.strerror}") from None
    bundle = Bundle(absolute, json_text.loads(text, what=path), text)
    _check(bundle)
    return bundle


def check_process(process: Mapping[str, Any]) -> None:
    """Raise BadBundle or NotThereYet for a `process` object that cannot be carried out."""
    arguments = process.get("args")
    if not arguments or not all(isinstance(a, str) and "\0" not in a for a in arguments):
        raise BadBundle("process.args must name a program")
    if not str(process.get("cwd", "")).startswith("/"):
        raise BadBundle(f"process.cwd must be an absolute path, not {process.get('cwd')!r}")
    kinds = [limit.get("type") for limit in process.get("rlimits") or ()]
    if len(set(kinds)) < len(kinds):
        raise BadBundle("process.rlimits names one limit twice")
    for limit in process.get("rlimits") or ():
        if limit["soft"] % _RLIMIT_NUMBERS > limit["hard"] % _RLIMIT_NUMBERS:
            raise BadBundle(f"process.rlimits: the soft {limit['type']} is above the hard one")
    for name, required in (("scheduler", "policy"), ("ioPriority", "class")):
        if process.get(name) and not process[name].get(required):
            raise BadBundle(f"process.{name} has no {required}")
    _check_labels(process, "process")


def _check_labels(document: Mapping[str, Any], kind: str) -> None:
    asked = [name for name in _LABELS if document.get(name)]
    if not asked:
        return
    # Loaded here for the container's first process too, which can load nothing any more.
    from estiba.linux import labels

    for name in asked:
        module = "AppArmor" if name == "apparmorProfile" else "selinux"
        if not (labels.has_apparmor() if module == "AppArmor" else labels.has_selinux()):
            raise BadBundle(
                f"{kind}.{name} is given, but {module} is disabled or not supported",
                remedy="Leave it out, or boot a kernel that has it.",
            )


def drop_unknown_capabilities(process: Mapping[str, Any]) -> list[str]:
    """Take away what is no capability of any kernel, and give the names: config.md wants a warning, not an error."""
    unknown: list[str] = []
    for kind, names in (process.get("capabilities") or {}).items():
        if not names:
            continue
        if not isinstance(names, list):
            raise BadBundle(f"process.capabilities.{kind} must be a list of names")
        strange = [name for name in names if not capabilities.is_known(name)]
        if strange:
            process["capabilities"][kind] = [name for name in names if name not in strange]
            unknown += [name for name in strange if name not in unknown]
    return unknown


def _check(bundle: Bundle) -> None:
    config = bundle.config
    if not isinstance(config, dict):
        raise BadBundle("config.json must hold an object")
    if not _is_version_1(str(config.get("ociVersion", ""))):
        raise BadBundle(f"config.json must be of ociVersion 1.x.y, not {config.get('ociVersion')!r}")
    if not isinstance(config.get("root"), dict) or not config["root"].get("path"):
        raise BadBundle("config.json has no root.path")
    if joins_mount_namespace(config):
        if not config["root"]["path"].startswith("/"):
            raise BadBundle("root.path must be absolute where the mount namespace exists already")
    elif not os.path.isdir(bundle.rootfs):
        raise BadBundle(f"the root filesystem {bundle.rootfs} is not a directory")
    if "process" in config:
        check_process(config["process"])
    else:
        config["process"] = {"cwd": "/", "args": []}  # it is required when `start` is called, and not before
    for name in ("windows", "solaris", "vm", "zos", "freebsd"):
        if config.get(name):
            raise BadBundle(f"config.json is for another platform: it has {name!r}")
    linux = config.get("linux") or {}
    if linux.get("intelRdt"):
        raise NotThereYet("the property linux.intelRdt is not there yet")
    _check_labels(linux, "linux")
    propagation = linux.get("rootfsPropagation")
    if propagation and propagation not in PROPAGATION_OPTIONS:
        raise BadBundle(f"there is no propagation {propagation!r}")
    _check_namespaces(linux)
    _check_names(config, linux)
    _check_net_devices(linux)
    if joins_mount_namespace(config):
        _check_nothing_to_mount(config)
    for mount in config.get("mounts") or ():
        if not str(mount.get("destination", "")).startswith("/"):
            # The spec demands an absolute path; older images' tools leave the slash out, and all runtimes add it.
            mount["destination"] = "/" + str(mount.get("destination", ""))
        if bool(mount.get("uidMappings")) != bool(mount.get("gidMappings")):
            raise BadBundle(f"the mount on {mount['destination']} needs both uidMappings and gidMappings, or neither")
    _check_hooks(config.get("hooks") or {})


def _is_version_1(text: str) -> bool:
    """Whether it is a version in SemVer 2.0.0 whose major number is 1."""
    numbers = text.partition("+")[0].partition("-")[0].split(".")
    return len(numbers) == 3 and numbers[0] == "1" and all(n.isascii() and n.isdigit() for n in numbers)


def _check_hooks(points: Mapping[str, Any]) -> None:
    for name, hooks in points.items():
        if name not in HOOKS:
            raise BadBundle(f"there is no hook {name!r}")
        for hook in hooks or ():
            if not str(hook.get("path") or "").startswith("/"):
                raise BadBundle(f"a {name} hook needs an absolute path, not {hook.get('path')!r}")
            if hook.get("timeout") is not None and hook["timeout"] <= 0:
                raise BadBundle(f"the timeout of a {name} hook must be more than zero, not {hook['timeout']!r}")


def _check_names(config: Mapping[str, Any], linux: Mapping[str, Any]) -> None:
    """Without a UTS namespace of its own the container would rename the host."""
    kinds = [namespace.get("type") for namespace in linux.get("namespaces") or ()]
    for name in ("hostname", "domainname"):
        if config.get(name) and "uts" not in kinds:
            raise BadBundle(f"{name} needs a UTS namespace in linux.namespaces: it would change the host's")
        if config.get(name) and {f"kernel.{name}", f"kernel/{name}"} & set(linux.get("sysctl") or ()):
            raise BadBundle(f"the sysctl kernel.{name} conflicts with the property {name}", remedy="Give one of them.")


def _check_net_devices(linux: Mapping[str, Any]) -> None:
    devices = linux.get("netDevices") or {}
    if devices and not any(n.get("type") == "network" for n in linux.get("namespaces") or ()):
        raise BadBundle("unable to move network devices without a NET namespace: linux.netDevices needs one")
    for name, settings in devices.items():
        for text in (name, (settings or {}).get("name") or name):
            if not 0 < len(text.encode()) < 16 or text in (".", "..") or any(c in "/:" or c.isspace() for c in text):
                raise BadBundle(f"{text!r} cannot be the name of a network device")


def joins_mount_namespace(config: Mapping[str, Any]) -> bool:
    """Whether the container is to live in a mount namespace that exists, whose mounts are then its owner's affair."""
    namespaces = (config.get("linux") or {}).get("namespaces") or ()
    return any(namespace.get("type") == "mount" and namespace.get("path") for namespace in namespaces)


def _check_nothing_to_mount(config: Mapping[str, Any]) -> None:
    linux = config.get("linux") or {}
    asked = [name for name in ("devices", "maskedPaths", "readonlyPaths", "rootfsPropagation") if linux.get(name)]
    asked += [name for name in ("mounts",) if config.get(name)]
    asked += ["root.readonly"] if config["root"].get("readonly") else []
    if asked:
        raise BadBundle(
            f"{asked[0]} would change a mount namespace that others live in",
            remedy="Leave it out, or leave out the path of the mount namespace.",
        )


def _check_namespaces(linux: Mapping[str, Any]) -> None:
    namespaces = linux.get("namespaces") or ()
    kinds = [namespace.get("type") for namespace in namespaces]
    for kind in kinds:
        if kind not in NAMESPACES:
            raise BadBundle(f"there is no namespace {kind!r}")
    offsets = linux.get("timeOffsets") or {}
    if offsets and not any(n.get("type") == "time" and not n.get("path") for n in namespaces):
        raise BadBundle("linux.timeOffsets needs a new time namespace")
    for clock in offsets:
        if clock not in _OFFSET_CLOCKS:
            raise BadBundle(f"there is no clock {clock!r} that a time namespace could move")
    if len(set(kinds)) < len(kinds):
        raise BadBundle("linux.namespaces names one twice")
    for name in ("uidMappings", "gidMappings"):
        if linux.get(name) and "user" not in kinds:
            raise BadBundle(f"linux.{name} needs a user namespace in linux.namespaces: the ids would be the host's")
    if "mount" not in kinds:
        raise BadBundle("linux.namespaces lacks the mount namespace, without which the host's mounts would change")
