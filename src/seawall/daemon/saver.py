"""Keeps the last state on disk, so that `seawall status` has something to say when the daemon is dead."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seawall.daemon.logs import logger
from seawall.errors.text import describe_error
from seawall.health.offload import Offload
from seawall.pipeline.why_saved import saved_form
from seawall.server.explain import known_to

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.daemon.assembly import Assembly

_EVERY = 2.0
_EACH = 400  # entries of each ring of the journal that are saved: some 300 kB at most
_PATIENCE = 2.0  # seconds for one write; a disk that hangs holds up a thread, and nothing else


class Saver:
    """Writes snapshot.json every two seconds, journal.json when there is news, and both once more in the end.

    Args:
        made: the daemon's parts.
        clock: the clock.
        started_at: wall time of the daemon's start.
    """

    def __init__(self, made: Assembly, clock: Clock, started_at: float) -> None:
        self._made = made
        self._clock = clock
        self._started_at = started_at
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self._disk = Offload()
        self._last: dict[str, Any] = {}
        self._journal_saved = 0

    def start(self) -> None:
        """Begin to save."""
        self._task = asyncio.create_task(self._run(), name="seawall-saver")

    async def pause(self) -> None:
        """Save once more and then no longer: what comes now is only how everything is stopped."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task})
            await self._save()

    async def finish(self) -> None:
        """Say in what is saved that the daemon was stopped, and did not die."""
        self._stop.set()
        if self._last:
            await self._write({**self._last, "stopped": True})

    async def _run(self) -> None:
        """Save until stopped."""
        while not self._stop.is_set():
            await self._save()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _EVERY)

    async def _save(self) -> None:
        """Save once."""
        try:
            self._last = {
                "version": 1,
                "pid": os.getpid(),
                "started_at": self._started_at,
                "saved_at": self._clock.wall(),
                "stopped": False,
                "state": await self._made.app.state.live.state(),
            }
        except Exception:  # noqa: BLE001  # whatever it is, the daemon goes on without it
            logger.exception("The state could not be built.")
            return
        await self._write(self._last)
        if self._made.bus.journal.appended != self._journal_saved:
            self._journal_saved = self._made.bus.journal.appended
            known = known_to(self._made.parts)
            await self._put(lambda: self._made.folder.write_journal(saved_form(known, _EACH)), "saving the journal")

    async def _write(self, data: dict[str, Any]) -> None:
        """Write the state down."""
        await self._put(lambda: self._made.folder.write_snapshot(data), "saving the state")

    async def _put(self, write: Callable[[], None], what: str) -> None:
        """Write something down; a full disk is said once and not every two seconds."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._disk.run(write, what)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            if not self._failed:
                logger.warning("The state could not be saved (%s): seawall status will not know it.", _why(error))
            self._failed = True
        else:
            self._failed = False


def _why(error: Exception) -> str:
    """Why a write failed, in words."""
    return "the disk does not answer" if isinstance(error, TimeoutError) else describe_error(error)
