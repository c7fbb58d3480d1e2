"""What a check is, and what one run of it gives."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from seawall.core.clock import current_clock
from seawall.core.errors import ConfigurationError
from seawall.errors.text import describe_error
from seawall.events.words import seconds
from seawall.machines.health import HealthOptions, Status


class CheckResult(NamedTuple):
    """One run of a check.

    `error_message` is a short sentence of what is wrong, safe to show ("" when healthy); `details` are plain values
    (text, numbers, booleans) for people and metrics.
    """

    service_name: str
    status: Status
    response_time_ms: float
    details: Mapping[str, Any]
    error_message: str


class Finding(NamedTuple):
    """What a probe found, before the time it took is known."""

    status: Status
    error_message: str = ""
    details: Mapping[str, Any] = {}


class Check(Protocol):
    """What the monitor runs. Every class of this package is one; so is any object with these names."""

    @property
    def name(self) -> str:
        """Unique among the checks."""

    @property
    def kind(self) -> str:
        """One word, such as "disk" or "http"."""

    @property
    def interval(self) -> float:
        """Seconds from the start of one run to the start of the next."""

    @property
    def timeout(self) -> float:
        """Seconds one run may take."""

    @property
    def critical(self) -> bool:
        """True if the service cannot work without what is checked."""

    @property
    def dependency(self) -> str:
        """Name of the dependency it speaks about."""

    @property
    def options(self) -> HealthOptions:
        """Rise, fall and staleness."""

    async def run(self) -> CheckResult:
        """Look once. What it raises counts as unhealthy."""


@dataclass(frozen=True, kw_only=True)
class BaseCheck:
    """Options that every check has.

    Args:
        name: unique among the checks.
        interval: seconds between the starts of two runs, > 0; 10 by default.
        timeout: seconds one run may take, > 0 and at most `interval`; 5 by default, but never above `interval`.
        critical: True if the service cannot work without it: unhealthy then means not ready.
        rise: better results in a row before the status gets better, from 1; 1 by default.
        fall: worse results in a row before it gets worse, from 1; 3 by default.
        stale_after: seconds after which the last result says nothing; 3 × interval + timeout if not given.
        dependency: what the check speaks about, if that has another name; what carries one name is one row of the page.
    """

    name: str
    interval: float = 10.0
    timeout: float = 5.0
    critical: bool = False
    rise: int = 1
    fall: int = 3
    stale_after: float | None = None
    dependency: str = ""

    kind = "check"

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigurationError("check: name is empty: give it a name that people will read at night.")
        for field in ("interval", "timeout"):
            value = getattr(self, field)
            if not (value > 0 and math.isfinite(value)):
                raise self._wrong(field, value, "must be more than 0 seconds")
        if self.timeout > self.interval:
            raise self._wrong("timeout", self.timeout, f"must be at most the interval of {seconds(self.interval)}")
        for field in ("rise", "fall"):
            if getattr(self, field) < 1:
                raise self._wrong(field, getattr(self, field), "must be at least 1 (results in a row)")
        if self.stale_after is not None and not self.stale_after > self.interval:
            raise self._wrong("stale_after", self.stale_after, f"must be more than the interval of {self.interval:g} s")
        if not self.dependency:
            object.__setattr__(self, "dependency", self.name)

    def _wrong(self, field: str, value: object, remedy: str) -> ConfigurationError:
        """The error for one wrong option."""
        return ConfigurationError(f'check "{self.name}": {field} = {value!r}: {remedy}.')

    @property
    def options(self) -> HealthOptions:
        """Rise, fall and staleness, as the machine takes them."""
        stale = 3 * self.interval + self.timeout if self.stale_after is None else self.stale_after
        return HealthOptions(self.rise, self.fall, stale)

    async def run(self) -> CheckResult:
        """Look once, within `timeout`.

        Returns:
            The result with the time it took; what the probe raised and a timeout are unhealthy results.
        """
        clock = current_clock()
        began = clock.now()
        try:
            async with asyncio.timeout(self.timeout):
                finding = await self.probe()
        except TimeoutError:
            finding = Finding(Status.UNHEALTHY, f"no answer within {seconds(self.timeout)}")
        except (OSError, ValueError, RuntimeError) as error:
            finding = Finding(Status.UNHEALTHY, describe_error(error))
        took = max(0.0, clock.now() - began) * 1000
        return CheckResult(self.name, finding.status, took, finding.details, finding.error_message)

    async def probe(self) -> Finding:
        """Find out how it is; what every check has of its own."""
        raise NotImplementedError
