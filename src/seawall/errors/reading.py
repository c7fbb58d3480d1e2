"""Reads single values out of headers: what cannot be used is None and never an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def header(headers: Mapping[str, str], name: str) -> str | None:
    """One header by its name in lower case, however it is written."""
    value = headers.get(name)
    if value is None and isinstance(headers, dict):  # plain dictionaries care how it is written
        value = next((each for key, each in headers.items() if str(key).lower() == name), None)
    return None if value is None else str(value)


def usable(value: Any) -> float | None:
    """`value` as a finite number of at least 0, or None."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # an int may be larger than a float holds
        return None
    return number if math.isfinite(number) and number >= 0 else None


def http_date(text: str) -> float | None:
    """An HTTP date as seconds since the epoch, or None."""
    if not text:
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # late: it pulls in the e-mail package

    try:
        moment = parsedate_to_datetime(text)
        # without a zone, or with "-0000", it is UTC and not what the machine's zone makes of it
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def iso_date(text: str) -> float | None:
    """An RFC 3339 moment as seconds since the epoch, or None; without a zone it is UTC."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
