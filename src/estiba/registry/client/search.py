"""Search: the repositories of one registry whose names have a word in them, from the catalog that it tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from estiba.errors import NotThereYet
from estiba.oci.reference import DEFAULT_REGISTRY
from estiba.registry.client.login import registry_named
from estiba.values import NamedTuple


class Search(NamedTuple):
    """What is looked for, and where."""

    registry: str
    word: str


def parse_search(text: str) -> Search:
    """``REGISTRY/WORD``; no word finds everything.

    Raises:
        NotThereYet: no registry is named, or Docker Hub, which has no catalog but a search of its own.
    """
    first, slash, word = text.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    registry = registry_named(first) if is_host else DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY:
        raise NotThereYet(
            "searching Docker Hub is not there yet: it tells no catalog",
            remedy=f"Name a registry that does, such as localhost:5000/{(word if is_host else text) or 'WORD'}.",
        )
    return Search(registry, word)


def found(search: Search, repositories: Iterable[str], *, most: int) -> list[str]:
    """At most so many repositories with the word in their names, by which they can be pulled: what has just this name
    first, then what begins with it."""
    word = search.word.lower()
    chosen = sorted((name for name in repositories if word in name), key=lambda name: _distance(name, word))
    return [f"{search.registry}/{name}" for name in chosen[:most]]


def _distance(name: str, word: str) -> tuple[bool, bool, str]:
    last = name.rpartition("/")[2]
    return word not in (name, last), not name.startswith(word) and not last.startswith(word), name
