"""The remediation benchmark in small: fair, the same each time, and what it claims at least."""

from __future__ import annotations

import itertools
import random

import pytest

from bench.remediation import nights, partial, sweep, wide
from bench.remediation.fleet import MIXES, build, one_of
from bench.remediation.fleets import Fleet
from bench.remediation.lists import policies
from bench.remediation.run import (
    ENGINEER,
    Told,
    fleet_of,
    over_engineer,
    recovered,
    treat,
    usd,
    wasted,
    wrong_share,
)
from bench.remediation.strategies import Blind, Failover, Product, cheapest
from bench.remediation.table import FLEETS, fleet_named
from bench.remediation.world import case_of, first_at, run
from remediator.job import Job

Played = dict[str, list[Told]]


@pytest.fixture(scope="module")
def fleet() -> Played:
    """What each strategy makes of the same forty jobs: played once, and not while tests are collected."""
    return fleet_of(11, "even", 40)


def test_a_fleet_is_drawn_from_its_seed_alone() -> None:
    assert build(3, 50, "flaky") == build(3, 50, "flaky")
    assert build(3, 50, "flaky") != build(4, 50, "flaky")
    assert {job.cause for job in build(5, 600, "even")} == {
        job.cause for mix in MIXES for job in build(5, 600, mix)
    }


def test_more_texts_to_draw_from_leave_what_is_drawn_after_them_as_it_was() -> None:
    few, many = random.Random(7), random.Random(7)
    assert one_of(["a", "b", "c"], few) in "abc"
    assert one_of([str(n) for n in range(1000)], many).isdigit()
    assert few.random() == many.random()


def test_money_over_the_engineers_is_told_of_jobs_that_fare_alike_too(fleet: Played) -> None:
    assert over_engineer(fleet, ENGINEER) == (1.0, 1.0)
    # Nobody spends on a job that both leave: there is nothing to compare.
    assert over_engineer(fleet, "no action") == (0.0, None)
    whole, alike = over_engineer(fleet, "vertex-remediator")
    assert 0 < (whole or 0) <= (alike or 0) < 1  # what the engineer alone recovers costs him alone


def test_every_strategy_gets_the_same_jobs(fleet: Played) -> None:
    seen = [[(one.index, one.cause, one.recoverable) for one in told] for told in fleet.values()]
    assert len(fleet) == 11
    assert all(one == seen[0] for one in seen)


def test_what_can_be_read_of_a_failure_holds_no_needs() -> None:
    job = build(11, 60, "even")[0]
    ran = run(job, job.body, 1, first_at(job))
    text = str(case_of(ran, ran.ended).to_json())
    assert job.cause not in text
    assert "never_placed_on" not in text


def test_whoever_does_nothing_spends_nothing_and_the_oracle_recovers_all(fleet: Played) -> None:
    assert (usd(fleet["no action"]), recovered(fleet["no action"])) == (0.0, 0.0)
    assert recovered(fleet["an oracle"]) == 1.0


def test_nothing_is_spent_on_what_nothing_mends_and_most_is_recovered(fleet: Played) -> None:
    ours = fleet["vertex-remediator"]
    assert wasted(ours) == 0.0
    assert (recovered(ours) or 0) > 0.8
    assert (wrong_share(ours) or 0) < 0.05
    others = [name for name in fleet if "remediator" not in name]
    machines = others[: others.index("a good engineer told the cause")]
    assert all((recovered(fleet[name]) or 0) < (recovered(ours) or 0) for name in machines)


def test_a_size_that_worked_is_remembered() -> None:
    jobs = [job for job in build(11, 600, "even") if job.cause == "memory_pressure"]
    failing = [job for job in jobs if not run(job, job.body, 1, first_at(job)).succeeded]
    family = max({job.family for job in failing}, key=[job.family for job in failing].count)
    product = Product(policies(sized=True))
    told = [
        treat(product, job, cheapest(job) is not None) for job in failing if job.family == family
    ]
    assert len(told) > 3
    assert told[-1].attempts <= told[0].attempts
    assert product.ends


