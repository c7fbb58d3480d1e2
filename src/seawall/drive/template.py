"""The text of a generated function.

Features say what its policies need:

| feature | what is there |
| --- | --- |
| `async` | the callable is a coroutine function |
| `counted` | calls in flight are known, so that a shutdown waits for them |
| `timed` | calls are timed and noted: circuits and measured pipelines; always with `counted` |
| `eras` | a call that ends in another era than it began in goes to the machines |
| `tokens` | a rate limit: a token is taken, and when |
| `slots` | a bulkhead: a slot is taken and given back; always with `eras`, as those who wait end one |
| `retry` | marks of retries further inside matter |
| `races` | a timeout or a deadline: a moment is set for what runs inside, and in async code a timer |
| `refusals` | one circuit, and nobody who would do anything about its refusals |
| `lists` | supplies are lists, which say with an IndexError that they are empty |

What the quiet path reads is in cells of the closure, and everything else hangs on one object: entering a function
copies all its cells. What all functions share, whatever their pipeline, is global.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.drive.known import PREFIX

if TYPE_CHECKING:
    from seawall.drive.compile import Parameters

#: Names that a generated function finds in its closure.
CELLS = (
    "fn", "kind", "unusual", "tickets", "current", "until", "slow", "log", "now", "supply", "room", "scope", "enter",
)  # fmt: skip


class WhenUnusual:
    """What a generated function needs when something is unusual, and only then.

    Args:
        plain: takes a call through the drivers.
        resume: takes one through them whose first attempt has been made.
        quiet: the pipeline's quiet path.
        error: what an open circuit raises.
        parts: the policies that generated code asks for more, by feature: "tokens", "slots", "refusals".
    """

    __slots__ = ("bulkhead", "circuit", "ends", "error", "limiter", "plain", "quiet", "refused", "resume")

    def __init__(self, plain: Any, resume: Any, quiet: Any, error: Any, parts: dict[str, Any]) -> None:
        self.plain = plain
        self.resume = resume
        self.quiet = quiet
        self.ends = quiet.ends
        self.refused = quiet.refused
        self.error = error
        self.limiter = parts.get("tokens")
        self.bulkhead = parts.get("slots")
        self.circuit = parts.get("refusals")


def source(taken: Parameters, features: frozenset[str]) -> str:
    """The text; `make` takes the cells, and the function wanted stands inside it."""
    return _Text(taken, features).whole().replace("$", PREFIX)


class _Text:
    """Lines of code, at a depth."""

    def __init__(self, taken: Parameters, features: frozenset[str]) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._taken = taken
        self._has = features.__contains__
        self._wait = "await " if "async" in features else ""
        self._clock = bool(features & {"timed", "races", "tokens"})
        self._plain = f"return {self._wait}$unusual.plain($fn, {taken.packed})"

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
        has = self._has
        self._open(f"def make({', '.join('$' + name for name in CELLS)}):")
        self._open(f"{'async ' if self._wait else ''}def protected({self._taken.declared}):")
        self._put("nonlocal $kind")
        self._put("$outer = $ambient()", when=has("races"))
        self._open("if $look and $look()" + (" or $outer is not None and $past():" if has("races") else ":"))
        self._put(self._plain)
        self._depth -= 1
        again = has("counted") or has("tokens")
        if again:
            self._open("while True:")
        if has("counted"):
            self._from("tickets", "era", has("lists"))
            self._open("if $current is None or not $unusual.quiet.renew():")
            self._refuse()
            self._put(self._plain)
            self._depth -= 1
            self._put("continue")
            self._depth -= 1
        else:
            self._put("$era = $current", "if $era is None:", f"    {self._plain}")
        if has("tokens"):
            self._put("$tokens, $notes = $supply")  # at once, or a token might be noted beside another supply's
            self._from("tokens", "token", has("lists"))
            self._put("$unusual.ends($era)", when=has("counted"))  # it begins anew, if there are more
            self._put("if not $unusual.limiter.refill():", f"    {self._plain}", "continue")
            self._depth -= 1
        if has("slots"):
            self._put("$slots, $back, $starts = $room")  # at once: after a fork there is another one
            self._from("slots", "slot", raises=True)
            self._give_back()
            self._put(self._plain)
            self._depth -= 1
        self._attempt()
        self._end()
        self._depth = 1
        self._put("return protected", "")
        return "\n".join(self._lines)

    def _from(self, supply: str, name: str, raises: bool) -> None:
        """Take one thing from a supply, and begin the block for when there is none.

        NB: nothing is called between the step that takes it and what comes after, so no signal handler comes between.
        """
        if not raises:
            self._put(f"for ${name} in ${supply}:", "    break")
            self._open("else:")
            return
        self._put(f"${name} = None", "try:", f"    for ${name} in ${supply}:", "        break")
        self._put("except $IndexError:", "    pass")  # what it is empty for is done outside: it is no error's context
        self._open(f"if ${name} is None:")

    def _give_back(self) -> None:
        """There is no slot: the ticket and the token that were taken for nothing."""
        ticket = "$unusual.ends($era)" if self._has("counted") else "pass"
        if self._has("tokens"):
            self._put("try:", f"    {ticket}", "finally:", "    $unusual.limiter.unused.append(None)")
        else:
            self._put(ticket)

    def _refuse(self) -> None:
        """An open circuit refuses by itself; see `policies/circuit_refusing.py`."""
        if not self._has("refusals"):
            return
        self._open("if $unusual.quiet.calm" + (" and $ambient() is None:" if self._has("retry") else ":"))
        self._put("$shut = $unusual.circuit.shut", "$at = $now()")
        self._open("if $shut is not None and $at < $shut.until:")
        self._open("for $number in $shut.numbers:")
        self._put("$note = $number, $at, $shut", "$unusual.refused($note)", "raise $unusual.error($note)")
        self._depth -= 3

    def _attempt(self) -> None:
        """The call itself, between taking and giving back.

        NB: nothing is called before the `try`, or a signal handler would come between.
        """
        has, wait = self._has, self._wait
        self._put(f"$began = {'$due = ' if has('races') else ''}None", when=self._clock)
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
        self._put("$notes[$token] = $began", when=has("tokens"))
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
        self._put("$ended = $now()", when=has("timed") or has("races"))
        self._put("$spent = $ended - $began", when=has("timed"))
        look = "$answered" if wait else "$usual"
        self._put("if $value.__class__ is not $kind:", f"    $kind = {look}($value, $kind)")
        checks = [
            *(["$era is not $current"] if has("eras") else []),
            *(["$spent > $slow", "$ended >= $until"] if has("timed") else []),
            *(["$ended >= $due"] if has("races") else []),
            *(["$timer[0]"] if has("races") and wait else []),
        ]
        self._put(f"if {' or '.join(checks)}:", "    raise $Unusual", when=bool(checks))
        self._instead("except $Unusual:")
        self._put("$error = None")
        self._instead("except $BaseException as $caught:")
        self._put("$error = $caught", "$value = None")
        self._instead("else:")
        self._put("$log.append($spent)" if has("timed") else "$unusual.ends($era)", when=has("counted"))
        self._put("return $value")
        self._depth -= 1
        self._open("try:")
        self._put("$unusual.ends($era)", when=has("counted"))
        handed = [
            "$began" if self._clock else "None",
            "$era",
            "$mark" if has("retry") else "0",
            "($due, $timer)" if has("races") and wait else "None",
        ]
        passed = f"$fn, {self._taken.packed}, $error, $value, {', '.join(handed)}"
        self._put(f"return {wait}$unusual.resume({passed})")
        self._instead("finally:")
        self._put("$error = $value = None")  # a frame in the error's own traceback would keep both alive
        self._put("$unusual.bulkhead.attend()", when=has("slots"))
        self._depth -= 1
