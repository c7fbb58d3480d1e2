"""The one order policies make sense in, and the reason for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from seawall.core.errors import ConfigurationError
from seawall.policies.base import PolicyBase

#: Outermost first; `rank` of a policy is its place here.
ORDER = (
    "fallback", "stale_cache", "deadline", "retry", "hedge", "circuit_breaker", "concurrency limit", "rate_limiter",
    "bulkhead", "timeout", "fault",
)  # fmt: skip

_REASONS = {
    ("bulkhead", "retry"): "a retry inside a bulkhead keeps its slot while it sleeps",
    ("rate_limiter", "retry"): "a retry inside a rate limiter spends one token on several calls",
    ("circuit_breaker", "retry"): "a retry inside a circuit breaker hides failures from it and goes on when it is open",
    ("retry", "deadline"): "a deadline inside a retry bounds each attempt, which is what Timeout is for",
    ("circuit_breaker", "fallback"): "a fallback inside a circuit breaker turns every failure into a success for it",
    ("retry", "fallback"): "a fallback inside a retry answers before the second attempt",
    ("deadline", "fallback"): "a fallback inside a deadline has no time left when the deadline has passed",
    ("bulkhead", "circuit_breaker"): "a circuit breaker inside a bulkhead makes refused calls wait for a slot",
    ("bulkhead", "rate_limiter"): "a rate limiter inside a bulkhead keeps a slot while it waits for tokens",
    ("rate_limiter", "circuit_breaker"): "a circuit breaker inside a rate limiter spends tokens on refused calls",
}


def check_order(name: str, policies: Sequence[PolicyBase]) -> None:
    """Refuse an order that is plainly wrong. A `Timeout` may stand anywhere: outside a retry it bounds all attempts.

    Raises:
        ConfigurationError: with the pair, the reason and the right order.
    """
    for policy in policies:
        if not isinstance(policy, PolicyBase):
            raise ConfigurationError(f'Pipeline "{name}": {policy!r} is not a policy of seawall')
    ranked = [policy for policy in policies if policy.kind != "timeout"]
    for outer, inner in pairwise(ranked):
        if outer.rank > inner.rank:
            reason = _REASONS.get((outer.kind, inner.kind), "it would not do what it says")
            right = ", ".join(type(one).__name__ for one in sorted(policies, key=lambda one: one.rank))
            raise ConfigurationError(
                f'Pipeline "{name}": {type(inner).__name__} stands inside {type(outer).__name__}: {reason}. '
                f"Outermost first, this is the order: {right}"
            )
    innermost = policies[-1] if policies else None
    for kind in ("retry", "deadline"):
        if sum(policy.kind == kind for policy in policies) > 1:
            why = "attempts multiply" if kind == "retry" else "only the shorter one can ever matter"
            raise ConfigurationError(f'Pipeline "{name}": two policies of kind {kind}: {why}; use one')
    for place, policy in enumerate(policies):
        if policy.kind == "timeout" and policy is not innermost:
            inner = policies[place + 1]
            if inner.kind not in {"fallback", "deadline", "retry", "timeout"}:
                raise ConfigurationError(
                    f'Pipeline "{name}": Timeout stands outside {type(inner).__name__}: its time would run while '
                    "the call waits in our own queues. Put it innermost (per attempt) or outside Retry (in total)"
                )
