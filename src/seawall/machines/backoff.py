"""How long to wait before the next attempt.

Every rule gives a delay `t` for the n-th retry (n from 0), cut at `cap`; jitter is drawn within that. Cutting first
matters: jitter added before the cut leaves every client at exactly the cap, which is a synchronised herd.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration, function, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.core.chance import Chance

_LARGEST = math.log(1.7e308)  # of what a float holds
_LONGEST = 1e300  # seconds: an infinite delay could be neither jittered nor waited for

Jitter = Literal["none", "full", "equal", "decorrelated"] | float | tuple[float, float]


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

    # no dataclass: every program with a retry loads this, and those take long to make
    __slots__ = ("_base", "_cap", "_jitter")

    def __init__(self, *, base: float = 0.1, cap: float = 10.0, jitter: Jitter = "full") -> None:
        where = type(self).__name__
        duration(f"{where}.base", base, zero=True)
        if not (isinstance(cap, int | float) and cap >= 0):
            raise ConfigurationError(f"{where}.cap = {cap!r}: must be a number of seconds, at least 0")
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
        self._base = base
        self._cap = cap
        self._jitter = jitter

    @property
    def base(self) -> float:
        """The first delay in seconds."""
        return self._base

    @property
    def cap(self) -> float:
        """Ceiling of every delay in seconds."""
        return self._cap

    @property
    def jitter(self) -> Jitter:
        """How chance spreads a delay."""
        return self._jitter

    def fields(self) -> dict[str, Any]:
        """What it was made with, by name."""
        return {"base": self.base, "cap": self.cap, "jitter": self.jitter}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backoff) and type(other) is type(self) and other.fields() == self.fields()

    def __hash__(self) -> int:
        return hash((type(self), *self.fields().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.fields().items())})"

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


class Constant(Backoff):
    """Always `base`."""

    __slots__ = ()

    def raw(self, n: int) -> float:
        """T = base."""
        return self.base


class Linear(Backoff):
    """t = base × (n + 1)."""

    __slots__ = ()

    def raw(self, n: int) -> float:
        """T = base × (n + 1)."""
        return self.base * (n + 1)


class Exponential(Backoff):
    """t = base × multiplier ** n.

    Args:
        multiplier: at least 1; 2 by default.
    """

    __slots__ = ("_multiplier",)

    def __init__(
        self, *, base: float = 0.1, cap: float = 10.0, jitter: Jitter = "full", multiplier: float = 2.0
    ) -> None:
        Backoff.__init__(self, base=base, cap=cap, jitter=jitter)
        number("Exponential.multiplier", multiplier, least=1.0)
        self._multiplier = multiplier

    @property
    def multiplier(self) -> float:
        """What each delay is multiplied by to get the next."""
        return self._multiplier

    def fields(self) -> dict[str, Any]:
        """See `Backoff.fields`."""
        return {**Backoff.fields(self), "multiplier": self.multiplier}

    def raw(self, n: int) -> float:
        """T = base × multiplier ** n; infinite where a float cannot hold it, so that the cap decides."""
        try:
            return self.base * self.multiplier**n
        except OverflowError:  # the power alone is too large; a small base may still bring it back
            if not self.base:
                return 0.0
            exponent = math.log(self.base) + n * math.log(self.multiplier)
            return math.exp(exponent) if exponent < _LARGEST else math.inf


class Fibonacci(Backoff):
    """t = base × F(n + 1), where F is 1, 1, 2, 3, 5 and so on.

    Args:
        start: the first two numbers, each at least 0 and not both 0; (1, 1) by default, and (1, 2) in some libraries.
    """

    __slots__ = ("_start",)

    def __init__(
        self, *, base: float = 0.1, cap: float = 10.0, jitter: Jitter = "full", start: tuple[int, int] = (1, 1)
    ) -> None:
        Backoff.__init__(self, base=base, cap=cap, jitter=jitter)
        if not (isinstance(start, tuple) and len(start) == 2 and all(isinstance(n, int) and n >= 0 for n in start)):
            raise ConfigurationError(f"Fibonacci.start = {start!r}: must be two whole numbers of at least 0")
        if start == (0, 0):
            raise ConfigurationError("Fibonacci.start = (0, 0): every delay would be 0; use (1, 1)")
        self._start = start

    @property
    def start(self) -> tuple[int, int]:
        """The first two numbers."""
        return self._start

    def fields(self) -> dict[str, Any]:
        """See `Backoff.fields`."""
        return {**Backoff.fields(self), "start": self.start}

    def raw(self, n: int) -> float:
        """T = base × F(n + 1); infinite once past what a float can hold."""
        a, b = (float(number) for number in self.start)
        for _ in range(min(n, 1500)):  # F(1477) is the largest that a float holds
            a, b = b, a + b
        return self.base * a if self.base else 0.0


class Custom(Backoff):
    """t = rule(n): seconds before the n-th retry, from a function of one's own.

    Args:
        rule: takes n (0 for the first retry), gives seconds, at least 0.
        base: used by "decorrelated" jitter only; 0 by default.
    """

    __slots__ = ("_rule",)

    def __init__(
        self, *, rule: Callable[[int], float], base: float = 0.0, cap: float = 10.0, jitter: Jitter = "none"
    ) -> None:
        Backoff.__init__(self, base=base, cap=cap, jitter=jitter)
        function("Custom.rule", rule)
        self._rule = rule

    @property
    def rule(self) -> Callable[[int], float]:
        """Gives seconds for the n-th retry."""
        return self._rule

    def fields(self) -> dict[str, Any]:
        """See `Backoff.fields`."""
        return {**Backoff.fields(self), "rule": self.rule}

    def raw(self, n: int) -> float:
        """T = rule(n)."""
        return self._rule(n)


USUAL = Exponential()  #: where none is given: one for all retries
