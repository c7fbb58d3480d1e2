"""One connection of a program, seen from the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.errors.text import safe_text
from seawall.report.protocol import (
    MAX_SMALL_LINE_BYTES,
    VERSION,
    Credentials,
    Message,
    ProtocolError,
    decode,
    encode,
)
from seawall.report.reading import Hello, read_hello

if TYPE_CHECKING:
    from seawall.core.clock import Clock

ANSWER_WITHIN = 2.0  #: seconds for the acknowledgement of a command
GREET_WITHIN = 5.0  #: seconds from connecting to the hello
_MOST_COMMANDS = 100  #: commands not acknowledged yet
_MOST_UNREAD_BYTES = 64 * 1024  #: a program that leaves more unread gets no more commands


class Ack(NamedTuple):
    """What became of a command in one worker; `message` says why it is not `ok`."""

    program: str
    pid: int
    worker: str
    ok: bool
    message: str


class Peer:
    """A connection, from the greeting to its end.

    Args:
        reader: its stream, with the limit of a line.
        writer: its stream.
        clock: for the time commands may take.
        credentials: what the kernel says of the other end.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        clock: Clock,
        credentials: Credentials | None,
    ) -> None:
        self.worker = ""  #: set by the greeting
        self.reason = "its connection closed"
        self.failed = False  #: it did not speak the protocol
        self.ended = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._credentials = credentials
        self._hello = Hello("", 0, "")
        self._next_id = 0
        self._waiting: dict[int, asyncio.Future[Ack]] = {}
        self._sent: dict[str, object] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def greet(self) -> Hello | None:
        """Wait for the hello; None if what came was none."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self._clock.loop_time(loop, self._clock.now() + GREET_WITHIN)):
                line = await self._reader.readline()
            if len(line) > MAX_SMALL_LINE_BYTES:
                raise ProtocolError("its hello is too long")
            if not line:
                return None
            hello = read_hello(decode(line))
        except (ProtocolError, ValueError, OSError, TimeoutError) as error:
            self._fail(error)
            return None
        if self._credentials is not None and self._credentials.pid:
            # the kernel knows better, above all from within another pid namespace
            hello = hello._replace(pid=self._credentials.pid)
        self._hello = hello
        self.worker = hello.worker
        self._writer.write(encode({"type": "welcome", "v": VERSION}))
        return hello

    async def read_all(self, take: Callable[[Peer, Message], None]) -> None:
        """Hand every message to `take` until the connection ends; anything but the protocol ends it."""
        try:
            while line := await self._reader.readline():
                if not line.endswith(b"\n"):
                    return  # cut short by the end of the program
                message = decode(line)
                kind = message["type"]
                if kind == "ack":
                    self._acknowledge(message)
                elif kind == "bye":
                    self.reason = "it ended"
                else:
                    take(self, message)
                    await _turn()
        except (ProtocolError, ValueError) as error:
            # ValueError: a line longer than the limit
            self._fail(error)
        except OSError as error:
            self._note(f"its connection broke ({type(error).__name__})")

    async def command(self, message: Message) -> Ack:
        """Send a command and wait for its acknowledgement, at most two seconds."""
        self._next_id += 1
        id_ = message["id"] = self._next_id
        if message["type"] == "force":
            self._sent[message["name"]] = (message["state"], message["owner"], message["reason"])
        if self._closing or self.ended.is_set():
            return self._ack(f"not sent: {self.reason}", ok=False)
        if len(self._waiting) >= _MOST_COMMANDS or self._writer.transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            return self._ack("not sent: the program does not read its commands", ok=False)
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = answer
        self._writer.write(encode(message))
        try:
            done, _ = await asyncio.wait([answer], timeout=ANSWER_WITHIN)
        finally:
            self._waiting.pop(id_, None)
        if done:
            return answer.result()
        late = "it takes effect if the program wakes before it expires"
        return self._ack(f"no answer within {ANSWER_WITHIN:g} s; {late}", ok=False)

    def was_sent(self, name: str, pin: tuple[Any, ...]) -> bool:
        """Whether this pin (state, owner, reason, …) of circuit `name` was the last one sent to this peer."""
        return self._sent.get(name) == pin[:3]

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something for this peer in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self, reason: str) -> None:
        """Hang up."""
        self._note(reason)
        self._closing = True
        self._writer.close()
        self._reader.feed_eof()

    def finish(self) -> None:
        """The connection is over: give back everything."""
        self.ended.set()
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()  # who does not read would keep the connection for ever
        else:
            self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(self._ack(f"no answer: {self.reason}", ok=False))

    def _fail(self, error: BaseException) -> None:
        """Hang up on a peer that does not speak the protocol."""
        if self._closing:
            return
        self.failed = True
        words = "it said nothing" if isinstance(error, TimeoutError) else safe_text(error, 200)
        self._note(f"it does not speak the protocol: {words}")
        self._writer.write(encode({"type": "refused", "reason": words}))
        self._closing = True

    def _note(self, reason: str) -> None:
        """Keep why the connection ends; the first reason counts."""
        if not self._closing:
            self.reason = reason

    def _acknowledge(self, message: Message) -> None:
        """An acknowledgement; one that nobody waits for any more is dropped."""
        id_ = message.get("id")
        answer = self._waiting.get(id_) if isinstance(id_, int) else None
        if answer is not None and not answer.done():
            answer.set_result(self._ack(safe_text(message.get("message", ""), 300), ok=message.get("ok") is True))

    def _ack(self, message: str, *, ok: bool) -> Ack:
        """An acknowledgement of this worker."""
        return Ack(self._hello.program, self._hello.pid, self._hello.worker, ok, message)


@coroutine
def _turn() -> Generator[None]:
    """Let others have a turn: lines that are read already would be handled in one go."""
    yield
