"""The program's end of the link: one background thread that tells the daemon and takes its commands.

Nothing here is on the path of a protected call but one append to a bounded queue. Whatever happens to the daemon, or to
this thread, the program goes on.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.core import fork  # noqa: F401 - NB: its hooks must be registered before ours, see `_renew_all`
from seawall.core.chance import Chance, system_chance
from seawall.core.clock import SYSTEM_CLOCK, Clock
from seawall.core.snapshot import Snapshot
from seawall.errors.text import describe_error, safe_text
from seawall.report.merge import since
from seawall.report.outbox import Difference, Outbox
from seawall.report.protocol import (
    FORCED_STATES,
    PROGRAM_VARIABLE,
    SOCKET_VARIABLE,
    VERSION,
    LinkedRegistry,
    Message,
    ProtocolError,
    encode,
    number,
    text,
)
from seawall.report.wire import Wire

if TYPE_CHECKING:
    from seawall.events.bus import Subscription

__all__ = ["Link", "start"]

_EVERY = 1.0  #: seconds between snapshots
_AT_MOST_EVERY = 0.05  #: seconds between snapshots when transitions follow each other closely
_RETRY_BASE = 0.1
_RETRY_CAP = 3.0
_STUCK_AFTER = 10.0  #: seconds without a byte going out, after which the daemon counts as hung
_FAREWELL = 0.3  #: seconds the end of the program may wait for the last counts to go out


class Link:
    """A program's link to a daemon; made by `start`.

    Args:
        registry: what is reported and commanded.
        path: the daemon's socket; None for none, then the link does nothing.
        program: what the daemon calls this program.
        clock: for the times between attempts and messages; the system's, since sockets know no other.
        chance: jitter.
    """

    def __init__(
        self,
        registry: LinkedRegistry,
        path: Path | None,
        *,
        program: str,
        clock: Clock = SYSTEM_CLOCK,
        chance: Chance = system_chance,
    ) -> None:
        self.path = path
        self.program = program
        self.worker = ""  #: id of this process among the program's workers, new after a fork
        self.linked = False
        self.last_error = ""  #: why the last attempt or connection failed, in words
        self.errors = 0  #: things that went wrong in the link itself; the program never sees them
        self._registry = registry
        self._clock = clock
        self._chance = chance
        self._outbox = Outbox()
        self._wire: Wire | None = None
        self._baseline = Snapshot(0.0)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._subscription: Subscription | None = None
        if path is not None:
            self._subscription = registry.bus.listen(self._heard, prompt=False)
            _links.add(self)
            self._begin()

    def stop(self, timeout: float = _FAREWELL) -> None:
        """Send what is left, at most for `timeout` seconds, and end the link."""
        self._stop.set()
        if self._subscription is not None:
            self._subscription.cancel()
        if self._wire is not None:
            self._wire.poke()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def renew(self) -> None:
        """In the child of a fork: begin anew as a worker of its own, which counts from the fork on."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.discard()  # closed, not shut down: the parent goes on using its connection
        self.linked = False
        if self._stop.is_set():
            return
        self._outbox = Outbox()
        self._stop = threading.Event()
        try:
            self._baseline = self._registry.snapshot()
        except Exception as error:  # noqa: BLE001 - nothing of the link may reach the program
            self._note(error)
        self._begin()

    def _begin(self) -> None:
        """Start the thread; where none can be had, such as at a limit of the system, the program goes on unlinked."""
        self.worker = self._registry.bus.journal.worker  # the same that ids of refusals are made with
        # the thread is given its own parts: after a fork or a stop it must not touch those of its successor
        try:
            self._wire = Wire()
            arguments = (self._wire, self._outbox, self._stop)
            thread = threading.Thread(target=self._run, args=arguments, name="seawall-link", daemon=True)
            thread.start()
        except Exception as error:  # noqa: BLE001 - nothing of the link may reach the program
            self._note(error)
        else:
            self._thread = thread

    def _heard(self, event: Any) -> None:
        """Listener of the registry's bus; runs in the thread of a protected call."""
        if self._stop.is_set():
            return
        if self._outbox.add(self._registry.bus.clock.wall(), event) and self._wire is not None:
            self._wire.wake()

    def _run(self, wire: Wire, outbox: Outbox, stop: threading.Event) -> None:
        """The thread: connect, talk, and when that ends wait and connect again."""
        attempt = 0
        while not stop.is_set():
            try:
                wire.connect(os.fspath(self.path or ""))
                self._clock.now()
                self._talk(wire, outbox, stop)
            except Exception as error:  # noqa: BLE001 - nothing of the link may reach the program
                self._note(error)
                attempt = 0 if wire.welcomed else attempt + 1
            finally:
                self.linked = False
                wire.disconnect()
            # full jitter over the upper half, so that the workers of one program do not come back in step
            longest = min(_RETRY_CAP, _RETRY_BASE * 2.0 ** min(attempt, 10))
            self._clock.wait(stop, self._clock.now() + longest * (1.0 - 0.5 * self._chance()))
        wire.discard()

    def _talk(self, wire: Wire, outbox: Outbox, stop: threading.Event) -> None:
        """One connection, until it breaks or the link is stopped."""
        clock, difference = self._clock, Difference()
        wire.queue(
            encode({"type": "hello", "v": VERSION, "program": self.program, "pid": os.getpid(), "worker": self.worker})
        )
        sent_at = clock.now()
        next_at = sent_at
        while True:
            now = clock.now()
            if stop.is_set():
                self._say(wire, outbox, difference)
                wire.queue(encode({"type": "bye"}))
                wire.flush(clock, now + _FAREWELL)
                return
            if wire.idle:
                sent_at = now
                if now >= next_at or (wire.woken and now >= next_at - _EVERY + _AT_MOST_EVERY):
                    self._say(wire, outbox, difference)
                    next_at = now + _EVERY
            elif now - sent_at > _STUCK_AFTER:
                raise TimeoutError("the daemon does not read")
            due = next_at - _EVERY + _AT_MOST_EVERY if wire.woken else next_at
            progress, lines = wire.wait(max(0.0, due - now) if wire.idle else _EVERY)
            if progress:
                sent_at = clock.now()
            for message in lines:
                self._obey(wire, message)

    def _say(self, wire: Wire, outbox: Outbox, difference: Difference) -> None:
        """Queue what is new."""
        wire.woken = False
        for message in outbox.take():
            wire.queue(encode(message))
        try:
            present = since(self._registry.snapshot(), self._baseline)
        except Exception as error:  # noqa: BLE001 - a registry that fails must not end events and commands
            self._note(error)
            present = Snapshot(self._clock.wall())
        for line in difference.lines(present):
            wire.queue(line)

    def _obey(self, wire: Wire, message: Message) -> None:
        """One message of the daemon."""
        kind = message["type"]
        if kind == "welcome":
            wire.welcomed = True
            self.linked = True
            self.last_error = ""
        elif kind == "refused":
            raise ConnectionError(f"the daemon refused: {safe_text(message.get('reason'), 200)}")
        elif kind in {"force", "release"}:
            said = self._command(message)
            wire.queue(encode({"type": "ack", "id": message.get("id"), "ok": not said, "message": said}))
            wire.woken = True

    def _command(self, message: Message) -> str:
        """Carry out a command; gives "" or, in words, why not."""
        try:
            name, owner, reason = text(message, "name"), text(message, "owner"), text(message, "reason")
            if message["type"] == "release":
                self._registry.release_circuit(name, owner=owner, reason=reason)
                return ""
            state = message.get("state")
            if state not in FORCED_STATES:
                return f"there is no state {safe_text(state, 50)!r} to force"
            expires_in = None
            if message.get("expires_in") is not None:
                # a program that was stopped meanwhile must not prolong it
                late = max(0.0, self._clock.wall() - number(message, "sent_at"))
                expires_in = number(message, "expires_in") - late
                if expires_in <= 0:
                    return "it had expired before it arrived"
            self._registry.force_circuit(name, state, owner=owner, reason=reason, expires_in=expires_in)
        except ProtocolError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever the registry raises is the answer
            return describe_error(error)
        return ""

    def _note(self, error: Exception) -> None:
        """Keep what went wrong."""
        self.last_error = describe_error(error)
        if not isinstance(error, OSError):
            self.errors += 1


