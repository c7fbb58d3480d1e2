"""The table of machines by key against a model: bounded, by use and by age, what is needed goes last."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seawall.machines.shared import Kept
from seawall.policies.keyed import KeyTable

keys = st.integers(0, 7)


class Machine:
    """Stands for a circuit: `open` ones are needed."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.open = False


class KeptMachine(Kept):
    """One that the table keeps as it is."""

    __slots__ = ("open",)

    def __init__(self, key: int) -> None:
        self.open = False


class TableAgainstModel(RuleBasedStateMachine):
    """Keys are used, read, opened and closed while time passes.

    The model is a list of (key, last use, machine), least recently used first; the table never looks at so many entries
    here that its bound on the work of one call would matter.
    """

    @initialize(most=st.integers(1, 5), ttl=st.sampled_from([1.0, 4.0]), kind=st.sampled_from([Machine, KeptMachine]))
    def build(self, most, ttl, kind):
        self.kind = kind
        self.now, self.most, self.ttl = 0.0, most, ttl
        self.made: list[Machine | KeptMachine] = []
        self.rows: list[tuple[int, float, Machine | KeptMachine]] = []
        self.evicted = 0
        self.table = KeyTable(self.make, most=most, ttl=ttl, needed=lambda machine, now: machine.open)

    def make(self, key):
        machine = self.kind(key)
        self.made.append(machine)
        return machine

    def old(self, row: tuple[int, float, Machine | KeptMachine]) -> bool:
        return self.now - row[1] >= self.ttl and not row[2].open

    @rule(key=keys)
    def use(self, key):
        known = next((row for row in self.rows if row[0] == key), None)
        made = len(self.made)
        machine = self.table.get(key, self.now)
        if known is not None and not self.old(known):
            assert machine is known[2]
            assert len(self.made) == made
            self.rows.remove(known)
        else:
            assert len(self.made) == made + 1
            kept = [row for row in self.rows if row is not known]
            kept = [row for row in kept if not self.old(row)]
            if len(kept) >= self.most:
                spare = [row for row in kept if not row[2].open]
                kept.remove(spare[0] if spare else kept[0])
            self.evicted += len(self.rows) - len(kept)
            self.rows = kept
        self.rows.append((key, self.now, machine))

    @rule(key=keys)
    def read(self, key):
        made = len(self.made)
        known = next((row[2] for row in self.rows if row[0] == key), None)
        assert self.table.peek(key) is known
        assert len(self.made) == made

    @rule(place=st.integers(0, 7), needed=st.booleans())
    def turn(self, place, needed):
        if self.rows:
            self.rows[place % len(self.rows)][2].open = needed

    @rule(by=st.sampled_from([0.5, 1.0, 4.0]))
    def time_passes(self, by):
        self.now += by

    @invariant()
    def the_table_is_as_the_model(self):
        if not hasattr(self, "rows"):
            return
        assert list(self.table.items()) == [(key, machine) for key, _, machine in self.rows]
        assert len(self.table) == len(self.rows) <= self.most
        assert self.table.evicted == self.evicted


TestTableAgainstModel = TableAgainstModel.TestCase
TestTableAgainstModel.__doc__ = "R-CB7"
