"""Writing for people: colour where it is welcome, shapes and words everywhere, and never a wait for a slow reader."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_WAITING_LINES = 2000


def wants_colour(stream: TextIO) -> bool:
    """True for a terminal whose user has not asked for none (NO_COLOR, TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, *, colour: bool) -> str:
    """`text` in a colour, or as it is."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colour and style in _CODES else text


def clock_time(wall: float) -> str:
    """A moment as local time of day, "12:03:04"."""
    return time.strftime("%H:%M:%S", time.localtime(wall))


class Writer:
    """Lines to standard output and standard error from a thread of its own.

    A terminal that is paused, or a pipe nobody reads, holds up this thread and never the caller: what does not fit
    into the queue is counted and left out.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[tuple[TextIO, str] | None] = queue.Queue(_WAITING_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="seawall-terminal", daemon=True)
        self._thread.start()

    def out(self, text: str) -> None:
        """Lines for standard output."""
        self._put(sys.stdout, text)

    def err(self, text: str) -> None:
        """Lines for standard error."""
        self._put(sys.stderr, text)

    def close(self, patience: float = 2.0) -> bool:
        """Write what is waiting, for at most `patience` seconds; True if all of it is written."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=patience)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _put(self, stream: TextIO, text: str) -> None:
        """Queue a text, or count it as left out."""
        try:
            if self._left_out:
                self._lines.put_nowait((sys.stderr, f"({self._left_out} lines were left out: nobody read them)"))
                self._left_out = 0
            self._lines.put_nowait((stream, text))
        except queue.Full:
            self._left_out += 1

    def _write(self) -> None:
        """Write until told to end; a stream that is gone is no reason to stop."""
        while (item := self._lines.get()) is not None:
            stream, text = item
            with contextlib.suppress(OSError, ValueError):
                stream.write(text + "\n")
                stream.flush()
