"""Whether labels are what a filter asks for, in Docker's words: ``NAME``, or ``NAME=VALUE``. Pure."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def matches_label(labels: Mapping[str, str], text: str) -> bool:
    """Whether there is the label of ``NAME`` with any value, or that of ``NAME=VALUE`` with this one."""
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)


def matches_labels(labels: Mapping[str, str], filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether `labels` have all that the filter ``label`` names, and nothing that ``label!`` does."""
    wanted, unwanted = filters.get("label", ()), filters.get("label!", ())
    return all(matches_label(labels, text) for text in wanted) and not any(
        matches_label(labels, text) for text in unwanted
    )
