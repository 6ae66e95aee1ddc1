"""Profiles for Hypothesis; no property is judged by how long an example takes.

`make test` draws the same examples each time, so that it is green or red for the change alone;
`make fuzz` draws fresh ones, a hundred thousand where a property sets no number of its own.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW_MACHINE = [HealthCheck.too_slow]  # says how busy the machine is, nothing of the product

settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_SLOW_MACHINE,
)
settings.register_profile(
    "fresh", deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE
)
settings.register_profile(
    "fuzz", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("suite")
