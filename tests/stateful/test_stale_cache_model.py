"""The stale cache against a plain record of every value."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from seawall.machines.stale_cache import Flight, StaleCacheMachine, StaleCacheOptions

keys = st.integers(0, 4)


class StaleCacheModel(RuleBasedStateMachine):
    """R-FB1: what a caller is told to do follows from what was stored and who fetches."""

    @initialize(fresh=st.integers(0, 8), more=st.integers(0, 16), most=st.integers(1, 6))
    def begin(self, fresh, more, most):
        self.options = StaleCacheOptions(fresh / 2, fresh / 2 + more / 2 + 0.5, most, 0.5)
        self.machine = StaleCacheMachine(self.options)
        self.now = 0.0
        self.stored: dict[int, tuple[int, float, float]] = {}  # least recently used first
        self.flights: dict[int, Flight] = {}
        self.values = 0

    @rule(by=st.integers(0, 12))
    def pass_time(self, by):
        self.now += by / 4

    @rule(key=keys)
    def look(self, key):
        look = self.machine.look(key, self.now)
        held = self.stored.get(key)
        if held and self.now < held[2]:
            assert (look.what, look.value) == ("fresh", held[0])
            self.stored[key] = self.stored.pop(key)
        elif self.options.fresh == 0:
            assert look.what == "lead"
            assert look.flight is not None
            self.machine.fail(key, look.flight, None)
        elif key not in self.flights:
            assert look.what == "lead"
            assert look.flight is not None
            self.flights[key] = look.flight
        elif held and self.now - held[1] < self.options.stale:
            assert (look.what, look.value) == ("stale", held[0])
        else:
            assert (look.what, look.flight) == ("follow", self.flights[key])

    @rule(key=keys, ok=st.booleans(), chance=st.sampled_from([0.0, 0.5]))
    def land(self, key, ok, chance):
        flight = self.flights.pop(key, None)
        if flight is None:
            return
        if not ok:
            self.machine.fail(key, flight, ConnectionError())
            assert (flight.done, flight.ok) == (True, False)
            return
        self.values += 1
        self.machine.land(key, flight, self.values, self.now, chance)
        self.stored.pop(key, None)
        self.stored[key] = (self.values, self.now, self.now + self.options.fresh * (1 - 0.5 * chance))
        while len(self.stored) > self.options.most:
            del self.stored[next(iter(self.stored))]
        assert (flight.done, flight.ok, flight.value) == (True, True, self.values)

    @rule(key=keys)
    def ask_for_the_last(self, key):
        held = self.stored.get(key)
        expected = None if held is None or self.now - held[1] >= self.options.stale else (held[0], self.now - held[1])
        assert self.machine.last_known(key, self.now) == expected
        assert len(self.machine) == len(self.stored)


TestStaleCache = StaleCacheModel.TestCase
TestStaleCache.settings = settings(stateful_step_count=40)
