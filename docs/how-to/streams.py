"""A stream of tokens that breaks, stalls and goes on; run it with `python streams.py`."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from seawall import Bulkhead, CircuitBreaker, Pipeline, Retry, StreamInterruptedError, StreamTimedOutError, Timeout
from seawall.backoff import Constant
from seawall.testing import run_async, virtual_time

WORDS = ["the", "tide", "is", "coming", "in"]
outages = iter([0, 5, 3])  # words given before the connection breaks, call by call


async def tokens(prompt: str) -> AsyncIterator[str]:
    """As a model's client would give them."""
    words = next(outages)
    for word in WORDS[:words]:
        yield word
    if words < len(WORDS):
        raise ConnectionError("reset by peer")


async def main() -> None:
    model = Pipeline("model", Retry(3, backoff=Constant(base=0.1)), CircuitBreaker(5), Bulkhead(4))

    # the first connection breaks before the first word: nobody notices
    stream = model.stream(tokens, "sea")
    print(" ".join([word async for word in stream]), f"({stream.attempts} attempts)")

    # this one breaks after three words: they stand, and you are told
    got = []
    try:
        async for word in model.stream(tokens, "sea"):
            got.append(word)
    except StreamInterruptedError as error:
        print(" ".join(got), f"… and then it broke ({error.delivered} delivered)")

    # going on from what is there
    async def stall(prompt: str) -> AsyncIterator[str]:
        yield WORDS[0]
        yield WORDS[1]
        await asyncio.sleep(3600.0)

    async def rest(words: Sequence[str]) -> AsyncIterator[str]:
        for word in WORDS[len(words) :]:
            yield word

    patient = Pipeline(
        "patient",
        Retry(2, backoff=Constant(base=0.1), after_first="resume", resume=rest),
        Timeout(first_item=10.0, idle=2.0),
    )
    print(" ".join([word async for word in patient.stream(stall, "sea")]))

    # silence without a way to go on
    strict = Pipeline("strict", Timeout(first_item=10.0, idle=2.0))
    try:
        async for _ in strict.stream(stall, "sea"):
            pass
    except StreamTimedOutError as error:
        print("silent for too long:", error.__cause__.evidence["which"])  # type: ignore[union-attr]


with virtual_time():
    run_async(main())
