"""A plan to the field: what each kind of answer holds, and how mode, wait and step come about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Guard,
    History,
    Mode,
    Plan,
)
from remediator.planning import plan
from tests.jobs import BATCH, CUSTOM, PIPELINE, attempt, case, diagnosis, job, policies

BOOK = Catalog.built_in()
NOW = datetime(2026, 11, 23, 19, 7, tzinfo=UTC)
MACHINE = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"
GROWS = "do: [{resubmit: {machine_type: bigger}, times: 2}, {resubmit: {timeout: double}}]"


def _plan(
    policy: str = GROWS,
    general: str = "",
    *,
    body: dict[str, Any] = CUSTOM,
    history: History | None = None,
    cause: Cause = Cause.CPU_SATURATION,
    confidence: float = 0.9,
    waited: bool = False,
    passed_over: frozenset[int] = frozenset(),
    **changes: Any,
) -> Plan:
    found = job(body, **changes)
    general = general or "mode: enforce\nrerun_safe: [custom, batch_prediction]"
    policy = policy if "when:" in policy else f"when: {{}}, {policy}"
    text = f"{general}\npolicies: [{{name: p, alert: [ml], {policy}}}]"
    return plan(
        case(found),
        diagnosis(found, cause, confidence),
        policies(text),
        history or History(),
        BOOK,
        waited=waited,
        passed_over=passed_over,
    )


# --- the answers, whole ------------------------------------------------------------------------------


def test_a_resubmission_to_the_field() -> None:
    made = _plan()
    assert (made.job, made.verdict) == (CUSTOM["name"], Cause.CPU_SATURATION)
    assert (made.policy, made.step, made.entry) == ("p", 1, 0)
    assert (made.mode, made.action) == (Mode.ENFORCE, Action.RESUBMIT)
    assert made.changes == (Change(MACHINE, "n1-standard-8", "n1-standard-16"),)
    assert (made.location, made.not_before) == ("us-central1", None)
    assert (made.refused_by, made.alerts) == ((), ("ml",))
    assert made.estimated_usd is not None
    assert made.worst_case_usd is not None
    assert 0 < made.estimated_usd <= made.worst_case_usd
    assert made.longest_seconds == 3600.0
    assert made.max_run_seconds is None  # the job has a time-out of its own
    assert made.approval_reasons == ()
    assert made.explanation[0] == "p: matches"
    assert made.explanation[1].startswith("step 1 is next: machine type n1-standard-8 becomes")
    assert made.request is not None
    assert made.request["displayName"] == "align (attempt 1)"
    assert made.request["labels"] == {
        "env": "prod",
        "remediator-root": "77",
        "remediator-attempt": "1",
        "remediator-policy": "p",
    }


def test_a_job_without_a_time_out_is_bounded_by_us() -> None:
    bounded = "mode: enforce\nrerun_safe: [custom]\nlimits: {max_run: 3x}"
    made = _plan("do: [{resubmit: {}}]", bounded, jobSpec__scheduling=None)
    assert made.max_run_seconds is not None
    assert made.max_run_seconds == made.longest_seconds


@pytest.mark.parametrize(
    ("policy", "changes", "step", "name", "alerts"),
    [
        ("do: []", {}, 0, "p", ("ml",)),
        ("when: {cause: quota}, do: []", {}, 0, "", ()),
        (GROWS, {"state": "JOB_STATE_RUNNING"}, 0, "", ()),
    ],
)
def test_nothing_to_the_field(
    policy: str, changes: dict[str, Any], step: int, name: str, alerts: tuple[str, ...]
) -> None:
    made = _plan(policy, **changes)
    assert (made.job, made.verdict) == (CUSTOM["name"], Cause.CPU_SATURATION)
    assert (made.action, made.step, made.policy, made.mode) == (
        Action.ALERT,
        step,
        name,
        Mode.ENFORCE,
    )
    assert (made.request, made.changes, made.refused_by, made.alerts) == (None, (), (), alerts)
    assert (made.estimated_usd, made.not_before) == (None, None)


def test_a_success_with_failed_instances_only_alerts() -> None:
    made = _plan(
        "do: [{resubmit: {batch_size: halve}}]",
        body=BATCH,
        state="JOB_STATE_SUCCEEDED",
        completionStats__failedCount="3",
    )
    assert (made.action, made.step, made.policy, made.alerts) == (Action.ALERT, 0, "p", ("ml",))
    assert "3 instances failed: it is not run again" in made.because


def test_a_step_that_cannot_be_taken_to_the_field() -> None:
    made = _plan("do: [{resubmit: {batch_size: halve}}]")
    assert (made.job, made.policy, made.step) == (CUSTOM["name"], "p", 1)
    assert (made.action, made.mode) == (Action.ALERT, Mode.ENFORCE)
    assert (made.refused_by, made.alerts) == ((Guard.INCOMPATIBLE,), ("ml",))
    assert (made.request, made.changes) == (None, ())
    assert made.explanation[0] == "p: matches"
    assert made.explanation[-1].startswith("incompatible refuses: ")


def test_every_guard_that_refuses_is_named_and_nothing_is_left_to_send() -> None:
    made = _plan(history=History(stopped=True, rerun_by="x", parent="a run"))
    assert made.refused_by == (Guard.STOP_SWITCH, Guard.ALREADY_RERUN, Guard.HAS_PARENT)
    assert (made.action, made.request, made.not_before) == (Action.ALERT, None, None)
    assert made.alerts == ()  # the parent's incident speaks
    assert tuple(one.guard for one in made.refusals) == made.refused_by
    assert len(made.reasons) == 3


def test_a_step_that_cannot_be_taken_names_the_other_guards_too() -> None:
    made = _plan("do: [{resubmit: {batch_size: halve}}]", history=History(stopped=True))
    assert made.refused_by == (Guard.INCOMPATIBLE, Guard.STOP_SWITCH)


def test_the_breakers_pause_is_waited_for_where_nothing_else_refuses() -> None:
    until = NOW + timedelta(hours=2)
    paused = History(breaker_open="9 of 10 failed", breaker_until=until)
    made = _plan(history=paused)
    assert (made.action, made.not_before) == (Action.WAIT, until)
    assert made.refused_by == (Guard.BREAKER,)
    assert made.request is not None
    stopped = _plan(history=replace(paused, stopped=True))
    assert (stopped.action, stopped.not_before, stopped.request) == (Action.ALERT, None, None)


# --- mode -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "policy", "ceiling", "safe", "vouched", "mode", "reasons"),
    [
        ("enforce", "", None, True, "", Mode.ENFORCE, 0),
        ("approve", "", None, True, "", Mode.APPROVE, 1),
        ("observe", "", None, True, "", Mode.OBSERVE, 0),
        ("enforce", "mode: approve", None, True, "", Mode.APPROVE, 1),
        ("enforce", "mode: observe", None, True, "", Mode.OBSERVE, 0),
        ("approve", "mode: enforce", None, True, "", Mode.APPROVE, 1),
        ("approve", "mode: approve", None, True, "", Mode.APPROVE, 2),
        ("enforce", "", Mode.APPROVE, True, "", Mode.APPROVE, 1),
        ("enforce", "", Mode.OBSERVE, True, "", Mode.OBSERVE, 0),
        ("observe", "", Mode.APPROVE, True, "", Mode.OBSERVE, 0),
        ("enforce", "", None, False, "", Mode.APPROVE, 1),
        ("approve", "", Mode.APPROVE, False, "", Mode.APPROVE, 3),
        ("enforce", "", None, False, "on", Mode.ENFORCE, 0),
        ("enforce", "", None, False, "yes", Mode.APPROVE, 1),
        ("observe", "", None, False, "", Mode.OBSERVE, 0),
    ],
)
def test_the_strictest_mode_holds(
    file: str, policy: str, ceiling: Mode | None, safe: bool, vouched: str, mode: Mode, reasons: int
) -> None:
    general = f"mode: {file}\nrerun_safe: [{'custom' if safe else 'batch_prediction'}]"
    made = _plan(
        f"{policy}, {GROWS}" if policy else GROWS,
        general,
        history=History(max_mode=ceiling),
        labels__remediator=vouched or None,
    )
    assert made.mode is mode
    asked = mode is Mode.APPROVE or not (safe or vouched == "on")
    assert made.action is (Action.APPROVE if asked else Action.RESUBMIT)
    assert len(made.approval_reasons) == reasons
    assert made.request is not None


# --- waiting ----------------------------------------------------------------------------------------


def _retried(many: int) -> History:
    made = tuple(attempt("other", changed=False, number=number) for number in range(1, many + 1))
    return History(attempts=made)


@pytest.mark.parametrize(
    ("retries", "minutes"), [(0, 10), (1, 20), (2, 40), (5, 320), (6, 360), (30, 360)]
)
def test_the_backoff_doubles_up_to_six_hours(retries: int, minutes: int) -> None:
    general = "mode: enforce\nrerun_safe: [custom]\nlimits: {retries: 99}"
    made = _plan("do: [{resubmit: {wait: backoff}}]", general, history=_retried(retries))
    assert (made.action, made.not_before) == (Action.WAIT, NOW + timedelta(minutes=minutes))


def test_a_wait_of_its_own_length() -> None:
    step = "do: [{resubmit: {wait: 25m}}]"
    made = _plan(step)
    assert (made.action, made.not_before) == (Action.WAIT, NOW + timedelta(minutes=25))
    over = _plan(step, waited=True)
    assert (over.action, over.not_before) == (Action.RESUBMIT, None)
    asked = _plan(step, "mode: approve")
    assert (asked.action, asked.not_before) == (Action.APPROVE, NOW + timedelta(minutes=25))


# --- which step -------------------------------------------------------------------------------------


def _made(*steps: tuple[str, int]) -> tuple[Attempt, ...]:
    return tuple(
        replace(attempt(policy, step=step, number=number), changes=(Change("f", 1, 2),))
        for number, (policy, step) in enumerate(steps, 1)
    )


@pytest.mark.parametrize(
    ("made", "passed_over", "step"),
    [
        ((), (), 1),
        ((("p", 1),), (), 1),
        ((("p", 1), ("p", 1)), (), 2),
        ((("other", 1), ("other", 1)), (), 1),
        ((("p", 1), ("other", 2)), (), 1),
        ((("p", 2),), (), 0),  # the first was passed over, and the second is taken
        ((("p", 1), ("p", 2)), (), 0),
        ((("p", 1), ("p", 1), ("p", 2)), (), 0),
        ((("p", 7),), (), 1),  # a step that the file no longer has
        ((), (1,), 2),
        ((("p", 1),), (1,), 2),
        ((), (2,), 1),
        ((), (1, 2), 0),
    ],
)
def test_the_next_step(
    made: tuple[tuple[str, int], ...], passed_over: tuple[int, ...], step: int
) -> None:
    general = "mode: enforce\nrerun_safe: [custom]\nlimits: {attempts: 9}"
    history = History(attempts=_made(*made))
    found = _plan(general=general, history=history, passed_over=frozenset(passed_over))
    assert found.step == step
    assert found.action is (Action.RESUBMIT if step else Action.ALERT)


@pytest.mark.parametrize(
    ("numbers", "number"), [((), 1), ((1,), 2), ((1, 2), 3), ((5,), 6), ((0, 0), 3)]
)
def test_the_number_of_the_attempt(numbers: tuple[int, ...], number: int) -> None:
    made = tuple(attempt("other", number=one) for one in numbers)
    general = "mode: enforce\nrerun_safe: [custom]\nlimits: {attempts: 9}"
    found = _plan(general=general, history=History(attempts=made))
    assert found.request is not None
    assert found.request["labels"]["remediator-attempt"] == str(number)
    assert found.request["displayName"] == f"align (attempt {number})"


@pytest.mark.parametrize(
    ("root", "label", "made", "named"),
    [
        ("projects/1/locations/l/customJobs/first", "", (), "first"),
        ("", "", (), "77"),
        ("", "copied", (), "77"),  # a label alone puts no job in a chain
        ("", "labelled", (1,), "labelled"),
        ("projects/1/locations/l/customJobs/first", "labelled", (1,), "first"),
    ],
)
def test_the_root_of_the_chain(root: str, label: str, made: tuple[int, ...], named: str) -> None:
    attempts = tuple(attempt("other", number=one) for one in made)
    found = _plan(
        history=History(root=root, attempts=attempts),
        **({"labels": {"remediator-root": label}} if label else {}),
    )
    assert found.request is not None
    assert found.request["labels"]["remediator-root"] == named


# --- which policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ("cause: cpu_saturation", True),
        ("cause: [quota, cpu_saturation]", True),
        ("cause: quota", False),
        ("min_confidence: 0.9", True),
        ("min_confidence: 0.91", False),
        ("job: custom", True),
        ("job: [batch_prediction, custom]", True),
        ("job: batch_prediction", False),
        ("labels: {env: prod}", True),
        ("labels: {env: 'pr*'}", True),
        ("labels: {env: test}", False),
        ("labels: {team: '*'}", False),
        ("location: 'us-*'", True),
        ("location: 'europe-*'", False),
        ("service_account: '*@genomics.iam.gserviceaccount.com'", True),
        ("service_account: '*@other.iam.gserviceaccount.com'", False),
        ("model: 'projects/*'", False),
        ("if: 'job.machine.vcpus < 64 && job.run_seconds > 600'", True),
        ("if: 'job.machine.vcpus > 8'", False),
        ("if: 'attempt.number == 0 && attempt.retries == 0'", True),
        ("if: 'now.hour == 19 && now.weekday == 1'", True),
        ("if: 'diagnosis.cause == \"cpu_saturation\" && diagnosis.confidence > 0.8'", True),
        ("if: 'job.accelerator.count > 0'", False),
        ("if: 'job.usd_per_hour > 0.0'", True),
        ("if: 'job.exit_code == 1'", False),
        ("if: 'attempt.cause == \"quota\"'", False),
    ],
)
def test_what_a_policy_asks_of_a_failure(when: str, matches: bool) -> None:
    made = _plan(f"when: {{{when}}}, {GROWS}")
    assert made.policy == ("p" if matches else "")
    assert made.explanation[0].startswith("p: matches" if matches else "p: does not match: ")


@pytest.mark.parametrize(
    ("when", "cause", "confidence", "matches"),
    [
        ("{}", Cause.UNKNOWN, 0.0, True),
        ("{min_confidence: 0.1}", Cause.UNKNOWN, 0.0, False),
        ("{cause: unknown}", Cause.UNKNOWN, 0.0, True),
        ("{}", Cause.CPU_SATURATION, 0.5, True),
        ("{cause: cpu_saturation}", Cause.CPU_SATURATION, 0.5, True),
        ("{cause: cpu_saturation}", Cause.CPU_SATURATION, 0.49, False),
    ],
)
def test_how_sure_a_verdict_must_be(
    when: str, cause: Cause, confidence: float, matches: bool
) -> None:
    made = _plan(f"when: {when}, {GROWS}", cause=cause, confidence=confidence)
    assert (made.policy == "p") is matches


def test_the_first_policy_that_matches_decides() -> None:
    found = job(CUSTOM)
    text = (
        "mode: enforce\nrerun_safe: [custom]\n"
        "policies: [{name: a, when: {cause: quota}, do: []},"
        " {name: b, when: {}, do: [{resubmit: {timeout: double}}], alert: [ml]},"
        " {name: c, when: {}, do: []}]"
    )
    verdict = diagnosis(found, Cause.CPU_SATURATION)
    made = plan(case(found), verdict, policies(text), History(), BOOK)
    assert (made.policy, made.step) == ("b", 1)
    assert [line.partition(":")[0] for line in made.explanation[:2]] == ["a", "b"]


# --- what a policy's exit codes allow -----------------------------------------------------------------


@pytest.mark.parametrize(("codes", "runs"), [("[75]", True), ("[75, 1]", True), ("[1]", False)])
def test_an_exit_that_the_policy_calls_retriable_may_run_again(codes: str, runs: bool) -> None:
    error = {
        "code": 3,
        "message": "The replica workerpool0-0 exited with a non-zero status of 75.",
    }
    made = _plan(
        f"retry_exit_codes: {codes}, do: [{{resubmit: {{}}}}]",
        cause=Cause.USER_CODE_ERROR,
        error=error,
    )
    assert (made.action is Action.RESUBMIT) is runs
    assert made.refused_by == (() if runs else (Guard.CAUSE,))


def test_a_pipeline_run_is_planned_by_its_failed_task() -> None:
    made = _plan(general="mode: enforce\nrerun_safe: [pipeline]", body=PIPELINE)
    assert made.action is Action.RESUBMIT
    assert {change.field.rpartition(".")[2] for change in made.changes} == {
        "cpuLimit",
        "memoryLimit",
    }


@pytest.mark.parametrize("step", ["do: []", "do: [{resubmit: {batch_size: halve}}]"])
def test_a_policys_own_mode_is_told_where_nothing_is_done(step: str) -> None:
    assert _plan(f"mode: observe, {step}").mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("at_most", "machine"), [("64GiB", "e2-highmem-8"), ("200GiB", "n1-standard-32")]
)
def test_more_memory_ends_where_the_step_says(at_most: str, machine: str) -> None:
    step = f"{{machine_type: {{more_memory: {{factor: 4, at_most: {at_most}}}}}}}"
    made = _plan(f"do: [{{resubmit: {step}}}]", cause=Cause.MEMORY_PRESSURE)
    assert [change.after for change in made.changes] == [machine]
