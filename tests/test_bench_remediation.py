"""The remediation benchmark in small: fair, the same each time, and what it claims at least."""

from __future__ import annotations

from bench.remediation.fleet import MIXES, build
from bench.remediation.run import fleet_of, policies, recovered, treat, usd, wasted, wrong_share
from bench.remediation.strategies import Blind, Product, cheapest
from bench.remediation.world import case_of, first_at, run

FLEET = fleet_of(11, "even", 40)
OURS = FLEET["vertex-remediator"]


def test_a_fleet_is_drawn_from_its_seed_alone() -> None:
    assert build(3, 50, "flaky") == build(3, 50, "flaky")
    assert build(3, 50, "flaky") != build(4, 50, "flaky")
    assert {job.cause for job in build(5, 3000, "even")} == {
        job.cause for mix in MIXES for job in build(5, 3000, mix)
    }


def test_every_strategy_gets_the_same_jobs() -> None:
    seen = [[(one.index, one.cause, one.recoverable) for one in told] for told in FLEET.values()]
    assert len(FLEET) == 10
    assert all(one == seen[0] for one in seen)


def test_what_can_be_read_of_a_failure_holds_no_needs() -> None:
    job = build(11, 60, "even")[0]
    ran = run(job, job.body, 1, first_at(job))
    text = str(case_of(ran, ran.ended).to_json())
    assert job.cause not in text
    assert "never_placed_on" not in text


def test_whoever_does_nothing_spends_nothing_and_the_oracle_recovers_all() -> None:
    assert (usd(FLEET["no action"]), recovered(FLEET["no action"])) == (0.0, 0.0)
    assert recovered(FLEET["an oracle"]) == 1.0


def test_nothing_is_spent_on_what_nothing_mends_and_most_is_recovered() -> None:
    assert wasted(OURS) == 0.0
    assert (recovered(OURS) or 0) > 0.8
    assert (wrong_share(OURS) or 0) < 0.05
    others = [name for name in FLEET if "remediator" not in name]
    machines = others[: others.index("a good engineer told the cause")]
    assert all((recovered(FLEET[name]) or 0) < (recovered(OURS) or 0) for name in machines)


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
