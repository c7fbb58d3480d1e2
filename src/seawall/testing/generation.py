"""Generated code on or off, for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seawall.drive import compile as generator


@contextmanager
def compiled(on: bool) -> Iterator[None]:  # noqa: FBT001 - `compiled(False)` reads well
    """Functions protected inside the block get generated code, or go through the plain drivers; both behave alike.

    Outside of tests the environment variable `SEAWALL_COMPILE=0` turns generation off for a whole program.

    Args:
        on: whether code is generated.
    """
    before, generator.enabled = generator.enabled, on
    try:
        yield
    finally:
        generator.enabled = before
