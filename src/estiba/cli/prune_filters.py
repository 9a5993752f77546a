"""Docker's filters of prunes: ``until=TIME``, ``label=NAME[=VALUE]`` and ``label!=NAME[=VALUE]``."""

from __future__ import annotations

import time

from estiba.errors import InvalidInput
from estiba.oci.labels import matches_labels
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.store.store import Store
    from estiba.store.uses import Use


def parsed(texts: Sequence[str], *, keys: Sequence[str]) -> dict[str, list[str]]:
    """The values of each key.

    Raises:
        InvalidInput: another key than `keys`.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in keys:
            raise InvalidInput(f"invalid filter {text!r}", remedy=f"Keys are {', '.join(keys)}: KEY=VALUE.")
        found.setdefault(key, []).append(value)
    return found


def spared(store: Store, filters: Sequence[str]) -> tuple[Use, ...]:
    """A use for each image that the filters do not let go.

    Raises:
        InvalidInput: another filter, or a time that is none.
    """
    from estiba.store.uses import IMAGE, Use

    wanted = parsed(filters, keys=("until", "label", "label!"))
    until = [_seconds(text) for text in wanted.get("until", ())]
    kept = []
    for record in store.images.list() if wanted else ():
        labels = dict(store.images.config(record.id).run.labels)
        if not matches_labels(labels, wanted) or any(record.created >= end for end in until):
            kept.append(Use("filter", IMAGE, str(record.id)))
    return tuple(kept)


def _seconds(text: str) -> float:
    from estiba.cli.times import moment
    from estiba.image.assemble import unix_seconds

    return unix_seconds(moment(text, now=time.time()))
