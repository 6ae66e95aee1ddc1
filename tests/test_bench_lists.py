"""Whom the lists of a policy file bind in the remediation benchmark, and what they leave recoverable."""

from __future__ import annotations

from bench.remediation.lists import in_wide_lists, policies
from bench.remediation.run import treated
from bench.remediation.strategies import Engineer, Product
from bench.remediation.table import FLEETS


def test_lists_bind_each_strategy_that_has_them_and_what_is_recoverable_within_them() -> None:
    tried = (
        Product(policies()),
        Product(policies(wide=True, own=True), name="own hardware"),
        Engineer(in_wide_lists, "bound"),
        Engineer(),
    )
    told = treated(FLEETS["wide"], 42, "even", 40, tried)
    ours, own, bound, engineer = told.values()
    assert all(one.within_wide or not one.within_lists for one in ours)
    assert not any(one.recovered and not one.within_lists for one in ours)
    assert not any(one.recovered and not one.within_wide for one in bound)
    assert any(one.recovered and not one.within_wide for one in own)  # on V100s, as it was
    assert sum(one.recovered for one in bound) < sum(one.recovered for one in engineer)
