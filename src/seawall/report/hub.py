"""The daemon's end of the link: takes in what programs report, and hands down what operators want."""

from __future__ import annotations

import asyncio
import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seawall.core.clock import Clock, current_clock
from seawall.core.errors import ConfigurationError
from seawall.errors.text import safe_text
from seawall.events.types import ProgramLinked, ProgramLost
from seawall.report.door import identity, open_door
from seawall.report.fleet import Fleet
from seawall.report.peer import Ack, Peer
from seawall.report.protocol import FORCED_STATES, MAX_LINE_BYTES, ForcedState, Message, is_trusted, peer_of
from seawall.report.reading import Hello, read_entries, read_snapshot, read_suppressed

if TYPE_CHECKING:
    import socket

    from seawall.core.snapshot import Snapshot
    from seawall.events.bus import Bus
    from seawall.events.journal import Entry, Journal

__all__ = ["Ack", "EntrySubscription", "Hub", "ProgramState"]

#: A linked worker that has said nothing for so long no longer counts as live, seconds; it speaks once a second.
SILENT_AFTER = 10.0
#: How long an ended worker is still listed, seconds.
LISTED_FOR = 300.0
MOST_PEERS = 256
_LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One worker of a linked program at one moment.

    Args:
        name: the program's.
        pid: of this worker.
        worker: id of this worker, new after every fork.
        linked_at: wall time of its (last) link, seconds.
        last_seen: wall time at which it last said anything, seconds.
        live: linked and not silent for more than ten seconds.
        snapshot: what it said last.
        suppressed: how many events by kind it left out because they came too fast.
        dropped: how many events were lost because a queue was full.
    """

    name: str
    pid: int
    worker: str
    linked_at: float
    last_seen: float
    live: bool
    snapshot: Snapshot
    suppressed: dict[str, int]
    dropped: int


class _Pin(NamedTuple):
    """A force in effect, for workers that link while it lasts."""

    state: ForcedState
    owner: str
    reason: str
    until: float | None


class EntrySubscription:
    """A listener's place; `cancel()` ends it, any number of times."""

    __slots__ = ("_listeners", "listener")

    def __init__(self, listeners: list[EntrySubscription], listener: Callable[[Entry], object]) -> None:
        self._listeners = listeners
        self.listener = listener
        listeners.append(self)

    def cancel(self) -> None:
        """Stop listening."""
        if self in self._listeners:
            self._listeners.remove(self)


class _Worker:
    """What is kept of one worker, linked or ended."""

    __slots__ = ("dropped", "hello", "last_seen", "linked_at", "lost_at", "peer", "suppressed")

    def __init__(self, hello: Hello, now: float) -> None:
        self.hello = hello
        self.linked_at = now
        self.last_seen = now
        self.lost_at: float | None = None
        self.peer: Peer | None = None
        self.suppressed: dict[str, int] = {}
        self.dropped = 0


