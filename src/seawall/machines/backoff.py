"""How long to wait before the next attempt.

Every rule gives a delay `t` for the n-th retry (n from 0), cut at `cap`; jitter is drawn within that. Cutting first
matters: jitter added before the cut leaves every client at exactly the cap, which is a synchronised herd.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration, function, number

if TYPE_CHECKING:
    from seawall.core.chance import Chance

_LARGEST = math.log(1.7e308)  # of what a float holds
_LONGEST = 1e300  # seconds: an infinite delay could be neither jittered nor waited for

Jitter = Literal["none", "full", "equal", "decorrelated"] | float | tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """What all rules share; use one of the subclasses.

    Args:
        base: the first delay in seconds, at least 0; 0.1 by default, a round trip and then some.
        cap: ceiling of every delay in seconds, at least 0; 10 by default.
        jitter: how chance spreads a delay `t`:
            "none": `t`; "full": U(0, t); "equal": t/2 + U(0, t/2);
            "decorrelated": min(cap, U(base, 3 × the delay before), per call, never shared between calls;
            a share p (0 to 1): t × U(1 − p, 1 + p), what passes the cap is folded back below it;
            a pair (low, high): t × U(low, high), folded likewise.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog (2015).
    """

    base: float = 0.1
    cap: float = 10.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        where = type(self).__name__
        duration(f"{where}.base", self.base, zero=True)
        if not (isinstance(self.cap, int | float) and self.cap >= 0):
            raise ConfigurationError(f"{where}.cap = {self.cap!r}: must be a number of seconds, at least 0")
        jitter = self.jitter
        if isinstance(jitter, tuple):
            if len(jitter) != 2 or not 0 <= jitter[0] <= jitter[1] < math.inf:
                raise ConfigurationError(f"{where}.jitter = {jitter}: a pair must be (low, high) with 0 <= low <= high")
        elif isinstance(jitter, int | float):
            if isinstance(jitter, bool) or not 0 <= jitter <= 1:
                raise ConfigurationError(f"{where}.jitter = {jitter}: a share must lie between 0 and 1")
        elif jitter not in ("none", "full", "equal", "decorrelated"):
            raise ConfigurationError(
                f'{where}.jitter = {jitter!r}: must be "none", "full", "equal", "decorrelated", a share or a pair'
            )

    def raw(self, n: int) -> float:
        """The delay before the n-th retry without cap and jitter."""
        raise NotImplementedError

    def delay(self, n: int, chance: Chance, previous: float | None = None) -> float:
        """Seconds to wait before the n-th retry of a call.

        Args:
            n: 0 for the first retry.
            chance: source of jitter.
            previous: the delay before the last retry of the same call; None for the first.
        """
        cap = min(self.cap, _LONGEST)
        if self.jitter == "decorrelated":
            high = 3 * (self.base if previous is None else previous)
            return min(cap, self.base + max(0.0, high - self.base) * chance())
        t = min(cap, self.raw(n))
        if self.jitter == "none":
            return t
        if self.jitter == "full":
            return t * chance()
        if self.jitter == "equal":
            return t / 2 + t / 2 * chance()
        low, high = self.jitter if isinstance(self.jitter, tuple) else (1 - self.jitter, 1 + self.jitter)
        drawn = t * (low + (high - low) * chance())
        if drawn <= cap:
            return drawn
        # folded, not cut: a cut would pile half of the clients up at exactly the cap, or at 0
        folded = drawn % (2 * cap)
        return min(folded, 2 * cap - folded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Backoff):
    """Always `base`."""

    def raw(self, n: int) -> float:
        """T = base."""
        return self.base


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Backoff):
    """t = base × (n + 1)."""

    def raw(self, n: int) -> float:
        """T = base × (n + 1)."""
        return self.base * (n + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Backoff):
    """t = base × multiplier ** n.

    Args:
        multiplier: at least 1; 2 by default.
    """

    multiplier: float = 2.0

    def __post_init__(self) -> None:
        Backoff.__post_init__(self)
        number("Exponential.multiplier", self.multiplier, least=1.0)

    def raw(self, n: int) -> float:
        """T = base × multiplier ** n; infinite where a float cannot hold it, so that the cap decides."""
        try:
            return self.base * self.multiplier**n
        except OverflowError:  # the power alone is too large; a small base may still bring it back
            if not self.base:
                return 0.0
            exponent = math.log(self.base) + n * math.log(self.multiplier)
            return math.exp(exponent) if exponent < _LARGEST else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Fibonacci(Backoff):
    """t = base × F(n + 1), where F is 1, 1, 2, 3, 5 and so on.

    Args:
        start: the first two numbers, each at least 0 and not both 0; (1, 1) by default, and (1, 2) in some libraries.
    """

    start: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        Backoff.__post_init__(self)
        pair = self.start
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair)):
            raise ConfigurationError(f"Fibonacci.start = {pair!r}: must be two whole numbers of at least 0")
        if pair == (0, 0):
            raise ConfigurationError("Fibonacci.start = (0, 0): every delay would be 0; use (1, 1)")

    def raw(self, n: int) -> float:
        """T = base × F(n + 1); infinite once past what a float can hold."""
        a, b = (float(number) for number in self.start)
        for _ in range(min(n, 1500)):  # F(1477) is the largest that a float holds
            a, b = b, a + b
        return self.base * a if self.base else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(Backoff):
    """t = rule(n): seconds before the n-th retry, from a function of one's own.

    Args:
        rule: takes n (0 for the first retry), gives seconds, at least 0.
        base: used by "decorrelated" jitter only; 0 by default.
    """

    rule: Callable[[int], float]
    base: float = 0.0
    jitter: Jitter = "none"

    def __post_init__(self) -> None:
        Backoff.__post_init__(self)
        function("Custom.rule", self.rule)

    def raw(self, n: int) -> float:
        """T = rule(n)."""
        return self.rule(n)
