"""Policies that tests put into pipelines to look at, or hold up, what goes through."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from seawall.core.permit import Ask, Permit, Rejection
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Call


class Watch(PolicyBase):
    """A guard that lets everything through and remembers how it ended."""

    kind = "watch"
    rank = 5

    def __init__(self) -> None:
        super().__init__(None)
        self.ended: list[tuple[Verdict, float]] = []

    def acquire(self, ask: Ask) -> Permit | Rejection:
        """Always."""
        return Permit(1, 1)

    def begin(self, permit: Permit) -> None:
        """Nothing to do."""

    def record(
        self, permit: Permit, verdict: Verdict, duration: float, *, cause: str = "", retry_after: float | None = None
    ) -> None:
        """Remembers."""
        self.ended.append((verdict, duration))

    def verdict(self, call: Call, error: BaseException | None) -> Verdict:
        """As the pipeline judges."""
        return call.judge(error, call.value)


class Gate(Watch):
    """A guard that holds calls up until it is opened, however much time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.opened = threading.Event()

    def acquire(self, ask: Ask) -> Permit | Rejection:
        """Once it is open."""
        self.reached.set()
        self.clock.wait(self.opened, None)
        return super().acquire(ask)
