"""`seawall breaker open | close | observe | release`."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seawall.cli.client import Answer, NoAnswerError, ask, circuit_path, folder_of
from seawall.cli.codes import FINE, UNKNOWN, WRONG
from seawall.cli.times import seconds_of
from seawall.config.mistakes import did_you_mean
from seawall.errors.text import safe_text
from seawall.events.words import seconds


class Order(NamedTuple):
    """What is asked of a circuit, and how."""

    name: str
    reason: str
    file: Path
    dry_run: bool
    as_json: bool

    @property
    def undo(self) -> str:
        """The command that takes it back."""
        where = "" if self.file == Path("seawall.toml") else f" --file {self.file}"
        return f"seawall breaker release {self.name}{where}"


_EFFECTS = {
    "open": ("Every call through it is refused", "held open"),
    "closed": ("Every call goes through it, however many fail", "held closed"),
    "observe": ("Every call goes through it; what it would have refused is reported", "only observed"),
}


def force(order: Order, state: Literal["open", "closed", "observe"], limit: str, *, yes: bool) -> int:
    """Pin a circuit, after having shown what that means."""
    length = seconds_of(limit, "--for")
    effect, done = _EFFECTS[state]
    body = {"state": state, "for": length, "reason": order.reason, "owner": _owner()}
    return _do(order, "force", body, f"{effect}, for {seconds(length)}.", done, yes=yes)


def release(order: Order) -> int:
    """Take a pin off."""
    body = {"reason": order.reason, "owner": _owner()}
    return _do(order, "release", body, "It decides for itself again.", "released", yes=True)


def _do(order: Order, verb: str, body: dict[str, Any], effect: str, done: str, *, yes: bool) -> int:
    """Show, ask, do, and say how to take it back."""
    folder = folder_of(order.file)
    try:
        state = ask(folder, "/api/v1/state").body
        wrong = _unknown(order.name, state)
        if wrong:
            return _say(order, WRONG, wrong)
        plan = f'Circuit "{order.name}" would be {done} in {_workers(state, order.name)}. {effect}'
        if order.dry_run:
            return _say(order, FINE, f"{plan} Nothing was done (--dry-run).")
        if not yes and not _agreed(plan):
            return _say(order, WRONG, "Nothing was done: it was not confirmed. --yes does it without asking.")
        answer = ask(folder, circuit_path(order.name, verb), body)
    except NoAnswerError as reason:
        return _say(order, UNKNOWN, f"Nothing was done: {reason}.")
    return _report(order, answer, undo=order.undo if verb == "force" else "")


def _unknown(name: str, state: dict[str, Any]) -> str:
    """What is wrong if no program has such a circuit; "" if one has."""
    known = [row["circuit"] for row in state.get("rows") or [] if row.get("circuit")]
    if name in known:
        return ""
    return (
        f'There is no circuit "{safe_text(name, 80)}": {did_you_mean(name, known, "no program has reported one yet")}'
    )


def _workers(state: dict[str, Any], name: str) -> str:
    """Who is affected, in words."""
    del name  # the daemon tells it only to those who have the circuit
    live = [f"{one['name']} (pid {one['pid']})" for one in state.get("programs") or [] if one.get("live")]
    shown = ", ".join(live[:5]) + (f" and {len(live) - 5} more" if len(live) > 5 else "")
    return f"every program that has it, of {shown}" if live else "every program that has it"


def _agreed(plan: str) -> bool:
    """Ask once; without somebody to ask, no."""
    if not sys.stdin.isatty():
        return False
    print(f"{plan}\nGo on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _report(order: Order, answer: Answer, undo: str) -> int:
    """What became of it."""
    good = answer.code == 200
    refused: Sequence[dict[str, Any]] = [ack for ack in answer.body.get("acks") or [] if not ack.get("ok", True)]
    if order.as_json:
        print(json.dumps({"done": good, "code": answer.code, "undo": undo, **answer.body}))
        return FINE if good else WRONG
    for ack in refused:
        print(
            f"{ack.get('program')} (pid {ack.get('pid')}) did not: {safe_text(ack.get('message', ''))}", file=sys.stderr
        )
    if not good:
        return _say(order, WRONG, str(answer.body.get("error", f"The daemon answered {answer.code}.")))
    print(answer.body.get("text", "Done."))
    if undo:
        print(f"Undo: {undo}")
    return FINE


def _say(order: Order, code: int, text: str) -> int:
    """End with a sentence: a result on standard output, a failure on standard error."""
    if order.as_json:
        print(json.dumps({"done": False, "exit_code": code, "text": text}))
    else:
        print(text, file=sys.stdout if code == FINE else sys.stderr)
    return code


def _owner() -> str:
    """Who is at the keyboard."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in a container
        return "operator"
