"""Waiting for a child's end on the event loop, without a thread and on any kind of loop."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import subprocess

_POLL_EVERY = 0.1  #: seconds; only where the system has no pidfd


class ExitWatch:
    """Reaps one child as soon as it ends.

    asyncio's own subprocesses are not used: Python 3.11 spends a thread on each.

    Args:
        process: a started child.
        loop: the running loop.
    """

    def __init__(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.process = process
        self.ended: asyncio.Future[int] = loop.create_future()
        self._loop = loop
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._fd = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            self._poll()
        else:
            loop.add_reader(self._fd, self._look)

    def close(self) -> None:
        """Stop watching; the child goes on."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Reap the child if it has ended."""
        code = self.process.poll()
        if code is not None:
            self.close()
            if not self.ended.done():
                self.ended.set_result(code)

    def _poll(self) -> None:
        """Look now and again."""
        self._timer = self._loop.call_later(_POLL_EVERY, self._poll)
        self._look()


def exit_words(code: int) -> str:
    """A return code of `subprocess` in words: "exit code 1", "killed by SIGKILL"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
