"""For tests of programs that use seawall: a virtual clock, seeded chance, a recorder, a scripted dependency.

    from seawall.testing import virtual_time

    def test_gives_up_after_an_hour():
        with virtual_time() as clock:
            ...                        # an hour of backoff takes milliseconds

The pytest plugin is installed with the package; it brings the fixtures `virtual_clock` and `seawall_recorder`.
"""

from seawall.core.chance import seeded_chance
from seawall.drive.virtual import VirtualClock
from seawall.testing.generation import compiled
from seawall.testing.record import Recorder
from seawall.testing.run import run_async, run_both, run_threads
from seawall.testing.scripted import Scripted
from seawall.testing.time import virtual_time

__all__ = [
    "Recorder",
    "Scripted",
    "VirtualClock",
    "compiled",
    "run_async",
    "run_both",
    "run_threads",
    "seeded_chance",
    "virtual_time",
]
