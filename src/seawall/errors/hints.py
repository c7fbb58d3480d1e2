"""How long the dependency asks us to wait: `Retry-After` in its forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from seawall.errors.status import headers_of


def retry_after_of(thing: Any, wall: float) -> float | None:
    """Seconds a failed call's error or response asks to wait, or None if it says nothing usable.

    Read in this order: a number or timedelta in the attribute `retry_after`; the header `retry-after-ms`; `Retry-After`
    as seconds (whole or not) or as an HTTP date, measured against the response's own `Date` when it has one, so that a
    wrong clock on either side does not matter. NaN, infinite and negative values are ignored.

    Args:
        thing: an exception or a response.
        wall: wall time now, used for dates without a `Date` header.

    Source: RFC 9110 section 10.2.3.
    """
    attribute = getattr(thing, "retry_after", None)
    if attribute is not None:
        seconds = attribute.total_seconds() if hasattr(attribute, "total_seconds") else attribute
        found = _usable(seconds)
        if found is not None:
            return found
    headers = headers_of(thing)
    return None if headers is None else _from_headers(headers, wall)


def _from_headers(headers: Mapping[str, str], wall: float) -> float | None:
    """The wait that response headers ask for."""
    milliseconds = _usable(_header(headers, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = _header(headers, "retry-after")
    if text is None:
        return None
    seconds = _usable(text)
    if seconds is not None:
        return seconds
    until = _date(text)
    if until is None:
        return None
    sent = _date(_header(headers, "date") or "")
    return max(0.0, until - (wall if sent is None else sent))


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """One header by its name in lower case or as it is usually written (plain dictionaries care)."""
    value = headers.get(name)
    if value is None:
        value = headers.get("-".join(part.capitalize() for part in name.split("-")))
    return None if value is None else str(value)


def _usable(value: Any) -> float | None:
    """`value` as a finite number of at least 0, or None."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # an int may be larger than a float holds
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(text: str) -> float | None:
    """An HTTP date as seconds since the epoch, or None."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # late: it pulls in the e-mail package

    try:
        moment = parsedate_to_datetime(text)
        # without a zone, or with "-0000", it is UTC and not what the machine's zone makes of it
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
