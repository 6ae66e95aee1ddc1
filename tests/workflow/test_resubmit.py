"""Creating, once: what is claimed, sent, written down and told, and in which order."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Guard,
    JobState,
    OutcomeUnknown,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from remediator.job import Job
from remediator.ledger import Approval, Chain, Claim, Conclusion, Ledger, Stage
from remediator.ledger.encoding import to_json
from remediator.ledger.records import Reservation, doc_id
from remediator.settings import Settings
from remediator.workflow.claims import (
    find_job_by_claim,
    record_attempt,
    wait_until_safe_to_recreate,
    withdraw_expired_claim,
)
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.resubmit import TryNextStep, resubmit
from tests.jobs import BATCH, CUSTOM, EVERY_KIND, diagnosis
from tests.workflow.workbench import (
    CALL_SECONDS,
    NOW,
    NUMBER,
    POLICIES,
    PROJECT,
    Answer,
    Bench,
    planned,
)

SAID_COUNTS = (
    '400 Accelerator count "1" is not allowed for accelerator "NVIDIA_TESLA_T4" with machine type '
    '"n1-standard-8". Allowed counts: [2, 4]'
)
_T4 = POLICIES.replace("machine_type: bigger", "accelerator: {type: NVIDIA_TESLA_T4, count: 1}")


def _of_one_error(error: BaseException, *, arrives: bool = False) -> Bench:
    bench = Bench()
    bench.vertex.answers.append(Answer(error, arrives=arrives))
    return bench


def _earlier(job: Job, number: int = 1, **more: Any) -> Attempt:
    """An attempt of the job's chain that failed."""
    known: dict[str, Any] = {
        "name": f"projects/{NUMBER}/locations/us-central1/customJobs/90{number}",
        "state": JobState.FAILED,
        "create_time": NOW - timedelta(hours=2),
        "policy": "grow",
        "step": 1,
        "verdict": "cpu_saturation",
        "changes": (Change("f", 1, 2),),
        "number": number,
        "estimated_usd": 2.0,
    }
    del job
    return Attempt(**{**known, **more})


def _in_a_chain(bench: Bench, job: Job, *attempts: Attempt) -> IncidentContext:
    """The context of a job whose chain has made these attempts before, all written down."""
    for attempt in attempts:
        context = bench.context(job)
        first = replace(context.incident, version=context.incident.version)
        claim = Claim(
            token=f"earlier-{attempt.number}",
            incident=first.key,
            policy=attempt.policy,
            step=attempt.step,
            number=attempt.number,
            verdict=attempt.verdict,
            changes=attempt.changes,
            acquired_at=bench.time,
            lease_until=bench.time + timedelta(minutes=10),
            estimated_usd=attempt.estimated_usd,
        )
        stored = bench.ledger.incident(job.name.key)
        assert stored is not None
        answer = bench.ledger.claim(stored, str(job.name), claim, now=bench.time)
        assert answer.mine
        made = Job.parse({"name": attempt.name, "state": "JOB_STATE_FAILED"})
        held = bench.ledger.incident(job.name.key)
        assert held is not None
        assert bench.ledger.record(
            job.name.key,
            claim.token,
            attempt,
            incident=held,
            following=replace(held, key=made.name.key, job=attempt.name, stage=Stage.DONE),
        )
    stored = bench.ledger.incident(job.name.key)
    return bench.context(job, incident=stored)


def _chain(bench: Bench, job: Job) -> Chain:
    chain = bench.ledger.chain(job.name.key)
    assert chain is not None
    return chain


# --- the whole way --------------------------------------------------------------------------------


