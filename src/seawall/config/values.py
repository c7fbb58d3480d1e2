"""The kinds of values that TOML has no word for: durations, rates, addresses."""

from __future__ import annotations

import math
import re
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator

from seawall.errors.kinds import CATEGORIES, KINDS

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|per)\s*(?:\d+(?:\.\d+)?\s*)?(?:s|min|h|d|(?:second|minute|hour|day)s?)")
JITTERS = ("none", "full", "equal", "decorrelated")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

#: `{payments.address}`, `{python}`: what a text may leave to be filled in when the daemon starts.
PLACEHOLDER = re.compile(r"\{(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*)(?:\.(?P<what>[A-Za-z_]+))?\}")


class Says(NamedTuple):
    """What the reference calls a kind of value."""

    kind: str


def duration(value: object) -> float:
    """Seconds from a number, or from text with a unit: "250ms", "30 s", "5min", "1.5h".

    Raises:
        ValueError: saying what a duration looks like.
    """
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is not None:
            return float(found.group(1)) * _SECONDS[found.group(2)]
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError('must be a duration: seconds as a number (30), or text with ms, s, min, h or d ("250ms", "5min")')


def rate(value: object) -> str:
    """A rate such as "60/minute", as it is.

    Raises:
        ValueError: saying what a rate looks like.
    """
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            'must be a rate: a number, "/", and second, minute, hour or day, such as "60/minute", or so many of them, '
            'such as "5/10s"'
        )
    if float(found.group(1)) <= 0:
        raise ValueError("must allow at least something: leave rate_limiter out for no limit")
    return found.group() if "per" in found.group() else found.group().replace(" ", "")


def rates(value: object) -> str | list[str]:
    """One rate, or a list of them.

    Raises:
        ValueError: saying what a rate looks like.
    """
    if isinstance(value, list):
        if not value:
            raise ValueError('must hold at least one rate, such as ["10/second", "100/minute"]')
        return [rate(one) for one in value]
    return rate(value)


def jitter(value: object) -> str | float | tuple[float, float]:
    """How waits are spread: a word, a share, or a pair of factors.

    Raises:
        ValueError: saying what it looks like.
    """
    if value in JITTERS:
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int | float) for one in value):
        low, high = float(value[0]), float(value[1])
        if 0 <= low <= high < math.inf:
            return low, high
    raise ValueError(
        f"must be {', '.join(map(repr_toml, JITTERS))}, a share from 0 to 1 (0.25 is ± 25 %), "
        "or two factors [low, high] such as [1.0, 1.1]"
    )


def repr_toml(text: str) -> str:
    """A text in quotes."""
    return f'"{text}"'


class Address(NamedTuple):
    """Where a socket listens or connects."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def address_of(text: str) -> Address:
    """The parts of "host:port"; an IPv6 host stands in brackets.

    Raises:
        ValueError: saying what an address looks like.
    """
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and host) or not port.isascii() or not port.isdigit() or any(c.isspace() or c in "/@" for c in host):
        raise ValueError('must be an address "host:port", such as "127.0.0.1:8900" or "[::1]:8900"')
    if int(port) > 65535:
        raise ValueError("must have a port from 0 to 65535")
    return Address(host, int(port))


def has_placeholder(text: str) -> bool:
    """True when part of `text` is filled in later."""
    return PLACEHOLDER.search(text) is not None


def one_or_many(value: object) -> object:
    """`listen = "…"` means `listen = ["…"]`."""
    return [value] if isinstance(value, str | int | float) else value


def _listen(text: str) -> str:
    """An address to listen on; port 0 lets the kernel choose."""
    address_of(text)
    return text.strip()


def _target(text: str) -> str:
    """An address to connect to, possibly filled in later."""
    if has_placeholder(text):
        return text
    if address_of(text).port == 0:
        raise ValueError("must have a port from 1 to 65535: there is nothing to connect to at port 0")
    return text.strip()


def _url(text: str) -> str:
    """An http or https address, possibly filled in later."""
    remedy = 'must be an address such as "http://127.0.0.1:8080/health" or "http://{payments.address}/health"'
    try:
        parts = urlsplit(PLACEHOLDER.sub("placeholder", text))
        _ = parts.port  # read for its check of the range
    except ValueError:
        raise ValueError(remedy) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() for c in text):
        raise ValueError(remedy)
    return text


def _name(text: str) -> str:
    """A name that is safe in file names, labels, addresses and placeholders."""
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            "must be a name of letters, digits, _ and -, at most 63 of them, and begin with a letter or digit"
        )
    return text


def _kind(text: str) -> str:
    """The name of a kind or category of errors.

    Raises:
        ValueError: listing the known ones.
    """
    if text not in KINDS and text not in CATEGORIES:
        raise ValueError(f"must be a kind or category of errors: {', '.join(sorted({*KINDS, *CATEGORIES}))}")
    return text


Duration = Annotated[float, BeforeValidator(duration), Says("duration")]
Rate = Annotated[str, BeforeValidator(rate), Says("rate")]
Rates = Annotated[str | list[str], PlainValidator(rates), Says("rate or list of rates")]
Jitter = Annotated[str | float | tuple[float, float], PlainValidator(jitter), Says("text, number or pair")]
Listen = Annotated[str, AfterValidator(_listen), Says("address")]
Target = Annotated[str, AfterValidator(_target), Says("address")]
KindOfError = Annotated[str, AfterValidator(_kind), Says("kind of error")]
Url = Annotated[str, AfterValidator(_url), Says("http address")]
Name = Annotated[str, AfterValidator(_name), Says("name")]
