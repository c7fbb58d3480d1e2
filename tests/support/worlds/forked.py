"""Plays scenarios in which the process forks half-way, and prints what parent and child saw.

python -m tests.support.worlds.forked FIRST LAST [generated]
"""

import logging
import os
import signal
import sys
import warnings

from seawall.testing import compiled, virtual_time
from tests.support.worlds.play import _closed, act
from tests.support.worlds.script import draw
from tests.support.worlds.world import World


def play_forked(seed, generated):
    """The log of the parent and that of the child, as text."""
    scenario = draw("calls", seed)
    middle = len(scenario.steps) // 2
    with compiled(generated), virtual_time() as clock:
        world = World(scenario, clock)
        act(world, scenario.steps[:middle])
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that hangs ends
            os.close(reading)
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                pipe.write(_rest(world, scenario.steps[middle:]))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            from_child = pipe.read()
        os.waitpid(child, 0)
        return _rest(world, scenario.steps[middle:]), from_child


def _rest(world, steps):
    act(world, steps)
    return "\n".join(map(repr, _closed(world)))


def main(first, last, *generated):
    """Runs as a program."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
    for seed in range(int(first), int(last)):
        for whose, log in zip(("parent", "child"), play_forked(seed, bool(generated)), strict=True):
            sys.stdout.write(f"{whose} of {seed}\n{log}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
