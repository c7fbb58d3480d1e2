"""The life of a daemon: everything started in order, kept going, and stopped in the reverse order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import seawall
from seawall.core.chance import Chance, system_chance
from seawall.core.clock import Clock, current_clock
from seawall.daemon.assembly import Assembly, assemble
from seawall.daemon.audience import Audience, step
from seawall.daemon.folder import Folder
from seawall.daemon.logs import logger, logging_to
from seawall.daemon.saver import Saver
from seawall.daemon.summary import Summary, summarize
from seawall.events.journal import Entry
from seawall.events.types import TRANSITIONS, CheckChanged, ProcessExited, ProcessStarted, ProgramLinked, ProgramLost

if TYPE_CHECKING:
    from seawall.config.schema import Config

#: Events that people are told of as they happen; all others are on the page and in the journal.
OF_NOTE = (*TRANSITIONS, CheckChanged, ProcessStarted, ProcessExited, ProgramLinked, ProgramLost)

ORDERLY, AT_ONCE = 0, 1
_LAST_MOMENTS = 3.0  # seconds that killed processes have to be gone
_FIRST_LOOK = 5.0  # seconds that the first results of the checks are waited for


class Daemon:
    """What `seawall up` runs.

    Args:
        config: a valid configuration.
        audience: who is told.
        clock: the clock; the present one by default.
        chance: jitter of checks and restarts.
    """

    def __init__(
        self, config: Config, audience: Audience, *, clock: Clock | None = None, chance: Chance = system_chance
    ) -> None:
        self._config = config
        self._audience = audience
        self._clock = clock or current_clock()
        self._chance = chance
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._wall = self._clock.wall()
        self._held: list[Entry] | None = []  # what happened before everything ran; told after the addresses

    def stop(self) -> None:
        """Ask it to stop; asked again, it stops at once."""
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    async def run(self, limit: float | None = None) -> int:
        """Run until stopped, or for `limit` seconds.

        Returns:
            0 if it stopped in order, 1 if it had to stop at once.

        Raises:
            AlreadyRunningError: another daemon runs for this file.
            ConfigurationError: it cannot start as configured; nothing is left running then.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_uncaught)
        summary: Summary | None = None
        async with AsyncExitStack() as stack:
            folder = Folder(self._config.state_dir)
            folder.take()
            stack.callback(folder.give_back)
            stack.enter_context(logging_to(folder.path / "daemon.log", self._audience.notice))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is signal.SIG_IGN:
                    continue  # as nohup has it
                loop.add_signal_handler(number, self.stop)
                stack.callback(loop.remove_signal_handler, number)
            made = assemble(self._config, folder, self._clock, self._chance)
            saver = Saver(made, self._clock, self._wall)
            await self._start(made, saver, stack)
            began = self._clock.now()
            await self._until_stopped(limit)
            await saver.pause()
            made.parts.stopping = True
            if limit is not None:
                taken = self._clock.now() - began
                summary = summarize(taken, made.hub.snapshot(), made.supervisor.processes())
        if summary is not None:
            self._audience.summary(summary)
        return AT_ONCE if self._at_once.is_set() else ORDERLY

    async def _start(self, made: Assembly, saver: Saver, stack: AsyncExitStack) -> None:
        """Start the parts, each with its end on the stack."""
        stack.callback(made.sock.close)
        made.bus.listen(self._own_event, OF_NOTE)
        made.hub.listen(self._program_event)
        async with step(self._audience, self._clock, "opening the link for programs"):
            await made.hub.start()
        stack.push_async_callback(_guarded, "the link", made.hub.stop)
        stack.push_async_callback(_guarded, "the last snapshot", saver.finish)
        async with step(self._audience, self._clock, "starting the web server"):
            await made.web.start()
        stack.push_async_callback(_guarded, "the web server", made.web.stop)
        made.folder.write_record(self._record(made))
        async with step(self._audience, self._clock, "starting the processes"):
            stack.push_async_callback(_guarded, "the processes", lambda: self._stop_processes(made))
            await made.supervisor.start()
        await made.monitor.start()
        stack.push_async_callback(_guarded, "the checks", made.monitor.stop)
        async with step(self._audience, self._clock, "waiting for the first results of the checks"):
            await self._first_look(made)
        made.parts.started = True
        saver.start()
        made.folder.write_record(self._record(made))
        self._audience.ready(made.facts(os.getpid()))
        held, self._held = self._held, None
        for entry in held or ():
            self._audience.event(entry)

    async def _first_look(self, made: Assembly) -> None:
        """Wait until every check has looked once, or five seconds."""
        until = self._clock.now() + _FIRST_LOOK
        while not (made.monitor.ready() or self._stop.is_set()) and self._clock.now() < until:
            await _wait(self._stop, 0.05)

    async def _until_stopped(self, limit: float | None) -> None:
        """Wait for the end of the run."""
        await _wait(self._stop, limit)
        self._stop.set()  # from here on, being asked to stop means: at once

    async def _stop_processes(self, made: Assembly) -> None:
        """Stop the processes, and say who is waited for; at once if asked again."""
        living = [one.name for one in made.supervisor.processes() if one.pid is not None]
        if living:
            longest = max(self._config.processes[name].stop_timeout for name in living)
            names = ", ".join(reversed(living))
            self._audience.notice(f"Stopping: waiting up to {longest:g} s for {names}. Ctrl-C again ends them at once.")
        stopping = asyncio.ensure_future(made.supervisor.stop())
        asked = asyncio.ensure_future(self._at_once.wait())
        async with step(self._audience, self._clock, "waiting for the processes to end"):
            await asyncio.wait({stopping, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            made.supervisor.kill()
            await asyncio.wait({stopping}, timeout=_LAST_MOMENTS)
        asked.cancel()
        if stopping.done():
            stopping.result()

    def _own_event(self, event: Any) -> None:
        """Tell of something that happened here."""
        self._tell(Entry(self._clock.wall(), "", event))

    def _program_event(self, entry: Entry) -> None:
        """Tell of something that happened in a program, if it is of note."""
        if type(entry.event) in OF_NOTE:
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        """Tell of something; that all is well in the beginning is no news."""
        if self._held is None:
            self._audience.event(entry)
        elif not (isinstance(entry.event, CheckChanged) and entry.event.now == "healthy"):
            self._held.append(entry)

    def _record(self, made: Assembly) -> dict[str, Any]:
        """How this daemon is reached."""
        return {
            "version": 1,
            "seawall": seawall.__version__,
            "name": self._config.daemon.name,
            "pid": os.getpid(),
            "started_at": self._wall,
            "file": str(self._config.file),
            "address": str(made.address),
            "socket": str(made.hub.path),
            "processes": {one.name: list(one.addresses) for one in made.supervisor.processes()},
        }


async def _guarded(what: str, end: Callable[[], Awaitable[object]]) -> None:
    """End one part; if that fails, say so and go on with the others."""
    try:
        await end()
    except Exception:  # noqa: BLE001  # whatever it is, the other parts must still be stopped
        logger.exception("Stopping %s failed; the rest is stopped all the same.", what)


async def _wait(event: asyncio.Event, limit: float | None) -> bool:
    """Wait for an event, at most `limit` seconds; True if it came."""
    try:
        await asyncio.wait_for(event.wait(), limit)
    except TimeoutError:
        return False
    return True


def _log_uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A part failed where nobody listens: it is written down, and everything else goes on."""
    del loop
    error = context.get("exception")
    logger.error("A part of the daemon failed: %s", context.get("message", ""), exc_info=error)
