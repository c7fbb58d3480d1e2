"""A state for each key, bounded: what keyed policies keep their machines in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from seawall.core.chance import secret_bytes

M = TypeVar("M")

_SCAN = 32  # entries looked at in search of one that may go: bounds the work of one call
_secret = secret_bytes(16)


def key_label(key: Hashable, *, public: bool) -> str:
    """A key as it may be written down: itself if `public`, else a short keyed hash, the same within one process."""
    if public:
        from seawall.errors.text import safe_text  # late: it loads the regular expressions

        return safe_text(key, 60)
    from hashlib import blake2s  # late: few programs have keys

    return "k-" + blake2s(repr(key).encode("utf-8", "backslashreplace"), key=_secret, digest_size=4).hexdigest()


class KeyTable(Generic[M]):
    """Machines by key, at most `most` of them; needs its owner's lock.

    A key that has not been used for `ttl` seconds goes, and the least recently used one when the table is full. What
    `needed` says of a machine is heeded: an open circuit or a spent limit goes last, or nobody would be held back by
    it any more.

    Args:
        make: a fresh machine for a key.
        most: keys kept, from 1.
        ttl: seconds, > 0.
        needed: whether a machine holds something that should not be forgotten at a moment.
    """

    __slots__ = ("_entries", "_make", "_needed", "evicted", "most", "ttl")

    def __init__(
        self, make: Callable[[Hashable], M], *, most: int, ttl: float, needed: Callable[[M, float], bool]
    ) -> None:
        self._make = make
        self._needed = needed
        self.most = most
        self.ttl = ttl
        self.evicted = 0
        self._entries: OrderedDict[Hashable, tuple[M, float]] = OrderedDict()  # least recently used first

    def get(self, key: Hashable, now: float) -> M:
        """The machine of a key that is being used, made if need be."""
        entry = self._entries.get(key)
        if entry is not None and (now - entry[1] < self.ttl or self._needed(entry[0], now)):
            machine = entry[0]
        else:
            if entry is not None:
                del self._entries[key]
                self.evicted += 1
            self._make_room(now)
            machine = self._make(key)
        self._entries[key] = (machine, now)
        self._entries.move_to_end(key)
        return machine

    def peek(self, key: Hashable) -> M | None:
        """The machine of a key, or None; reading makes nothing and does not count as use."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def _make_room(self, now: float) -> None:
        """Let go of what has run out, and of one more if the table is full."""
        victim: Hashable = None
        found = False
        stale = []
        for scanned, (key, (machine, used_at)) in enumerate(self._entries.items()):
            if scanned >= _SCAN:
                break
            if not self._needed(machine, now):
                if now - used_at >= self.ttl:
                    stale.append(key)
                elif not found:
                    victim, found = key, True
        for key in stale:
            del self._entries[key]
        self.evicted += len(stale)
        if len(self._entries) >= self.most:
            if found:
                del self._entries[victim]
            else:  # all that were looked at are needed: the bound counts more
                self._entries.popitem(last=False)
            self.evicted += 1

    def machines(self) -> Iterator[M]:
        """All machines, least recently used first."""
        return (machine for machine, _ in self._entries.values())

    def items(self) -> Iterator[tuple[Hashable, M]]:
        """All keys with their machines, least recently used first."""
        return ((key, machine) for key, (machine, _) in self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)
