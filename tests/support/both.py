"""`@both(policies)`: a test that is a scenario, run sync and async on the virtual clock."""

import functools

from seawall.testing import run_both


def both(make):
    """Run the decorated scenario in both colours with the policies `make` gives; a `self` before it is passed on."""

    def decorate(scenario):
        @functools.wraps(scenario)
        def test(*args):  # `self`, in a class
            return run_both(make, lambda driven: scenario(*args, driven))

        del test.__wrapped__  # pytest must not look for a fixture of the name of the scenario's argument
        return test

    return decorate