#: All links of this process. Held weakly; the thread of a link holds the link.
_links: weakref.WeakSet[Link] = weakref.WeakSet()
_by_registry: weakref.WeakKeyDictionary[LinkedRegistry, Link] = weakref.WeakKeyDictionary()
_starting = threading.Lock()


def start(registry: LinkedRegistry, socket_path: str | Path | None = None) -> Link:
    """Link `registry` to a daemon, from now until the program ends; never raises and never waits.

    A second start for the same registry and socket gives the link there is. The program is called by SEAWALL_PROGRAM,
    or by the name of its script.

    Args:
        registry: the program's registry.
        socket_path: the daemon's socket; by default SEAWALL_SOCKET, as the supervisor sets it. Without either, the link
            does nothing.
    """
    where = socket_path or os.environ.get(SOCKET_VARIABLE) or None
    path = Path(where) if where is not None else None
    with _starting:
        present = _by_registry.get(registry)
        if present is not None:
            if present.path == path and not present._stop.is_set():
                return present
            present.stop()
        link = Link(registry, path, program=_program())
        _by_registry[registry] = link
        return link


def stop(registry: LinkedRegistry, timeout: float = _FAREWELL) -> None:
    """Send what is left, at most for `timeout` seconds, and end the link of `registry`, if there is one."""
    link = _by_registry.get(registry)
    if link is not None:
        link.stop(timeout)


def _program() -> str:
    """What to call this program."""
    script = sys.argv[0] if getattr(sys, "argv", None) else ""
    name = os.environ.get(PROGRAM_VARIABLE) or Path(script).stem or "python"
    if name == "__main__":  # python -m package
        name = Path(script).parent.name or "python"
    return safe_text(name, 100) or "python"


def _renew_all() -> None:
    """In the child of a fork, after `threading` and every policy have been renewed.

    NB: this has a hook of its own, registered after that of core.fork: there the order is left to chance, and a thread
    that took a snapshot before the policies had their new locks would wait for ever.
    """
    global _starting  # noqa: PLW0603 - a lock that another thread held at the fork is never given back
    _starting = threading.Lock()
    for link in list(_links):
        link.renew()


def _say_goodbye() -> None:
    """At the end of the program: the last counts, within a bound."""
    for link in list(_links):
        link.stop()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_all)
atexit.register(_say_goodbye)
