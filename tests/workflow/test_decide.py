"""Before a plan: what is asked of the ledger and of the project, and what an answer changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.case import Case
from remediator.domain import (
    Action,
    Cause,
    Guard,
    Mode,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from remediator.job import Job
from remediator.ledger import Approval, ApprovalChoice, Claim, Limit
from remediator.workflow.decide import diagnose_case, left_to_a_person
from remediator.workflow.incident_context import RETRY_WINDOW
from tests.jobs import CUSTOM, TUNING
from tests.workflow.decide_cases import planned
from tests.workflow.workbench import NOW, NUMBER, POLICIES, Bench


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


# --- somebody else's rerun --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [TransientError("503"), PermissionDenied("403 list")], ids=repr)
def test_a_rerun_that_cannot_be_asked_for_is_asked_again_for_a_day(
    bench: Bench, job: Job, error: Exception
) -> None:
    bench.vertex.list_error = error
    young = bench.incident(job)
    with pytest.raises(type(error)):
        planned(bench, job, incident=young)
    nearly = replace(young, first_known=NOW - RETRY_WINDOW + timedelta(seconds=1))
    with pytest.raises(type(error)):
        planned(bench, job, incident=nearly)
    made = planned(bench, job, incident=replace(young, first_known=NOW - RETRY_WINDOW))
    assert made.action is Action.ALERT
    assert f"it is not known whether somebody ran it again: {error}" in made.because


def test_a_definite_no_to_that_question_is_left_to_a_person_at_once(bench: Bench, job: Job) -> None:
    bench.vertex.list_error = PermanentError("400 no")
    made = planned(bench, job)
    assert made.action is Action.ALERT
    assert "not known whether somebody ran it again: 400 no" in made.because
    assert made.notes[0].endswith("whether somebody ran it again: 400 no")


def test_what_was_asked_beside_the_evidence_is_not_asked_twice(bench: Bench, job: Job) -> None:
    made = planned(bench, job, external_rerun=lambda: "projects/1/locations/l/customJobs/7")
    assert made.refused_by == (Guard.ALREADY_RERUN,)
    assert not bench.vertex.listed


def test_a_plan_that_only_alerts_asks_for_no_rerun(bench: Bench, job: Job) -> None:
    made = planned(bench, job, cause=Cause.USER_CODE_ERROR)
    assert made.action is Action.ALERT
    assert not bench.vertex.listed


def test_only_what_would_be_done_is_left_to_a_person(bench: Bench, job: Job) -> None:
    made = planned(bench, job)
    told = left_to_a_person(made, "whose it is")
    assert (told.action, told.request) == (Action.ALERT, made.request)
    assert told.because.startswith(made.because)
    assert told.notes[0] == "nothing was resubmitted, since it is not known whose it is"
    assert left_to_a_person(told, "anything") is told


# --- waits, answers, skipped steps -----------------------------------------------------------------


def test_a_wait_is_over_at_its_moment_and_not_before(bench: Bench, job: Job) -> None:
    bench.use(POLICIES.replace("machine_type: bigger", "wait: 10m"))
    incident = bench.incident(job)
    first = planned(bench, job, incident=incident)
    assert (first.action, first.not_before) == (Action.WAIT, NOW + timedelta(minutes=10))
    for shift, action in ((-1, Action.WAIT), (0, Action.RESUBMIT), (1, Action.RESUBMIT)):
        at = replace(incident, not_before=NOW - timedelta(seconds=shift))
        assert planned(bench, job, incident=at).action is action


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
    shown = planned(bench, job, incident=incident)
    assert shown.action is Action.APPROVE
    digest = shown.digest if same else "another"
    approval = Approval(
        "id", digest, NOW + timedelta(hours=1), answer=ApprovalChoice(answer), by="me", at=NOW,
        estimated_usd=shown.estimated_usd, worst_case_usd=shown.worst_case_usd,
        longest_seconds=shown.longest_seconds,
    )  # fmt: skip
    made = planned(bench, job, incident=replace(incident, approval=approval))
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
    shown = planned(bench, job, incident=incident)
    usd, worst = shown.estimated_usd, shown.worst_case_usd
    assert usd is not None
    assert worst is not None
    approval = Approval(
        "id", shown.digest, NOW + timedelta(hours=1), answer=ApprovalChoice.APPROVED, by="me", at=NOW,
        estimated_usd=usd / (1 + dearer), worst_case_usd=worst / (1 + dearer),
        longest_seconds=shown.longest_seconds,
    )  # fmt: skip
    made = planned(bench, job, incident=replace(incident, approval=approval))
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
    assert planned(bench, job, chain=chain).step == 1
    assert planned(bench, job, chain=replace(chain, skipped=("other:1",))).step == 1
    assert planned(bench, job, chain=replace(chain, skipped=("other:1", "grow:1"))).step == 2
    gone = planned(bench, job, chain=replace(chain, skipped=("grow:1", "grow:2")))
    assert gone.action is Action.ALERT


# --- history and limits -----------------------------------------------------------------------------


def test_what_was_spent_and_set_aside_counts_against_the_job(bench: Bench, job: Job) -> None:
    cost = planned(bench, job).worst_case_usd or 0.0
    chain = bench.chain(job)
    full = replace(chain, spent_usd=60.0, reserved_usd=40.0)
    assert planned(bench, job, chain=full).refused_by == (Guard.USD_PER_JOB,)
    for spent, reserved in ((40.0, 0.0), (0.0, 40.0)):
        roomy = replace(chain, spent_usd=spent, reserved_usd=reserved)
        assert planned(bench, job, chain=roomy).action is Action.RESUBMIT
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
    assert planned(bench, job).refused_by == (guard,)


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
    assert planned(bench, job).refused_by == guards


@pytest.mark.parametrize("where", ["settings", "ledger"])
def test_the_stop_switch_stops_the_plan_wherever_it_is_turned(
    bench: Bench, job: Job, where: str
) -> None:
    services = bench.services
    if where == "ledger":
        bench.ledger.switch_stop(on=True, by="me", now=NOW)
    else:
        services = bench.with_settings(stop=True)
    assert planned(bench, job, services=services).refused_by == (Guard.STOP_SWITCH,)


def test_the_ceilings_of_the_environment_bind(bench: Bench, job: Job) -> None:
    for ceiling, guard in (
        ({"max_usd_per_day": 0.01}, Guard.USD_PER_DAY),
        ({"max_usd_per_job": 0.01}, Guard.USD_PER_JOB),
        ({"service_accounts": ("other@*",)}, Guard.SERVICE_ACCOUNT),
    ):
        services = bench.with_settings(**ceiling)
        assert planned(bench, job, services=services).refused_by == (guard,)
    observing = bench.with_settings(max_mode=Mode.OBSERVE)
    assert planned(bench, job, services=observing).mode is Mode.OBSERVE


def test_the_attempts_of_the_chain_are_counted(bench: Bench, job: Job) -> None:
    from tests.jobs import attempt

    chain = replace(
        bench.chain(job), attempts=tuple(attempt("grow", number=number) for number in (1, 2, 3))
    )
    made = planned(bench, job, chain=chain)
    assert (made.action, made.request) == (Action.ALERT, None)


def test_a_tuning_job_is_planned_under_its_root(bench: Bench) -> None:
    job = bench.vertex.add(TUNING)
    chain = replace(bench.chain(job), root="projects/1/locations/us-central1/customJobs/first")
    made = planned(bench, job, chain=chain)
    assert made.request is not None
    assert made.request["labels"]["remediator-root"] == "first"
    assert made.request["maxTrialCount"] == 8