@pytest.mark.parametrize("body", EVERY_KIND, ids=lambda body: str(body["displayName"]))
def test_what_is_sent_is_the_plans_request_with_the_claim_and_nothing_else(
    body: dict[str, Any],
) -> None:
    bench = Bench(POLICIES.replace("machine_type: bigger", ""))
    job = bench.vertex.add(body)
    context = bench.context(job)
    wanted = copy.deepcopy(dict(planned(context).request or {}))
    said = resubmit(context, bench.services)
    (sent,) = bench.vertex.creates
    wanted["labels"] = {**wanted["labels"], "remediator-claim": "token-1"}
    assert (sent.kind, sent.request) == (job.kind, wanted)
    assert sent.parent == f"projects/{PROJECT}/locations/us-central1"
    assert sent.timeout_seconds == CALL_SECONDS
    assert said == f"resubmitted as {_chain(bench, job).attempts[0].name}"


def test_the_claim_with_its_money_stands_before_anything_is_sent(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    made = planned(context)
    usd = made.estimated_usd
    assert usd
    resubmit(context, bench.services)
    (sent,) = bench.vertex.creates
    assert sent.chain is not None
    assert sent.chain.attempts == ()
    assert sent.chain.reserved_usd == usd
    assert sent.chain.first_failed == job.end_time
    assert sent.chain.claim == Claim(
        token="token-1",
        incident=job.name.key,
        policy="grow",
        step=1,
        number=1,
        verdict="cpu_saturation",
        changes=made.changes,
        acquired_at=NOW,
        lease_until=NOW + timedelta(minutes=10),
        estimated_usd=usd,
        location="us-central1",
        max_run_seconds=made.max_run_seconds,
        reservations=(
            Reservation("usd:2026-11-23", usd, NOW),
            Reservation("rate:all", 1.0, NOW, 3600.0),
        ),
    )
    assert bench.totals() == {"usd:2026-11-23": usd, "rate:all": 1.0}


def test_the_job_is_written_down_before_anybody_is_told(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    resubmit(context, bench.services)
    chain = _chain(bench, job)
    made = chain.attempts[0].name
    assert chain.claim is None
    assert chain.reserved_usd == context.plan.estimated_usd
    assert chain.attempts == (
        Attempt(
            name=made,
            state=JobState.PENDING,
            create_time=NOW,
            policy="grow",
            step=1,
            verdict="cpu_saturation",
            changes=context.plan.changes,
            claim="token-1",
            number=1,
            estimated_usd=context.plan.estimated_usd,
            max_run_seconds=context.plan.max_run_seconds,
        ),
    )
    (message,) = bench.channel.messages
    assert message.kind == "acted"
    assert message.title.startswith("Resubmitted")
    assert bench.channel.chains == [(chain,)]
    assert bench.enqueued() == {f"{job.name.key}|acted|0|ml": "2026-11-23T19:07:00Z"}
    (outcome,) = bench.outcomes
    assert {**outcome, "output": None} == {
        "id": f"{job.name.key}|outcome|1|resubmit",
        "root": str(job.name),
        "current": made,
        "attempt": 1,
        "state": "JOB_STATE_PENDING",
        "output": None,
        "final": False,
        "reason": message.title,
        "advice": message.next_step,
        "url": outcome["url"],
        "outputs": outcome["outputs"],
        "waits_for": None,
        "previous": str(job.name),
        "verdict": "cpu_saturation",
        "action": "resubmit",
        "time": "2026-11-23T19:07:00Z",
    }


def test_the_failure_is_concluded_and_the_new_job_is_followed(bench: Bench, job: Job) -> None:
    resubmit(bench.context(job), bench.services)
    failed = bench.ledger.incident(job.name.key)
    assert failed is not None
    assert (failed.stage, failed.conclusion) == (Stage.DONE, Conclusion.RESUBMITTED)
    made = Job.parse({"name": _chain(bench, job).attempts[0].name})
    following = bench.ledger.incident(made.name.key)
    assert following is not None
    assert (following.stage, following.due, following.attempt) == (Stage.FOLLOWED, NOW, 1)
    assert (following.root, following.policy) == (job.name.key, "")
    assert following.first_known == NOW
    assert bench.ledger.root_of(made.name.key) == job.name.key


def test_the_second_attempt_is_told_as_the_next_one(bench: Bench, job: Job) -> None:
    context = _in_a_chain(bench, job, _earlier(job))
    resubmit(context, bench.services)
    (sent,) = bench.vertex.creates
    assert sent.request["labels"]["remediator-attempt"] == "2"
    assert [one.number for one in _chain(bench, job).attempts] == [1, 2]
    (message,) = bench.channel.messages
    assert message.kind == "next_attempt"
    assert [(one["attempt"], one["final"]) for one in bench.outcomes] == [(2, False)]


def test_the_first_failure_of_the_chain_is_kept(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    first = NOW - timedelta(days=1)
    resubmit(replace(context, chain=replace(context.chain, first_failed=first)), bench.services)
    assert _chain(bench, job).first_failed == first


def test_a_job_goes_to_the_place_that_the_plan_names(bench: Bench) -> None:
    bench.use(POLICIES.replace("machine_type: bigger", "location: europe-west4"))
    job = bench.vertex.add(CUSTOM)
    context = bench.context(job)
    moved = replace(
        context,
        plan=replace(
            context.plan,
            action=Action.RESUBMIT,
            request=planned(Bench().context(job)).request,
            location="europe-west4",
            changes=(Change("location", "us-central1", "europe-west4"),),
        ),
    )
    resubmit(moved, bench.services)
    (sent,) = bench.vertex.creates
    assert sent.parent == f"projects/{PROJECT}/locations/europe-west4"
    assert sent.chain is not None
    assert sent.chain.claim is not None
    assert sent.chain.claim.location == "europe-west4"


def test_without_a_place_of_its_own_the_job_stays_where_it_ran(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    resubmit(replace(context, plan=replace(context.plan, location="")), bench.services)
    (sent,) = bench.vertex.creates
    assert sent.parent == f"projects/{PROJECT}/locations/us-central1"


# --- refused at the claim -------------------------------------------------------------------------


def test_an_incident_that_another_hand_moved_on_is_tried_again(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    assert bench.ledger.move(context.incident)
    with pytest.raises(TransientError, match="another execution moved this incident on"):
        resubmit(context, bench.services)
    assert not bench.vertex.creates
    assert not bench.enqueued()


@pytest.mark.parametrize("again", [False, True])
def test_the_stop_switch_refuses_and_people_are_told(bench: Bench, job: Job, again: bool) -> None:
    context = _in_a_chain(bench, job, _earlier(job)) if again else bench.context(job)
    bench.ledger.switch_stop(on=True, by="me", now=NOW)
    resubmit(context, bench.services)
    assert not bench.vertex.creates
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    ended = Conclusion.GIVEN_UP if again else Conclusion.ALERTED
    assert (stored.stage, stored.conclusion) == (Stage.DONE, ended)
    assert (stored.refused_by, stored.action) == ((Guard.STOP_SWITCH.value,), "alert")
    (message,) = bench.channel.messages
    assert message.kind == ("given_up" if again else "alert")
    assert [(one["final"], one["action"]) for one in bench.outcomes] == [(True, "alert")]


@pytest.mark.parametrize(
    ("limit", "guard"), [("usd_per_day: 1000", "usd_per_day"), ("per_hour: 50", "rate")]
)
def test_a_budget_that_is_used_up_meanwhile_refuses_at_the_claim(limit: str, guard: str) -> None:
    """The plan was made while there was room; another job took it."""
    bench = Bench()
    job, other = bench.vertex.add(CUSTOM), bench.vertex.add(CUSTOM, name=_other(CUSTOM))
    tales = bench.context(job), bench.context(other)
    most = limit.partition(": ")[0] + ": " + ("2" if guard == "usd_per_day" else "1")
    bench.use(POLICIES.replace(limit, most))
    cost = (planned(tales[0]).estimated_usd or 0.0) + 0.1
    if guard == "usd_per_day":
        bench.use(POLICIES.replace(limit, f"usd_per_day: {cost}"))
    resubmit(tales[0], bench.services)
    resubmit(tales[1], bench.services)
    assert len(bench.vertex.creates) == 1
    stored = bench.ledger.incident(other.name.key)
    assert stored is not None
    assert (stored.conclusion, stored.refused_by) == (Conclusion.ALERTED, (guard,))
    assert bench.ledger.chain(other.name.key) is None
    message = bench.channel.messages[-1]
    assert message.kind == "alert"


def _other(body: dict[str, Any]) -> str:
    return str(body["name"]) + "5"


# --- before the create ----------------------------------------------------------------------------


def test_a_lease_that_ran_out_meanwhile_sends_nothing(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    bench.tick = timedelta(minutes=8)  # of ten, less the wait of two
    with pytest.raises(TransientError, match="the lease ran out"):
        resubmit(context, bench.services)
    assert not bench.vertex.creates
    assert _chain(bench, job).claim is not None


def test_a_lease_that_nearly_ran_out_still_sends(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    bench.tick = timedelta(minutes=8) - timedelta(seconds=1)
    resubmit(context, bench.services)
    assert len(bench.vertex.creates) == 1


_TAMPERED = [
    ("jobSpec.workerPoolSpecs[0].containerSpec.imageUri", "docker.io/other/image"),
    ("jobSpec.workerPoolSpecs[0].containerSpec.command", ["sh"]),
    ("jobSpec.workerPoolSpecs[0].containerSpec.args", None),
    ("jobSpec.workerPoolSpecs[0].containerSpec.env", [{"name": "SHARDS", "value": "1"}]),
    ("jobSpec.serviceAccount", "other@genomics.iam.gserviceaccount.com"),
    ("jobSpec.network", "projects/1/global/networks/other"),
    ("encryptionSpec.kmsKeyName", "projects/1/locations/us/keyRings/r/cryptoKeys/k"),
    ("labels.team", "other"),
]


@pytest.mark.parametrize(("path", "value"), _TAMPERED, ids=[path for path, _ in _TAMPERED])
@pytest.mark.parametrize("again", [False, True])
def test_a_request_that_differs_where_no_remedy_may_is_never_sent(
    bench: Bench, job: Job, path: str, value: Any, again: bool
) -> None:
    """The claim goes with its money, and a person hears of it: no job is lost in silence."""
    context = _in_a_chain(bench, job, _earlier(job)) if again else bench.context(job)
    before = bench.totals(), bench.chain(job).reserved_usd
    request = Job(job.name, planned(context).request or {}).changed(path, value).request()
    said = resubmit(replace(context, plan=replace(context.plan, request=request)), bench.services)
    assert not bench.vertex.creates
    chain = _chain(bench, job)
    assert (chain.claim, chain.reserved_usd, len(chain.attempts)) == (None, before[1], int(again))
    assert sum(bench.totals().values()) == sum(before[0].values())
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    assert stored.stage is Stage.DONE
    assert stored.conclusion is (Conclusion.GIVEN_UP if again else Conclusion.ALERTED)
    assert "which no remedy may change" in stored.reason
    assert path.partition(".env")[0] in stored.reason
    (message,) = bench.channel.messages
    assert "which no remedy may change" in str(message.to_json())
    assert message.kind == ("given_up" if again else "alert")
    assert [(one["final"], one["action"]) for one in bench.outcomes] == [(True, "alert")]
    assert said == f"{stored.conclusion}: cpu_saturation"


def test_of_many_illegal_differences_some_are_named(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    request = Job(job.name, planned(context).request or {})
    for number in range(7):
        request = request.changed(f"labels.x{number}", "y")
    resubmit(
        replace(context, plan=replace(context.plan, request=request.request())), bench.services
    )
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    listed = ", ".join(f"labels.x{number}" for number in range(5))
    assert f"differ in {listed} and 2 more, which" in stored.reason


def test_a_request_is_checked_again_when_a_claim_is_taken_over(bench: Bench, job: Job) -> None:
    context = _unanswered(bench, job)
    bench.time += timedelta(minutes=2)
    request = {**(planned(context).request or {}), "displayName": "x", "other": 1}
    resubmit(replace(context, plan=replace(context.plan, request=request)), bench.services)
    assert len(bench.vertex.creates) == 1  # the first, which never arrived
    assert _chain(bench, job).claim is None
    assert bench.ledger.incident(job.name.key).conclusion is Conclusion.ALERTED  # type: ignore[union-attr]


# --- what Vertex's answer means -------------------------------------------------------------------


def _unanswered(bench: Bench, job: Job) -> IncidentContext:
    """A create went unanswered and never arrived; the context as the next execution reads it."""
    bench.vertex.answers.append(Answer(OutcomeUnknown("504"), arrives=False))
    with pytest.raises(OutcomeUnknown):
        resubmit(bench.context(job), bench.services)
    return bench.context(job, incident=bench.ledger.incident(job.name.key))


def test_a_lost_answer_whose_job_is_listed_is_written_down_at_once() -> None:
    bench = _of_one_error(OutcomeUnknown("504 deadline exceeded"), arrives=True)
    job = bench.vertex.add(CUSTOM)
    resubmit(bench.context(job), bench.services)
    assert len(bench.vertex.creates) == 1
    (attempt,) = _chain(bench, job).attempts
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
    chain = _chain(bench, job)
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
    chain = _chain(bench, job)
    assert chain.claim is not None
    assert (chain.claim.unanswered, chain.claim.lease_released) == (None, True)
    stored = bench.ledger.incident(job.name.key)
    assert stored is not None
    assert stored.due == NOW + timedelta(minutes=1)
    resubmit(bench.context(job, incident=stored), bench.services)
    assert len(_chain(bench, job).attempts) == 1


@pytest.mark.parametrize("error", [KeyError("fault"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_a_fault_of_ours_after_sending_is_watched_for(error: BaseException) -> None:
    bench = _of_one_error(error, arrives=True)
    bench.vertex.hides_what_is_made = True
    job = bench.vertex.add(CUSTOM)
    with pytest.raises(type(error)):
        resubmit(bench.context(job), bench.services)
    chain = _chain(bench, job)
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
    context = _in_a_chain(bench, job, _earlier(job)) if again else bench.context(job)
    before = bench.chain(job).reserved_usd
    bench.vertex.answers.append(Answer(error, arrives=False))
    said = resubmit(context, bench.services)
    chain = _chain(bench, job)
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
    assert done.chain == _chain(bench, job)
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
        chain = _chain(bench, job)
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
    assert _chain(bench, job).claim is not None
    assert not bench.enqueued()


# --- Vertex's own numbers -------------------------------------------------------------------------


def _wants_a_gpu(limits: str = "usd_per_job: 100") -> tuple[Bench, IncidentContext]:
    bench = Bench(_T4.replace("usd_per_job: 100", limits))
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
    chain = _chain(bench, context.job)
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
    cost = _chain(bench, context.job).attempts[0].estimated_usd or 0.0
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


# --- somebody else's claim ------------------------------------------------------------------------


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
    (attempt,) = _chain(bench, job).attempts
    assert attempt.claim == "token-1"


@pytest.mark.parametrize(
    ("seconds", "why"), [(0, "a create went unanswered"), (119, "the job list is watched")]
)
def test_a_claim_is_not_taken_over_before_it_is_forgotten(
    bench: Bench, job: Job, seconds: float, why: str
) -> None:
    context = _unanswered(bench, job)
    bench.time += timedelta(seconds=seconds)
    with pytest.raises(TransientError, match=why):
        resubmit(context, bench.services)
    assert len(bench.vertex.creates) == 1


def test_a_claim_that_is_forgotten_is_taken_over_under_its_own_token(
    bench: Bench, job: Job
) -> None:
    context = _unanswered(bench, job)
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
    (attempt,) = _chain(bench, job).attempts
    assert (attempt.policy, attempt.step, attempt.number) == ("other", 3, 1)
    del first


def test_a_claim_is_not_taken_over_at_a_price_that_no_longer_fits(bench: Bench, job: Job) -> None:
    context = _unanswered(bench, job)
    bench.time += timedelta(seconds=120)
    with pytest.raises(TransientError, match="another execution took the claim over"):
        resubmit(replace(context, plan=replace(context.plan, estimated_usd=5000.0)), bench.services)
    assert len(bench.vertex.creates) == 1
    assert bench.totals()["usd:2026-11-23"] == context.plan.estimated_usd


def test_a_claim_is_not_taken_over_while_the_stop_switch_is_on(bench: Bench, job: Job) -> None:
    context = _unanswered(bench, job)
    bench.time += timedelta(seconds=120)
    bench.ledger.switch_stop(on=True, by="me", now=NOW)
    with pytest.raises(TransientError):
        resubmit(context, bench.services)
    assert len(bench.vertex.creates) == 1


def test_a_holder_that_was_killed_is_waited_for_in_other_words(bench: Bench, job: Job) -> None:
    claim = Claim(
        token="t",
        incident=job.name.key,
        policy="grow",
        step=1,
        number=1,
        verdict="",
        changes=(),
        acquired_at=NOW,
        lease_until=NOW + timedelta(minutes=10),
    )
    with pytest.raises(TransientError, match="another execution holds the claim; the job list is"):
        wait_until_safe_to_recreate(
            claim, bench.services.config.settings, NOW + timedelta(minutes=9, seconds=59)
        )
    wait_until_safe_to_recreate(claim, bench.services.config.settings, NOW + timedelta(minutes=10))


def test_of_jobs_under_one_claim_the_earliest_that_does_what_it_says_is_ours(
    bench: Bench, job: Job
) -> None:
    machine = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"
    claim = Claim(
        token="t",
        incident=job.name.key,
        policy="grow",
        step=1,
        number=1,
        verdict="",
        changes=(Change(machine, "n1-standard-8", "n1-standard-16"),),
        acquired_at=NOW,
        lease_until=NOW,
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
    context = _unanswered(bench, job)
    held = _chain(bench, job).claim
    assert held is not None
    with pytest.raises(TransientError, match="unanswered"):
        withdraw_expired_claim(
            context.chain.key,
            held,
            bench.services.config.settings,
            bench.services.records.ledger,
            NOW + timedelta(seconds=119),
        )
    assert _chain(bench, job).claim == held
    with pytest.raises(TransientError, match="another execution took the claim over"):
        withdraw_expired_claim(
            context.chain.key,
            replace(held, acquired_at=NOW - timedelta(1)),
            bench.services.config.settings,
            bench.services.records.ledger,
            NOW + timedelta(seconds=120),
        )
    assert _chain(bench, job).claim == held
    withdraw_expired_claim(
        context.chain.key,
        held,
        bench.services.config.settings,
        bench.services.records.ledger,
        NOW + timedelta(seconds=120),
    )
    chain = _chain(bench, job)
    assert (chain.claim, chain.reserved_usd) == (None, 0.0)


def test_a_job_that_another_hand_wrote_down_is_told_by_it_alone(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    resubmit(context, bench.services)
    (attempt,) = _chain(bench, job).attempts
    (create,) = bench.vertex.creates
    assert create.chain is not None
    assert create.chain.claim is not None
    made = bench.vertex.get(Job.parse({"name": attempt.name}).name, timeout_seconds=CALL_SECONDS)
    before = _chain(bench, job)
    record_attempt(context, create.chain.claim, made, bench.services.records, NOW)
    assert _chain(bench, job) == before
    assert len(bench.channel.messages) == 1


def test_an_attempt_without_a_time_of_creation_is_dated_now(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    wanted = Claim(
        token="t", incident=job.name.key, policy="p", step=2, number=1, verdict="v", changes=(),
        acquired_at=NOW, lease_until=NOW + timedelta(minutes=1), max_run_seconds=7.0,
    )  # fmt: skip
    assert bench.ledger.claim(context.incident, str(job.name), wanted, now=NOW).mine
    made = Job.parse({**CUSTOM, "name": _other(CUSTOM), "createTime": None})
    later = NOW + timedelta(minutes=3)
    record_attempt(context, wanted, made, bench.services.records, later)
    (attempt,) = _chain(bench, job).attempts
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


# --- what is told -------------------------------------------------------------------------------


def test_the_alert_names_the_new_job_the_policy_and_the_changes(bench: Bench, job: Job) -> None:
    resubmit(bench.context(job), bench.services)
    made = Job.parse({"name": _chain(bench, job).attempts[0].name})
    told = str(bench.channel.messages[0].to_json())
    assert f"Resubmitted as {made.name.id}, attempt 1: " in told
    assert "Policy grow, step 1." in told


def test_a_job_found_under_a_claim_is_told_as_the_claim_has_it(bench: Bench, job: Job) -> None:
    """The file changed since: what was made is what the claim says, not what would be planned now."""
    bench.vertex.hides_what_is_made = True
    bench.vertex.answers.append(Answer(OutcomeUnknown("504"), arrives=True))
    with pytest.raises(OutcomeUnknown):
        resubmit(bench.context(job), bench.services)
    bench.vertex.hidden.clear()
    context = bench.context(job, incident=bench.ledger.incident(job.name.key))
    other = replace(context.plan, policy="other", step=7, changes=(), action=Action.WAIT)
    approval = Approval(
        "id", "digest", NOW + timedelta(hours=1), answer="approved", by="ann@example.com"
    )
    resubmit(
        replace(context, plan=other, incident=replace(context.incident, approval=approval)),
        bench.services,
    )
    told = str(bench.channel.messages[0].to_json())
    assert "now on n1-standard-16" in told
    assert "Policy grow, step 1." in told
    assert "Approved by ann@example.com" in told
    (attempt,) = _chain(bench, job).attempts
    assert (attempt.policy, attempt.step) == ("grow", 1)


def test_a_refusal_at_the_claim_says_which_guard_and_nothing_of_what_would_have_been(
    bench: Bench, job: Job
) -> None:
    context = bench.context(job)
    bench.ledger.switch_stop(on=True, by="me", now=NOW)
    noted = replace(context.plan, notes=("a fixed note",))
    resubmit(replace(context, plan=noted), bench.services)
    told = str(bench.channel.messages[0].to_json())
    assert "stop_switch" in told
    assert "a fixed note" not in told
    assert context.incident.refused_by == ()


def test_how_long_an_attempt_may_run_is_kept_with_the_claim(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    resubmit(replace(context, plan=replace(context.plan, max_run_seconds=7.0)), bench.services)
    held = bench.vertex.creates[0].chain
    assert held is not None
    assert held.claim is not None
    assert held.claim.max_run_seconds == 7.0
    assert _chain(bench, job).attempts[0].max_run_seconds == 7.0


# --- another execution took over while this one was at work -----------------------------------------


def _taken_over(bench: Bench, job: Job) -> None:
    """Another execution takes the claim over, by the time its lease is over."""
    chain = _chain(bench, job)
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
    held = _chain(bench, job).claim
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
    assert _chain(bench, job).claim is not None
    assert not bench.enqueued()


def test_the_budget_of_the_policy_itself_holds_for_vertexs_numbers() -> None:
    bench = Bench(_T4.replace("    when: {}", "    when: {}\n    limits: {usd_per_job: 0.01}"))
    job = bench.vertex.add(BATCH)
    bench.vertex.answers.append(Answer(PermanentError(SAID_COUNTS), arrives=False))
    context = bench.context(job, Cause.ACCELERATOR_MISSING)
    wanted = Bench(_T4).context(job, Cause.ACCELERATOR_MISSING)
    resubmit(replace(context, plan=wanted.plan), bench.services)
    assert len(bench.vertex.creates) == 1
