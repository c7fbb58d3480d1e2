"""`Manager`: pipelines by name, for programs that keep their protections in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from seawall.core.ports import load
from seawall.pipeline.compose import Pipeline
from seawall.pipeline.kinds import is_async
from seawall.pipeline.registry import Registry

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from seawall.core.snapshot import Snapshot
    from seawall.pipeline.record import Recording
    from seawall.pipeline.why_known import Explanation
    from seawall.policies.base import PolicyBase

P = ParamSpec("P")
R = TypeVar("R")


class Manager:
    """Pipelines by name, and calls through them; as a context manager it is shut down in the end.

    Args:
        registry: where they are kept; a new one with its own events if not given.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry if registry is not None else Registry()

    @classmethod
    def from_config(cls, path: str, registry: Registry | None = None) -> Manager:
        """A manager with the pipelines of the section `[pipelines]` of a `seawall.toml`.

        Raises:
            ConfigurationError: listing every mistake in the file with its line and remedy.
        """
        manager = cls(registry)
        for name, policies in load("config")(path).items():
            manager.add(name, *policies)
        return manager

    def add(self, name: str, *policies: PolicyBase, shadow: Sequence[PolicyBase] = ()) -> Pipeline:
        """Make and register a pipeline, with candidates beside it if given; see `Pipeline`."""
        return Pipeline(name, *policies, registry=self.registry, shadow=shadow)

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of that name.

        Raises:
            ConfigurationError: listing the known names.
        """
        return self.registry.pipeline(name)

    def execute(self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` with all the protections registered under `name`; a coroutine function gives an awaitable."""
        pipeline = self.registry.pipeline(name)
        if is_async(name, fn):
            coroutine_function: Any = fn
            awaitable: Any = pipeline.acall(coroutine_function, *args, **kwargs)
            result: R = awaitable
            return result
        return pipeline.call(fn, *args, **kwargs)

    def drain(self) -> None:
        """Say that the program is going away; see `Registry.drain`."""
        self.registry.drain()

    def shutdown(self, timeout: float = 30.0) -> dict[str, int]:
        """Go away in order; the calls still running in the end, by pipeline. See `Registry.shutdown`."""
        return self.registry.shutdown(timeout)

    async def ashutdown(self, timeout: float = 30.0) -> dict[str, int]:
        """`shutdown` for a program of coroutines: the loop goes on, so that calls in flight can end."""
        from seawall.drive.aside import in_thread  # late: it imports asyncio

        return await in_thread(partial(self.shutdown, timeout), self.registry.bus.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.ashutdown()

    def explain(self, what: str | float, *, around: float = 60.0) -> Explanation:
        """Why a call was refused, a circuit moved, or a moment was as it was; see `Registry.explain`."""
        return self.registry.explain(what, around=around)

    def record(self, path: str | os.PathLike[str], *, max_bytes: int = 100_000_000) -> Recording:
        """Write every call from now on to a file; see `Registry.record`."""
        return self.registry.record(path, max_bytes=max_bytes)

    def snapshot(self) -> Snapshot:
        """Everything at this moment, as plain data."""
        return self.registry.snapshot()