def test_a_blind_retry_of_a_bug_is_a_wrong_action() -> None:
    bugs = (job for job in build(11, 200, "even") if job.cause == "user_code_error")
    told = treat(Blind(), next(bugs), recoverable=False)
    assert (told.attempts, told.wrong, told.recovered) == (3, 3, False)


# --- the second fleet -------------------------------------------------------------------------------

WIDE = FLEETS["wide"]


def test_the_wide_fleet_is_drawn_from_its_seed_and_says_nothing_of_its_needs() -> None:
    assert WIDE.build(3, 50, "even") == WIDE.build(3, 50, "even")
    assert {job.cause for job in WIDE.build(5, 400, "even")} >= set(wide.RIGHT)
    job = WIDE.build(11, 60, "even")[0]
    ran = WIDE.run(job, job.body, 1, WIDE.first_at(job))
    assert "bad_places" not in str(WIDE.case_of(ran, ran.ended).to_json())


def test_no_attempt_over_the_wide_fleet_loses_a_device_or_its_place() -> None:
    jobs = [
        job
        for job in WIDE.build(12, 120, "even")
        if not WIDE.run(job, job.body, 1, WIDE.first_at(job)).succeeded
    ][:60]
    product = Product(policies(wide=True))
    told = [treat(product, job, not job.raises, WIDE) for job in jobs]
    assert sum(one.losses for one in told) == 0
    assert wasted(told) == 0.0
    assert (wrong_share(told) or 0) < 0.05
    assert (recovered(told) or 0) > 0.6


@pytest.mark.parametrize("name", ["first", "wide", "bench.remediation.strangers"])
def test_each_fleet_knows_what_would_have_mended_its_jobs(name: str) -> None:
    fleet = fleet_named(name)
    found = [fleet.cheapest(job) for job in fleet.build(3, 12, "even")]
    assert any(found)


def test_a_failover_goes_through_places_and_mends_nothing_else() -> None:
    jobs = {job.cause: job for job in WIDE.build(12, 400, "even") if not job.passes_hours}
    place, memory = jobs["capacity_stockout"], jobs["memory_pressure"]
    assert treat(Failover(), place, recoverable=True, fleet=WIDE).recovered
    assert treat(Failover(), memory, recoverable=True, fleet=WIDE).attempts == 0


# --- the second author's fleet ------------------------------------------------------------------------

STRANGERS = FLEETS["strangers"]
READ = FLEETS["strangers_read"]
LISTED = FLEETS["strangers_listed"]


def test_the_second_authors_fleet_is_drawn_from_its_seed_and_says_nothing_of_its_needs() -> None:
    jobs = STRANGERS.build(3, 120, "even")
    assert jobs == STRANGERS.build(3, 120, "even")
    assert len({job.cause for job in jobs}) > 12
    ran = STRANGERS.run(jobs[0], jobs[0].body, 1, STRANGERS.first_at(jobs[0]))
    said = str(STRANGERS.case_of(ran, ran.ended).to_json())
    assert not any(word in said for word in ("device_hours", "peak_at", "taken_back"))


def test_no_attempt_over_the_second_authors_fleet_loses_a_device_or_its_place() -> None:
    drawn = STRANGERS.build(21, 60, "even")
    jobs = [
        job
        for job in drawn
        if not STRANGERS.run(job, job.body, 1, STRANGERS.first_at(job)).succeeded
    ][:40]
    product = Product(policies(wide=True))
    told = [treat(product, job, bool(job.mends), STRANGERS) for job in jobs]
    assert sum(one.losses for one in told) == 0
    assert (recovered(told) or 0) > 0.6


