"""Rules for how long to wait between attempts; for `Retry(backoff=…)`."""

from seawall.machines.backoff import Backoff, Constant, Custom, Exponential, Fibonacci, Jitter, Linear

__all__ = ["Backoff", "Constant", "Custom", "Exponential", "Fibonacci", "Jitter", "Linear"]
