"""Profiles for Hypothesis: `make fuzz` draws a hundred thousand examples, `make test` the usual few."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck)
)
