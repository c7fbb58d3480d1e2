"""Protected calls that signals get into; run in a process of its own, whose main thread it needs.

python -m tests.support.signal_worlds WORLD (raises|calls) (everywhere|often) (decorated|quiet|call)

Prints how many interruptions there were, and what was wrong after which, as JSON. A process that is wedged ends by
itself, with the tracebacks of its threads.
"""

import faulthandler
import gc
import json
import logging
import signal
import sys
import threading
from contextlib import ExitStack
from random import Random

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    Pipeline,
    RateLimiter,
    Registry,
    RejectedError,
    Retry,
    Timeout,
)
from seawall.backoff import Constant
from seawall.testing import virtual_time
from tests.support.signalled import Interrupted, every

BURST = 1e6
OFTEN = 3000
CALLS = 100  # at most, until the signal comes: one on the quiet path takes less than a timer can tell
SLOTS = 3
KEY = "a"  # of what has keys


class World:
    """One pipeline with one function, and how often that ran."""

    def __init__(self, name, way):
        self.registry = Registry()
        self.policies = POLICIES[name]()
        self.crowded = name == "crowded"
        self.pipeline = Pipeline("p", *self.policies, registry=self.registry)
        self.ran = self.handled = self.made = 0
        self.most = self.inside = 0
        self._failures = 1 if name == "retry" else 0
        if name == "half-open":
            self.of(CircuitBreaker).half_open()
        if way == "call":
            self.function = lambda: self.pipeline.call(self.work)
        else:
            self.function = self.pipeline(self.work)
        if way == "quiet":
            self._failures = 0
            for _ in range(3):  # closes a circuit, and hands out tickets
                self.call()

    def of(self, kind):
        return next((policy for policy in self.policies if isinstance(policy, kind)), None)

    def work(self):
        self.ran += 1
        if self.crowded and not self.inside:
            self.inside = 1
            self.made += 1
            try:
                self.function()  # takes a token, finds no slot, and gives the token back
            except BulkheadFullError:
                pass
            finally:
                self.inside = 0
        if self._failures:
            self._failures -= 1
            raise ConnectionError
        return 1

    def call(self):
        self.made += 1
        self.function()

    def handle(self):
        """What a handler does that calls; a refusal is an answer too."""
        self.handled += 1
        try:
            self.function()
        except RejectedError:
            pass

    # ------------------------------------------------------- what must hold

    def wrong(self, interrupted=1):
        """What is wrong now, in words; `interrupted` calls did not come to their end."""
        return self._levels(interrupted) or self._counts(interrupted) or self._after()

    def _levels(self, interrupted):
        bulkhead, limiter, breaker = self.of(Bulkhead), self.of(RateLimiter), self.of(CircuitBreaker)
        if bulkhead is not None:
            gauges = bulkhead.snapshot().gauges
            if gauges["in_flight"] or gauges["queued"]:
                return f"bulkhead: {gauges['in_flight']:g} in flight, {gauges['queued']:g} in line, nobody there"
        if limiter is not None:
            taken, allowed = BURST - limiter.available(key=KEY), limiter.snapshot().counters["requests.allowed"]
            if limiter.snapshot().gauges["waiting"]:
                return "rate limiter: somebody in line, nobody there"
            if abs(taken - allowed) > 1e-6 or not self.ran <= allowed <= self.ran + interrupted:
                return f"rate limiter: {taken:g} tokens taken, {allowed} allowed, {self.ran} ran"
        if breaker is not None and breaker.snapshot().gauges["trials"]:
            return f"circuit breaker: {breaker.snapshot().gauges['trials']:g} trials under way, nobody there"
        return None

    def _counts(self, interrupted):
        """Every call was counted, once: those that were interrupted perhaps before that, or just after."""
        counters = self.pipeline.snapshot().counters
        told, calls = sum(counters.values()), self.made + self.handled
        if not calls - interrupted <= told <= calls:
            return f"pipeline: {told} of {calls} calls counted"
        told = sum(count for _, count in self.registry.bus.journal.successes())
        if not interrupted and told != counters["calls.success"]:
            return f"journal: {told} successes, pipeline: {counters['calls.success']}"
        return None

    def _after(self):
        """Calls from this thread and from another still work, and the program can go."""
        answers = []
        work = threading.Thread(target=lambda: answers.append(self.function()), daemon=True)
        work.start()
        work.join(5)
        if answers != [1]:
            return "calls from another thread do not work any more"
        if self.function() != 1 or self._levels(self.made):
            return f"calls do not work any more: {self._levels(self.made)}"
        breaker = self.of(CircuitBreaker)
        if breaker is not None and breaker.state != "closed":
            return f"circuit breaker: {breaker.state} after two good calls"
        lost = self._lost()
        if lost:
            return lost
        if self.crowded:
            gc.collect()  # the error went through a call inside a call: the frames of its traceback hold each other
        left = self.registry.shutdown(timeout=0)
        return f"shutdown: {left} still in flight, nobody there" if left else None

    def _lost(self):
        """The first policy that has lost a slot, or whose events are not heard, in words."""
        heard = []
        self.registry.bus.listen(lambda event: heard.append(type(event).__name__))
        bulkhead, limiter, breaker = self.of(Bulkhead), self.of(RateLimiter), self.of(CircuitBreaker)
        if bulkhead is not None and (slots := self._slots()) != bulkhead.options.limit:
            return f"bulkhead: {slots} of {bulkhead.options.limit} slots can be had"
        if self.of(Retry) is not None:
            self._failures = 1
            self.function()
            if "RetryScheduled" not in heard:
                return "retry: does not publish any more"
        if bulkhead is not None and "CallRejected" not in heard:
            return "bulkhead: does not publish any more"
        if limiter is not None:
            heard.clear()
            limiter.try_acquire(BURST, key=KEY)  # some are taken, and they come back slowly
            if "CallRejected" not in heard:
                return "rate limiter: does not publish any more"
        if breaker is not None:
            breaker.trip()
            return None if "CircuitOpened" in heard else "circuit breaker: does not publish any more"
        return None

    def _slots(self):
        """How many can be in the bulkhead at once; one more is refused."""
        pipeline, inside = Pipeline("slots", self.of(Bulkhead), registry=self.registry), 0
        with ExitStack() as stack:
            for _ in range(SLOTS + 1):
                try:
                    stack.enter_context(pipeline.permit())
                except RejectedError:
                    return inside
                inside += 1
        return inside


