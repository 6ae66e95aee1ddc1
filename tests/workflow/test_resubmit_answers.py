"""What Vertex's answer to a create means for the claim, for the step and for people."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import (
    Cause,
    OutcomeUnknown,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from remediator.job import Job
from remediator.ledger import Conclusion, Stage
from remediator.ledger.encoding import to_json
from remediator.ledger.records import doc_id
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.resubmit import TryNextStep, resubmit
from tests.jobs import BATCH, CUSTOM
from tests.workflow.resubmit_cases import SAID_COUNTS, T4, chain_of, earlier, in_a_chain
from tests.workflow.workbench import (
    CALL_SECONDS,
    NOW,
    PROJECT,
    Answer,
    Bench,
)


def _of_one_error(error: BaseException, *, arrives: bool = False) -> Bench:
    bench = Bench()
    bench.vertex.answers.append(Answer(error, arrives=arrives))
    return bench


# --- what Vertex's answer means --------------------------------------------------------------------


def test_a_lost_answer_whose_job_is_listed_is_written_down_at_once() -> None:
    bench = _of_one_error(OutcomeUnknown("504 deadline exceeded"), arrives=True)
    job = bench.vertex.add(CUSTOM)
    resubmit(bench.context(job), bench.services)
    assert len(bench.vertex.creates) == 1
    (attempt,) = chain_of(bench, job).attempts
    assert attempt.claim == "token-1"
    assert [one.kind for one in bench.channel.messages] == ["acted"]
    asked = bench.vertex.listed[-1]
    assert asked[1:] == (
        PROJECT,
        "us-central1",
        None,
        {"remediator-claim": "token-1"},
        CALL_SECONDS,
    )


@pytest.mark.parametrize("blind", [False, True])
def test_a_lost_answer_is_watched_for(bench: Bench, job: Job, blind: bool) -> None:
    """Also where the list does not answer either."""
    bench.vertex.answers.append(Answer(OutcomeUnknown("504"), arrives=False))
    bench.vertex.list_error = TransientError("503") if blind else None
    with pytest.raises(OutcomeUnknown):
        resubmit(bench.context(job), bench.services)
    chain = chain_of(bench, job)
    assert chain.claim is not None
    assert (chain.claim.unanswered, chain.claim.lease_released) == (NOW, True)
    assert chain.claim.lease_until == NOW
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    assert (stored.stage, stored.due) == (Stage.ACTING, NOW + timedelta(minutes=2))
    assert not bench.enqueued()


def test_a_create_that_is_put_off_gives_the_lease_back() -> None:
    bench = _of_one_error(TransientError("429 too many requests a minute"))
    job = bench.vertex.add(CUSTOM)
    with pytest.raises(TransientError, match="429"):
        resubmit(bench.context(job), bench.services)
    chain = chain_of(bench, job)
    assert chain.claim is not None
    assert (chain.claim.unanswered, chain.claim.lease_released) == (None, True)
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    assert stored.due == NOW + timedelta(minutes=1)
    resubmit(bench.context(job, incident=stored), bench.services)
    assert len(chain_of(bench, job).attempts) == 1


@pytest.mark.parametrize("error", [KeyError("fault"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_a_fault_of_ours_after_sending_is_watched_for(error: BaseException) -> None:
    bench = _of_one_error(error, arrives=True)
    bench.vertex.hides_what_is_made = True
    job = bench.vertex.add(CUSTOM)
    with pytest.raises(type(error)):
        resubmit(bench.context(job), bench.services)
    chain = chain_of(bench, job)
    assert chain.claim is not None
    assert (chain.claim.unanswered, chain.claim.lease_released) == (NOW, True)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermanentError("400 this\n image is  not welcome"),
            "Vertex refused the job: 400 this image",
        ),
        (
            PermissionDenied("403 no quota for you"),
            "Vertex refused the job: a permission is missing: 403",
        ),
    ],
)
def test_a_definite_no_frees_the_claim_and_is_told(
    bench: Bench, job: Job, again: bool, error: PermanentError, told: str
) -> None:
    context = in_a_chain(bench, job, earlier(job)) if again else bench.context(job)
    before = bench.chain(job).reserved_usd
    bench.vertex.answers.append(Answer(error, arrives=False))
    said = resubmit(context, bench.services)
    chain = chain_of(bench, job)
    assert (chain.claim, chain.reserved_usd, chain.skipped) == (None, before, ())
    assert bench.totals() == {"usd:2026-11-23": 0.0, "rate:all": 0}
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    assert stored.conclusion is (Conclusion.GIVEN_UP if again else Conclusion.ALERTED)
    assert stored.reason == " ".join(str(error).split())
    (message,) = bench.channel.messages
    assert message.kind == ("given_up" if again else "alert")
    assert told in str(message.to_json())
    assert [(one["final"], one["action"]) for one in bench.outcomes] == [(True, "alert")]
    assert said == f"{stored.conclusion}: cpu_saturation"


def test_a_long_refusal_is_kept_in_part() -> None:
    bench = _of_one_error(PermanentError("no " * 400))
    job = bench.vertex.add(CUSTOM)
    resubmit(bench.context(job), bench.services)
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    assert len(stored.reason) == 500


def test_want_of_machines_skips_the_step_and_asks_for_another() -> None:
    bench = _of_one_error(PermanentError("400 not enough resources available"))
    job = bench.vertex.add(CUSTOM)
    done = resubmit(bench.context(job), bench.services)
    assert isinstance(done, TryNextStep)
    assert done.chain == chain_of(bench, job)
    assert done.incident == bench.ledger.incident(job.name.key)
    assert (done.chain.claim, done.chain.skipped) == (None, ("grow:1",))
    assert done.chain.reserved_usd == 0.0
    assert not bench.enqueued()


def test_a_ladder_that_never_ends_is_told() -> None:
    bench = Bench()
    job = bench.vertex.add(CUSTOM)
    for number in range(10):
        bench.vertex.answers.append(Answer(PermanentError("stockout"), arrives=False))
        context = bench.context(job, incident=bench.ledger.incident(job.name.key))
        again = resubmit(replace(context, plan=replace(context.plan, step=number)), bench.services)
        assert isinstance(again, TryNextStep)
    bench.vertex.answers.append(Answer(PermanentError("stockout"), arrives=False))
    context = bench.context(job, incident=bench.ledger.incident(job.name.key))
    said = resubmit(replace(context, plan=replace(context.plan, step=10)), bench.services)
    assert said == "alerted: cpu_saturation"
    assert [one.kind for one in bench.channel.messages] == ["alert"]


def test_a_no_after_another_hand_took_over_leaves_the_claim_to_it(bench: Bench, job: Job) -> None:
    def taken_over() -> None:
        chain = chain_of(bench, job)
        assert chain.claim is not None
        later = chain.claim.lease_until
        assert bench.ledger.take_over(
            chain.key, chain.claim, lease_until=later + timedelta(minutes=10), now=later
        )

    context = bench.context(job)
    bench.vertex.answers.append(
        Answer(PermanentError("400 no"), arrives=False, meanwhile=taken_over)
    )
    with pytest.raises(
        TransientError, match="another execution took the claim over, and Vertex said: 400"
    ):
        resubmit(context, bench.services)
    assert chain_of(bench, job).claim is not None
    assert not bench.enqueued()


# --- Vertex's own numbers --------------------------------------------------------------------------


def _wants_a_gpu(limits: str = "usd_per_job: 100") -> tuple[Bench, IncidentContext]:
    bench = Bench(T4.replace("usd_per_job: 100", limits))
    job = bench.vertex.add(BATCH)
    bench.vertex.answers.append(Answer(PermanentError(SAID_COUNTS), arrives=False))
    return bench, bench.context(job, Cause.ACCELERATOR_MISSING)


def _count(request: Any) -> Any:
    return request["dedicatedResources"]["machineSpec"]["acceleratorCount"]


def test_the_numbers_that_a_refusal_names_are_used_once() -> None:
    bench, context = _wants_a_gpu()
    resubmit(context, bench.services)
    assert [_count(one.request) for one in bench.vertex.creates] == [1, 2]
    first, second = bench.vertex.creates
    assert first.chain is not None
    assert second.chain is not None
    assert first.chain.claim is not None
    assert second.chain.claim is not None
    assert (first.chain.claim.token, second.chain.claim.token) == ("token-1", "token-2")
    chain = chain_of(bench, context.job)
    (attempt,) = chain.attempts
    cost = attempt.estimated_usd
    assert cost is not None
    assert cost > (context.plan.estimated_usd or 0.0)
    assert (chain.reserved_usd, bench.totals()) == (cost, {"usd:2026-11-23": cost, "rate:all": 1.0})
    stored = bench.ledger.incident(context.job.name.key)
    assert stored is not None
    assert (stored.estimated_usd, stored.changes) == (cost, attempt.changes)
    assert stored.conclusion is Conclusion.RESUBMITTED
    assert [one.kind for one in bench.channel.messages] == ["acted"]


def test_numbers_that_are_refused_too_are_told() -> None:
    bench, context = _wants_a_gpu()
    bench.vertex.answers.append(
        Answer(
            PermanentError(SAID_COUNTS.replace('"1"', '"2"').replace("[2, 4]", "[4]")),
            arrives=False,
        )
    )
    resubmit(context, bench.services)
    assert [_count(one.request) for one in bench.vertex.creates] == [1, 2]
    assert [one.kind for one in bench.channel.messages] == ["alert"]
    assert bench.totals() == {"usd:2026-11-23": 0.0, "rate:all": 0}


@pytest.mark.parametrize("room", [-0.01, 0.0, 0.01])
def test_numbers_that_cost_more_than_the_job_may_are_not_used(room: float) -> None:
    bench, context = _wants_a_gpu()
    resubmit(context, bench.services)
    cost = chain_of(bench, context.job).attempts[0].estimated_usd or 0.0
    bench, context = _wants_a_gpu(f"usd_per_job: {cost + 3.0 + room}")
    spent = replace(context.chain, spent_usd=2.0, reserved_usd=1.0)
    body = to_json(spent)  # the chain as earlier attempts left it
    bench.store.run(lambda tx: tx.put("chains", doc_id(spent.key), body))
    resubmit(replace(context, chain=spent), bench.services)
    assert len(bench.vertex.creates) == (2 if room >= 0 else 1)


def test_numbers_of_unknown_cost_are_used_only_where_nothing_limits_a_jobs_money() -> None:
    for limits, creates in (("usd_per_job: 100", 1), ("attempts: 3", 2)):
        bench, context = _wants_a_gpu(limits if limits != "attempts: 3" else "retries: 5")
        resubmit(replace(context, plan=replace(context.plan, estimated_usd=None)), bench.services)
        assert len(bench.vertex.creates) == creates


def test_the_ceiling_of_the_environment_holds_for_vertexs_numbers_too() -> None:
    bench, context = _wants_a_gpu("retries: 5")
    resubmit(context, bench.with_settings(max_usd_per_job=0.01))
    assert len(bench.vertex.creates) == 1
