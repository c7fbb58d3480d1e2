"""The text of a generated function.

Features say what its policies need:

| feature | what is there |
| --- | --- |
| `async` | the callable is a coroutine function |
| `counted` | calls in flight are known, so that a shutdown waits for them |
| `timed` | calls are timed and noted: circuits and measured pipelines; always with `counted` |
| `eras` | a call that ends in another era than it began in goes to the machines |
| `tokens` | a rate limit: a token is taken, and when |
| `slots` | a bulkhead: a slot is taken and given back |
| `retry` | marks of retries further inside matter |
| `races` | a timeout or a deadline: a moment is set for what runs inside, and in async code a timer |
| `refusals` | one circuit, and nobody who would do anything about its refusals |
| `lists` | supplies are lists, which say with an IndexError that they are empty |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall.drive.compile import Parameters

#: Names that a generated function finds in its closure.
CELLS = (
    "fn", "kind", "marks", "look", "tickets", "current", "until", "slow", "log", "ends", "now", "plain", "resume",
    "usual", "tokens", "took", "token_back", "slots", "free", "starts", "waiting", "attend", "scope", "ambient",
    "restore", "past", "enter", "renew", "refill", "calm", "shut", "numbers", "refused", "by", "Open",
)  # fmt: skip


def source(taken: Parameters, features: frozenset[str], prefix: str) -> str:
    """The text; `make` takes the cells, and the function wanted stands inside it."""
    return _Text(taken, features).whole().replace("$", prefix)


class _Text:
    """Lines of code, at a depth."""

    def __init__(self, taken: Parameters, features: frozenset[str]) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._taken = taken
        self._has = features.__contains__
        self._wait = "await " if "async" in features else ""
        self._clock = bool(features & {"timed", "races", "tokens"})
        self._can_raise = bool(features & {"slots", "lists"})

    def _put(self, *lines: str, when: bool = True) -> None:
        """Add lines at the present depth, if something is so."""
        if when:
            self._lines += ["    " * self._depth + line for line in lines]

    def _open(self, line: str) -> None:
        """Add a line that begins a block."""
        self._put(line)
        self._depth += 1

    def _instead(self, line: str) -> None:
        """End a block, and begin the one that belongs to it: `except`, `finally`, `else`."""
        self._depth -= 1
        self._open(line)

    def whole(self) -> str:
        """All of it."""
        has, wait = self._has, self._wait
        plain = f"return {wait}$plain($fn, {self._taken.packed})"
        self._open(f"def make({', '.join('$' + name for name in CELLS)}):")
        self._open(f"{'async ' if wait else ''}def protected({self._taken.declared}):")
        self._put("nonlocal $kind")
        self._put("$outer = $ambient()", when=has("races"))
        self._open("if $look and $look()" + (" or $outer is not None and $past():" if has("races") else ":"))
        self._put(plain)
        self._depth -= 1
        outside = self._depth
        if self._can_raise:
            self._put("$era = $token = $inside = None" if has("counted") else "$token = $inside = None")
            self._open("try:")
        if has("counted") or has("tokens"):
            self._open("while True:")
        if has("counted"):
            self._open("for $era in $tickets:")
        else:
            self._put("$era = $current")
            self._open("if $era is not None:")
        within = self._depth
        if has("tokens"):
            self._open("for $token in $tokens:")
        if has("slots"):
            self._open("for $slot in $slots:")
        self._put("$inside = True", when=self._can_raise)
        self._attempt()
        self._end()
        self._depth = within
        if has("tokens"):  # there was none: the ticket is given back, and it begins anew if there are more
            self._put("$ends($era)", when=has("counted"))
            self._put("if not $refill():", f"    {plain}")
            self._put("break" if has("counted") else "continue")
        if has("counted"):
            self._instead("else:")
            self._open("if $current is None or not $renew():")
            self._refuse()
            self._put(plain)
            self._depth -= 1
        elif has("tokens"):
            self._depth -= 1
            self._put(plain)
        self._depth = outside
        if self._can_raise:
            self._empty()
        self._put(plain, when=self._can_raise or not (has("counted") or has("tokens")))
        self._depth = 1
        self._put("return protected", "")
        return "\n".join(self._lines)

    def _empty(self) -> None:
        """A list of slots, or of what a supply hands out, is empty: what was taken before is given back."""
        self._open("except $Index:")
        self._put("if $inside:", "    raise")  # the callable's own
        self._put("if $era is not None:", "    $ends($era)", when=self._has("counted"))
        self._put("if $token:", "    $token_back()", when=self._has("tokens"))
        self._depth -= 1

    def _refuse(self) -> None:
        """An open circuit refuses by itself; see `policies/circuit_refusing.py`."""
        if not self._has("refusals"):
            return
        self._open("if $calm and $ambient() is None:" if self._has("retry") else "if $calm:")
        self._put("$at = $now()")
        self._open("if $at < $shut:")
        self._open("for $number in $numbers:")
        self._put("$refused(($Rejected, $number, $at, $by.name, $by))", "raise $Open($by, $number, $at)")
        self._depth -= 3

    def _attempt(self) -> None:
        """The call itself, between taking and giving back; all that is taken by a `for` is in hand.

        NB: nothing is called before the `try`, or a signal handler would come between.
        """
        has, wait = self._has, self._wait
        self._put(f"$began = {'$due = ' if has('races') else ''}None", when=self._clock)
        self._put("$back = $free", when=has("slots"))  # the list the slot is from: a fork makes another one
        self._put("$timer = [False, None, None, 0, None, 0.0]", when=has("races") and bool(wait))
        self._put("$mark = $marks", when=has("retry"))
        self._open("try:")
        # each in a block of its own: what follows a call may be cut short by a signal handler
        finals = [
            *(["if $timer[1] is not None:\n    $timer[1]($timer[2], None)"] if has("races") and wait else []),
            *(["$restore($outer)"] if has("races") else []),
            *(["$back.append($slot)"] if has("slots") else []),
        ]
        for _ in finals:
            self._open("try:")
        self._put("$began = $now()", when=self._clock)
        self._put("$took($began)", when=has("tokens"))
        self._put("$starts[$slot] = $began", when=has("slots") and self._clock)
        self._put("$due = $enter($timer, $began)" if wait else "$due = $scope($began)", when=has("races"))
        self._put(f"$value = {wait}$fn({self._taken.passed})")
        for final in finals:
            self._instead("finally:")
            self._put(*final.split("\n"))
            self._depth -= 1

    def _end(self) -> None:
        """What follows from how the call has ended: done, or handed to the drivers."""
        has, wait = self._has, self._wait
        self._put("if $waiting:", "    $attend()", when=has("slots"))
        self._put("$ended = $now()", when=has("timed") or has("races"))
        self._put("$spent = $ended - $began", when=has("timed"))
        self._put("if $type($value) is not $kind:", "    $kind = $usual($value, $kind)")
        checks = [
            *(["$era is not $current"] if has("eras") else []),
            *(["$spent > $slow", "$ended >= $until"] if has("timed") else []),
            *(["$ended >= $due"] if has("races") else []),
            *(["$timer[0]"] if has("races") and wait else []),
        ]
        self._put(f"if {' or '.join(checks)}:", "    raise $Unusual", when=bool(checks))
        self._instead("except $Unusual:")
        self._put("$error = None")
        self._instead("except $Base as $caught:")
        self._put("$error = $caught", "$value = None")
        self._instead("else:")
        self._put("$log($spent)" if has("timed") else "$ends($era)", when=has("counted"))
        self._put("return $value")
        self._depth -= 1
        self._open("try:")
        self._put("$ends($era)", when=has("counted"))
        handed = [
            "$began" if self._clock else "None",
            "$era",
            "$mark" if has("retry") else "0",
            "($due, $timer)" if has("races") and wait else "None",
        ]
        self._put(f"return {wait}$resume($fn, {self._taken.packed}, $error, $value, {', '.join(handed)})")
        self._instead("finally:")
        self._put("$error = $value = None")  # a frame in the error's own traceback would keep both alive
        self._put("if $waiting:", "    $attend()", when=has("slots"))
        self._depth -= 1
