"""Why a call was refused, a circuit moved, or a moment was as it was: a chain of causes, from journal and snapshot.

Pure: what is known comes in, sentences and their evidence come out. Nothing is guessed. A cause is named only if the
journal holds it, and where it does not any more (or never did) a step of the chain says so.
"""

from __future__ import annotations

import difflib
import math

from seawall.events.ids import is_id, long_id_of
from seawall.events.types import TRANSITIONS, CallRejected
from seawall.events.words import describe
from seawall.pipeline.why_chain import of_refusal, of_spell
from seawall.pipeline.why_known import Explanation, Known, Step, step_of, time_of
from seawall.pipeline.why_moment import at_moment
from seawall.pipeline.why_name import names_of, of_name

__all__ = ["Explanation", "Known", "Step", "explain"]

#: Wall seconds from here on (2001) are taken as a moment, and no name is a number as large.
_EARLIEST = 1e9


def explain(what: str | float, known: Known, around: float = 60.0) -> Explanation:
    """Explain an id, a name or a moment.

    Args:
        what: an id such as "r-7f3a1c" or "t-90b2e4", longer forms included; the name of a policy, a pipeline, a check
            or a process; or a moment in wall seconds.
        known: journal and snapshot.
        around: seconds looked at before the first failure, or around a moment; > 0, 60 by default, as most changes
            that break something do so at once.

    Returns:
        The chain; `found` is False, and `remedy` says what to do, if nothing is known of it.
    """
    moment = _moment(what)
    if moment is not None:
        return at_moment(moment, known, around)
    text = str(what)
    if is_id(text):
        return _of_id(text, known, around)
    if text in names_of(known):
        return of_name(text, known, around)
    near = difflib.get_close_matches(text, names_of(known), n=1)
    listed = ", ".join(sorted(names_of(known))[:20]) or "none yet"
    hint = f'Did you mean "{near[0]}"?' if near else f"Known names are: {listed}."
    return Explanation(
        text, "unknown", found=False, headline=f'Nothing is known of "{text[:80]}".',
        remedy=f'{hint} It takes an id such as r-7f3a1c, a name, or a moment such as "12:03:04".',
    )  # fmt: skip


def _moment(what: str | float) -> float | None:
    """Wall seconds, if that is what was asked for."""
    try:
        found = float(what)
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= _EARLIEST else None


def _of_id(text: str, known: Known, around: float) -> Explanation:
    """What an id stands for."""
    wanted = CallRejected if text.startswith("r-") else TRANSITIONS
    found = [
        entry
        for entry in known.entries
        if isinstance(entry.event, wanted) and long_id_of(entry.event, entry.worker).startswith(text)
    ]
    if not found:
        return _lost(text, known)
    focus = found[-1]
    chain = of_refusal if text.startswith("r-") else of_spell
    steps = (step_of("asked", focus), *chain(focus, known, around))
    others = tuple(
        f"{entry.long_id[:12]}: {time_of(entry.wall, known.now)} {describe(entry.event)}" for entry in found[:-1]
    )
    return Explanation(
        text, "refusal" if text.startswith("r-") else "transition", found=True,
        headline=f"{time_of(focus.wall, known.now)} {describe(focus.event)}", steps=steps, others=others,
    )  # fmt: skip


def _lost(text: str, known: Known) -> Explanation:
    """An id that the journal does not hold."""
    kind = "CallRejected" if text.startswith("r-") else "transitions"
    word = "refusal" if text.startswith("r-") else "transition"
    said = [f"The journal holds none with this id; it goes back to {time_of(known.oldest, known.now)}."]
    fallen = sum(count for name, count in known.fallen.items() if name == kind or name.startswith("Circuit"))
    if fallen:
        said.append(f"{fallen} {word}s have given way to later ones, up to {time_of(known.fallen_until, known.now)}.")
    left_out = known.suppressed.get("CallRejected", 0) if word == "refusal" else 0
    if left_out:
        said.append(
            f"{left_out} refusals were counted and not reported one by one (a program reports at most 5 of a kind and "
            "name in a second), so it may be one of those."
        )
    if known.dropped:
        said.append(f"{known.dropped} events were lost on their way from the programs.")
    return Explanation(
        text, "unknown", found=False, headline=f"No {word} {text} is known.", steps=(),
        remedy=" ".join(said) + " Ask for the circuit by its name, or for the moment; in the program itself "
        f'registry.explain("{text}") may know more.',
    )  # fmt: skip
