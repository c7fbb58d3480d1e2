"""How much Hypothesis tries: little and always the same by default, much and anew with `make stateful`."""

from hypothesis import HealthCheck, settings

_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

settings.register_profile(
    "seawall", max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=_QUIET
)
settings.register_profile(
    "long", max_examples=3000, stateful_step_count=80, deadline=None, suppress_health_check=_QUIET, print_blob=True
)
settings.load_profile("seawall")
