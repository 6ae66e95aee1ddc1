"""Which limits bind a resubmission, and in which form the ledger is asked about them."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from msgspec.structs import replace

from remediator.job import Job
from remediator.ledger import Limit
from remediator.workflow.limits import claim_limits, job_budget, limits_of
from tests.workflow.workbench import NOW, POLICIES, Bench

TWO = (
    POLICIES.replace("limits: {attempts: 3,", "limits: {attempts: 3, retries: 4,")
    + """\
  - name: tight
    when: {}
    limits: {usd_per_day: 5, usd_per_job: 3, resubmissions_per_hour: 2}
    do: [{resubmit: {machine_type: bigger}}]
    alert: [ml]
"""
)


def test_a_claim_fits_into_the_policys_own_limits_where_they_are_tighter(
    bench: Bench, job: Job
) -> None:
    bench.use(TWO)
    context = bench.context(job)
    usd = context.plan.estimated_usd or 0.0
    assert claim_limits(context, bench.services.config, bench.services.records.ledger, NOW) == (
        Limit("usd:2026-11-23", "usd_per_day", 1000.0, usd, None),
        Limit("rate:all", "rate", 50.0, 1.0, 3600.0),
    )
    tight = replace(context, plan=replace(context.plan, policy="tight"))
    assert claim_limits(
        tight, bench.services.config, bench.services.records.ledger, NOW + timedelta(days=1)
    ) == (
        Limit("usd:2026-11-24", "usd_per_day", 5.0, usd, None),
        Limit("rate:all", "rate", 2.0, 1.0, 3600.0),
    )
    free = replace(context, plan=replace(context.plan, policy="gone", estimated_usd=None))
    assert (
        claim_limits(free, bench.services.config, bench.services.records.ledger, NOW)[0].amount
        == 0.0
    )
    bench.use(POLICIES.replace("usd_per_day: 1000, ", ""))
    assert (
        claim_limits(context, bench.services.config, bench.services.records.ledger, NOW)[0].limit
        == math.inf
    )


def test_the_limits_of_a_policy_that_is_gone_are_the_general_ones(bench: Bench) -> None:
    bench.use(TWO)
    assert limits_of("tight", bench.services.config).usd_per_job == 3
    assert limits_of("grow", bench.services.config).usd_per_job == 100
    assert limits_of("gone", bench.services.config) == bench.policies.limits


@pytest.mark.parametrize(
    ("policy", "ceiling", "most"),
    [
        ("tight", None, 3),
        ("tight", 2.0, 2.0),
        ("tight", 50.0, 3),
        ("grow", None, 100),
        ("gone", 7.0, 7.0),
    ],
)
def test_a_jobs_budget_is_the_tightest_that_is_set(
    bench: Bench, policy: str, ceiling: float | None, most: float
) -> None:
    bench.use(TWO)
    config = bench.with_settings(max_usd_per_job=ceiling).config
    assert job_budget(policy, config) == most


def test_without_any_limit_there_is_no_budget(bench: Bench) -> None:
    bench.use(POLICIES.replace(", usd_per_job: 100", ""))
    assert job_budget("grow", bench.services.config) is None