def _limit(**options):
    return RateLimiter("1/hour", burst=BURST, **options)


def _again():
    return Retry(3, backoff=Constant(base=0.0, jitter="none"))


POLICIES = {
    "bulkhead": lambda: [Bulkhead(SLOTS)],
    "crowded": lambda: [_limit(), Bulkhead(1)],
    "rate-limit": lambda: [_limit()],
    "waiting-rate-limit": lambda: [_limit(algorithm="gcra", max_wait=1.0)],
    "keyed-rate-limit": lambda: [_limit(key=lambda: KEY)],
    "waiting-keyed-rate-limit": lambda: [_limit(key=lambda: KEY, max_wait=1.0, max_keys=3)],
    "closed": lambda: [CircuitBreaker(5)],
    "half-open": lambda: [CircuitBreaker(1, success_threshold=2, half_open_max_calls=3)],
    "retry": lambda: [_again(), CircuitBreaker(9)],
    "all": lambda: [_again(), CircuitBreaker(9), _limit(), Bulkhead(SLOTS), Timeout(5.0, mode="cooperative")],
}


STRIDE = {"retry": 5, "all": 3}  # long ways, of which most is what the others go as well


def raises(world):
    """A handler that ends the work."""
    raise Interrupted


def often(name, handler, way):
    """A signal at some moment of each of many thousands of calls through one world."""
    dice = Random(1)
    world = World(name, way)
    world._failures = 0
    world.call()  # the first imports: an exception there may leave a lock of Python's own held
    arrived = 0

    def handle(signum, frame):
        nonlocal arrived
        arrived += 1
        handler(world)

    signal.signal(signal.SIGALRM, handle)
    for _ in range(OFTEN):
        before = arrived
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-6, 2e-4))
            for _ in range(CALLS):
                if arrived == before:
                    world.call()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            pass
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    words = world.wrong(interrupted=arrived if handler is raises else 0)
    return arrived, {} if words is None else {"somewhere": words}


def main(name, does, where, way):
    """Runs as a program."""
    faulthandler.dump_traceback_later(30, exit=True)
    logging.disable(logging.CRITICAL)
    handler = raises if does == "raises" else World.handle
    with virtual_time():
        if where == "often":
            return often(name, handler, way)
        interrupted = 1 if does == "raises" else 0
        return every(
            lambda: World(name, way),
            World.call,
            lambda world: world.wrong(interrupted),
            handler,
            1 if way == "quiet" else STRIDE.get(name, 1),
        )


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
