"""Candidates for a pipeline: guards and queues beside the live ones, which only tell what they would have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seawall.core.errors import ConfigurationError
from seawall.errors.text import describe_error
from seawall.pipeline.order import check_order

if TYPE_CHECKING:
    from seawall.policies.base import PolicyBase


class Shadows:
    """The candidates of one pipeline.

    They stand where its guards and queues stand, inside the retry, and see every attempt that these are asked for:
    those the live ones refuse end unsent for the candidates too. Each lets everything through, so one further in also
    sees what one further out would have refused.

    Args:
        name: the pipeline's.
        candidates: circuit breakers, rate limiters and bulkheads that stand in no pipeline yet.

    Raises:
        ConfigurationError: for other policies, for one that is in use, or for an order that is plainly wrong.
    """

    shape = "beside"

    def __init__(self, name: str, candidates: Sequence[PolicyBase]) -> None:
        check_order(f"{name}, shadow", candidates)
        for one in candidates:
            where = f'Pipeline "{name}": shadow: {type(one).__name__}'
            if one.shape not in {"guard", "queue"}:
                raise ConfigurationError(
                    f"{where} decides on no admission; give CircuitBreaker, RateLimiter or Bulkhead"
                )
            if one.pipelines:
                raise ConfigurationError(
                    f"{where} is in use elsewhere and would refuse nothing there; give one of its own"
                )
        self.name = name
        self.candidates = tuple(candidates)
        self.errors: Counter[str] = Counter()  #: what went wrong in a candidate, by its name; the call never sees it
        self.last_error = ""
        for one in self.candidates:
            one.shadow_begin()

    def failed(self, policy: PolicyBase, error: Exception) -> None:
        """A candidate has raised: a rule for its key, say, that does not fit."""
        self.errors[policy.name] += 1
        self.last_error = describe_error(error)

    def among(self, policies: Sequence[PolicyBase]) -> list[object]:
        """Policies, outermost first, with the candidates where the guards and queues begin."""
        place = next(
            (at for at, one in enumerate(policies) if one.shape in {"guard", "queue"}),
            max((at + 1 for at, one in enumerate(policies) if one.shape in {"loop", "cache"}), default=0),
        )
        return [*policies[:place], self, *policies[place:]]
