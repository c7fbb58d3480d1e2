"""Who listens to the daemon: the terminal, or whoever started it from a program."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.daemon.summary import Summary
    from seawall.events.journal import Entry

#: Steps that take longer are told of, and again after as long.
PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What people need once everything runs.

    Args:
        name: the daemon's name.
        pid: its process id.
        address: "host:port" of its web server.
        processes: (name, pid or None, addresses) of each process.
        hints: lines of the file with their placeholders filled in.
        state_dir: its folder.
    """

    name: str
    pid: int
    address: str
    processes: tuple[tuple[str, int | None, tuple[str, ...]], ...] = ()
    hints: tuple[str, ...] = ()
    state_dir: str = ""


class Audience(Protocol):
    """What the daemon tells, and to whom is not its business. Nothing of this may raise or wait."""

    def progress(self, what: str, elapsed: float) -> None:
        """A step is under way for `elapsed` seconds."""

    def ready(self, facts: Facts) -> None:
        """Everything runs."""

    def event(self, entry: Entry) -> None:
        """Something of note happened."""

    def notice(self, text: str) -> None:
        """Something about the daemon itself: what it waits for, or what of it has failed."""

    def summary(self, summary: Summary) -> None:
        """How the run was."""


@contextlib.asynccontextmanager
async def step(audience: Audience, clock: Clock, what: str) -> AsyncIterator[None]:
    """Tell of the step inside the block if it takes longer than two seconds."""
    began = clock.now()

    async def tell() -> None:
        """Say it every two seconds."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.get_running_loop().create_future(), PATIENCE)
            audience.progress(what, clock.now() - began)

    telling = asyncio.create_task(tell(), name="seawall-progress")
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})
