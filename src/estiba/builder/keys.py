"""Cache keys of steps: by content, and with names for every part, so that a miss can say what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from estiba.builder.context.tree import Item
from estiba.graph.protocols import CacheKey, Result
from estiba.graph.vertex import Copy, InlineFile, MakeDirectory, Pairs, Run
from estiba.oci.canonical_json import dumps

_VERSION = "1"
"""Changed when the same inputs begin to give another result."""


def make_key(kind: str, parts: Iterable[tuple[str, str]], *, epoch: int | None) -> CacheKey:
    """The key of these parts."""
    everything = (("step", f"{kind} {_VERSION}"), ("times", "kept" if epoch is None else str(epoch)), *parts)
    return CacheKey(sha256(dumps(everything)).hexdigest(), everything)


def run_parts(operation: Run, inputs: Sequence[Result], mounted: Mapping[int, Pairs]) -> Pairs:
    """What a RUN depends on; `mounted` has for each bind mount of the context, by its number, the files in it."""
    parts = [
        _base(inputs),
        ("command", " ".join(operation.arguments)),
        ("arguments", dumps(operation.arguments).decode()),
    ]
    parts += [("user", operation.user), ("working directory", operation.working_dir)]
    parts += [("network", operation.network), ("security", operation.security)]
    parts += [(f"variable {name}", value) for name, value in operation.env]
    parts += [_inline(file) for file in operation.files]
    for number, mount in enumerate(operation.mounts):
        parts.append((f"mount {mount.target}", dumps(mount.describe()).decode()))
        if mount.source_input >= 0:
            parts.append((f"source of mount {mount.target}", inputs[mount.source_input].chain_id or ""))
        parts += [(f"{name} in mount {mount.target}", value) for name, value in mounted.get(number, ())]
    return tuple(parts)


def copy_parts(operation: Copy, inputs: Sequence[Result], selected: Pairs | None) -> Pairs:
    """What a COPY or ADD depends on: the files of contexts and addresses by `selected`, or with None the whole other
    stage."""
    parts = [
        _base(inputs),
        ("destination", operation.destination),
        ("owner", operation.owner),
        ("mode", operation.mode),
    ]
    flags = [name for name in ("parents", "unpack", "unpacks_urls", "link") if getattr(operation, name)]
    parts.append(("flags", " ".join(flags)))
    parts += [_inline(file) for file in operation.contents]
    if selected is None:
        parts += [("sources", dumps([operation.sources, operation.exclude]).decode())]
        parts += [("source stage", each.chain_id or "") for each in inputs[1:2]]
    else:
        parts += selected
    return tuple(parts)


def directory_parts(operation: MakeDirectory, inputs: Sequence[Result]) -> Pairs:
    return (_base(inputs), ("directory", operation.path), ("owner", operation.owner))


def item_parts(items: Iterable[Item], digests: Mapping[str, str]) -> Pairs:
    """The files of `items`: of each its place in the item, type, mode and content. No time and no owner counts."""
    parts = []
    for item in items:
        parts.append((f"source {item.source}", item.name))
        for entry in item.entries[1 if item.is_directory else 0 :]:
            content = digests.get(entry.source) or entry.target or str(entry.device or "")
            parts.append((f"file {entry.source}", f"{entry.mode:o} {entry.path} {content}"))
    return tuple(parts)


def _base(inputs: Sequence[Result]) -> tuple[str, str]:
    return ("base", inputs[0].chain_id or "scratch")


def _inline(file: InlineFile) -> tuple[str, str]:
    return (
        f"inline file {file.name}",
        f"{file.mode:o} {sha256(file.data.encode('utf-8', 'surrogateescape')).hexdigest()}",
    )
