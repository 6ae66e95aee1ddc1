"""Before a plan: what is asked of the ledger and of the project, and what an answer changes."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.case import Case
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Guard,
    JobState,
    Mode,
    PermanentError,
    PermissionDenied,
    Plan,
    TransientError,
)
from remediator.job import Job
from remediator.job.likeness import vain_track
from remediator.ledger import Approval, ApprovalChoice, Chain, Claim, Incident, Limit
from remediator.planning.vain import attempts_in_vain
from remediator.workflow.decide import diagnose_case, left_to_a_person, plan_incident
from remediator.workflow.incident_context import RETRY_WINDOW
from remediator.workflow.limits import claim_limits, job_budget, limits_of
from remediator.workflow.ownership import find_external_rerun, is_own_unrecorded_attempt
from remediator.workflow.services import Services
from tests.jobs import CUSTOM, TUNING, diagnosis
from tests.workflow.workbench import CALL_SECONDS, NOW, NUMBER, POLICIES, PROJECT, Bench

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


class _Torn(tuple[Any, ...]):
    """Evidence that no reader of it gets through, in place of a fault that nobody knows of."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        raise ZeroDivisionError("float division by zero")


def test_a_fault_of_the_diagnosis_keeps_no_failure_from_people(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job.parse({**CUSTOM, "name": f"projects/{NUMBER}/locations/us-central1/customJobs/5"})
    found = diagnose_case(Case(job=job, now=NOW, log_lines=_Torn()), bench.policies)
    assert (found.verdict, found.causes) == (Cause.UNKNOWN, ())
    assert "ZeroDivisionError" in found.missing[0]
    assert "the diagnosis failed: ZeroDivisionError" in capsys.readouterr().err


def _twin(bench: Bench, number: int = 5, **changes: Any) -> Job:
    """Another job of the same workload: running, made a minute after the failure."""
    name = f"projects/{NUMBER}/locations/us-central1/customJobs/{number}"
    body = {
        **copy.deepcopy(CUSTOM),
        "name": name,
        "state": "JOB_STATE_RUNNING",
        "createTime": "2026-11-23T19:01:00Z",
        "endTime": None,
        "error": None,
    }
    return bench.vertex.add(body, **changes)


def _plan(
    bench: Bench,
    job: Job,
    *,
    cause: Cause = Cause.CPU_SATURATION,
    incident: Incident | None = None,
    chain: Chain | None = None,
    services: Services | None = None,
    **more: Any,
) -> Plan:
    incident = incident or bench.incident(job)
    chain = chain or bench.chain(job)
    case = Case(job=job, now=bench.time, attempts=chain.attempts)
    found = diagnosis(job, cause)
    used = services or bench.services
    ledger = used.records.ledger
    return plan_incident(
        case, found, incident, chain, used.config, used.vertex, ledger, similar={}, **more
    )


# --- what was tried in vain -------------------------------------------------------------------------


def _remember(bench: Bench, job: Job, *, ended: timedelta = timedelta(days=1)) -> None:
    """Last night's chain of the same work tried the next size, and was given up."""
    root = replace(job.name, id="70")
    before = Job.parse({**job.to_json(), "name": str(replace(job.name, id="71"))})
    made = Attempt(
        name=str(before.name),
        state=JobState.FAILED,
        create_time=None,
        policy="grow",
        step=1,
        verdict=Cause.CPU_SATURATION.value,
        changes=(Change(_MACHINE, "n1-standard-8", "n1-standard-16"),),
        number=1,
        end_time=NOW - ended,
    )
    failed = before.changed(_MACHINE, "n1-standard-16")
    case = Case(job=failed, now=NOW)
    found = attempts_in_vain(case, (made,), Cause.CPU_SATURATION, root=str(root), usd=1.5)
    incident = bench.incident(job, key="another")
    assert bench.ledger.move(incident, vain={vain_track(job): found, "": ()})


_MACHINE = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"


def test_a_larger_machine_follows_where_the_next_size_was_tried_in_vain(
    bench: Bench, job: Job
) -> None:
    _remember(bench, job)
    made = _plan(bench, job)
    assert made.action is Action.RESUBMIT
    assert [(one.field, one.after) for one in made.changes] == [(_MACHINE, "n1-standard-32")]
    assert "n1-standard-16 was tried in vain for align" in made.because
    asked = [one[3] for one in bench.vertex.listed]
    assert asked == [NOW - timedelta(days=8), job.end_time]  # it may have run for a week


def test_nobody_is_asked_for_successes_where_nothing_was_tried_in_vain(
    bench: Bench, job: Job
) -> None:
    assert _plan(bench, job).changes[0].after == "n1-standard-16"
    assert [one[3] for one in bench.vertex.listed] == [job.end_time]
    bench.vertex.listed.clear()
    _remember(bench, job, ended=timedelta(days=14))
    assert _plan(bench, job).changes[0].after == "n1-standard-16"
    assert [one[3] for one in bench.vertex.listed] == [job.end_time]


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [
        ({}, False),
        ({"createTime": "2026-11-20T03:00:00Z"}, False),
        ({"createTime": "2026-11-20T03:00:00Z", "endTime": "2026-11-20T09:00:00Z"}, True),
        ({"state": "JOB_STATE_FAILED"}, True),
        ({"displayName": "another"}, True),
    ],
    ids=["since", "it-ended-since", "before", "it-failed", "another-job"],
)
def test_a_success_since_makes_what_was_tried_in_vain_forgotten(
    bench: Bench, job: Job, changes: dict[str, Any], goes_on: bool
) -> None:
    _remember(bench, job)
    success = {"createTime": "2026-11-23T03:00:00Z", "state": "JOB_STATE_SUCCEEDED"}
    _twin(bench, **{**success, "endTime": "2026-11-23T04:00:00Z", **changes})
    made = _plan(bench, job)
    assert made.changes[0].after == ("n1-standard-32" if goes_on else "n1-standard-16")


