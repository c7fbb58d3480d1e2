"""Chance is injected: a function without arguments that returns a float in [0, 1)."""

from __future__ import annotations

import os
from collections.abc import Callable

Chance = Callable[[], float]


def system_chance() -> float:
    """The process-wide source. The standard library reseeds it after a fork, so children do not jitter in step."""
    from random import random  # late: loaded when the first policy was made

    return random()


def seeded_chance(seed: int) -> Chance:
    """A source that gives the same sequence for the same `seed`; for tests and replays."""
    from random import Random  # late: see `system_chance`

    return Random(seed).random


def secret_bytes(count: int) -> bytes:
    """So many random bytes from the system's cryptographic source."""
    return os.urandom(count)


def unique_id() -> str:
    """A random UUID (version 4) from the system's cryptographic source, as text.

    Source: RFC 9562 section 5.4.
    """
    digits = bytearray(secret_bytes(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
