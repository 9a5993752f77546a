"""A seccomp profile as people write it for ``--security-opt seccomp=FILE`` → the runtime-spec's `linux.seccomp`. Pure.

Docker's form has what depends on the container beside the rules: architectures by the machine's (`archMap`), and rules
that hold only with certain capabilities, machines or kernels (`includes`, `excludes`). The runtime-spec's own form,
which has none of these, is taken as well.
"""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.oci import json_text
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_ACTION_NAMES = "KILL KILL_PROCESS KILL_THREAD TRAP ERRNO TRACE ALLOW LOG NOTIFY"
_ACTIONS = frozenset(f"SCMP_ACT_{name}" for name in _ACTION_NAMES.split())
_OPERATOR_NAMES = "NE LT LE EQ GE GT MASKED_EQ"
_OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in _OPERATOR_NAMES.split())
_NATIVE = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}
_KEPT = ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")
_REMEDY = "Give a file like Docker's default profile, or seccomp=unconfined."


def parsed(text: str) -> dict[str, Any]:
    """The document of a profile's text.

    Raises:
        InvalidInput: it is not JSON, or no profile.
    """
    document = json_text.loads(text, what="the seccomp profile")
    if not isinstance(document, dict) or not isinstance(document.get("syscalls") or [], list):
        raise InvalidInput("the seccomp profile is no JSON object with a list of syscalls", remedy=_REMEDY)
    _check_action(document.get("defaultAction"), "defaultAction")
    if document.get("archMap") and document.get("architectures"):
        raise InvalidInput("the seccomp profile has both architectures and archMap", remedy="Leave one of them out.")
    if not all(isinstance(entry, dict) for entry in _list(document, "archMap", "the seccomp profile")):
        raise InvalidInput("the seccomp profile's archMap is no list of objects", remedy=_REMEDY)
    _texts(document, "architectures", "the seccomp profile")
    _texts(document, "flags", "the seccomp profile")
    for position, rule in enumerate(document.get("syscalls") or ()):
        _check_rule(rule, f"syscalls[{position}]")
    return document


def compiled(
    document: Mapping[str, Any], *, capabilities: Sequence[str], architecture: str, release: tuple[int, int]
) -> dict[str, Any]:
    """The runtime-spec's object for a container with these `capabilities`, on a machine of Go's name `architecture`
    with the kernel `release`."""
    given = frozenset(capabilities)
    rules = [
        _plain(rule)
        for rule in document.get("syscalls") or ()
        if _holds(rule, given=given, architecture=architecture, release=release)
    ]
    found: dict[str, Any] = {"defaultAction": document["defaultAction"]}
    found |= {name: document[name] for name in _KEPT if document.get(name) is not None}
    if architectures := _architectures(document, architecture):
        found["architectures"] = architectures
    return found | {"syscalls": rules}


def _check_rule(rule: Any, place: str) -> None:
    names = _names(rule) if isinstance(rule, dict) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidInput(f"the seccomp profile's {place} names no system call", remedy=_REMEDY)
    if rule.get("name") and rule.get("names"):
        raise InvalidInput(f"the seccomp profile's {place} has both name and names", remedy="Leave name out.")
    _check_action(rule.get("action"), f"{place}.action")
    if not isinstance(rule.get("errnoRet") or 0, int):
        raise InvalidInput(f"the seccomp profile's {place}.errnoRet is no number", remedy=_REMEDY)
    for argument in _list(rule, "args", place):
        if (
            not isinstance(argument, dict)
            or argument.get("op") not in _OPERATORS
            or argument.get("index") not in range(6)
        ):
            raise InvalidInput(f"the seccomp profile's {place} compares an argument in an unknown way", remedy=_REMEDY)
    for kind in ("includes", "excludes"):
        if not isinstance(rule.get(kind) or {}, dict):
            raise InvalidInput(f"the seccomp profile's {place}.{kind} is no JSON object", remedy=_REMEDY)
        condition = rule.get(kind) or {}
        _texts(condition, "caps", f"{place}.{kind}")
        _texts(condition, "arches", f"{place}.{kind}")
        if condition.get("minKernel") is not None:
            _version(condition["minKernel"])


def _list(document: Mapping[str, Any], key: str, place: str) -> list[Any]:
    found = document.get(key) or []
    if not isinstance(found, list):
        raise InvalidInput(f"the {key} of {place} in the seccomp profile is no list", remedy=_REMEDY)
    return found


def _texts(document: Mapping[str, Any], key: str, place: str) -> None:
    if not all(isinstance(text, str) for text in _list(document, key, place)):
        raise InvalidInput(f"the {key} of {place} in the seccomp profile is no list of names", remedy=_REMEDY)


def _check_action(action: object, place: str) -> None:
    if action not in _ACTIONS:
        raise InvalidInput(f"the seccomp profile's {place} is {action!r}, which is no action", remedy=_REMEDY)


def _names(rule: Mapping[str, Any]) -> list[Any]:
    names = rule.get("names") or ([rule["name"]] if rule.get("name") else [])
    return names if isinstance(names, list) else []


def _plain(rule: Mapping[str, Any]) -> dict[str, Any]:
    found = {"names": _names(rule), "action": rule["action"]}
    return found | {name: rule[name] for name in ("errnoRet", "args") if rule.get(name) is not None}


def _holds(rule: Mapping[str, Any], *, given: frozenset[str], architecture: str, release: tuple[int, int]) -> bool:
    """Whether the rule is one for this container: all of `includes`, nothing of `excludes`."""
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    if wanted.get("arches") and architecture not in wanted["arches"]:
        return False
    if not given.issuperset(wanted.get("caps") or ()):
        return False
    if wanted.get("minKernel") and release < _version(wanted["minKernel"]):
        return False
    if architecture in (unwanted.get("arches") or ()) or not given.isdisjoint(unwanted.get("caps") or ()):
        return False
    return not (unwanted.get("minKernel") and release >= _version(unwanted["minKernel"]))


def _version(text: object) -> tuple[int, int]:
    major, _, minor = str(text).partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise InvalidInput(
            f"the seccomp profile's minKernel {text!r} is no kernel version", remedy="Write such as 4.8."
        )
    return int(major), int(minor)


def _architectures(document: Mapping[str, Any], architecture: str) -> list[str]:
    if document.get("architectures"):
        return list(document["architectures"])
    for entry in document.get("archMap") or ():
        if entry.get("architecture") == _NATIVE.get(architecture):
            return [entry["architecture"], *(entry.get("subArchitectures") or ())]
    return []
