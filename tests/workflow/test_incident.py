"""From a hint to its conclusion: in which order, what is stored, what is asked and what is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.case import Case, Gap
from remediator.domain import (
    InvalidInput,
    JobKind,
    JobName,
    PermanentError,
    PermissionDenied,
    Source,
    TransientError,
)
from remediator.intake import Hint, RefusedCreate
from remediator.job import Job
from remediator.ledger import Approval, Conclusion, Incident, Stage
from remediator.ledger.approvals import approval_id
from remediator.workflow.approval import answer_approval
from remediator.workflow.incident import consider, handle
from remediator.workflow.incident_context import RETRY_WINDOW
from remediator.workflow.resubmit import resubmit
from tests.jobs import CUSTOM, TRAINING, KnownEvidence
from tests.workflow.workbench import (
    CALL_SECONDS,
    NOW,
    NUMBER,
    OWN_ACCOUNT,
    POLICIES,
    PROJECT,
    Answer,
    Bench,
)

_MEMORY = {
    "code": 9,
    "message": "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
}
_CODE = {
    "code": 3,
    "message": "The replica workerpool0-0 exited with a non-zero status of 1. "
    "Traceback (most recent call last): KeyError: 'chrom'",
}
_MORE = POLICIES.replace("machine_type: bigger", "machine_type: more_memory")

FIRST, SECOND = approval_id("token-1"), approval_id("token-2")  # of the tokens that are drawn


@pytest.fixture
def bench() -> Bench:
    return Bench(_MORE)


@pytest.fixture
def job(bench: Bench) -> Job:
    long = "36000s"  # so that its hour is no time-out
    return bench.vertex.add(CUSTOM, error=_MEMORY, jobSpec__scheduling__timeout=long)


def _stored(bench: Bench, job: Job) -> Incident:
    incident = bench.ledger.incident(job.name.key)
    assert incident is not None
    return incident


def _hint(about: Job, **more: Any) -> Hint:
    return Hint(**{"project": NUMBER, "entry": {}, "job": about.name, "published": NOW, **more})


def _consider(bench: Bench, job: Job, **more: Any) -> str:
    return consider(job, bench.services, **{"known_since": bench.time, **more})


# --- the hint ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("project", [PROJECT, NUMBER])
def test_a_failure_is_handled_from_hint_to_resubmission(
    bench: Bench, job: Job, project: str
) -> None:
    said = handle(_hint(job, project=project), bench.services)
    (sent,) = bench.vertex.creates
    assert said.startswith(f"resubmitted as projects/{NUMBER}/locations/us-central1/customJobs/")
    machine = sent.request["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
    assert machine == "n1-standard-16"
    stored = _stored(bench, job)
    assert (stored.stage, stored.conclusion) == (Stage.DONE, Conclusion.RESUBMITTED)
    assert (stored.verdict, stored.policy, stored.step) == ("memory_pressure", "grow", 1)
    assert (stored.action, stored.refused_by) == ("resubmit", ())
    assert stored.estimated_usd is not None
    assert stored.changes == bench.chain(job).attempts[0].changes
    assert stored.confidence > 0.5
    assert stored.machine.startswith("n1-standard-8")
    assert stored.run_seconds == 3600.0
    assert stored.run_usd is not None
    assert stored.first_known == NOW


def test_the_same_event_again_does_nothing(bench: Bench, job: Job) -> None:
    handle(_hint(job), bench.services)
    said = handle(_hint(job), bench.services)
    assert said == "already handled: resubmitted"
    assert len(bench.vertex.creates) == 1
    assert len(bench.channel.messages) == 1


@pytest.mark.parametrize("where", ["entry", "name"])
def test_another_projects_job_is_not_even_read(bench: Bench, job: Job, where: str) -> None:
    stranger = JobName("99", "us-central1", JobKind.CUSTOM, "77")
    hint = _hint(job, project="99") if where == "entry" else _hint(job, job=stranger)
    assert handle(hint, bench.services).startswith("ignored: ")
    assert not bench.ledger.incidents()


def test_a_number_alone_is_looked_for_in_every_served_place(bench: Bench, job: Job) -> None:
    hint = _hint(job, job=None, custom_job_id=job.name.id)
    assert handle(hint, bench.services).startswith("resubmitted as ")


@pytest.mark.parametrize("named", [True, False])
def test_a_job_that_is_gone_is_ignored(bench: Bench, job: Job, named: bool) -> None:
    bench.vertex.bodies.clear()
    hint = _hint(job) if named else _hint(job, job=None, custom_job_id="77")
    assert handle(hint, bench.services) == "ignored: there is no such job (any more)"
    assert not bench.ledger.incidents()


def test_a_permission_that_is_missing_is_told_and_waited_for(bench: Bench, job: Job) -> None:
    bench.vertex.list_error = PermissionDenied("403 Permission 'aiplatform.customJobs.list' denied")
    bench.use(_MORE)
    services = replace(
        bench.services, vertex=replace(bench.services.vertex, jobs=_NoReading(bench))
    )
    with pytest.raises(TransientError, match=r"aiplatform\.customJobs\.list"):
        handle(_hint(job), services)
    assert [one.kind for one in bench.channel.messages] == ["no_permission"]
    assert not bench.vertex.creates


class _NoReading:
    """A Vertex that may not be read."""

    def __init__(self, bench: Bench) -> None:
        self._error = bench.vertex.list_error

    def __getattr__(self, verb: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            assert self._error is not None
            raise self._error

        return refuse


# --- the job's own state ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["QUEUED", "PENDING", "RUNNING", "CANCELLING"])
def test_a_job_that_has_not_ended_is_followed_and_nothing_else(bench: Bench, state: str) -> None:
    job = bench.vertex.add(CUSTOM, state=f"JOB_STATE_{state}", endTime=None, error=None)
    assert _consider(bench, job) == f"followed: the job is {state}"
    stored = _stored(bench, job)
    assert (stored.stage, stored.due) == (Stage.FOLLOWED, NOW)
    assert not bench.gathered
    bench.time += timedelta(minutes=20)
    _consider(bench, job)
    assert _stored(bench, job).due == bench.time + timedelta(minutes=2)
    bench.time += timedelta(hours=10)
    _consider(bench, job)
    assert _stored(bench, job).due == bench.time + timedelta(minutes=5)


def test_a_job_is_followed_until_it_ends_however_long_that_is(bench: Bench) -> None:
    job = bench.vertex.add(CUSTOM, state="JOB_STATE_RUNNING", endTime=None, error=None)
    _consider(bench, job)
    bench.time += timedelta(days=5)
    assert _consider(bench, job) == "followed: the job is RUNNING"
    assert _stored(bench, job).stage is Stage.FOLLOWED
    assert not bench.enqueued()


def test_a_success_that_nobody_knew_of_leaves_no_trace(bench: Bench) -> None:
    job = bench.vertex.add(CUSTOM, state="JOB_STATE_SUCCEEDED", error=None)
    assert _consider(bench, job) == "ignored: the job is SUCCEEDED"
    assert not bench.ledger.incidents()


def test_a_followed_job_that_succeeds_is_concluded_in_silence(bench: Bench) -> None:
    job = bench.vertex.add(CUSTOM, state="JOB_STATE_RUNNING", endTime=None, error=None)
    _consider(bench, job)
    done = bench.vertex.add(CUSTOM, state="JOB_STATE_SUCCEEDED", error=None)
    assert _consider(bench, done) == "ignored: the job is SUCCEEDED"
    stored = _stored(bench, job)
    assert (stored.conclusion, stored.reason) == (Conclusion.IGNORED, "the job is SUCCEEDED")
    assert not bench.enqueued()


def test_what_a_person_cancelled_is_left_alone(bench: Bench) -> None:
    ended = "2026-11-23T18:30:00Z"
    job = bench.vertex.add(CUSTOM, state="JOB_STATE_CANCELLED", error=None, endTime=ended)
    assert _consider(bench, job) == "ignored: a person cancelled it"
    stored = _stored(bench, job)
    assert (stored.conclusion, stored.reason) == (Conclusion.IGNORED, "cancelled_by_person")
    assert not bench.enqueued()
    assert not bench.vertex.creates


@pytest.mark.parametrize(
    ("ended", "acts"), [("2026-11-23T13:07:00Z", True), ("2026-11-23T13:06:59Z", False)]
)
def test_what_failed_before_the_look_back_is_recorded_and_never_acted_on(
    bench: Bench, ended: str, acts: bool
) -> None:
    job = bench.vertex.add(
        CUSTOM, error=_MEMORY, endTime=ended, startTime="2026-11-23T12:00:00Z",
        createTime="2026-11-23T12:00:00Z",
    )  # fmt: skip
    said = _consider(bench, job)
    assert len(bench.vertex.creates) == acts
    if not acts:
        assert said == "recorded: it had failed long before it became known"
        assert _stored(bench, job).conclusion is Conclusion.TOO_OLD
        assert not bench.enqueued()
        assert not bench.gathered


@pytest.mark.parametrize("label", ["off", "on", ""])
def test_the_label_takes_a_job_out(bench: Bench, label: str) -> None:
    job = bench.vertex.add(CUSTOM, error=_MEMORY, labels__remediator=label or None)
    said = _consider(bench, job)
    assert (said == "ignored: label_off") is (label == "off")
    assert len(bench.vertex.creates) == (label != "off")
    if label == "off":
        assert not bench.gathered
        assert not bench.enqueued()


# --- evidence ----------------------------------------------------------------------------------------


def test_a_cause_that_the_error_does_not_settle_waits_for_its_evidence(bench: Bench) -> None:
    job = bench.vertex.add(CUSTOM, error={"code": 3, "message": "it failed"})
    bench.time = NOW - timedelta(minutes=5)
    said = _consider(bench, job)
    assert said == "waiting for evidence until 19:07:00 UTC"
    stored = _stored(bench, job)
    assert (stored.stage, stored.due) == (Stage.UNSETTLED, NOW)
    assert not bench.enqueued()
    bench.time = NOW - timedelta(seconds=1)
    assert _consider(bench, job).startswith("waiting for evidence")
    bench.time = NOW
    assert not _consider(bench, job).startswith("waiting for evidence")
    assert _stored(bench, job).stage is Stage.DONE


def test_a_cause_that_the_error_settles_is_acted_on_at_once(bench: Bench, job: Job) -> None:
    bench.time = NOW - timedelta(minutes=6, seconds=50)
    _consider(bench, job)
    assert len(bench.vertex.creates) == 1
    assert [one["settled"] for one in bench.gathered] == [True]


@pytest.mark.parametrize("may_pass", [True, False])
def test_a_source_that_may_answer_later_is_waited_for_a_day_where_nothing_else_is_known(
    bench: Bench, may_pass: bool
) -> None:
    job = bench.vertex.add(CUSTOM, error={"code": 3, "message": "it failed"})
    gap = Gap(Source.LOG, "503 the log did not answer", may_pass=may_pass)
    bench.case_of[str(job.name)] = Case(job=job, now=NOW, gaps=(gap,))
    if may_pass:
        with pytest.raises(TransientError, match="log: 503 the log did not answer"):
            _consider(bench, job)
        assert _stored(bench, job).stage is Stage.UNSETTLED
        bench.time = NOW + RETRY_WINDOW
    _consider(bench, job)
    assert _stored(bench, job).stage is Stage.DONE
    (message,) = bench.channel.messages
    assert "503 the log did not answer" in str(message.to_json())


# --- the parent --------------------------------------------------------------------------------------


def test_a_trial_is_its_tuning_jobs(bench: Bench, job: Job) -> None:
    from tests.jobs import TUNING

    child = {**CUSTOM, "name": f"projects/{NUMBER}/locations/us-central1/customJobs/501"}
    trial = bench.vertex.add(child, error=_MEMORY)
    bench.vertex.add(TUNING)
    assert _consider(bench, trial) == "ignored: has_parent"
    stored = _stored(bench, trial)
    assert (stored.conclusion, stored.reason) == (Conclusion.IGNORED, "has_parent")
    assert not bench.enqueued()
    assert not bench.vertex.creates
    del job


@pytest.mark.parametrize("known", [timedelta(0), RETRY_WINDOW])
def test_a_parent_that_cannot_be_asked_for_is_waited_for_and_then_left_to_a_person(
    bench: Bench, job: Job, known: timedelta
) -> None:
    bench.vertex.list_error = TransientError("503")
    if known:
        bench.incident(job, first_known=NOW - known)
        _consider(bench, job)
        assert _stored(bench, job).conclusion is Conclusion.ALERTED
        assert "whether it is part of another job" in str(bench.channel.messages[0].to_json())
    else:
        with pytest.raises(TransientError):
            _consider(bench, job)
        assert _stored(bench, job).stage is Stage.UNSETTLED
    assert not bench.vertex.creates


def test_a_permission_to_ask_for_the_parent_is_told_and_asked_again_in_each_round(
    bench: Bench, job: Job
) -> None:
    bench.vertex.list_error = PermissionDenied(
        "403 Permission 'aiplatform.pipelineJobs.list' denied"
    )
    assert _consider(bench, job).startswith("waiting for a permission: 403")
    assert [one.kind for one in bench.channel.messages] == ["no_permission"]
    stored = _stored(bench, job)
    assert (stored.stage, stored.due) == (Stage.UNSETTLED, NOW)


# --- what the plan says ---------------------------------------------------------------------------------


def test_an_alert_is_told_once_and_nothing_is_made(bench: Bench) -> None:
    job = bench.vertex.add(CUSTOM, error=_CODE)
    assert _consider(bench, job) == "alerted: user_code_error"
    assert [one.kind for one in bench.channel.messages] == ["alert"]
    stored = _stored(bench, job)
    assert (stored.conclusion, stored.refused_by) == (Conclusion.ALERTED, ("cause",))
    assert not bench.vertex.creates


def test_in_mode_observe_the_plan_is_told_and_not_carried_out(job: Job) -> None:
    bench = Bench(_MORE.replace("mode: enforce", "mode: observe"))
    job = bench.vertex.add(job.to_json())
    assert _consider(bench, job) == "observed: memory_pressure"
    assert [one.kind for one in bench.channel.messages] == ["observed"]
    stored = _stored(bench, job)
    assert (stored.conclusion, stored.action) == (Conclusion.OBSERVED, "resubmit")
    assert not bench.vertex.creates
    assert bench.totals() == {}


def test_a_wait_is_kept_told_and_carried_out_when_it_is_over(job: Job) -> None:
    bench = Bench(_MORE.replace("machine_type: more_memory", "wait: 10m"))
    job = bench.vertex.add(job.to_json())
    _consider(bench, job)
    until = NOW + timedelta(minutes=10)
    stored = _stored(bench, job)
    assert (stored.stage, stored.due, stored.not_before) == (Stage.WAITING, until, until)
    assert [one.kind for one in bench.channel.messages] == ["waiting"]
    assert not bench.vertex.creates
    bench.time = until
    _consider(bench, job)
    assert len(bench.vertex.creates) == 1
    assert [one.kind for one in bench.channel.messages] == ["waiting", "acted"]


def _asked(job: Job) -> tuple[Bench, Job, Approval]:
    bench = Bench(_MORE.replace("mode: enforce", "mode: approve"))
    job = bench.vertex.add(job.to_json())
    assert _consider(bench, job) == f"awaiting approval {FIRST}"
    approval = _stored(bench, job).approval
    assert approval is not None
    return bench, job, approval


def test_a_person_is_asked_once(job: Job) -> None:
    bench, job, approval = _asked(job)
    stored = _stored(bench, job)
    assert (stored.stage, stored.due) == (Stage.APPROVAL, NOW + timedelta(hours=12))
    assert (approval.id, approval.expires, approval.answer) == (
        FIRST,
        NOW + timedelta(hours=12),
        "",
    )
    assert bench.ledger.note(f"approval:{FIRST}") == {"incident": job.name.key}
    assert [one.kind for one in bench.channel.messages] == ["approval"]
    bench.time += timedelta(hours=1)
    assert _consider(bench, job) == f"awaiting approval {FIRST}"
    assert len(bench.channel.messages) == 1
    assert _stored(bench, job).due == NOW + timedelta(hours=12)
    assert not bench.vertex.creates


def test_a_yes_is_written_down_and_then_carried_out(job: Job) -> None:
    bench, job, _ = _asked(job)
    bench.time += timedelta(hours=1)
    said = answer_approval(
        bench.services.records.ledger,
        bench.services.clock,
        FIRST,
        approved=True,
        by="ann@example.com",
    )
    assert (said.text, said.contradicts) == ("approved by ann@example.com", False)
    stored = _stored(bench, job)
    assert stored.approval is not None
    assert (stored.approval.answer, stored.approval.by) == ("approved", "ann@example.com")
    assert (stored.approval.at, stored.due) == (bench.time, bench.time)
    assert not bench.vertex.creates
    again = answer_approval(
        bench.services.records.ledger,
        bench.services.clock,
        FIRST,
        approved=False,
        by="bob@example.com",
    )
    assert again.contradicts
    assert "approved by ann@example.com" in again.text
    _consider(bench, job)
    assert len(bench.vertex.creates) == 1
    assert [one.kind for one in bench.channel.messages] == ["approval", "acted"]


def test_a_no_ends_it(job: Job) -> None:
    bench, job, _ = _asked(job)
    answer_approval(
        bench.services.records.ledger,
        bench.services.clock,
        FIRST,
        approved=False,
        by="ann@example.com",
    )
    assert _consider(bench, job) == "given_up: memory_pressure"
    assert ", declined by ann@example.com" in bench.channel.messages[-1].title
    assert not bench.vertex.creates


@pytest.mark.parametrize(("late", "over"), [(-1, False), (0, True), (1, True)])
def test_a_question_that_nobody_answers_ends_it(job: Job, late: int, over: bool) -> None:
    bench, job, _ = _asked(job)
    bench.time = NOW + timedelta(hours=12, seconds=late)
    _consider(bench, job)
    assert (_stored(bench, job).stage is Stage.DONE) is over
    if over:
        assert ", nobody answered" in bench.channel.messages[-1].title
        with pytest.raises(InvalidInput, match="has expired"):
            answer_approval(
                bench.services.records.ledger, bench.services.clock, FIRST, approved=True, by="me"
            )
    assert not bench.vertex.creates


def test_another_plan_is_another_question(job: Job) -> None:
    bench, job, _ = _asked(job)
    answer_approval(
        bench.services.records.ledger, bench.services.clock, FIRST, approved=True, by="me"
    )
    other = POLICIES.replace("machine_type: bigger", "timeout: double")
    bench.use(other.replace("mode: enforce", "mode: approve"))
    assert _consider(bench, job) == f"awaiting approval {SECOND}"
    assert not bench.vertex.creates
    with pytest.raises(InvalidInput, match="no pending approval"):
        answer_approval(
            bench.services.records.ledger, bench.services.clock, FIRST, approved=True, by="me"
        )


def test_an_approval_that_nobody_offered_is_no_question(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="there is no pending approval 'x'"):
        answer_approval(
            bench.services.records.ledger, bench.services.clock, "x", approved=True, by="me"
        )


# --- a claim of this incident ----------------------------------------------------------------------------


def test_a_standing_claims_job_is_written_down_whatever_the_plan_says_now(
    bench: Bench, job: Job
) -> None:
    bench.vertex.hides_what_is_made = True
    bench.vertex.answers.append(Answer(TransientError("?"), arrives=True))
    with pytest.raises(TransientError):
        _consider(bench, job)
    bench.vertex.hidden.clear()
    bench.use(_MORE.replace("mode: enforce", "mode: observe"))
    assert _consider(bench, job).startswith("resubmitted as ")
    assert len(bench.vertex.creates) == 1
    assert len(bench.chain(job).attempts) == 1


def test_want_of_machines_takes_the_next_step_in_the_same_breath(job: Job) -> None:
    text = _MORE.replace(
        "do: [{resubmit: {machine_type: more_memory}, times: 3}]",
        "do: [{resubmit: {machine_type: more_memory}}, {resubmit: {timeout: double}}]",
    )
    bench = Bench(text)
    job = bench.vertex.add(job.to_json())
    bench.vertex.answers.append(
        Answer(PermanentError("not enough resources available"), arrives=False)
    )
    assert _consider(bench, job).startswith("resubmitted as ")
    machines = [
        one.request["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
        for one in bench.vertex.creates
    ]
    assert machines == ["n1-standard-16", "n1-standard-8"]
    (attempt,) = bench.chain(job).attempts
    assert (attempt.step, attempt.number) == (2, 1)


# --- an attempt of ours -------------------------------------------------------------------------------------


def _attempt(bench: Bench, job: Job, **changes: Any) -> Job:
    resubmit(bench.context(job), bench.services)
    name = JobName.parse(bench.chain(job).attempts[-1].name)
    made = bench.vertex.get(name, timeout_seconds=CALL_SECONDS)
    ran = {"startTime": "2026-11-23T19:08:00Z", "endTime": "2026-11-23T19:48:00Z"}
    bench.channel.messages.clear()
    bench.time = NOW + timedelta(hours=1, minutes=8)
    return bench.vertex.add(made.to_json(), **{**ran, **changes})


def test_an_attempt_that_succeeds_is_a_recovery(bench: Bench, job: Job) -> None:
    made = _attempt(bench, job, state="JOB_STATE_SUCCEEDED")
    assert _consider(bench, made) == "recovered: attempt 1 is SUCCEEDED"
    assert [one.kind for one in bench.channel.messages] == ["recovered"]
    assert bench.chain(job).final


def test_an_attempt_that_fails_is_settled_and_the_chain_goes_on(bench: Bench, job: Job) -> None:
    made = _attempt(bench, job, state="JOB_STATE_FAILED", error=_MEMORY)
    assert _consider(bench, made).startswith("resubmitted as ")
    chain = bench.chain(job)
    assert [one.number for one in chain.attempts] == [1, 2]
    assert chain.spent_usd > 0
    assert [one.kind for one in bench.channel.messages] == ["next_attempt"]
    assert chain.attempts[0].state.is_terminal


def test_an_attempt_that_a_person_cancels_ends_the_chain(bench: Bench, job: Job) -> None:
    made = _attempt(bench, job, state="JOB_STATE_CANCELLED")
    assert _consider(bench, made) == "given_up: attempt 1 is CANCELLED"
    assert [one.kind for one in bench.channel.messages] == ["given_up"]


def test_an_attempt_that_got_no_machine_is_stepped_over(bench: Bench, job: Job) -> None:
    made = _attempt(
        bench, job, state="JOB_STATE_PENDING", startTime=None, endTime=None,
        createTime="2026-11-23T19:07:00Z",
    )  # fmt: skip
    _consider(bench, made)
    assert [name for name, _ in bench.vertex.cancelled] == [made.name]
    ended = bench.vertex.add(
        made.to_json(), state="JOB_STATE_CANCELLED", endTime="2026-11-23T20:16:00Z"
    )
    assert _consider(bench, ended) == "stepped over: the attempt never got a machine"
    assert _stored(bench, job).stage is Stage.UNSETTLED
    assert bench.chain(job).skipped == ("grow:1",)


def test_a_job_that_waited_longer_than_it_may_run_has_not_timed_out(bench: Bench) -> None:
    """It never started, and a person cancelled it: its time-out of an hour counts running alone."""
    job = bench.vertex.add(
        CUSTOM, state="JOB_STATE_CANCELLED", error=None, startTime=None,
        createTime="2026-11-23T16:00:00Z",
    )  # fmt: skip
    assert _consider(bench, job) == "ignored: a person cancelled it"
    assert not bench.vertex.creates


def test_an_attempt_that_nobody_wrote_down_yet_is_waited_for(bench: Bench, job: Job) -> None:
    bench.vertex.answers.append(Answer(KeyError("fault"), arrives=True))
    with pytest.raises(KeyError):
        _consider(bench, job)
    made = next(one for name, one in bench.vertex.bodies.items() if name != str(job.name))
    with pytest.raises(TransientError, match="not written down yet"):
        _consider(bench, Job.parse({**made, "state": "JOB_STATE_FAILED"}))


# --- no way on ------------------------------------------------------------------------------------------


def test_what_a_service_refuses_for_good_is_told_and_concluded(bench: Bench, job: Job) -> None:
    def refuse(*_: Any, **__: Any) -> Case:
        msg = "400 the log may not be read like this"
        raise PermanentError(msg)

    said = consider(job, replace(bench.services, evidence=KnownEvidence(refuse)), known_since=NOW)
    assert said == "alerted, permanent error: 400 the log may not be read like this"
    stored = _stored(bench, job)
    assert (stored.stage, stored.conclusion) == (Stage.DONE, Conclusion.ALERTED)
    assert stored.reason == "400 the log may not be read like this"
    (message,) = bench.channel.messages
    assert "nothing was resubmitted" in str(message.to_json())
    assert [one["final"] for one in bench.outcomes] == [True]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"workerPoolSpecs": "x"}, "workerPoolSpecs` must be a list of objects"),
        ({"workerPoolSpecs": [{"machineSpec": 8}]}, "machineSpec` must be an object"),
        (
            {"trialJobSpec": {"workerPoolSpecs": [None]}},
            "workerPoolSpecs` must be a list of objects",
        ),
    ],
    ids=["pools", "machine", "trial"],
)
def test_a_job_of_a_shape_that_no_job_has_is_told_and_concluded(
    bench: Bench, held: dict[str, Any], said: str
) -> None:
    """A training pipeline's inputs are opaque to the API, so that they may be anything."""
    odd = bench.vertex.add(
        {**TRAINING, "trainingTaskInputs": held}, error={"code": 3, "message": "no"}
    )
    answer = handle(_hint(odd), bench.services)
    assert answer.startswith("alerted, permanent error: the job's `trainingTaskInputs.")
    assert answer.endswith(said)
    assert _stored(bench, odd).conclusion is Conclusion.ALERTED
    (message,) = bench.channel.messages
    assert said in str(message.to_json())
    assert not bench.vertex.creates
    assert handle(_hint(odd), bench.services) == "already handled: alerted"


