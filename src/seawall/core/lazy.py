"""State that is made at the first use: a policy that was only configured holds its options, and little else.

Programs configure far more policies than they use at a time: one for each host, tenant or model. Lock, outbox, counts,
histograms and machine weigh some kilobytes, and come when the first of them is asked for.
"""

from __future__ import annotations

import threading
from typing import Any

from seawall.core.fork import renew_after_fork


class LazyState:
    """What has a state that is made at the first use."""

    _made = False  #: whether it is there; one of its attributes

    def _whole(self) -> dict[str, Any]:
        """A first state, by the names of its attributes, `_made` among them; changes nothing that others see."""
        raise NotImplementedError

    def _follow(self) -> None:
        """The state is there: have it follow what was said of its owner while it was being made."""

    def after_fork(self) -> None:
        """See `ForkAware.after_fork`; nothing before there is a state."""

    def __getstate__(self) -> object:
        """What a copy gets, as overrides make them: the state too, so that both have the same."""
        make(self)
        return super().__getstate__()

    def _keep(self, **given: object) -> None:
        """Have these attributes, in an instance of its own only where the class has another value."""
        for name, value in given.items():
            usual = getattr(type(self), name)
            if value is not usual and (type(value) is not type(usual) or value != usual):
                setattr(self, name, value)


class _Publishing:
    """Guards the moment at which a state is shown; reentrant, as all locks that a signal handler may meet."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Another thread of the parent may have had it."""
        self.lock = threading.RLock()


_publishing = _Publishing()


def make(owner: LazyState) -> None:
    """Make the state of `owner`, unless it is there.

    It is made aside and shown in one step, so nobody sees half of one. No lock is held while it is made: a signal
    handler or a finaliser that comes between may need any other. Of two that are made at once one counts, for both.
    """
    if owner._made:
        return
    state = owner._whole()
    renew_after_fork(owner)  # before anybody can hold its lock
    with _publishing.lock:
        # NB: one line, and no call in it, so neither a signal handler nor a trace function comes between. A dictionary
        # of its own: one that shares its keys with others of the class is what CPython 3.11 finds attributes in slowest
        owner.__dict__ = owner.__dict__ if "_made" in owner.__dict__ else {**owner.__dict__, **state}
    owner._follow()


class Lazy:
    """An attribute of the state; who asks for it first has all of the state made.

    Once that is there the instance has an attribute of its own, which comes first, as there is no `__set__` here.
    """

    __slots__ = ("_name",)

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        make(owner)
        return vars(owner)[self._name]


def lazy() -> Any:
    """A `Lazy` in the place of a value of whatever type the attribute is declared with."""
    return Lazy()
