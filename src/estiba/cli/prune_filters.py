"""Docker's filters of `image prune`: ``until=TIME``, ``label=NAME[=VALUE]`` and ``label!=NAME[=VALUE]``."""

from __future__ import annotations

import time

from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estiba.store.store import Store
    from estiba.store.uses import Use


def spared(store: Store, filters: Sequence[str]) -> tuple[Use, ...]:
    """A use for each image that the filters do not let go.

    Raises:
        InvalidInput: another filter, or a time that is none.
    """
    from estiba.store.uses import IMAGE, Use

    wanted = [_parsed(text) for text in filters]
    kept = []
    for record in store.images.list() if wanted else ():
        labels = dict(store.images.config(record.id).run.labels)
        if not all(_matches(key, value, record.created, labels) for key, value in wanted):
            kept.append(Use("filter", IMAGE, str(record.id)))
    return tuple(kept)


def _parsed(text: str) -> tuple[str, str]:
    from estiba.cli.times import moment
    from estiba.image.assemble import unix_seconds

    key, equals, value = text.partition("=")
    if not equals or key not in ("until", "label", "label!"):
        raise InvalidInput(f"invalid filter {text!r}", remedy="There are until=TIME, label=NAME and label!=NAME.")
    return (key, str(unix_seconds(moment(value, now=time.time())))) if key == "until" else (key, value)


def _matches(key: str, value: str, created: float, labels: dict[str, str]) -> bool:
    if key == "until":
        return created < float(value)
    name, equals, wanted = value.partition("=")
    has = name in labels and (not equals or labels[name] == wanted)
    return has == (key == "label")
