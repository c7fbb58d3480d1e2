"""The state of the page, kept current: built once a second for all who look, sent to each as what has changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from starlette.concurrency import run_in_threadpool

from seawall.server.history import Tracks
from seawall.server.parts import Parts
from seawall.server.timeline import Timeline
from seawall.server.verdict import judge
from seawall.server.view.moments import Moments
from seawall.server.view.pieces import BROKEN, FINE
from seawall.server.view.rows import Row, Sources, build_rows, row_json
from seawall.server.view.story import tell

_TICK = 1.0  # seconds between two states while somebody looks
_IDLE = 5.0  # seconds between two samples while nobody does
_KEPT = 120  # deltas kept for those who reconnect: two minutes
_VIEWERS = 64


class Live:
    """Samples the parts, keeps the history, and serves the stream of the page.

    Args:
        parts: what is shown.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tracks = Tracks()
        self._timeline = Timeline(parts.journal)
        self._boot = f"{parts.clock.wall():.0f}"
        self._seq = 0
        self._state: dict[str, Any] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        self._moments = Moments()
        self._began: dict[str, float] = {}
        self._started_at = parts.clock.wall()
        self._well_since: float | None = None  # the last moment something was broken
        self._deltas: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self._news = asyncio.Condition()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._viewers = 0
        self.errors = 0  #: states that could not be built
        self._task: asyncio.Task[None] | None = None
        self._building = asyncio.Lock()

    async def start(self) -> None:
        """Begin to sample."""
        self._task = asyncio.create_task(self._run(), name="seawall-live")

    async def stop(self) -> None:
        """End sampling and all streams."""
        self._parts.stopping = True
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=5)
            self._task.cancel()
        async with self._news:
            self._news.notify_all()

    async def state(self) -> dict[str, Any]:
        """The whole state, as of now."""
        await self._build()
        return self._whole()

    async def events(self, last_id: str = "") -> AsyncGenerator[str, None]:
        """The stream: first the whole state, or what came since `last_id`; then a delta each second.

        Raises:
            OverflowError: if too many look already.
        """
        if self._viewers >= _VIEWERS:
            raise OverflowError(f"{_VIEWERS} pages are open already")
        self._viewers += 1
        self._wake.set()
        try:
            seq = self._resume(last_id)
            if seq is None:
                await self._build()
                seq = self._seq  # before the yield: the reader may take its time
                yield self._message("state", self._whole())
            while not self._parts.stopping:
                if seq == self._seq:
                    async with self._news:
                        await self._news.wait()
                    continue
                seen, seq = seq, self._seq
                if self._deltas[0][0] > seen + 1:  # too slow: what it missed is gone
                    yield self._message("state", self._whole())
                else:
                    yield "".join(text for number, text in self._deltas if number > seen)
            yield "event: bye\ndata: {}\n\n"
        finally:
            self._viewers -= 1

    def _resume(self, last_id: str) -> int | None:
        """The number to go on from, if all that came after it is still there."""
        boot, _, number = last_id.partition("-")
        if boot != self._boot or not number.isdigit() or not self._deltas:
            return None
        seq = int(number)
        return seq if self._deltas[0][0] - 1 <= seq <= self._seq else None

    def _message(self, kind: str, data: dict[str, Any]) -> str:
        """One server-sent event."""
        body = json.dumps(data, separators=(",", ":"), default=str)
        return f"id: {self._boot}-{self._seq}\nevent: {kind}\ndata: {body}\n\n"

    def _whole(self) -> dict[str, Any]:
        """Everything, for those who have nothing yet."""
        return {**self._state, "rows": list(self._rows.values()), "timeline": self._timeline.lines()}

    async def _run(self) -> None:
        """Sample until closed, faster while somebody looks."""
        while not self._closing.is_set():
            self._wake.clear()
            try:
                await self._build()
            except Exception:
                self.errors += 1
                logging.getLogger("seawall").exception("The page could not be brought up to date.")
            with contextlib.suppress(TimeoutError):
                # a viewer wakes an idle sampler, and only that
                waking = self._closing if self._viewers else self._wake
                await asyncio.wait_for(waking.wait(), _TICK if self._viewers else _IDLE)

    async def _build(self) -> None:
        """Make the next state and the delta that leads to it."""
        async with self._building:
            lines = self._timeline.follow()
            parts = self._parts
            sources = Sources(
                wall=parts.clock.wall(),
                snapshot=parts.hub.snapshot(),
                checks=parts.monitor.states(),
                processes=list(parts.supervisor.processes()) if parts.supervisor else [],
                programs=list(parts.hub.programs()),
                tracks=self._tracks,
            )
            status = str(judge(parts, sources.snapshot).status)
            if len(sources.snapshot.policies) > 100:
                state, rows = await run_in_threadpool(self._view, sources)
            else:
                state, rows = self._view(sources)
            state["status"] = status
            self._advance(state, rows, lines)
        async with self._news:
            self._news.notify_all()

    def _view(self, sources: Sources) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The state without the timeline, and the rows by their name."""
        self._tracks.observe(sources.snapshot, sources.wall)
        rows = build_rows(sources)
        self._moments.steady(rows)
        self._remember(rows, sources.wall)
        parts = self._parts
        state = {
            "version": 1,
            "now": round(sources.wall, 3),
            "name": parts.name,
            "seawall": parts.version,
            "watching_since": round(self._started_at, 1),
            "story": tell(rows, sources, self._timeline.changes(), self._well_since),
            "overrides": [{"id": row.id, **row.override} for row in rows if row.override],
            "programs": [
                {"name": one.name, "pid": one.pid, "worker": one.worker, "live": one.live, "linked_at": one.linked_at}
                for one in sources.programs
            ],
        }
        return state, {row.id: row_json(row, sources.wall) for row in rows}

    def _remember(self, rows: list[Row], wall: float) -> None:
        """Keep when each trouble began: a process that ends again and again began to do so the first time."""
        troubled = {row.id for row in rows if row.level > FINE}
        self._began = {name: began for name, began in self._began.items() if name in troubled}
        for row in rows:
            if row.level > FINE:
                row.began = self._began.setdefault(row.id, row.since or wall)
            if row.level >= BROKEN:
                self._well_since = wall

    def _advance(self, state: dict[str, Any], rows: dict[str, dict[str, Any]], lines: list[dict[str, Any]]) -> None:
        """Make `state` and `rows` the present ones; keep what changed as a delta."""
        delta: dict[str, Any] = {key: value for key, value in state.items() if self._state.get(key) != value}
        delta["now"] = state["now"]
        changed = [
            {"id": name, **{key: value for key, value in row.items() if before.get(key) != value}}
            for name, row in rows.items()
            if (before := self._rows.get(name, {})) != row
        ]
        gone = [name for name in self._rows if name not in rows]
        news = {"rows": changed, "gone": gone, "timeline": lines}
        delta.update({key: value for key, value in news.items() if value})
        self._state, self._rows = state, rows
        self._seq += 1
        self._deltas.append((self._seq, self._message("delta", delta)))
