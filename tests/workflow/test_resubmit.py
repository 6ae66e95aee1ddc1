"""A resubmission from the claim to what is told: what is sent, and what sends nothing."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.alerts.delivery import OUTCOMES
from remediator.deadline import deadline
from remediator.domain import (
    Action,
    Attempt,
    Change,
    Guard,
    JobState,
    OutcomeUnknown,
    TransientError,
)
from remediator.job import Job
from remediator.ledger import (
    Approval,
    ApprovalChoice,
    Claim,
    Conclusion,
    OutboxMessage,
    Stage,
)
from remediator.ledger.encoding import from_json
from remediator.ledger.records import Reservation
from remediator.workflow.resubmit import resubmit
from tests.jobs import CUSTOM, EVERY_KIND
from tests.workflow.resubmit_cases import chain_of, earlier, in_a_chain, other_job, unanswered
from tests.workflow.workbench import (
    CALL_SECONDS,
    NOW,
    POLICIES,
    PROJECT,
    Answer,
    Bench,
    planned,
)

# --- the whole way ---------------------------------------------------------------------------------


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
    assert said == f"resubmitted as {chain_of(bench, job).attempts[0].name}"


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
    chain = chain_of(bench, job)
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
    made = Job.parse({"name": chain_of(bench, job).attempts[0].name})
    following = bench.ledger.incident(made.name.key)
    assert following is not None
    assert (following.stage, following.due, following.attempt) == (Stage.FOLLOWED, NOW, 1)
    assert (following.root, following.policy) == (job.name.key, "")
    assert following.first_known == NOW
    assert bench.ledger.root_of(made.name.key) == job.name.key


def test_the_second_attempt_is_told_as_the_next_one(bench: Bench, job: Job) -> None:
    context = in_a_chain(bench, job, earlier(job))
    resubmit(context, bench.services)
    (sent,) = bench.vertex.creates
    assert sent.request["labels"]["remediator-attempt"] == "2"
    assert [one.number for one in chain_of(bench, job).attempts] == [1, 2]
    (message,) = bench.channel.messages
    assert message.kind == "next_attempt"
    assert [(one["attempt"], one["final"]) for one in bench.outcomes] == [(2, False)]


def test_the_first_failure_of_the_chain_is_kept(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    first = NOW - timedelta(days=1)
    resubmit(replace(context, chain=replace(context.chain, first_failed=first)), bench.services)
    assert chain_of(bench, job).first_failed == first


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


# --- refused at the claim --------------------------------------------------------------------------


def test_an_incident_that_another_hand_moved_on_is_tried_again(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    assert bench.ledger.move(context.incident)
    with pytest.raises(TransientError, match="another execution moved this incident on"):
        resubmit(context, bench.services)
    assert not bench.vertex.creates
    assert not bench.enqueued()


@pytest.mark.parametrize("again", [False, True])
def test_the_stop_switch_refuses_and_people_are_told(bench: Bench, job: Job, again: bool) -> None:
    context = in_a_chain(bench, job, earlier(job)) if again else bench.context(job)
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
    job, other = bench.vertex.add(CUSTOM), bench.vertex.add(CUSTOM, name=other_job(CUSTOM))
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


# --- before the create -----------------------------------------------------------------------------


def test_a_lease_that_ran_out_meanwhile_sends_nothing(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    bench.tick = timedelta(minutes=8)  # of ten, less the wait of two
    with pytest.raises(TransientError, match="the lease ran out"):
        resubmit(context, bench.services)
    assert not bench.vertex.creates
    assert chain_of(bench, job).claim is not None


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
    context = in_a_chain(bench, job, earlier(job)) if again else bench.context(job)
    before = bench.totals(), bench.chain(job).reserved_usd
    request = Job(job.name, planned(context).request or {}).changed(path, value).request()
    said = resubmit(replace(context, plan=replace(context.plan, request=request)), bench.services)
    assert not bench.vertex.creates
    chain = chain_of(bench, job)
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
    context = unanswered(bench, job)
    bench.time += timedelta(minutes=2)
    request = {**(planned(context).request or {}), "displayName": "x", "other": 1}
    resubmit(replace(context, plan=replace(context.plan, request=request)), bench.services)
    assert len(bench.vertex.creates) == 1  # the first, which never arrived
    assert chain_of(bench, job).claim is None
    assert bench.ledger.incident(job.name.key).conclusion is Conclusion.ALERTED  # type: ignore[union-attr]


# --- what is told ----------------------------------------------------------------------------------


def test_the_alert_names_the_new_job_the_policy_and_the_changes(bench: Bench, job: Job) -> None:
    resubmit(bench.context(job), bench.services)
    made = Job.parse({"name": chain_of(bench, job).attempts[0].name})
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
        "id",
        "digest",
        NOW + timedelta(hours=1),
        answer=ApprovalChoice.APPROVED,
        by="ann@example.com",
    )
    resubmit(
        replace(context, plan=other, incident=replace(context.incident, approval=approval)),
        bench.services,
    )
    told = str(bench.channel.messages[0].to_json())
    assert "now on n1-standard-16" in told
    assert "Policy grow, step 1." in told
    assert "Approved by ann@example.com" in told
    (attempt,) = chain_of(bench, job).attempts
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
    assert chain_of(bench, job).attempts[0].max_run_seconds == 7.0


# --- the outcome is stored with the lease of whoever sends it ---------------------------------------


def stored_outcome(bench: Bench) -> OutboxMessage:
    (body,) = (one for one in bench.documents("debts").values() if one["channel"] == OUTCOMES)
    return from_json(OutboxMessage, body)


def test_the_outcome_is_leased_when_it_is_stored_and_sent_once(bench: Bench, job: Job) -> None:
    """What a round sees while it is being written is not due: it sends no second one."""
    due: list[datetime | None] = []
    write = bench.write_outcome

    def look_and_write(outcome: Any, **how: Any) -> None:
        due.append(stored_outcome(bench).due)
        bench.services.records.outbox.deliver_due()
        write(outcome, **how)

    bench.write_outcome = look_and_write
    resubmit(bench.context(job), bench.services)
    assert due == [NOW + timedelta(minutes=10)]
    assert len(bench.outcomes) == 1
    assert stored_outcome(bench).delivered == NOW
    assert stored_outcome(bench).due is None


def test_an_outcome_that_fails_is_tried_again_after_a_pause(bench: Bench, job: Job) -> None:
    write, failures = bench.write_outcome, [TransientError("503")]

    def fail_and_write(outcome: Any, **how: Any) -> None:
        if failures:
            raise failures.pop()
        write(outcome, **how)

    bench.write_outcome = fail_and_write
    resubmit(bench.context(job), bench.services)
    assert not bench.outcomes
    again = stored_outcome(bench).due
    assert again is not None
    assert NOW <= again < NOW + timedelta(minutes=10)
    bench.time = again
    bench.services.records.outbox.deliver_due()
    assert len(bench.outcomes) == 1


def test_an_outcome_without_time_left_is_due_for_the_next_round(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    with deadline(1.0):
        resubmit(context, bench.services)
    assert not bench.outcomes
    assert stored_outcome(bench).due == NOW
    bench.services.records.outbox.deliver_due()
    assert len(bench.outcomes) == 1