@pytest.mark.parametrize("fleet", [READ, LISTED], ids=["quotas-read", "jobs-listed"])
def test_where_quotas_may_be_read_a_limit_of_0_is_never_waited_for(fleet: Fleet) -> None:
    jobs = [
        job
        for job in fleet.build(22, 700, "even")
        if job.cause == "quota" and not job.fate.quota_hours
    ]
    product = Product(policies(wide=True))
    told = [treat(product, job, recoverable=True, fleet=fleet) for job in jobs[:8]]
    assert jobs
    assert sum(one.attempts for one in told) > 0
    assert (wrong_share(told) or 0) == 0.0


# --- the third author's fleet -------------------------------------------------------------------------

VISITORS = FLEETS["visitors"]


def test_the_third_authors_fleet_is_drawn_from_its_seed_and_says_nothing_of_its_needs() -> None:
    jobs = VISITORS.build(3, 200, "even")
    assert jobs == VISITORS.build(3, 200, "even")
    assert len({job.cause for job in jobs}) > 14
    for job in jobs[:20]:
        ran = VISITORS.run(job, job.body, 1, VISITORS.first_at(job))
        said = str(VISITORS.case_of(ran, ran.ended).to_json())
        assert not any(word in said for word in ("leak_gib", "checkpoint_hours", "down_until"))


def test_a_program_of_the_third_authors_fleet_goes_on_from_its_checkpoint() -> None:
    jobs = [
        job
        for job in VISITORS.build(3, 900, "even")
        if job.cause == "unknown" and job.program and job.program.checkpoint_hours
    ]
    told = [treat(Blind(), job, recoverable=True, fleet=VISITORS) for job in jobs]
    assert any(one.recovered for one in told)
    assert all(one.wrong == 0 for one in told)


# --- partial batches --------------------------------------------------------------------------------


def test_partial_batches_cost_less_when_only_the_rows_that_are_left_run() -> None:
    """That no done row is sent again is asserted in the benchmark itself, row by row."""
    pairs = partial.treated(31, 6)
    assert partial.build(31, 6) == partial.build(31, 6)
    assert 0 < (partial.ratio(pairs) or 0) < 0.7
    ours = [one for one, _ in pairs]
    assert sum(one.resumes for one in ours) >= 4
    assert all(one.done <= one.can_be_done for pair in pairs for one in pair)
    assert sum(one.done for one in ours) > 0.95 * sum(one.can_be_done for one in ours)


def test_what_nothing_fixes_is_paid_for_in_the_first_of_three_nights_alone() -> None:
    before, now = (
        nights.played(nights.OUT_OF_REACH, 31, 3, 3, repeats) for repeats in (True, False)
    )
    spent = [[sum(job[n].usd for job in runs) for n in range(3)] for runs in (before, now)]
    assert spent[0][0] == spent[1][0] > 0
    assert min(spent[0]) > 0
    assert spent[1][1:] == [0, 0]


def test_a_sweep_of_planned_attempts_loses_nothing_and_would_see_a_loss() -> None:
    failures = itertools.islice(sweep.of_catalogue(5), 0, None, 60)
    told = [one for failure in failures for one in sweep.walked(failure, {"": policies(wide=True)})]
    assert len(told) > 20
    assert {losses for _, losses in told} == {()}
    first = Job.parse(sweep_job("a2-highgpu-2g", "NVIDIA_TESLA_A100", 2, "us-central1"))
    worse = Job.parse(sweep_job("g2-standard-8", "NVIDIA_L4", 1, "europe-west4"))
    lost = sweep.losses(first, worse, {"reads": "US"})
    assert lost == ("devices", "device memory", "locality")


def sweep_job(machine: str, device: str, count: int, region: str) -> dict[str, object]:
    spec = {"machineType": machine, "acceleratorType": device, "acceleratorCount": count}
    pools = [{"machineSpec": spec, "replicaCount": "1"}]
    name = f"projects/7/locations/{region}/customJobs/1"
    return {"name": name, "jobSpec": {"workerPoolSpecs": pools}}
