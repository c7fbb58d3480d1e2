"""A state for each key, bounded: what keyed policies keep their machines in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

from seawall.core.chance import secret_bytes
from seawall.core.errors import ConfigurationError
from seawall.machines.shared import Kept, Shared

_RLock: Any = type(threading.RLock())  # a class, which `threading.RLock` need not be

M = TypeVar("M")

STRIPES = 16  #: locks of a policy with many keys
_LEAST = 64  # keys of a stripe, on average: with fewer, how they happen to fall would decide who goes
_SCAN = 32  # entries looked at in search of one that may go: bounds the work of one call
_secret = secret_bytes(16)


def key_label(key: Hashable, *, public: bool) -> str:
    """A key as it may be written down: itself if `public`, else a short keyed hash, the same within one process."""
    if public:
        from seawall.errors.text import safe_text  # late: loaded when the first policy was made

        return safe_text(key, 60)
    from hashlib import blake2s  # late: loaded when the first policy was made

    return "k-" + blake2s(repr(key).encode("utf-8", "backslashreplace"), key=_secret, digest_size=4).hexdigest()


def hash_of(key: Hashable) -> int:
    """The hash of a key.

    Raises:
        ConfigurationError: if it has none. The key itself is not shown, as keys may be secrets.
    """
    try:
        return hash(key)
    except TypeError as error:
        raise ConfigurationError(
            f"key: a value of type {type(key).__name__} cannot be told from others by its hash ({error}); give a text, "
            "a number, or a tuple of such"
        ) from error


class Held(Kept):
    """A machine that knows nothing of tables."""

    __slots__ = ("machine",)
    machine: Any

    def __init__(self, machine: Any) -> None:
        self.machine = machine


class KeyTable(Generic[M]):
    """Machines by key, at most `most` of them; needs its owner's lock.

    A key that has not been used for `ttl` seconds goes, and the least recently used one when the table is full. What
    `needed` says of a machine is heeded: an open circuit or a spent limit goes last, or nobody would be held back by
    it any more.

    The order of use is a ring through what is kept: an `OrderedDict` takes four times the memory for it, and a plain
    dictionary, from which the oldest are always taken, walks over the gaps that they leave.

    Args:
        make: a fresh machine for a key; one that is `Kept` is kept as it is.
        most: keys kept, from 1.
        ttl: seconds, > 0.
        needed: whether a machine holds something that should not be forgotten at a moment.
    """

    __slots__ = ("_end", "_entries", "_make", "_needed", "evicted", "most", "ttl")

    def __init__(
        self, make: Callable[[Hashable], M], *, most: int, ttl: float, needed: Callable[[M, float], bool]
    ) -> None:
        self._make = make
        self._needed = needed
        self.most = most
        self.ttl = ttl
        self.evicted = 0
        self._entries: dict[Hashable, Kept] = {}
        self._end = end = Kept()  # `newer` is the least recently used, `older` the most
        end.newer = end.older = end

    def get(self, key: Hashable, now: float) -> M:
        """The machine of a key that is being used, made if need be.

        Raises:
            ConfigurationError: if the key has no hash.
        """
        try:
            entry = self._entries.get(key)
        except TypeError:
            hash_of(key)
            raise
        if entry is not None and not (now - entry.used < self.ttl or self._needed(entry.machine, now)):
            self._drop(entry)
            entry = None
        if entry is None:
            self._make_room(now)
            machine: Any = self._make(key)
            entry = machine if isinstance(machine, Kept) else Held(machine)
            entry.key, entry.newer, entry.older = key, entry, entry
            self._entries[key] = entry
        end, newer, older = self._end, entry.newer, entry.older
        last = end.older
        # NB: no call in these lines, so no signal handler comes between them
        entry.used = now
        if last is not entry:
            older.newer, newer.older = newer, older
            last.newer, entry.older = entry, last
            end.older, entry.newer = entry, end
        found: M = entry.machine
        return found

    def peek(self, key: Hashable) -> M | None:
        """The machine of a key, or None; reading makes nothing and does not count as use."""
        entry = self._entries.get(key)
        return None if entry is None else entry.machine

    def _drop(self, entry: Kept) -> None:
        """Let go of one."""
        newer, older = entry.newer, entry.older
        del self._entries[entry.key]
        # NB: no call in these lines, so no signal handler comes between them
        self.evicted += 1
        older.newer, newer.older = newer, older
        entry.newer = entry.older = None  # or whoever still has it would keep its neighbours

    def _make_room(self, now: float) -> None:
        """Let go of what has run out, and of one more if the table is full."""
        oldest: Kept | None = None
        stale = []
        for entry, _ in zip(self._ring(), range(_SCAN), strict=False):
            if not self._needed(entry.machine, now):
                if now - entry.used < self.ttl:  # and so are all that were used later
                    oldest = entry
                    break
                stale.append(entry)
        for entry in stale:
            self._drop(entry)
        if len(self._entries) >= self.most:
            # where all that were looked at are needed, the bound counts more
            self._drop(next(self._ring()) if oldest is None else oldest)

    def _ring(self) -> Iterator[Kept]:
        """What is kept, least recently used first."""
        end = self._end
        entry = end.newer
        while entry is not end and entry is not None:  # None: taken out meanwhile
            yield entry
            entry = entry.newer

    def machines(self) -> Iterator[M]:
        """All machines, least recently used first."""
        return (entry.machine for entry in self._ring())

    def items(self) -> Iterator[tuple[Hashable, M]]:
        """All keys with their machines, least recently used first."""
        return ((entry.key, entry.machine) for entry in self._ring())

    def __len__(self) -> int:
        return len(self._entries)


class Stripe:
    """The keys of a policy that one lock guards; without keys there is one, and no table."""

    __slots__ = ("shared", "table", "waits")

    def __init__(self, shared: Shared, table: KeyTable[Any] | None = None) -> None:
        from seawall.measure.histogram import Histogram  # late: loaded with the first policy

        self.shared = shared
        self.table = table
        self.waits = Histogram()


class Locks(_RLock):  # type: ignore[misc]
    """The locks of a policy with keys: a decision on a key takes that of its stripe, in `each`, and no other.

    This one and then all of `each`, in order, are taken for what concerns the whole policy. A thread that has any of
    them is in the middle of a decision (`_is_owned`): it must not wait for another, as there is no order then.
    """

    each: tuple[Any, ...]

    def __init__(self, count: int) -> None:
        super().__init__()
        self.each = tuple(_RLock() for _ in range(count))

    def _is_owned(self) -> bool:
        return _is_owned(self) or any(map(_is_owned, self.each))

    def mine(self) -> Any:
        """What this thread has of them, this one first, or None."""
        return next((lock for lock in (self, *self.each) if _is_owned(lock)), None)


_is_owned: Callable[[Any], bool] = _RLock._is_owned


def stripes_for(most: int) -> list[int]:
    """How many keys each stripe keeps, `most` together."""
    count = STRIPES if most >= STRIPES * _LEAST else 1
    return [most // count + (number < most % count) for number in range(count)]


def stripe_of(key: Hashable, count: int) -> int:
    """The number of the stripe of a key.

    The hash of a whole number is itself: of numbers that are all multiples of 16 the plain rest would use one stripe.

    Raises:
        ConfigurationError: if the key has no hash.
    """
    try:
        return hash((key,)) % count
    except TypeError:
        hash_of(key)
        raise
