"""When a spent quota is renewed, as servers tell it in headers beside, or in place of, `Retry-After`.

A server sends these with every answer; they ask for a pause only when the quota is spent: the answer is a 429, or what
remains is 0. Of several quotas the one that is renewed last counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from seawall.errors.reading import header, iso_date, usable

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: `RateLimit: "default";r=0;t=30` and the older `limit=10, remaining=0, reset=30`.
_REMAINING = re.compile(r"(?:^|[;,\s])(?:r|remaining)=(\d+)")
_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d+(?:\.\d+)?)")
_EPOCH = 1e9  # a larger number is a moment and not a span: as a span it would be thirty years
_EPOCH_MS = 1e12

#: (what remains, when it is renewed), without the prefix for a kind of quota.
_PAIRS = (
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
)


def from_quota_headers(headers: Mapping[str, str], status: int | None, here: float) -> float | None:
    """Seconds until a spent quota is renewed; None if none is spent or nothing usable is said.

    Args:
        headers: of the answer.
        status: of the answer; 429 means that one of the quotas is spent, though none may say so.
        here: the moment of the answer, seconds since the epoch, for resets that are given as a moment.

    Source: draft-ietf-httpapi-ratelimit-headers; the documentation of GitHub, OpenAI and Anthropic.
    """
    spent: list[float] = []
    unknown: list[float] = []
    for remaining_name, reset_name in _PAIRS:
        reset = _reset(header(headers, reset_name), here)
        if reset is None:
            continue
        remaining = usable(header(headers, remaining_name))
        if remaining is None:
            unknown.append(reset)
        elif remaining == 0:
            spent.append(reset)
    structured = header(headers, "ratelimit")
    if structured is not None:
        for item in structured.split(', "') if '"' in structured else (structured,):
            reset_match = _RESET.search(item)
            if reset_match is None:
                continue
            left = _REMAINING.search(item)
            (unknown if left is None else spent if int(left[1]) == 0 else []).append(float(reset_match[1]))
    if spent:
        return max(spent)
    return max(unknown) if unknown and status == 429 else None


def _reset(text: str | None, here: float) -> float | None:
    """Seconds from `here`, of a span ("30", "6m0s", "120ms") or a moment (epoch in s or ms, RFC 3339)."""
    if text is None:
        return None
    number = usable(text)
    if number is not None:
        if number >= _EPOCH_MS:
            return max(0.0, number / 1000 - here)
        return max(0.0, number - here) if number >= _EPOCH else number
    spans = _SPAN.findall(text)
    if spans and "".join(count + unit for count, unit in spans) == text.strip():
        return sum(float(count) * _UNITS[unit] for count, unit in spans)
    moment = iso_date(text)
    return None if moment is None else max(0.0, moment - here)
