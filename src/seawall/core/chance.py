"""Chance is injected: a function without arguments that returns a float in [0, 1)."""

from __future__ import annotations

import random
from collections.abc import Callable

Chance = Callable[[], float]

#: The process-wide source. The standard library reseeds it after a fork, so children do not jitter in step.
system_chance: Chance = random.random


def seeded_chance(seed: int) -> Chance:
    """A source that gives the same sequence for the same `seed`; for tests and replays."""
    return random.Random(seed).random
