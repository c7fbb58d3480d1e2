"""Virtual time for a block of test code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from seawall.core.clock import using_clock
from seawall.drive.virtual import VirtualClock
from seawall.pipeline.registry import Registry, default_registry


@contextmanager
def virtual_time(*objects: Any, start: float = 0.0) -> Iterator[VirtualClock]:
    """Run on a virtual clock inside the block.

    Everything built inside uses it, and so do the objects of the default registry and those given, from a fresh state;
    after the block they continue on their own clock from where they were. Waits of threads and of asyncio loops (in
    coroutines started with `run_async`, or in any selector loop once it waits for seawall) jump.

    Time jumps when every thread that takes part waits for the clock. This thread takes part; start others with
    `run_threads`, which also waits for them.

    Args:
        objects: further policies, pipelines or registries to move to the virtual clock.
        start: the first moment; 0 by default.
    """
    clock = VirtualClock(start)
    with ExitStack() as stack:
        stack.enter_context(using_clock(clock))
        stack.enter_context(clock.working())
        registries = [one for one in objects if isinstance(one, Registry)]
        others = [one for one in objects if not isinstance(one, Registry)]
        stack.enter_context(default_registry.rebound(clock, *others))
        for registry in registries:
            stack.enter_context(registry.rebound(clock))
        yield clock
