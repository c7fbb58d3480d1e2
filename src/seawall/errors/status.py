"""The HTTP status and headers an exception or a result carries, found without importing any HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def status_of(thing: Any) -> int | None:
    """The HTTP status (100–599) of an exception or a response, or None.

    Looks at `status_code`, `status`, `code` of the thing itself and of its `response`: httpx, requests, aiohttp,
    urllib and most SDKs have one of them.
    """
    for holder in (thing, getattr(thing, "response", None)):
        if holder is None:
            continue
        for attribute in ("status_code", "status", "code"):
            value = getattr(holder, attribute, None)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
                return int(value)
    return None


def headers_of(thing: Any) -> Mapping[str, str] | None:
    """The response headers an exception or a response carries, or None."""
    for holder in (getattr(thing, "response", None), thing):
        headers = getattr(holder, "headers", None)
        if headers is not None and hasattr(headers, "get"):
            return headers  # type: ignore[no-any-return]  # anything with `get` will do
    return None
