"""JSON with one form for one value: sorted keys, no space, UTF-8, so that equal values have equal digests."""

from __future__ import annotations


def dumps(value: object) -> bytes:
    """Encode `value`; floats that are not numbers are refused.

    Raises:
        ValueError: NaN or infinity. TypeError: a value that JSON has not.
    """
    import json  # here, for few that read documents write any, and json loads regular expressions

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")