class Hub:
    """Listens on a unix socket for programs, keeps what they report, and sends them commands.

    A peer of another user is not let in; one that sends anything but the protocol is hung up on, and nobody else
    notices. All methods belong to the loop that `start` was called in.

    Args:
        path: the socket's; its folder must be private (0700), and is made if missing.
        bus: takes ProgramLinked and ProgramLost; its journal takes the programs' events.
        clock: the clock; the present one by default.
    """

    def __init__(self, path: Path, *, bus: Bus, clock: Clock | None = None) -> None:
        self.path = Path(path)
        self.bus = bus
        self.listener_errors = 0
        self.refused = 0  #: connections hung up on: foreign, too many, or not speaking the protocol
        self._clock = clock or current_clock()
        self._fleet = Fleet()
        self._workers: dict[str, _Worker] = {}
        self._peers: set[Peer] = set()
        self._pins: dict[str, _Pin] = {}
        self._listeners: list[EntrySubscription] = []
        self._number = 0
        self._server: asyncio.Server | None = None
        self._file: tuple[int, int] | None = None
        self._stop = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @property
    def journal(self) -> Journal:
        """Where the programs' events are kept, with "program/pid" as their source."""
        return self.bus.journal

    def listen(self, listener: Callable[[Entry], object]) -> EntrySubscription:
        """Call `listener(entry)` on the loop for every event a program reports from now on; its errors are counted."""
        return EntrySubscription(self._listeners, listener)

    async def start(self) -> None:
        """Open the socket.

        Raises:
            ConfigurationError: see `door.open_door`.
        """
        if self._server is not None:
            return
        sock = open_door(self.path)
        self._file = identity(self.path)
        self._stop.clear()
        self._server = await asyncio.start_unix_server(self._welcome, sock=sock, limit=MAX_LINE_BYTES)
        self._watch = asyncio.get_running_loop().create_task(self._look_around(), name="seawall-hub")

    async def stop(self) -> None:
        """Hang up on all programs and remove the socket; they go on, and look for a daemon now and again."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stop.set()
        server.close()
        for peer in list(self._peers):
            peer.close("the daemon stopped")
        await asyncio.gather(*(peer.ended.wait() for peer in list(self._peers)))
        if self._watch is not None:
            await self._watch
        # another daemon may have put its own socket there meanwhile
        if self._file is not None and identity(self.path) == self._file:
            self.path.unlink(missing_ok=True)

    def programs(self) -> list[ProgramState]:
        """All linked workers, and those lost in the last five minutes, by name and pid."""
        now = self._clock.now()
        return [
            ProgramState(
                name=one.hello.program,
                pid=one.hello.pid,
                worker=worker,
                linked_at=self._wall(one.linked_at),
                last_seen=self._wall(one.last_seen),
                live=self._is_live(one),
                snapshot=self._fleet.worker_snapshot(worker),
                suppressed=dict(one.suppressed),
                dropped=one.dropped,
            )
            for worker, one in sorted(self._workers.items(), key=lambda pair: (pair[1].hello[:2], pair[0]))
            if one.lost_at is None or now - one.lost_at <= LISTED_FOR
        ]

    def snapshot(self) -> Snapshot:
        """Everything all programs protect, merged over their workers; see `merge.merge_policy`.

        Counters never go back, whichever workers end or link again.
        """
        return self._fleet.snapshot(self._clock.wall())

    async def force(
        self, name: str, state: ForcedState, *, owner: str, reason: str, expires_in: float | None
    ) -> list[Ack]:
        """Pin circuit `name` in every worker that has it, now and while the pin lasts.

        Args:
            name: of the circuit.
            state: "open", "closed", "disabled" or "observe".
            owner: who wants it.
            reason: why.
            expires_in: seconds, > 0; None for until it is released. The programs keep the time themselves.

        Returns:
            One acknowledgement per worker; one that did not answer within two seconds is not `ok`.

        Raises:
            ConfigurationError: no linked program has such a circuit, or a value is out of range.
        """
        if state not in FORCED_STATES:
            raise ConfigurationError(f"state = {state!r}: must be one of {', '.join(FORCED_STATES)}.")
        if expires_in is not None and not (math.isfinite(expires_in) and expires_in > 0):
            raise ConfigurationError(f"expires_in = {expires_in!r}: must be more than 0 seconds, or None.")
        owner, reason = _wording(owner, reason)
        peers = self._peers_with(name)
        until = None if expires_in is None else self._clock.now() + expires_in
        pin = self._pins[name] = _Pin(state, owner, reason, until)
        return list(await asyncio.gather(*(self._force(peer, name, pin) for peer in peers)))

    async def release(self, name: str, *, owner: str, reason: str) -> list[Ack]:
        """End the pin of circuit `name` in every worker that has it; see `force`."""
        owner, reason = _wording(owner, reason)
        peers = self._peers_with(name)
        self._pins.pop(name, None)
        message: Message = {"type": "release", "name": name, "owner": owner, "reason": reason}
        return list(await asyncio.gather(*(peer.command(dict(message)) for peer in peers)))

    def _peers_with(self, name: str) -> list[Peer]:
        """The linked workers that have circuit `name`."""
        found = [one for one in self._peers if one.worker and self._fleet.circuit(one.worker, name) is not None]
        if found:
            return found
        known = self._fleet.circuits()
        near = difflib.get_close_matches(name, known, 1)
        raise ConfigurationError(
            f"No linked program has a circuit {safe_text(name, 100)!r}: "
            + (f"did you mean {near[0]!r}? " if near else "")
            + f"known are {', '.join(known[:20]) or 'none'}{' …' if len(known) > 20 else ''}."
        )

    async def _force(self, peer: Peer, name: str, pin: _Pin) -> Ack:
        """Send a pin to one worker."""
        left = None if pin.until is None else pin.until - self._clock.now()
        return await peer.command(
            {
                "type": "force",
                "name": name,
                "state": pin.state,
                "owner": pin.owner,
                "reason": pin.reason,
                "expires_in": left,
                "sent_at": self._clock.wall(),
            }
        )

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A program has connected: let it in, listen to it until it goes."""
        sock: socket.socket = writer.get_extra_info("socket")
        credentials = peer_of(sock)
        if self._server is None or not is_trusted(credentials) or len(self._peers) >= MOST_PEERS:
            self.refused += 1
            writer.close()
            return
        peer = Peer(reader, writer, self._clock, credentials)
        self._peers.add(peer)
        try:
            hello = await peer.greet()
            if hello is not None:
                self._link(peer, hello)
                await peer.read_all(self._take)
        finally:
            peer.finish()
            self._peers.discard(peer)
            if peer.failed:
                self.refused += 1
            self._unlink(peer)

    def _link(self, peer: Peer, hello: Hello) -> None:
        """A worker has said who it is."""
        now = self._clock.now()
        known = self._workers.get(hello.worker)
        if known is not None and known.peer is not None:
            known.peer.close("it linked a second time")
        worker = self._workers[hello.worker] = _Worker(hello, now)
        if known is not None:
            worker.suppressed, worker.dropped = known.suppressed, known.dropped
        worker.peer = peer
        self._fleet.set_live(hello.worker, live=True)
        self._publish((ProgramLinked, hello.program, hello.pid, hello.worker))

    def _unlink(self, peer: Peer) -> None:
        """A worker's connection has ended."""
        worker = self._workers.get(peer.worker)
        if worker is None or worker.peer is not peer:
            return
        worker.peer = None
        worker.lost_at = self._clock.now()
        for forgotten in self._fleet.ended(peer.worker):
            self._workers.pop(forgotten, None)
        hello = worker.hello
        self._publish((ProgramLost, hello.program, hello.pid, hello.worker, peer.reason))

    def _take(self, peer: Peer, message: Message) -> None:
        """One message of a linked worker; ProtocolError ends the link."""
        worker = self._workers.get(peer.worker)
        if worker is None:
            return
        worker.last_seen = self._clock.now()
        self._fleet.set_live(peer.worker, live=True)
        kind = message["type"]
        if kind == "snapshot":
            found = read_snapshot(message)
            self._fleet.update(peer.worker, min(found.taken_at, self._clock.wall()), found.policies, found.pipelines)
            self._pin_late(peer)
        elif kind == "events":
            source = f"{worker.hello.program}/{worker.hello.pid}"
            for entry in read_entries(message, source, self._clock.wall(), peer.worker):
                self.journal.add_entry(entry)
                self._tell(entry)
        elif kind == "aggregate":
            suppressed, dropped = read_suppressed(message)
            worker.dropped += dropped
            for name, count in suppressed.items():
                worker.suppressed[name] = worker.suppressed.get(name, 0) + count

    def _pin_late(self, peer: Peer) -> None:
        """Pin circuits of a worker that linked after the pin was set."""
        now = self._clock.now()
        for name, pin in list(self._pins.items()):
            if pin.until is not None and pin.until <= now:
                del self._pins[name]
                continue
            circuit = self._fleet.circuit(peer.worker, name)
            if circuit is None or peer.was_sent(name, pin):
                continue
            forced = circuit.details.get("forced")
            if not (isinstance(forced, dict) and forced.get("owner") == pin.owner and forced.get("state") == pin.state):
                peer.spawn(self._force(peer, name, pin))

    async def _look_around(self) -> None:
        """Once a second: who has fallen silent?"""
        while True:
            try:
                await asyncio.wait_for(self._stop.wait(), _LOOK_EVERY)
                return
            except TimeoutError:
                for name, worker in self._workers.items():
                    if worker.peer is not None:
                        self._fleet.set_live(name, live=self._is_live(worker))

    def _is_live(self, worker: _Worker) -> bool:
        """Linked, and heard of lately."""
        return worker.peer is not None and self._clock.now() - worker.last_seen <= SILENT_AFTER

    def _publish(self, what: tuple[object, ...]) -> None:
        """Publish an event of the hub itself: its class and its own fields."""
        self._number += 1
        self.bus.publish((what[0], self._number, self._clock.now(), *what[1:]))

    def _tell(self, entry: Entry) -> None:
        """Hand an entry to the listeners."""
        for one in list(self._listeners):
            try:
                one.listener(entry)
            except Exception:  # noqa: BLE001 - a listener may do anything; it is counted and goes no further
                self.listener_errors += 1

    def _wall(self, moment: float) -> float:
        """A moment of the clock as wall time."""
        return self._clock.wall() - (self._clock.now() - moment)


def _wording(owner: str, reason: str) -> tuple[str, str]:
    """Owner and reason, fit to be shown.

    Raises:
        ConfigurationError: if one is empty.
    """
    clean_owner, clean_reason = safe_text(owner.strip(), 100), safe_text(reason.strip(), 300)
    if not clean_owner or not clean_reason:
        raise ConfigurationError("owner and reason: both are needed, so that others understand the override later.")
    return clean_owner, clean_reason
