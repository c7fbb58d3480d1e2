"""How much Hypothesis tries: little and always the same by default, much and anew with `make stateful`.

The steps that the state machines take are counted, over all processes, and told at the end.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

settings.register_profile(
    "seawall", max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=_QUIET
)
settings.register_profile(
    "long", max_examples=3000, stateful_step_count=80, deadline=None, suppress_health_check=_QUIET, print_blob=True
)
# for `make mutants`: whether there is a difference matters, and not the smallest one
settings.register_profile(
    "mutants",
    parent=settings.get_profile("seawall"),
    max_examples=100,
    phases=(Phase.explicit, Phase.generate),
    database=None,
)
settings.load_profile("seawall")

_steps = {"here": 0, "workers": 0}
_check = RuleBasedStateMachine.check_invariants


def _counted(self, *args, **kwargs):
    """Hypothesis looks at the invariants after each step."""
    _steps["here"] += 1
    return _check(self, *args, **kwargs)


RuleBasedStateMachine.check_invariants = _counted  # type: ignore[method-assign]


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["seawall_steps"] = _steps["here"]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A process of the tests has ended."""
    del error
    _steps["workers"] += getattr(node, "workeroutput", {}).get("seawall_steps", 0)


def pytest_terminal_summary(terminalreporter):
    steps = _steps["here"] + _steps["workers"]
    if steps:
        terminalreporter.write_line(f"state machines: {steps:,} steps beside their models; a difference is a failure")
