"""Pages of a list: `n` and `last` of the request, `Link` of the answer (distribution-spec, "Listing Tags")."""

from __future__ import annotations

import re

from estiba.registry.protocol import errors
from estiba.registry.protocol.errors import ProtocolError
from estiba.values import NamedTuple

LARGEST_PAGE = 10_000
_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^,;]+)*)")


class Page(NamedTuple):
    """At most `number` entries that come after `last` ("" is from the beginning)."""

    number: int
    last: str


def parse_page(number: str | None, last: str | None) -> Page:
    """Read the query of a list; a larger page than `LARGEST_PAGE` is cut to it.

    Raises:
        ProtocolError: PAGINATION_NUMBER_INVALID.
    """
    if number is None or number == "":
        return Page(LARGEST_PAGE, last or "")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise ProtocolError(
            errors.PAGINATION_NUMBER_INVALID, f"n must be a number of entries, not {number!r}", detail={"n": number}
        )
    return Page(min(int(number), LARGEST_PAGE), last or "")


def link(target: str) -> str:
    """The `Link` header to the next page."""
    return f'<{target}>; rel="next"'


def next_page(header: str) -> str | None:
    """The target of ``rel="next"`` in a `Link` header, None where there is none."""
    for target, parameters in _LINK.findall(header):
        if re.search(r';\s*rel\s*=\s*"?next"?\s*(?:;|$)', parameters, re.IGNORECASE):
            return str(target)
    return None
