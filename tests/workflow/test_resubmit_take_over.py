"""Claims that two executions meet at: whose job it is, and who may create."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import (
    Cause,
    Change,
    OutcomeUnknown,
    PermanentError,
    TransientError,
)
from remediator.job import Job
from remediator.ledger import Claim, Ledger
from remediator.settings import Settings
from remediator.workflow.claims import (
    find_job_by_claim,
    record_attempt,
    wait_until_safe_to_recreate,
    withdraw_expired_claim,
)
from remediator.workflow.resubmit import resubmit
from tests.jobs import BATCH, CUSTOM, diagnosis
from tests.workflow.resubmit_cases import SAID_COUNTS, T4, chain_of, other_job, unanswered
from tests.workflow.workbench import (
    CALL_SECONDS,
    NOW,
    NUMBER,
    PROJECT,
    Answer,
    Bench,
    planned,
)

# --- somebody else's claim -------------------------------------------------------------------------


def test_a_claim_whose_job_stands_is_written_down_and_nothing_is_sent(
    bench: Bench, job: Job
) -> None:
    bench.vertex.hides_what_is_made = True
    bench.vertex.answers.append(Answer(OutcomeUnknown("504"), arrives=True))
    with pytest.raises(OutcomeUnknown):
        resubmit(bench.context(job), bench.services)
    bench.vertex.hidden.clear()
    resubmit(bench.context(job, incident=bench.ledger.incident(job.name.key)), bench.services)
    assert len(bench.vertex.creates) == 1
    (attempt,) = chain_of(bench, job).attempts
    assert attempt.claim == "token-1"


@pytest.mark.parametrize(
    ("seconds", "why"), [(0, "a create went unanswered"), (119, "the job list is watched")]
)
def test_a_claim_is_not_taken_over_before_it_is_forgotten(
    bench: Bench, job: Job, seconds: float, why: str
) -> None:
    context = unanswered(bench, job)
    bench.time += timedelta(seconds=seconds)
    with pytest.raises(TransientError, match=why):
        resubmit(context, bench.services)
    assert len(bench.vertex.creates) == 1


def test_a_claim_that_is_forgotten_is_taken_over_under_its_own_token(
    bench: Bench, job: Job
) -> None:
    context = unanswered(bench, job)
    bench.time += timedelta(seconds=120)
    renewed = replace(
        context.plan,
        estimated_usd=(context.plan.estimated_usd or 0.0) + 5.0,
        policy="other",
        step=3,
    )
    resubmit(replace(context, plan=renewed), bench.services)
    first, second = bench.vertex.creates
    assert second.request["labels"]["remediator-claim"] == "token-1"
    assert second.chain is not None
    held = second.chain.claim
    assert held is not None
    assert (held.token, held.acquired_at) == ("token-1", NOW + timedelta(seconds=120))
    assert held.lease_until == held.acquired_at + timedelta(minutes=10)
    assert (held.policy, held.step, held.unanswered, held.lease_released) == (
        "other",
        3,
        None,
        False,
    )
    assert bench.totals() == {"usd:2026-11-23": renewed.estimated_usd, "rate:all": 1.0}
    assert second.chain.reserved_usd == renewed.estimated_usd
    (attempt,) = chain_of(bench, job).attempts
    assert (attempt.policy, attempt.step, attempt.number) == ("other", 3, 1)
    del first


def test_a_claim_is_not_taken_over_at_a_price_that_no_longer_fits(bench: Bench, job: Job) -> None:
    context = unanswered(bench, job)
    bench.time += timedelta(seconds=120)
    with pytest.raises(TransientError, match="another execution took the claim over"):
        resubmit(replace(context, plan=replace(context.plan, estimated_usd=5000.0)), bench.services)
    assert len(bench.vertex.creates) == 1
    assert bench.totals()["usd:2026-11-23"] == context.plan.estimated_usd


def test_a_claim_is_not_taken_over_while_the_stop_switch_is_on(bench: Bench, job: Job) -> None:
    context = unanswered(bench, job)
    bench.time += timedelta(seconds=120)
    bench.ledger.switch_stop(on=True, by="me", now=NOW)
    with pytest.raises(TransientError):
        resubmit(context, bench.services)
    assert len(bench.vertex.creates) == 1


def _held_claim(job: Job, lease_until: datetime) -> Claim:
    return Claim(
        token="t",
        incident=job.name.key,
        policy="grow",
        step=1,
        number=1,
        verdict="",
        changes=(),
        acquired_at=NOW,
        lease_until=lease_until,
    )


def test_a_holder_that_was_killed_is_waited_for_in_other_words(bench: Bench, job: Job) -> None:
    claim = _held_claim(job, NOW + timedelta(minutes=10))
    with pytest.raises(TransientError, match="another execution holds the claim; the job list is"):
        wait_until_safe_to_recreate(
            claim, bench.services.config.settings, NOW + timedelta(minutes=9, seconds=59)
        )
    wait_until_safe_to_recreate(claim, bench.services.config.settings, NOW + timedelta(minutes=10))


def test_of_jobs_under_one_claim_the_earliest_that_does_what_it_says_is_ours(
    bench: Bench, job: Job
) -> None:
    machine = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"
    claim = replace(
        _held_claim(job, NOW),
        changes=(Change(machine, "n1-standard-8", "n1-standard-16"),),
        location="europe-west4",
    )

    def add(number: int, created: str, size: str, token: str, place: str) -> Job:
        name = f"projects/{NUMBER}/locations/{place}/customJobs/{number}"
        made = Job.parse({**copy.deepcopy(CUSTOM), "name": name})
        body = made.changed(machine, size).changed("labels.remediator-claim", token).request()
        return bench.vertex.add({**body, "createTime": created})

    assert find_job_by_claim(claim, job.name, bench.services.vertex) is None
    add(1, "2026-11-23T19:01:00Z", "n1-standard-8", "t", "europe-west4")
    add(2, "2026-11-23T19:02:00Z", "n1-standard-16", "other", "europe-west4")
    add(3, "2026-11-23T19:03:00Z", "n1-standard-16", "t", "us-central1")
    assert find_job_by_claim(claim, job.name, bench.services.vertex) is None
    add(4, "2026-11-23T19:05:00Z", "n1-standard-16", "t", "europe-west4")
    ours = add(5, "2026-11-23T19:04:00Z", "n1-standard-16", "t", "europe-west4")
    assert find_job_by_claim(claim, job.name, bench.services.vertex) == ours
    at_home = find_job_by_claim(replace(claim, location=""), job.name, bench.services.vertex)
    assert at_home is not None
    assert at_home.name.id == "3"


def test_a_claim_that_is_no_longer_wanted_is_dropped_when_nothing_can_come_of_it(
    bench: Bench, job: Job
) -> None:
    context = unanswered(bench, job)
    held = chain_of(bench, job).claim
    assert held is not None
    with pytest.raises(TransientError, match="unanswered"):
        withdraw_expired_claim(
            context.chain.key,
            held,
            bench.services.config.settings,
            bench.services.records.ledger,
            NOW + timedelta(seconds=119),
        )
    assert chain_of(bench, job).claim == held
    with pytest.raises(TransientError, match="another execution took the claim over"):
        withdraw_expired_claim(
            context.chain.key,
            replace(held, acquired_at=NOW - timedelta(1)),
            bench.services.config.settings,
            bench.services.records.ledger,
            NOW + timedelta(seconds=120),
        )
    assert chain_of(bench, job).claim == held
    withdraw_expired_claim(
        context.chain.key,
        held,
        bench.services.config.settings,
        bench.services.records.ledger,
        NOW + timedelta(seconds=120),
    )
    chain = chain_of(bench, job)
    assert (chain.claim, chain.reserved_usd) == (None, 0.0)


def test_a_job_that_another_hand_wrote_down_is_told_by_it_alone(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    resubmit(context, bench.services)
    (attempt,) = chain_of(bench, job).attempts
    (create,) = bench.vertex.creates
    assert create.chain is not None
    assert create.chain.claim is not None
    made = bench.vertex.get(Job.parse({"name": attempt.name}).name, timeout_seconds=CALL_SECONDS)
    before = chain_of(bench, job)
    record_attempt(context, create.chain.claim, made, bench.services.records, NOW)
    assert chain_of(bench, job) == before
    assert len(bench.channel.messages) == 1


def test_an_attempt_without_a_time_of_creation_is_dated_now(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    wanted = Claim(
        token="t", incident=job.name.key, policy="p", step=2, number=1, verdict="v", changes=(),
        acquired_at=NOW, lease_until=NOW + timedelta(minutes=1), max_run_seconds=7.0,
    )  # fmt: skip
    assert bench.ledger.claim(context.incident, str(job.name), wanted, now=NOW).mine
    made = Job.parse({**CUSTOM, "name": other_job(CUSTOM), "createTime": None})
    later = NOW + timedelta(minutes=3)
    record_attempt(context, wanted, made, bench.services.records, later)
    (attempt,) = chain_of(bench, job).attempts
    assert (attempt.create_time, attempt.policy, attempt.step) == (later, "p", 2)
    assert attempt.max_run_seconds == 7.0


def test_the_settings_lease_is_what_a_claim_gets() -> None:
    settings = replace(Settings(project=PROJECT), lease=timedelta(minutes=33))
    bench = Bench(settings=settings)
    job = bench.vertex.add(CUSTOM)
    resubmit(bench.context(job, found=diagnosis(job, Cause.UNKNOWN)), bench.services)
    held = bench.vertex.creates[0].chain
    assert held is not None
    assert held.claim is not None
    assert held.claim.lease_until == NOW + timedelta(minutes=33)
    assert held.claim.verdict == "unknown"


# --- another execution took over while this one was at work ----------------------------------------


def _taken_over(bench: Bench, job: Job) -> None:
    """Another execution takes the claim over, by the time its lease is over."""
    chain = chain_of(bench, job)
    assert chain.claim is not None
    later = chain.claim.lease_until
    assert bench.ledger.take_over(
        chain.key, chain.claim, lease_until=later + timedelta(minutes=10), now=later
    )


@pytest.mark.parametrize("error", [TransientError("429"), OutcomeUnknown("504"), KeyError("fault")])
def test_a_late_hand_gives_back_nothing_of_the_next_ones(
    bench: Bench, job: Job, error: BaseException
) -> None:
    def meanwhile() -> None:
        _taken_over(bench, job)

    bench.vertex.answers.append(Answer(error, arrives=False, meanwhile=meanwhile))
    with pytest.raises(type(error)):
        resubmit(bench.context(job), bench.services)
    held = chain_of(bench, job).claim
    assert held is not None
    assert (held.lease_released, held.unanswered) == (False, None)
    assert held.lease_until == NOW + timedelta(minutes=20)


def test_an_illegal_request_of_a_late_hand_leaves_the_claim_to_the_next(
    bench: Bench, job: Job
) -> None:
    context = bench.context(job)
    request = {**(planned(context).request or {}), "other": 1}
    store = bench.store

    class Late(Ledger):
        def withdraw(self, *args: Any, **named: Any) -> bool:
            _taken_over(bench, job)
            return super().withdraw(*args, **named)

    records = replace(bench.services.records, ledger=Late(store))
    services = replace(bench.services, records=records)
    with pytest.raises(TransientError, match=r"^another execution took the claim over$"):
        resubmit(replace(context, plan=replace(context.plan, request=request)), services)
    assert chain_of(bench, job).claim is not None
    assert not bench.enqueued()


def test_the_budget_of_the_policy_itself_holds_for_vertexs_numbers() -> None:
    bench = Bench(T4.replace("    when: {}", "    when: {}\n    limits: {usd_per_job: 0.01}"))
    job = bench.vertex.add(BATCH)
    bench.vertex.answers.append(Answer(PermanentError(SAID_COUNTS), arrives=False))
    context = bench.context(job, Cause.ACCELERATOR_MISSING)
    wanted = Bench(T4).context(job, Cause.ACCELERATOR_MISSING)
    resubmit(replace(context, plan=wanted.plan), bench.services)
    assert len(bench.vertex.creates) == 1
