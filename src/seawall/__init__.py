"""Keep working while the things you depend on fail.

    import seawall

    @seawall.protect("network")
    def fetch(sku: str) -> str: ...

See `Pipeline` for the policies in full, and `seawall up` for the daemon that watches them.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from seawall.budgets.retry import RetryBudget
from seawall.core.context import deadline, idempotency_key, remaining
from seawall.core.errors import (
    BulkheadFullError,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExceededError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    SeawallError,
    ShuttingDownError,
    StreamInterruptedError,
    StreamTimedOutError,
    TimedOutError,
)
from seawall.core.ports import load as _load
from seawall.core.verdict import Verdict
from seawall.pipeline.compose import Pipeline
from seawall.pipeline.overrides import override
from seawall.pipeline.registry import Registry, default_registry
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.rate_limiter import Limit, RateLimiter
from seawall.policies.retry import Retry
from seawall.policies.timeout import Deadline, Timeout

if _TYPE_CHECKING:
    from typing import Any

    from seawall.core.outcome import Outcome
    from seawall.drive.manual import ManualPermit
    from seawall.machines.trip import ConsecutiveFailures
    from seawall.machines.trip_windows import FailureCount, FailureRate, SlowRate
    from seawall.pipeline.manager import Manager
    from seawall.pipeline.protect import protect
    from seawall.policies.fallback import Fallback
    from seawall.policies.stale_cache import StaleCache

__version__ = "0.1.0"

__all__ = [
    "Bulkhead",
    "BulkheadFullError",
    "CircuitBreaker",
    "CircuitOpenError",
    "ConfigurationError",
    "ConsecutiveFailures",
    "Deadline",
    "DeadlineExceededError",
    "FailureCount",
    "FailureRate",
    "Fallback",
    "Limit",
    "Manager",
    "ManualPermit",
    "Outcome",
    "OutcomeUnknownError",
    "Pipeline",
    "RateLimitedError",
    "RateLimiter",
    "Registry",
    "RejectedError",
    "Retry",
    "RetryBudget",
    "SeawallError",
    "ShuttingDownError",
    "SlowRate",
    "StaleCache",
    "StreamInterruptedError",
    "StreamTimedOutError",
    "TimedOutError",
    "Timeout",
    "Verdict",
    "deadline",
    "default_registry",
    "idempotency_key",
    "link",
    "override",
    "protect",
    "remaining",
]

#: Where the names are that many programs do without: loaded when they are asked for.
_LATE = {
    "ConsecutiveFailures": "machines.trip",
    "FailureCount": "machines.trip_windows",
    "FailureRate": "machines.trip_windows",
    "Fallback": "policies.fallback",
    "Manager": "pipeline.manager",
    "ManualPermit": "drive.manual",
    "Outcome": "core.outcome",
    "SlowRate": "machines.trip_windows",
    "StaleCache": "policies.stale_cache",
    "protect": "pipeline.protect",
}


def __getattr__(name: str) -> "Any":
    """A public name that was not loaded yet."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    return found


def __dir__() -> "list[str]":
    """All names, loaded or not."""
    return sorted({*globals(), *__all__})


def link(socket_path: str | None = None, registry: Registry = default_registry) -> None:
    """Link this program to a daemon, so that it is watched and can be steered.

    Done by itself in programs the daemon starts (`SEAWALL_SOCKET` is set). One background thread; without a daemon
    nothing changes.

    Args:
        socket_path: of the daemon's unix socket; the value of `SEAWALL_SOCKET` if None.
        registry: what is reported; the default registry.
    """
    _load("link")(registry, socket_path)
