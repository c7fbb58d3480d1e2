"""A real server over a played shop: `python -m tests.support.serve [--policies N] [--hang ADDRESS …]`.

Prints its address and token as one JSON line. Lines on its standard input set the scene: "well", "outage", "pinned",
"recovering". It ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import sys
import threading
import time

import uvicorn

from seawall.core.clock import SYSTEM_CLOCK
from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.events.bus import Bus
from seawall.events.types import (
    CallRejected,
    CheckChanged,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    ProcessExited,
    ProcessStarted,
    ProgramLinked,
)
from seawall.health import DiskCheck, HttpCheck, MemoryCheck, Monitor, TcpCheck
from seawall.measure.histogram import DURATION_BOUNDS, Histogram
from seawall.server import Parts, build_app
from tests.support.ops import HandHub, HandSupervisor, ProcessState, ProgramState

TOKEN = "token-of-the-play"


class Service:
    """One dependency with its circuit and pipeline, whose counts go on."""

    def __init__(self, name, rate, slowness, dice):
        self.name, self.rate, self.slowness, self.dice = name, rate, slowness, dice
        self.taken = None
        self.good = self.bad = self.refused = self.degraded = 0
        self.histogram = Histogram(DURATION_BOUNDS)
        self.state, self.since, self.trial_at, self.reason, self.forced = "closed", None, 0.0, "", None

    def live(self, seconds, bad_share=0.002):
        """Let some calls happen."""
        for _ in range(max(1, round(self.rate * seconds * self.dice.uniform(0.8, 1.2)))):
            if self.state in {"open", "forced-open"}:
                self.refused += 1
                self.degraded += 1
            elif self.dice.random() < bad_share:
                self.bad += 1
                self.histogram.observe(self.slowness * 20)
            else:
                self.good += 1
                self.histogram.observe(self.slowness * self.dice.lognormvariate(0, 0.5))

    def snapshots(self):
        """Its circuit and its pipeline; made anew only when something happened."""
        if self.taken is None:
            self.taken = self.take()
        return self.taken

    def take(self):
        data = self.histogram.data()
        return (
            PolicySnapshot(
                "circuit_breaker",
                self.name,
                (self.name,),
                self.state,
                {"requests.success": self.good, "requests.failure": self.bad, "requests.rejected": self.refused},
                {"retry_after": max(0.0, self.trial_at - time.time()) if self.state == "open" else 0.0},
                {"duration": HistogramData(*data)},
                {
                    "reason": self.reason,
                    "since": self.since,
                    "forced": self.forced,
                    "workers": {self.state: 2},
                    "options": {"trip": ["FailureRate(0.5, window=30.0)"], "recovery_timeout": 30.0},
                },
            ),
            PipelineSnapshot(
                self.name,
                (("fallback", self.name), ("retry", self.name), ("circuit_breaker", self.name)),
                {"calls.success": self.good + self.bad, "calls.degraded": self.degraded},
                {"duration": HistogramData(*data)},
            ),
        )


class Play:
    """The shop: payments, search and a mail service, called by orders."""

    def __init__(self, policies, bus, hub, supervisor):
        dice = random.Random(7)
        names = [("payments", 20, 0.02), ("search", 35, 0.008), ("mail", 3, 0.15)]
        names += [(f"tenant-{n:04}", 1, 0.01) for n in range(policies - 3)]
        self.services = {name: Service(name, rate, slow, dice) for name, rate, slow in names}
        self.bus, self.hub, self.supervisor, self.number = bus, hub, supervisor, 0
        self.scene = "well"
        self.publish_hub()

    def publish(self, kind, *fields, ago=0.0):
        self.number += 1
        self.bus.journal.append(time.time() - ago, (kind, self.number, SYSTEM_CLOCK.now() - ago, *fields))

    def publish_hub(self):
        for service in list(self.services.values())[:3]:
            service.taken = None  # a scene may have changed them
        pairs = [service.snapshots() for service in self.services.values()]
        self.hub.policies, self.hub.pipelines = [p for p, _ in pairs], [q for _, q in pairs]
        snapshot = Snapshot(time.time(), tuple(self.hub.pipelines[:3]), tuple(self.hub.policies[:3]))
        start = time.time() - 5400
        self.hub.linked = [
            ProgramState("orders", 4102, "w1", start, time.time(), live=True, snapshot=snapshot),
            ProgramState("orders", 4103, "w2", start, time.time(), live=True, snapshot=snapshot),
        ]

    def go_on(self):
        """Let a second pass."""
        everyone = list(self.services.values())
        for service in everyone[:3] + random.sample(everyone[3:], min(50, len(everyone) - 3)):
            service.live(1)
            service.taken = None
        self.publish_hub()

    def set(self, scene):
        self.scene = scene
        getattr(self, f"scene_{scene}")()
        self.publish_hub()

    def scene_well(self):
        for service in self.services.values():
            service.state, service.since, service.reason, service.forced = "closed", None, "", None
        start = time.time() - 5400
        self.supervisor.states = [
            ProcessState(name, 4100 + n, "running", start)
            for n, name in enumerate(("payments", "search", "orders", "shoppers"))
        ]

    def scene_outage(self):
        now, payments = time.time(), self.services["payments"]
        payments.state, payments.since, payments.trial_at = "open", now - 41, now + 19
        payments.reason = "6 of 10 calls failed in 30 s (5 × ConnectError, 1 × 503)"
        down = ProcessState("payments", None, "backing-off", now - 44, 3, 14.0, "killed by SIGKILL")
        self.supervisor.states = [down, *self.supervisor.states[1:]]
        self.publish(CircuitForced, "mail", "open", "ops", "provider is moving its data centre", 900.0, ago=60)
        self.pin("mail", now + 840)
        self.publish(ProcessStarted, "payments", 4188, 2, ago=88)
        self.publish(ProcessExited, "payments", 4188, "killed by SIGKILL", 44.0, 4.0, ago=44)
        evidence = {
            "rule": "failure_rate",
            "failures": 6,
            "calls": 10,
            "window": 30.0,
            "causes": {"ConnectError": 5, "503": 1},
        }
        self.publish(CircuitOpened, "payments", "tripped", 30.0, evidence, ago=41)
        self.publish(
            CheckChanged,
            "payments-http",
            "healthy",
            "unhealthy",
            "http://127.0.0.1:43121/health: connection refused",
            ago=38,
        )
        for _ in range(212):
            self.publish(CallRejected, "payments", "circuit_breaker", "open", 12.4, {})

    def pin(self, name, until):
        service = self.services[name]
        service.state, service.reason = "forced-open", "by ops: provider is moving its data centre"
        service.forced = {
            "state": "open",
            "owner": "ops",
            "reason": "provider is moving its data centre",
            "expires_at": until,
        }

    def scene_pinned(self):
        self.scene_well()
        self.pin("mail", time.time() + 840)

    def scene_recovering(self):
        self.scene_well()
        payments = self.services["payments"]
        payments.state, payments.since, payments.reason = "half-open", time.time() - 70, "6 of 10 calls failed in 30 s"
        self.publish(CircuitHalfOpened, "payments", "waited", 3)


class PlayedHub(HandHub):
    """Forces what the play has."""

    play: Play

    async def force(self, name, state, *, owner, reason, expires_in):
        service = self.play.services[name]
        service.taken = None
        service.state = state if state in {"disabled", "observe"} else f"forced-{state}"
        service.reason = f"by {owner}: {reason}"
        service.forced = {"state": state, "owner": owner, "reason": reason, "expires_at": time.time() + expires_in}
        self.play.publish(CircuitForced, name, state, owner, reason, expires_in)
        self.play.publish_hub()
        return await super().force(name, state, owner=owner, reason=reason, expires_in=expires_in)

    async def release(self, name, *, owner, reason):
        service = self.play.services[name]
        service.taken = None
        service.state, service.reason, service.forced = "closed", "", None
        self.play.publish_hub()
        return await super().release(name, owner=owner, reason=reason)


def past(live, play):
    """Give the history an hour, with a short trouble forty minutes ago."""
    now = time.time()
    for step in range(3600, 0, -20 if len(play.services) < 100 else -120):
        trouble = 2280 < step < 2520
        for service in list(play.services.values())[:3]:
            service.live(20, 0.35 if trouble and service.name == "payments" else 0.002)
        play.publish_hub()
        live._tracks.observe(play.hub.snapshot(), now - step)


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--policies", type=int, default=3)
    options.add_argument("--hang", nargs="*", default=[])
    options.add_argument("--folder", default="/")
    given = options.parse_args()
    bus = Bus()
    hub, supervisor = PlayedHub(SYSTEM_CLOCK), HandSupervisor()
    play = hub.play = Play(given.policies, bus, hub, supervisor)
    play.scene_well()
    # the protocol by its number: asyncio sends small packets at once only then
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    checks = [
        DiskCheck(name="disk", path=given.folder, degraded_below=0.0, critical_below=0.0),
        MemoryCheck(name="memory", degraded_above=1.0, critical_above=1.0),
        HttpCheck(name="search-http", url=f"http://{address}/livez", dependency="search", critical=True),
        TcpCheck(name="orders", address=address),
        *(
            HttpCheck(name=f"hung-{n}", url=f"http://{one}/", interval=1.0, timeout=1.0, critical=False)
            for n, one in enumerate(given.hang)
        ),
    ]
    monitor = Monitor(checks, bus=bus)
    parts = Parts(monitor, hub, bus.journal, TOKEN, supervisor, name="shop", version="0.1.0", started=True)
    app = build_app(parts)
    past(app.state.live, play)
    for name in ("orders", "orders"):
        play.publish(ProgramLinked, name, 4102, "w1")
    await monitor.start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, access_log=False))
    serving = asyncio.create_task(server.serve([listening]))
    loop = asyncio.get_running_loop()

    def follow():
        for line in sys.stdin:
            loop.call_soon_threadsafe(play.set, line.strip())
        loop.call_soon_threadsafe(end)

    def end():
        parts.stopping = server.should_exit = True

    threading.Thread(target=follow, daemon=True).start()
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print(json.dumps({"address": address, "token": TOKEN}), flush=True)  # noqa: T201 - read by the test that started this
    while not serving.done():
        await asyncio.wait({serving}, timeout=1)
        await asyncio.to_thread(play.go_on)  # what the programs do must not hold up the server
    await monitor.stop()


if __name__ == "__main__":
    asyncio.run(main())
