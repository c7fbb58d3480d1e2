"""Writes every call of a registry to a file, so that other settings can be tried on it later."""

from __future__ import annotations

import atexit
import json
import os
import queue
import sys
import threading
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from seawall.core.chance import unique_id
from seawall.core.errors import ConfigurationError
from seawall.core.fork import renew_after_fork
from seawall.core.validate import whole
from seawall.errors.text import describe_error, safe_text
from seawall.events.types import TRANSITIONS
from seawall.pipeline.record_lines import VERSION, Ended, ended_of, line_of, transition_of

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.drive.call import Call
    from seawall.pipeline.registry import Registry

_WAITING = 10_000  # calls that may wait for the writer: a second or so of a busy program
_BATCH = 500
_FOOTER_BYTES = 200  # kept free for the last line


class Recording:
    """A recording under way; made by `Registry.record`.

    Calls hand over what they were through a bounded queue to one thread, which writes: a call never waits for the disk
    and never fails by it. What does not fit into the queue is dropped, counted in `dropped` and told in the file, which
    `seawall simulate` then refuses. Calls that had begun before, or have not ended at the stop, are not in it.

    A full disk ends the recording with a WARNING. In the child of a fork there is no recording. A program that ends
    stops it in order; one that is killed leaves a file without its last line, which is refused as cut short.

    Args:
        registry: whose calls.
        path: of the file, which must not exist.
        max_bytes: length at which it ends; from 10,000.
    """

    def __init__(self, registry: Registry, path: str | os.PathLike[str], max_bytes: int) -> None:
        whole("record.max_bytes", max_bytes, 10_000)
        self.path = os.fspath(path)
        self.max_bytes = max_bytes
        self.written = 0  #: lines in the file, without the first and the last
        self.state = "running"  #: "running", "stopped", "full", "failed" or "forked"
        self._registry = registry
        self._bus = registry.bus
        self._numbers = count(1)
        self._counting = threading.RLock()  # reentrant: a finaliser may drop a call while this thread drops another
        self._open = True
        self._dropped = 0
        self._last = 0
        self._queue: queue.SimpleQueue[tuple[int, Ended | Any] | None] = queue.SimpleQueue()
        self._secret = unique_id().replace("-", "").encode("ascii")
        clock = registry.bus.clock
        self._to_wall = clock.wall() - clock.now()
        header = _encode(self._header())
        if registry.bus.recording is not None:
            raise ConfigurationError(f'record("{self.path}"): another recording is running; stop() it first')
        self._file = _create(self.path)
        self._size = self._put(header)
        renew_after_fork(self)
        self._thread = threading.Thread(target=self._run, name="seawall-recording", daemon=True)
        self._thread.start()
        self._subscription = self._bus.listen(self._moved, TRANSITIONS)
        self._bus.recording = self
        atexit.register(self.stop)

    # ------------------------------------------------------- in the calls' threads

    def ended(self, name: str, call: Call, outcome: str, error: BaseException | None, now: float) -> None:
        """A call has ended; see `CallLog`."""
        self._hand_over(ended_of(name, call, outcome, error, now))

    def _moved(self, event: Any) -> None:
        """A circuit has moved."""
        self._hand_over(event)

    def _hand_over(self, what: Ended | Any) -> None:
        """Give something to the writer, or count it as dropped."""
        with self._counting:
            if not self._open:
                return
            self._last = number = next(self._numbers)
            if self._queue.qsize() >= _WAITING:
                self._dropped += 1
                return
            self._queue.put((number, what))  # never waits

    @property
    def dropped(self) -> int:
        """Calls and transitions that were dropped because the writer was behind."""
        return self._dropped

    # ------------------------------------------------------------------- its life

    def stop(self, timeout: float = 10.0) -> None:
        """Write what is waiting and close the file, any number of times.

        Args:
            timeout: seconds that the disk may take, > 0; 10 by default. What is not written by then stays unwritten,
                and the file is one that was cut short.
        """
        if self._bus.recording is self:
            self._bus.recording = None
        self._subscription.cancel()
        atexit.unregister(self.stop)
        with self._counting:
            if self._open:
                self._open = False
                self._queue.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def after_fork(self) -> None:
        """The child writes nothing: the file is its parent's."""
        if self.state != "running":
            return
        self.state = "forked"
        self._open = False
        self._queue = queue.SimpleQueue()
        self._counting = threading.RLock()
        if self._bus.recording is self:
            self._bus.recording = None
        os.close(self._file)

    # ----------------------------------------------------------------- the writer

    def _run(self) -> None:
        """The thread: write until told to end, until the file is full, or until the disk is."""
        try:
            while self.state == "running":
                self._write_batch()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the recording and nothing else
            self._end("failed")
            _warn(self.path, error)
        finally:
            os.close(self._file)

    def _write_batch(self) -> None:
        """Wait for something, and write it with what else is there."""
        items = [self._queue.get()]
        while len(items) < _BATCH and not self._queue.empty():
            items.append(self._queue.get())
        room = self.max_bytes - self._size - _FOOTER_BYTES
        lines: list[bytes] = []
        for item in items:
            if item is None:
                self._finish(lines, "stopped")
                return
            line = _encode(self._line(*item))
            room -= len(line)
            if room < 0:
                self._finish(lines, "full")
                return
            lines.append(line)
        self._size += self._put(b"".join(lines))
        self.written += len(lines)

    def _finish(self, lines: list[bytes], how: str) -> None:
        """Write what is left and the last line."""
        self._end(how)
        self.written += len(lines)
        last = {"end": how, "lines": self._last, "dropped": self._last - self.written}
        self._put(b"".join([*lines, _encode(last)]))

    def _end(self, how: str) -> None:
        """Nothing is taken any more."""
        self.state = how
        self._open = False
        if self._bus.recording is self:
            self._bus.recording = None

    def _put(self, data: bytes) -> int:
        """Write all of it; its length. Unbuffered: a fork must find nothing that both would write."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        return len(data)

    def _line(self, number: int, what: Ended | Any) -> dict[str, Any]:
        """One call or transition as plain data."""
        line = line_of(what, self._secret) if isinstance(what, Ended) else transition_of(what)
        return {"n": number, "wall": round(line["at"] + self._to_wall, 3), **line}

    def _header(self) -> dict[str, Any]:
        """The first line."""
        import seawall  # late: it imports this package

        clock = self._bus.clock
        script = sys.argv[0] if getattr(sys, "argv", None) else ""
        return {
            "seawall_recording": VERSION,
            "version": seawall.__version__,
            "program": safe_text(os.environ.get("SEAWALL_PROGRAM") or os.path.basename(script) or "python", 100),
            "pid": os.getpid(),
            "wall": clock.wall(),
            "monotonic": clock.now(),
            "pipelines": {
                pipeline.name: [
                    {"kind": one.kind, "name": one.name, "options": one.snapshot().details.get("options", {})}
                    for one in pipeline.policies
                ]
                for pipeline in self._registry.pipelines()
            },
        }


def _create(path: str) -> int:
    """A new file that only its owner can read.

    Raises:
        ConfigurationError: if it is there already or cannot be made.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    except FileExistsError:
        raise ConfigurationError(f'record("{path}"): the file exists already; give another name or remove it') from None
    except OSError as error:
        raise ConfigurationError(f'record("{path}"): cannot be made: {error.strerror or error}') from error


def _encode(line: dict[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(line, separators=(",", ":"), default=str).encode("ascii") + b"\n"


def _warn(path: str, error: Exception) -> None:
    """Say that the recording has ended."""
    import logging  # late: `import seawall` must not load it

    logging.getLogger("seawall").warning(
        'Recording to "%s" ended: %s. Calls go on as before; the file is cut short and cannot be simulated.',
        path,
        (isinstance(error, OSError) and error.strerror) or describe_error(error),
    )
