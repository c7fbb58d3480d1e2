"""The daemon's side of the keeper: starts it, tells it of ended families, starts it anew when it is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from seawall.recovery import keeper
from seawall.recovery.exits import ExitWatch

if TYPE_CHECKING:
    from seawall.recovery.keeper import Family

_END_WITHIN = 2.0  #: seconds the keeper may take to end when nothing is left


class KeeperHandle:
    """A running keeper.

    Args:
        families: gives the families that live, to tell a new keeper of.
    """

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families
        self._watch: ExitWatch | None = None
        self._pipe = -1
        self._closing = False
        self.started = 0  #: keepers started so far; more than one means that some were lost

    @property
    def descriptor(self) -> int:
        """The pipe that children announce themselves on; -1 if there is none."""
        return self._pipe

    @property
    def pid(self) -> int | None:
        """The keeper's process."""
        return self._watch.process.pid if self._watch is not None else None

    def start(self) -> None:
        """Start a keeper and tell it of all that lives."""
        reading, self._pipe = os.pipe()
        # a keeper that is stopped must not block the daemon: what does not fit is dropped
        os.set_blocking(self._pipe, False)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(keeper.__file__))],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        finally:
            os.close(reading)
        self.started += 1
        self._watch = ExitWatch(process, asyncio.get_running_loop())
        self._watch.ended.add_done_callback(self._lost)
        for family in self._families():
            self._tell(f"add {family.pid} {family.started} {family.mark}\n")

    def gone(self, family: Family) -> None:
        """A family has ended."""
        self._tell(f"gone {family.pid}\n")

    async def stop(self) -> None:
        """Let the keeper end; it ends what it still knows of."""
        self._closing = True
        self._close_pipe()
        if self._watch is None:
            return
        done, _ = await asyncio.wait([self._watch.ended], timeout=_END_WITHIN)
        if not done:
            self._watch.process.kill()
            await asyncio.wait([self._watch.ended], timeout=_END_WITHIN)
        self._watch.close()
        self._watch = None

    def _lost(self, _: object) -> None:
        """The keeper has ended: unless that was wanted, start another."""
        if not self._closing:
            self._close_pipe()
            self.start()

    def _tell(self, line: str) -> None:
        """Write one line, or drop it."""
        if self._pipe >= 0:
            try:
                os.write(self._pipe, line.encode())
            except OSError:
                return  # it has ended, and `_lost` is about to be called; or it is stopped

    def _close_pipe(self) -> None:
        """Close the pipe."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