def test_whether_one_succeeded_since_is_waited_for_a_day_and_then_left_to_a_person(
    bench: Bench, job: Job
) -> None:
    _remember(bench, job)
    bench.vertex.list_error = TransientError("503")
    with pytest.raises(TransientError):
        _plan(bench, job)
    known = replace(bench.incident(job, key="late"), first_known=bench.time - RETRY_WINDOW)
    made = _plan(bench, job, incident=known)
    assert made.action is Action.ALERT
    assert "whether such a job succeeded since the same was tried in vain: 503" in made.because


# --- somebody else's rerun --------------------------------------------------------------------------


def test_a_job_of_the_same_workload_made_since_is_somebody_elses_rerun(
    bench: Bench, job: Job
) -> None:
    other = _twin(bench)
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == str(
        other.name
    )
    (asked,) = bench.vertex.listed
    assert asked == (job.kind, PROJECT, "us-central1", job.end_time, {}, CALL_SECONDS)
    made = _plan(bench, job)
    assert (made.action, made.refused_by) == (Action.ALERT, (Guard.ALREADY_RERUN,))
    assert str(other.name) in made.because
    assert made.request is None


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "JOB_STATE_FAILED"},
        {"state": "JOB_STATE_CANCELLED"},
        {"createTime": "2026-11-23T18:59:59Z"},
        {"jobSpec__workerPoolSpecs[0]__containerSpec__imageUri": "other"},
        {"jobSpec__workerPoolSpecs[0]__containerSpec__env": [{"name": "SHARDS", "value": "1"}]},
        {"jobSpec__serviceAccount": "other@genomics.iam.gserviceaccount.com"},
        {"name": f"projects/{NUMBER}/locations/europe-west4/customJobs/5"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_rerun_is_not_taken_for_one(
    bench: Bench, job: Job, changes: dict[str, Any]
) -> None:
    _twin(bench, **changes)
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == ""
    assert _plan(bench, job).action is Action.RESUBMIT


@pytest.mark.parametrize("state", ["JOB_STATE_SUCCEEDED", "JOB_STATE_PENDING", "JOB_STATE_QUEUED"])
def test_a_rerun_counts_while_it_may_succeed_or_has(bench: Bench, job: Job, state: str) -> None:
    other = _twin(bench, state=state)
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == str(
        other.name
    )


def test_a_rerun_made_in_the_second_of_the_failure_counts(bench: Bench, job: Job) -> None:
    other = _twin(bench, createTime="2026-11-23T19:00:00Z")
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == str(
        other.name
    )


def test_nobody_was_faster_than_a_job_that_has_not_ended(bench: Bench, job: Job) -> None:
    running = Job(job.name, {**job.to_json(), "endTime": None, "state": "JOB_STATE_RUNNING"})
    _twin(bench)
    assert find_external_rerun(running, bench.services.vertex, bench.services.records.ledger) == ""
    assert not bench.vertex.listed


def test_a_job_of_our_own_is_nobody_elses(bench: Bench, job: Job) -> None:
    other = _twin(bench)
    bench.store.run(lambda tx: tx.put("created", other.name.key.replace("/", "|"), {"root": "r"}))
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == ""


def _claimed(bench: Bench, job: Job, token: str = "t") -> Claim:
    machine = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"
    claim = Claim(
        token=token, incident=job.name.key, policy="grow", step=1, number=1, verdict="",
        changes=(Change(machine, "n1-standard-8", "n1-standard-16"),),
        acquired_at=NOW, lease_until=NOW + timedelta(minutes=10),
    )  # fmt: skip
    assert bench.ledger.claim(bench.incident(job), str(job.name), claim, now=NOW).mine
    return claim


@pytest.mark.parametrize(
    ("size", "token", "ours"),
    [("n1-standard-16", "t", True), ("n1-standard-8", "t", False), ("n1-standard-16", "x", False)],
)
def test_a_job_under_a_standing_claim_is_ours_though_nobody_wrote_it_down(
    bench: Bench, job: Job, size: str, token: str, ours: bool
) -> None:
    _claimed(bench, job)
    machine = "jobSpec__workerPoolSpecs[0]__machineSpec__machineType"
    other = _twin(bench, **{machine: size})
    other = bench.vertex.add(other.changed("labels.remediator-claim", token).to_json())
    assert is_own_unrecorded_attempt(other, bench.services.records.ledger) is ours
    assert (
        bool(find_external_rerun(job, bench.services.vertex, bench.services.records.ledger))
        is not ours
    )


def test_once_the_claim_is_gone_its_label_says_nothing(bench: Bench, job: Job) -> None:
    claim = _claimed(bench, job)
    machine = "jobSpec__workerPoolSpecs[0]__machineSpec__machineType"
    other = _twin(bench, **{machine: "n1-standard-16"})
    other = bench.vertex.add(other.changed("labels.remediator-claim", "t").to_json())
    assert is_own_unrecorded_attempt(other, bench.services.records.ledger)
    assert bench.ledger.withdraw(job.name.key, claim.token)
    assert not is_own_unrecorded_attempt(other, bench.services.records.ledger)


@pytest.mark.parametrize("error", [TransientError("503"), PermissionDenied("403 list")], ids=repr)
def test_a_rerun_that_cannot_be_asked_for_is_asked_again_for_a_day(
    bench: Bench, job: Job, error: Exception
) -> None:
    bench.vertex.list_error = error
    young = bench.incident(job)
    with pytest.raises(type(error)):
        _plan(bench, job, incident=young)
    nearly = replace(young, first_known=NOW - RETRY_WINDOW + timedelta(seconds=1))
    with pytest.raises(type(error)):
        _plan(bench, job, incident=nearly)
    made = _plan(bench, job, incident=replace(young, first_known=NOW - RETRY_WINDOW))
    assert made.action is Action.ALERT
    assert f"it is not known whether somebody ran it again: {error}" in made.because


def test_a_definite_no_to_that_question_is_left_to_a_person_at_once(bench: Bench, job: Job) -> None:
    bench.vertex.list_error = PermanentError("400 no")
    made = _plan(bench, job)
    assert made.action is Action.ALERT
    assert "not known whether somebody ran it again: 400 no" in made.because
    assert made.notes[0].endswith("whether somebody ran it again: 400 no")


def test_what_was_asked_beside_the_evidence_is_not_asked_twice(bench: Bench, job: Job) -> None:
    made = _plan(bench, job, external_rerun=lambda: "projects/1/locations/l/customJobs/7")
    assert made.refused_by == (Guard.ALREADY_RERUN,)
    assert not bench.vertex.listed


def test_a_plan_that_only_alerts_asks_for_no_rerun(bench: Bench, job: Job) -> None:
    made = _plan(bench, job, cause=Cause.USER_CODE_ERROR)
    assert made.action is Action.ALERT
    assert not bench.vertex.listed


def test_only_what_would_be_done_is_left_to_a_person(bench: Bench, job: Job) -> None:
    made = _plan(bench, job)
    told = left_to_a_person(made, "whose it is")
    assert (told.action, told.request) == (Action.ALERT, made.request)
    assert told.because.startswith(made.because)
    assert told.notes[0] == "nothing was resubmitted, since it is not known whose it is"
    assert left_to_a_person(told, "anything") is told


# --- waits, answers, skipped steps -----------------------------------------------------------------


def test_a_wait_is_over_at_its_moment_and_not_before(bench: Bench, job: Job) -> None:
    bench.use(POLICIES.replace("machine_type: bigger", "wait: 10m"))
    incident = bench.incident(job)
    first = _plan(bench, job, incident=incident)
    assert (first.action, first.not_before) == (Action.WAIT, NOW + timedelta(minutes=10))
    for shift, action in ((-1, Action.WAIT), (0, Action.RESUBMIT), (1, Action.RESUBMIT)):
        at = replace(incident, not_before=NOW - timedelta(seconds=shift))
        assert _plan(bench, job, incident=at).action is action


@pytest.mark.parametrize(
    ("answer", "same", "action"),
    [
        ("approved", True, Action.RESUBMIT),
        ("declined", True, Action.APPROVE),
        ("", True, Action.APPROVE),
        ("approved", False, Action.APPROVE),
    ],
)
def test_a_yes_holds_for_the_plan_that_was_shown_alone(
    bench: Bench, job: Job, answer: str, same: bool, action: Action
) -> None:
    bench.use(POLICIES.replace("mode: enforce", "mode: approve"))
    incident = bench.incident(job)
    shown = _plan(bench, job, incident=incident)
    assert shown.action is Action.APPROVE
    digest = shown.digest if same else "another"
    approval = Approval(
        "id", digest, NOW + timedelta(hours=1), answer=ApprovalChoice(answer), by="me", at=NOW,
        estimated_usd=shown.estimated_usd, worst_case_usd=shown.worst_case_usd,
        longest_seconds=shown.longest_seconds,
    )  # fmt: skip
    made = _plan(bench, job, incident=replace(incident, approval=approval))
    assert made.action is action
    assert made.request == shown.request


@pytest.mark.parametrize(
    ("dearer", "action"),
    [(0.0, Action.RESUBMIT), (0.09, Action.RESUBMIT), (0.2, Action.APPROVE)],
)
def test_a_yes_does_not_hold_for_a_much_higher_price(
    bench: Bench, job: Job, dearer: float, action: Action
) -> None:
    bench.use(POLICIES.replace("mode: enforce", "mode: approve"))
    incident = bench.incident(job)
    shown = _plan(bench, job, incident=incident)
    usd, worst = shown.estimated_usd, shown.worst_case_usd
    assert usd is not None
    assert worst is not None
    approval = Approval(
        "id", shown.digest, NOW + timedelta(hours=1), answer=ApprovalChoice.APPROVED, by="me", at=NOW,
        estimated_usd=usd / (1 + dearer), worst_case_usd=worst / (1 + dearer),
        longest_seconds=shown.longest_seconds,
    )  # fmt: skip
    made = _plan(bench, job, incident=replace(incident, approval=approval))
    assert made.action is action


def test_steps_that_vertex_refused_are_passed_over_for_this_policy_alone(
    bench: Bench, job: Job
) -> None:
    bench.use(
        POLICIES.replace(
            "do: [{resubmit: {machine_type: bigger}, times: 3}]",
            "do: [{resubmit: {machine_type: bigger}}, {resubmit: {timeout: double}}]",
        )
    )
    chain = bench.chain(job)
    assert _plan(bench, job, chain=chain).step == 1
    assert _plan(bench, job, chain=replace(chain, skipped=("other:1",))).step == 1
    assert _plan(bench, job, chain=replace(chain, skipped=("other:1", "grow:1"))).step == 2
    gone = _plan(bench, job, chain=replace(chain, skipped=("grow:1", "grow:2")))
    assert gone.action is Action.ALERT


# --- history and limits -----------------------------------------------------------------------------


def test_what_was_spent_and_set_aside_counts_against_the_job(bench: Bench, job: Job) -> None:
    cost = _plan(bench, job).worst_case_usd or 0.0
    chain = bench.chain(job)
    full = replace(chain, spent_usd=60.0, reserved_usd=40.0)
    assert _plan(bench, job, chain=full).refused_by == (Guard.USD_PER_JOB,)
    for spent, reserved in ((40.0, 0.0), (0.0, 40.0)):
        roomy = replace(chain, spent_usd=spent, reserved_usd=reserved)
        assert _plan(bench, job, chain=roomy).action is Action.RESUBMIT
    assert cost < 50


@pytest.mark.parametrize(
    ("key", "amount", "window", "guard"),
    [
        ("usd:2026-11-23", 1000.0, None, Guard.USD_PER_DAY),
        ("rate:all", 50.0, 3600.0, Guard.RATE),
    ],
)
def test_what_is_counted_today_and_in_the_hour_refuses(
    bench: Bench,
    job: Job,
    key: str,
    amount: float,
    window: float | None,
    guard: Guard,
) -> None:
    _count(bench, job, Limit(key, guard.value, math.inf, amount, window))
    assert _plan(bench, job).refused_by == (guard,)


def _count(bench: Bench, job: Job, limit: Limit) -> None:
    """Another job's claim has set this much aside."""
    other = bench.vertex.add(CUSTOM, name=f"{job.name}5")
    incident = bench.incident(other)
    claim = Claim(
        token="other", incident=incident.key, policy="p", step=1, number=1, verdict="",
        changes=(), acquired_at=NOW, lease_until=NOW,
    )  # fmt: skip
    answer = bench.ledger.claim(incident, str(other.name), claim, now=NOW, limits=[limit])
    assert answer.mine


@pytest.mark.parametrize(
    ("account", "guards"),
    [
        ("trainer@genomics.iam.gserviceaccount.com", (Guard.RATE,)),
        ("other@genomics.iam.gserviceaccount.com", ()),
    ],
)
def test_one_accounts_share_refuses_that_account_alone(
    account: str, guards: tuple[Guard, ...]
) -> None:
    per = "limits: {attempts: 3, per: [{by: service_account, resubmissions_per_hour: 1}],"
    bench = Bench(POLICIES.replace("limits: {attempts: 3,", per))
    job = bench.vertex.add(CUSTOM)
    limit = Limit(f"rate:service_account:{account}", "rate", math.inf, 1.0, 3600.0)
    _count(bench, job, limit)
    assert _plan(bench, job).refused_by == guards


@pytest.mark.parametrize("where", ["settings", "ledger"])
def test_the_stop_switch_stops_the_plan_wherever_it_is_turned(
    bench: Bench, job: Job, where: str
) -> None:
    services = bench.services
    if where == "ledger":
        bench.ledger.switch_stop(on=True, by="me", now=NOW)
    else:
        services = bench.with_settings(stop=True)
    assert _plan(bench, job, services=services).refused_by == (Guard.STOP_SWITCH,)


def test_the_ceilings_of_the_environment_bind(bench: Bench, job: Job) -> None:
    for ceiling, guard in (
        ({"max_usd_per_day": 0.01}, Guard.USD_PER_DAY),
        ({"max_usd_per_job": 0.01}, Guard.USD_PER_JOB),
        ({"service_accounts": ("other@*",)}, Guard.SERVICE_ACCOUNT),
    ):
        services = bench.with_settings(**ceiling)
        assert _plan(bench, job, services=services).refused_by == (guard,)
    observing = bench.with_settings(max_mode=Mode.OBSERVE)
    assert _plan(bench, job, services=observing).mode is Mode.OBSERVE


def test_the_attempts_of_the_chain_are_counted(bench: Bench, job: Job) -> None:
    from tests.jobs import attempt

    chain = replace(
        bench.chain(job), attempts=tuple(attempt("grow", number=number) for number in (1, 2, 3))
    )
    made = _plan(bench, job, chain=chain)
    assert (made.action, made.request) == (Action.ALERT, None)


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


def test_a_tuning_job_is_planned_under_its_root(bench: Bench) -> None:
    job = bench.vertex.add(TUNING)
    chain = replace(bench.chain(job), root="projects/1/locations/us-central1/customJobs/first")
    made = _plan(bench, job, chain=chain)
    assert made.request is not None
    assert made.request["labels"]["remediator-root"] == "first"
    assert made.request["maxTrialCount"] == 8
