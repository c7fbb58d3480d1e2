"""How long the dependency asks us to wait, in all its forms, and whether it asks us not to come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seawall.errors.reading import header, http_date, usable
from seawall.errors.status import headers_of, status_of


def retry_after_of(thing: Any, wall: float) -> float | None:
    """Seconds a failed call's error or response asks to wait, or None if it says nothing usable.

    Read in this order: a number or timedelta in the attribute `retry_after`; gRPC's `grpc-retry-pushback-ms`; the
    headers `retry-after-ms` and `x-ms-retry-after-ms`; `Retry-After` as seconds (whole or not) or as an HTTP date,
    measured against the response's own `Date` when it has one, so that a wrong clock on either side does not matter;
    the headers that tell when a spent quota is renewed (see `quota_headers`). NaN, infinite and negative values are
    ignored.

    Args:
        thing: an exception or a response.
        wall: wall time now, used for dates without a `Date` header.

    Source: RFC 9110 section 10.2.3; gRFC A6.
    """
    attribute = getattr(thing, "retry_after", None)
    if attribute is not None:
        seconds = attribute.total_seconds() if hasattr(attribute, "total_seconds") else attribute
        found = usable(seconds)
        if found is not None:
            return found
    pushback = _grpc_pushback(thing)
    if pushback is not None:
        found = usable(pushback)
        return None if found is None else found / 1000
    headers = headers_of(thing)
    return None if headers is None else _from_headers(headers, status_of(thing), wall)


def asks_to_stop(thing: Any) -> bool:
    """True if the dependency says that trying again is of no use.

    That is `x-should-retry: false` in a response, or a `grpc-retry-pushback-ms` that is negative or no number.

    Source: gRFC A6, "Pushback".
    """
    pushback = _grpc_pushback(thing)
    if pushback is not None:
        return usable(pushback) is None
    headers = headers_of(thing)
    return headers is not None and (header(headers, "x-should-retry") or "").strip().lower() == "false"


def _from_headers(headers: Mapping[str, str], status: int | None, wall: float) -> float | None:
    """The wait that response headers ask for."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = usable(header(headers, name))
        if milliseconds is not None:
            return milliseconds / 1000
    text = header(headers, "retry-after")
    sent = http_date(header(headers, "date") or "")
    here = wall if sent is None else sent
    if text is not None:
        seconds = usable(text)
        if seconds is not None:
            return seconds
        until = http_date(text)
        if until is not None:
            return max(0.0, until - here)
    from seawall.errors.quota_headers import from_quota_headers  # late: loaded when the first policy was made

    return from_quota_headers(headers, status, here)


def _grpc_pushback(thing: Any) -> str | None:
    """The value of `grpc-retry-pushback-ms` in the trailing metadata of a gRPC error, or None."""
    read = getattr(thing, "trailing_metadata", None)
    if not callable(read):
        return None
    for key, value in _pairs(read()):
        if key.lower() == "grpc-retry-pushback-ms":
            return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return None


def _pairs(metadata: Any) -> Iterator[tuple[str, Any]]:
    """Key and value of every entry of gRPC metadata, whatever holds them."""
    for entry in metadata or ():
        try:
            key, value = entry
        except (TypeError, ValueError):
            continue
        yield str(key), value
