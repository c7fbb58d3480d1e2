"""A clock for threads that run one at a time: the same dice give the same order, whatever the machine does.

A thread runs until it waits for the clock or gives its turn away; then the dice say which of those who could go on is
next. When nobody could, time jumps to the earliest moment somebody waits for.
"""

import threading
from contextlib import nullcontext
from contextvars import copy_context


class Turns:
    """Virtual seconds from 0, and whose turn it is.

    Args:
        dice: draw who is next.
    """

    def __init__(self, dice):
        self._dice = dice
        self._now = 0.0
        self._gates: dict[int, threading.Semaphore] = {}  # of the threads under way, by their number
        self._waits: dict[int, tuple] = {}  # what each of them waits for: an event or None, a moment or None
        self._me = threading.local()
        self._stuck = False

    def now(self):
        return self._now

    def wall(self):
        return 1_600_000_000.0 + self._now

    def sleep(self, seconds):
        self.wait(threading.Event(), self._now + seconds)

    def advance(self, seconds):
        self._now += seconds

    def working(self):
        return nullcontext()

    def loop_time(self, loop, until):
        raise AssertionError("no loops among threads that take turns")

    def turn(self):
        """Whoever could go on may do so before this thread does."""
        if self._gates:
            self._pass_on(None, self._now)

    def wait(self, event, until):
        while not event.is_set() and (until is None or self._now < until):
            if self._gates:
                self._pass_on(event, until)
            elif until is None:
                raise AssertionError("waits for what nobody will do")
            else:
                self._now = until
        return event.is_set()

    def run(self, *work):
        """Each piece of work in a thread of its own, until all have ended."""
        threads = [
            threading.Thread(target=copy_context().run, args=(self._one, *pair), daemon=True)
            for pair in enumerate(work)
        ]
        for number in range(len(work)):
            self._gates[number] = threading.Semaphore(0)
            self._waits[number] = None, self._now
        for thread in threads:
            thread.start()
        self._let_one_go()
        for thread in threads:
            thread.join(30)
        assert not self._stuck, "all threads waited, and for no moment"

    def _one(self, number, work):
        self._me.number = number
        self._gates[number].acquire()
        del self._waits[number]
        try:
            work()
        finally:
            del self._gates[number]
            self._let_one_go()

    def _pass_on(self, event, until):
        number = self._me.number
        self._waits[number] = event, until
        self._let_one_go()
        self._gates[number].acquire()
        del self._waits[number]
        if self._stuck:
            raise AssertionError("all threads waited, and for no moment")

    def _let_one_go(self):
        if not self._waits:
            return
        able = self._able()
        if not able:
            moments = [until for _, until in self._waits.values() if until is not None]
            self._stuck = self._stuck or not moments
            self._now = min(moments, default=self._now)
            able = self._able()
        self._gates[self._dice.choice(able)].release()

    def _able(self):
        """The numbers of those who could go on."""
        return [
            number
            for number, (event, until) in sorted(self._waits.items())
            if self._stuck or (event is not None and event.is_set()) or (until is not None and until <= self._now)
        ]
