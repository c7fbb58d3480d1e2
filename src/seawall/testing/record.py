"""What happened during a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from seawall.pipeline.registry import default_registry

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.events.bus import Bus, Subscription


class Recorder:
    """Collects the events of a bus inside a `with` block.

    Args:
        bus: whose events; the default registry's if not given.
    """

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = bus or default_registry.bus
        self._subscription: Subscription | None = None
        self.events: list[Any] = []

    def __enter__(self) -> Self:
        self._subscription = self._bus.listen(self.events.append)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._subscription is not None:
            self._subscription.cancel()

    def of(self, *kinds: type) -> list[Any]:
        """The events of some kinds, in order."""
        return [event for event in self.events if isinstance(event, kinds)]

    def names(self) -> list[str]:
        """The class names of all events, in order."""
        return [type(event).__name__ for event in self.events]
