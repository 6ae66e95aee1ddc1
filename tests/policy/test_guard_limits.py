"""Each guard at its bound: the last that passes and the first that does not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Evidence,
    Guard,
    History,
    Needs,
    Plan,
    Source,
    TaskCause,
    Wanted,
)
from remediator.job import Job
from remediator.planning import plan
from remediator.planning.draft import JobDraft
from remediator.planning.guards import Asked, cancel_refusals, refusals, silent_refusals
from remediator.policy.model import Limits
from tests.jobs import BATCH, CUSTOM, PIPELINE, attempt, case, diagnosis, job, policies
from tests.test_pipelines import named

BOOK = Catalog.built_in()
PLACES = {"genomes": {"location": "US"}, "results": {"location": "US"}}
ACCOUNT = ("service_account", "trainer@genomics.iam.gserviceaccount.com")


def _plan(
    limits: str = "",
    step: str = "machine_type: bigger",
    *,
    history: History | None = None,
    body: dict[str, Any] = CUSTOM,
    cause: Cause = Cause.CPU_SATURATION,
    **changes: Any,
) -> Plan:
    found = job(body, **changes)
    text = (
        f"mode: enforce\nrerun_safe: [batch_prediction, custom]\nlimits: {{{limits}}}\n"
        f"policies: [{{name: p, when: {{}}, do: [{{resubmit: {{{step}}}, times: 9}}], alert: [ml]}}]"
    )
    made = diagnosis(found, cause)
    return plan(case(found, buckets=PLACES), made, policies(text), history or History(), BOOK)


def _cost() -> float:
    """What the plan costs, US dollars."""
    usd = _plan().estimated_usd
    assert usd is not None
    return usd


def _made(*kinds: str) -> tuple[Attempt, ...]:
    """Attempts: changed, retried, or abandoned before they ran."""
    return tuple(
        replace(
            attempt("other", changed=kind != "retried", number=number),
            abandoned=kind == "abandoned",
        )
        for number, kind in enumerate(kinds, 1)
    )


# --- counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (("changed",), ()),
        (("changed", "changed"), (Guard.ATTEMPTS,)),
        (("changed", "changed", "changed"), (Guard.ATTEMPTS,)),
        (("changed", "abandoned", "retried"), ()),
        (("changed", "changed", "retried"), (Guard.ATTEMPTS,)),
    ],
)
def test_changed_resubmissions_are_counted_apart(
    made: tuple[str, ...], refused: tuple[Guard, ...]
) -> None:
    history = History(attempts=_made(*made))
    assert _plan("attempts: 2", history=history).refused_by == refused


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (("retried",), ()),
        (("retried", "retried"), (Guard.RETRIES,)),
        (("retried", "abandoned"), (Guard.RETRIES,)),
        (("changed", "changed"), ()),
    ],
)
def test_unchanged_resubmissions_are_counted_apart(
    made: tuple[str, ...], refused: tuple[Guard, ...]
) -> None:
    history = History(attempts=_made(*made))
    assert _plan("retries: 2, attempts: 9", "", history=history).refused_by == refused


@pytest.mark.parametrize(("made", "refused"), [(2, ()), (3, (Guard.RATE,)), (4, (Guard.RATE,))])
def test_the_hours_rate(made: int, refused: tuple[Guard, ...]) -> None:
    history = History(resubmissions_last_hour=made)
    assert _plan("resubmissions_per_hour: 3", history=history).refused_by == refused


_PER = "per: [{by: location, usd_per_day: 500}, {by: service_account, resubmissions_per_hour: 2}]"


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        ({ACCOUNT: 1}, ()),
        ({ACCOUNT: 2}, (Guard.RATE,)),
        ({("service_account", "other"): 9}, ()),
        ({("location", "us-central1"): 9}, ()),
        ({}, ()),
    ],
)
def test_a_groups_rate(made: dict[tuple[str, str], int], refused: tuple[Guard, ...]) -> None:
    assert _plan(_PER, history=History(resubmitted_by=made)).refused_by == refused


# --- money -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "refuses"), [(-0.02, False), (0.0, False), (0.02, True)])
@pytest.mark.parametrize("guard", [Guard.USD_PER_JOB, Guard.USD_PER_DAY])
def test_money_is_compared_to_the_cent(guard: Guard, shift: float, refuses: bool) -> None:
    spent = 10.0 - _cost() + shift
    history = (
        History(usd_this_job=spent) if guard is Guard.USD_PER_JOB else History(usd_today=spent)
    )
    refused = _plan(f"{guard.value}: 10", history=history).refused_by
    assert refused == ((guard,) if refuses else ())


@pytest.mark.parametrize(
    ("ceiling", "guard"),
    [("max_usd_per_job", Guard.USD_PER_JOB), ("max_usd_per_day", Guard.USD_PER_DAY)],
)
def test_the_smaller_of_two_limits_holds(ceiling: str, guard: Guard) -> None:
    cost = _cost()
    for in_file, outside, refuses in (
        (cost + 1, cost - 0.1, True),
        (cost - 0.1, cost + 1, True),
        (cost + 1, cost + 1, False),
    ):
        history = History(**{ceiling: outside})
        refused = _plan(f"{guard.value}: {in_file}", history=history).refused_by
        assert refused == ((guard,) if refuses else ())
        alone = _plan(history=History(**{ceiling: outside})).refused_by
        assert alone == ((guard,) if outside < cost else ())


@pytest.mark.parametrize(("spent", "refuses"), [(9.0, False), (9.99, True), (0.0, False)])
def test_a_groups_money(spent: float, refuses: bool) -> None:
    per = "per: [{by: location, usd_per_day: 500}, {by: service_account, usd_per_day: 10}]"
    refused = _plan(per, history=History(spent_by={ACCOUNT: spent})).refused_by
    assert refused == ((Guard.USD_PER_DAY,) if refuses else ())
    others = History(spent_by={("service_account", "other"): 9.99})
    assert _plan(per, history=others).refused_by == ()


_UNPRICED = {"jobSpec__workerPoolSpecs[0]__machineSpec__machineType": "n9-future-8"}


@pytest.mark.parametrize(
    ("limits", "history", "refuses"),
    [
        ("", History(), False),
        ("usd_per_job: 5", History(), True),
        ("usd_per_day: 5", History(), True),
        ("per: [{by: location, usd_per_day: 5}]", History(), True),
        ("per: [{by: location, resubmissions_per_hour: 5}]", History(), False),
        ("", History(max_usd_per_day=5.0), True),
        ("", History(max_usd_per_job=5.0), True),
    ],
)
def test_an_unknown_price_refuses_where_money_is_limited(
    limits: str, history: History, refuses: bool
) -> None:
    made = _plan(limits, "timeout: double", history=history, **_UNPRICED)
    assert made.estimated_usd is None
    assert (Guard.UNKNOWN_PRICE in made.refused_by) is refuses


# --- what may be chosen ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "guard"),
    [
        ('machine_types: ["n1-*"]', None),
        ('machine_types: ["n1-standard-16"]', None),
        ('machine_types: ["n1-standard-8"]', Guard.MACHINE_TYPES),
        ("machine_types: []", Guard.MACHINE_TYPES),
        ('locations: ["us-*"]', None),
        ('locations: ["europe-*"]', Guard.LOCATIONS),
        ("accelerators: []", None),
    ],
)
def test_the_lists_of_the_file(limits: str, guard: Guard | None) -> None:
    assert _plan(limits).refused_by == ((guard,) if guard else ())


@pytest.mark.parametrize(
    ("limits", "refuses"),
    [("accelerators: [NVIDIA_TESLA_T4]", False), ("accelerators: [NVIDIA_L4]", True)],
)
def test_the_list_of_accelerators(limits: str, refuses: bool) -> None:
    made = _plan(limits, "accelerator: {type: NVIDIA_TESLA_T4, count: 1}", body=BATCH)
    assert (Guard.ACCELERATORS in made.refused_by) is refuses


@pytest.mark.parametrize(("labels", "refuses"), [(60, False), (61, True)])
def test_room_for_our_four_labels_among_sixty_four(labels: int, refuses: bool) -> None:
    many = {f"l{number}": "x" for number in range(labels)}
    assert _plan(labels=many).refused_by == ((Guard.LABELS_FULL,) if refuses else ())
    ours = {**{f"l{number}": "x" for number in range(60)}, "remediator-root": "r"}
    assert _plan(labels=ours).refused_by == ()


@pytest.mark.parametrize(
    ("allowed", "refuses"),
    [
        ((), False),
        (("trainer@*",), False),
        (("other@*", "*@genomics.iam.gserviceaccount.com"), False),
        (("other@*",), True),
    ],
)
def test_whose_jobs_may_run_again(allowed: tuple[str, ...], refuses: bool) -> None:
    refused = _plan(history=History(service_accounts=allowed)).refused_by
    assert refused == ((Guard.SERVICE_ACCOUNT,) if refuses else ())


@pytest.mark.parametrize(
    ("step", "refuses"), [("machine_type: bigger", True), ("timeout: double", False)]
)
def test_a_persistent_resource_is_not_left(step: str, refuses: bool) -> None:
    made = _plan(step=step, jobSpec__persistentResourceId="shared")
    assert (Guard.PINNED in made.refused_by) is refuses


# --- what has happened -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "refuses"),
    [
        (Cause.USER_CODE_ERROR, True),
        (Cause.BAD_INPUT, True),
        (Cause.PERMISSION, True),
        (Cause.INVALID_CONFIG, True),
        (Cause.UNKNOWN, False),
        (Cause.SLOW_CODE, False),
        (Cause.QUOTA, False),
    ],
)
def test_what_would_fail_again_is_never_run_again(cause: Cause, refuses: bool) -> None:
    assert _plan(cause=cause).refused_by == ((Guard.CAUSE,) if refuses else ())


@pytest.mark.parametrize(
    ("part", "refuses"),
    [(Cause.BAD_INPUT, True), (Cause.MEMORY_PRESSURE, False), (Cause.UNKNOWN, False)],
)
def test_a_task_that_would_fail_again_forbids_the_run_whatever_the_verdict_is(
    part: Cause, refuses: bool
) -> None:
    run = job(PIPELINE)
    parts = (TaskCause(0, "load", Cause.MEMORY_PRESSURE), TaskCause(1, "train", part))
    found = replace(diagnosis(run, Cause.MEMORY_PRESSURE), parts=parts)
    text = (
        "mode: enforce\nrerun_safe: [pipeline]\n"
        "policies: [{name: p, do: [{resubmit: {machine_type: more_memory}}]}]"
    )
    made = plan(case(run), found, policies(text), History(), BOOK)
    assert made.refused_by == ((Guard.CAUSE,) if refuses else ())
    assert (made.request is None) == refuses
    assert ("task train: the input cannot be read" in made.because) == refuses


@pytest.mark.parametrize(
    ("history", "guard", "silent"),
    [
        (History(stopped=True), Guard.STOP_SWITCH, False),
        (History(breaker_open="9 of 10 failed"), Guard.BREAKER, False),
        (History(cancelled_by_person=True), Guard.CANCELLED_BY_PERSON, True),
        (History(too_old=True), Guard.LOOKBACK, True),
        (History(rerun_by="projects/1/jobs/2"), Guard.ALREADY_RERUN, False),
        (History(parent="pipeline run 7"), Guard.HAS_PARENT, True),
    ],
)
def test_what_the_ledger_knows_refuses(history: History, guard: Guard, silent: bool) -> None:
    made = _plan(history=history)
    assert guard in made.refused_by
    assert made.request is None or guard is Guard.BREAKER
    assert (made.alerts == ()) is silent


def test_the_silent_ones_are_asked_without_a_draft() -> None:
    found = job(CUSTOM, labels__remediator="off")
    asked = Asked(
        case(found), diagnosis(found, Cause.UNKNOWN), History(stopped=True, too_old=True), (),
        Limits(), BOOK,
    )  # fmt: skip
    silent = [one.guard for one in silent_refusals(asked)]
    assert silent == [Guard.LABEL_OFF, Guard.LOOKBACK]
    every = [one.guard for one in refusals(asked)]
    assert every == [Guard.STOP_SWITCH, Guard.LABEL_OFF, Guard.LOOKBACK]


# --- more than any machine has ------------------------------------------------------------------------

_SAID = Evidence(Source.LOG, "line", "Unable to allocate 7.28 TiB")
_WANTS = Needs(wanted=Wanted(7.28 * 1024**4, device=False, evidence=_SAID))


def _short_of_memory(step: str, body: dict[str, Any] = CUSTOM, **changes: Any) -> Plan:
    found = job(body, **changes)
    text = (
        "mode: enforce\nrerun_safe: [batch_prediction, custom]\n"
        f"policies: [{{name: p, when: {{}}, do: [{{resubmit: {{{step}}}}}], alert: [ml]}}]"
    )
    verdict = diagnosis(found, Cause.MEMORY_PRESSURE, needs=_WANTS)
    return plan(case(found, buckets=PLACES), verdict, policies(text), History(), BOOK)


@pytest.mark.parametrize(
    ("step", "body", "changes"),
    [
        ("batch_size: halve", BATCH, {}),
        ("explanations: false", BATCH, {"generateExplanation": True}),
        ("env: {SHARDS: halve}", CUSTOM, {}),
        (
            "args: {--shards: halve}",
            CUSTOM,
            {"jobSpec__workerPoolSpecs[0]__containerSpec__args": ["--shards", "16"]},
        ),
    ],
)
def test_what_asks_for_less_memory_is_not_held_to_what_was_wanted(
    step: str, body: dict[str, Any], changes: dict[str, Any]
) -> None:
    made = _short_of_memory(step, body, **changes)
    assert (made.refused_by, made.action) == ((), Action.RESUBMIT)


@pytest.mark.parametrize("step", ["machine_type: bigger", "timeout: double", ""])
def test_what_asks_for_as_much_again_is_refused(step: str) -> None:
    made = _short_of_memory(step)
    assert Guard.NO_MACHINE in made.refused_by
    assert "7.28 TiB" in made.because


def test_a_network_does_not_hold_a_job_to_its_machine() -> None:
    assert _plan(jobSpec__network="projects/1/global/networks/n").refused_by == ()


def test_what_the_job_ran_on_already_is_not_called_incompatible() -> None:
    assert _plan(step="timeout: double", **_UNPRICED).refused_by == ()


def test_a_group_that_has_spent_nothing_has_all_its_money() -> None:
    per = f"per: [{{by: service_account, usd_per_day: {_cost() + 0.1}}}]"
    assert _plan(per).refused_by == ()


# --- asked directly ----------------------------------------------------------------------------------


def _asked(document: Job, draft: JobDraft, **more: Any) -> Asked:
    limits = more.pop("limits", Limits())
    found = diagnosis(document, Cause.MEMORY_PRESSURE)
    attempts = more.pop("attempts", ())
    return Asked(case(document), found, History(), attempts, limits, BOOK, draft=draft, **more)


def _guards(asked: Asked) -> set[Guard]:
    return {refusal.guard for refusal in refusals(asked)}


@pytest.mark.parametrize(("replaced", "refused"), [(2, False), (3, True)])
def test_a_chain_replaces_a_running_job_three_times(replaced: int, refused: bool) -> None:
    document = job(CUSTOM)
    attempts = tuple(
        replace(attempt("other", number=n), verdict="stalled") for n in range(1, replaced + 1)
    )
    draft = JobDraft(document.clone(), "us-central1")
    limits = Limits(attempts=9)
    asked = _asked(document, draft, attempts=attempts, limits=limits, replaces_running=True)
    assert (Guard.ATTEMPTS in _guards(asked)) is refused


@pytest.mark.parametrize(("state", "refused"), [("FAILED", True), ("SUCCEEDED", False)])
def test_only_the_machines_of_tasks_that_run_again_are_held_to_the_list(
    state: str, refused: bool
) -> None:
    body = named("custom-constant-0")
    for detail in body["jobDetail"]["taskDetails"]:
        detail["state"] = state
    document = Job.parse(body)
    limits = Limits(machine_types=("e2-*",))
    asked = _asked(document, JobDraft(document.clone(), "us-central1"), limits=limits)
    assert (Guard.MACHINE_TYPES in _guards(asked)) is refused


@pytest.mark.parametrize(
    ("machine", "refused"), [("n1-megamem-96", False), ("c4-standard-8", True)]
)
def test_what_the_job_ran_on_may_move_and_what_vertex_has_not_may_not_be_taken(
    machine: str, refused: bool
) -> None:
    path = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"
    document = job(CUSTOM).changed(path, "n1-megamem-96")  # Vertex lists neither
    asked = _asked(document, JobDraft(document.clone().changed(path, machine), "us-east1"))
    assert (Guard.INCOMPATIBLE in _guards(asked)) is refused


def test_a_pool_that_stays_hides_no_other_that_vertex_has_not() -> None:
    second = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "2"}
    document = job(CUSTOM)
    pools = document.to_json()["jobSpec"]["workerPoolSpecs"]
    document = job(CUSTOM, jobSpec__workerPoolSpecs=[*pools, {**pools[0], **second}])
    draft = document.clone().changed(
        "jobSpec.workerPoolSpecs[1].machineSpec.machineType", "c4-standard-8"
    )
    asked = _asked(document, JobDraft(draft, "us-central1"))
    assert Guard.INCOMPATIBLE in _guards(asked)


@pytest.mark.parametrize("running", [False, True])
def test_whoever_ended_a_job_that_is_replaced_was_no_person(running: bool) -> None:
    document = job(CUSTOM)
    asked = _asked(document, JobDraft(document.clone(), "us-central1"), replaces_running=running)
    asked = replace(asked, history=History(cancelled_by_person=True))
    assert (Guard.CANCELLED_BY_PERSON in _guards(asked)) is not running


@pytest.mark.parametrize(("spent", "refused"), [(100.005, False), (100.006, True)])
def test_half_a_cent_over_is_no_cent(spent: float, refused: bool) -> None:
    document = job(CUSTOM)
    limits = Limits(usd_per_job=100.0)
    asked = _asked(document, JobDraft(document.clone(), "us-central1"), limits=limits)
    asked = replace(asked, history=History(usd_this_job=spent))
    assert (Guard.USD_PER_JOB in _guards(asked)) is refused


@pytest.mark.parametrize(("second", "refused"), [("n1-standard-4", True), ("x9-standard-8", False)])
def test_memory_that_is_not_known_of_each_machine_refuses_nothing(
    second: str, refused: bool
) -> None:
    specs = CUSTOM["jobSpec"]["workerPoolSpecs"]
    other = {**specs[0], "machineSpec": {"machineType": second}}
    document = job(CUSTOM, jobSpec__workerPoolSpecs=[*specs, other])
    verdict = diagnosis(document, Cause.MEMORY_PRESSURE, needs=_WANTS)
    asked = _asked(document, JobDraft(document.clone(), "us-central1"))
    assert (Guard.NO_MACHINE in _guards(replace(asked, diagnosis=verdict))) is refused


@pytest.mark.parametrize(
    ("device", "refused"), [("NVIDIA_TESLA_T4", True), ("NVIDIA_OF_TOMORROW", False)]
)
def test_a_device_whose_memory_is_not_known_refuses_nothing(device: str, refused: bool) -> None:
    specs = CUSTOM["jobSpec"]["workerPoolSpecs"]
    machine = {
        "machineType": "n1-standard-8",
        "acceleratorType": device,
        "acceleratorCount": 1,
    }
    document = job(CUSTOM, jobSpec__workerPoolSpecs=[{**specs[0], "machineSpec": machine}])
    wants = Needs(wanted=Wanted(7.28 * 1024**4, device=True, evidence=_SAID))
    verdict = diagnosis(document, Cause.GPU_MEMORY, needs=wants)
    asked = _asked(document, JobDraft(document.clone(), "us-central1"))
    assert (Guard.NO_MACHINE in _guards(replace(asked, diagnosis=verdict))) is refused


@pytest.mark.parametrize(
    ("labels", "stopped", "refused"),
    [
        ({}, True, {Guard.STOP_SWITCH}),
        ({"remediator": "off"}, False, {Guard.LABEL_OFF}),
        ({"vertex-ai-pipelines-run-billing-id": "42"}, False, {Guard.HAS_PARENT}),
        ({"remediator": "on"}, False, set()),
    ],
    ids=["stopped", "switched-off", "of-a-run", "none"],
)
def test_a_running_job_is_cancelled_whatever_it_costs_but_not_against_a_switch(
    labels: dict[str, str], stopped: bool, refused: set[Guard]
) -> None:
    document = job(CUSTOM, labels=labels)
    limits = Limits(usd_per_job=0.01)
    asked = _asked(document, JobDraft(document.clone(), "us-central1"), limits=limits)
    asked = replace(asked, history=History(stopped=stopped, usd_this_job=9.0))
    assert {one.guard for one in cancel_refusals(asked)} == refused
    assert Guard.USD_PER_JOB in _guards(asked)


def test_a_cause_that_is_never_retried_says_no_price_where_none_is_known() -> None:
    document = job(CUSTOM)
    asked = replace(
        _asked(document, JobDraft(document.clone(), "us-central1")),
        diagnosis=diagnosis(document, Cause.BAD_INPUT),
    )
    (why,) = (one.why for one in refusals(asked) if one.guard is Guard.CAUSE)
    assert "$" not in why
