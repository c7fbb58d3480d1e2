"""The daemon's own log: a bounded file in its folder, and a line to the audience for what people should know."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seawall.errors.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger("seawall.daemon")

_LARGEST_BYTES = 1_000_000


class _Notices(logging.Handler):
    """Hands warnings on as sentences."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._notice = notice

    def emit(self, record: logging.LogRecord) -> None:
        """One record as one line; where the rest of it stands is said once, at the end of the line."""
        text = safe_text(record.getMessage(), 400)
        if record.exc_info and record.exc_info[0] is not None:
            text += f" ({record.exc_info[0].__name__}; more in daemon.log)"
        self._notice(text)


@contextmanager
def logging_to(path: Path, notice: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, log to the file `path` (kept under 2 MB with its predecessor), and warnings to `notice` too."""
    file = logging.handlers.RotatingFileHandler(path, maxBytes=_LARGEST_BYTES, backupCount=1, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    notices = _Notices(notice)
    loggers = [logging.getLogger(name) for name in ("seawall", "uvicorn", "asyncio")]
    before = [(one, one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.addHandler(file)
        one.addHandler(notices)
        one.setLevel(logging.INFO)
        one.propagate = False
    try:
        yield
    finally:
        for one, level, propagate in before:
            one.removeHandler(file)
            one.removeHandler(notices)
            one.setLevel(level)
            one.propagate = propagate
        file.close()