def test_where_a_claim_stands_its_job_is_asked_for_again(bench: Bench, job: Job) -> None:
    bench.vertex.answers.append(Answer(KeyError("fault"), arrives=True))
    with pytest.raises(KeyError):
        _consider(bench, job)
    bench.vertex.list_error = PermanentError("400 the list is broken")
    said = _consider(bench, job)
    assert said.startswith("alerted, permanent error: 400")
    stored = _stored(bench, job)
    assert stored.stage is Stage.ACTING
    assert stored.due == NOW + timedelta(hours=1)
    assert not bench.outcomes
    assert "cannot be found out whether its job exists" in str(bench.channel.messages[0].to_json())


# --- a creation that was refused ----------------------------------------------------------------------------


def _refusal(**more: Any) -> Hint:
    refusal = RefusedCreate(
        **{
            "method": "CreateCustomJob",
            "code": 7,
            "message": "403 Permission denied",
            "principal": "ann@example.com",
            "display_name": "align",
            "parent": f"projects/{NUMBER}/locations/us-central1",
            "insert_id": "abc",
            **more.pop("refusal", {}),
        }
    )
    return Hint(**{"project": NUMBER, "entry": {}, "refusal": refusal, "published": NOW, **more})


def test_a_refused_creation_is_told_once_and_leaves_no_incident(bench: Bench) -> None:
    for _ in range(2):
        assert handle(_refusal(), bench.services) == "alerted: CreateCustomJob was refused"
    (message,) = bench.channel.messages
    assert message.kind == "refused_creation"
    assert "asked for by ann@example.com, was refused" in str(message.to_json())
    assert not bench.ledger.incidents()
    assert not bench.vertex.creates


def test_our_own_refused_call_is_not_told(bench: Bench) -> None:
    own = _refusal(refusal={"principal": OWN_ACCOUNT})
    assert handle(own, bench.services) == "ignored: the refused call was our own"
    assert not bench.enqueued()


@pytest.mark.parametrize(("seconds", "told"), [(0, True), (1, False)])
def test_an_old_refusal_is_not_told(bench: Bench, seconds: int, told: bool) -> None:
    at = NOW - timedelta(hours=6, seconds=seconds)
    handle(_refusal(entry_time=at), bench.services)
    assert bool(bench.enqueued()) is told
