"""What was tried in vain for the same work is not tried again, and nothing else is held back by it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator.domain import (
    PASSING,
    Action,
    Attempt,
    Cause,
    Change,
    Guard,
    History,
    JobState,
    Part,
    Plan,
    VainAttempt,
)
from remediator.job import Job
from remediator.job.likeness import vain_track
from remediator.planning import draft, plan, vain
from tests.jobs import BATCH, CUSTOM, case, diagnosis, job, policies
from tests.planning.planner_cases import BOOK, EVERYWHERE, ladder, steps, written
from tests.planning.test_planner_properties import CALM, failed_jobs

MACHINE = "jobSpec.workerPoolSpecs[0].machineSpec.machineType"
OF_SIZE = (
    Cause.CPU_SATURATION,
    Cause.MEMORY_PRESSURE,
    Cause.GPU_MEMORY,
    Cause.REQUEST_TOO_LARGE,
    Cause.SLOW_STARTUP,
)
BIGGER = ladder("resubmit: {machine_type: bigger}")


def planned(document: Job, text: str, cause: Cause, *known: VainAttempt, **more: Any) -> Plan:
    attempts: tuple[Attempt, ...] = more.pop("attempts", ())
    history = History(attempts=attempts, root="projects/1/locations/l/customJobs/1", vain=known)
    found = replace(case(document, buckets=EVERYWHERE), attempts=attempts, **more)
    return plan(found, diagnosis(document, cause), policies(text), history, BOOK, waited=True)


def night(document: Job, text: str, cause: Cause, *known: VainAttempt) -> list[tuple[Attempt, Job]]:
    """The attempts of one night in which none helps, each with the job that failed again."""
    made: list[tuple[Attempt, Job]] = []
    failed = document
    for number in range(1, 9):
        attempts = tuple(one for one, _ in made)
        step = planned(failed, text, cause, *known, attempts=attempts)
        if step.request is None or step.action is not Action.RESUBMIT:
            return made
        name = str(document.name).replace(document.name.id, f"{90 + number}")
        name = name.replace(document.name.location, step.location)
        failed = Job.parse({**document.to_json(), **step.request, "name": name})
        made.append(
            (
                Attempt(
                    name=name,
                    state=JobState.FAILED,
                    create_time=failed.create_time,
                    end_time=failed.end_time,
                    policy=step.policy,
                    step=step.step,
                    verdict=step.verdict.value,
                    changes=step.changes,
                    number=number,
                    entry=step.entry,
                    resume=step.resume,
                ),
                failed,
            )
        )
    return made


def remembered(
    made: list[tuple[Attempt, Job]], ended_by: Cause, root: str = "last-night", **more: Any
) -> tuple[VainAttempt, ...]:
    attempts = tuple(one for one, _ in made)
    found = replace(case(made[-1][1], buckets=EVERYWHERE), attempts=attempts, **more)
    return vain.attempts_in_vain(found, attempts, ended_by, root=root, usd=3.5)


def in_vain(
    document: Job, text: str = BIGGER, cause: Cause = Cause.CPU_SATURATION
) -> tuple[VainAttempt, ...]:
    return remembered(night(document, text, cause), cause)


# --- properties -------------------------------------------------------------------------------------

ladders = st.lists(steps, min_size=1, max_size=3).map(
    lambda found: ladder(*(f"resubmit: {written(one)}" for one in found))
)


def asks(body: dict[str, Any], place: str) -> str:
    """What is asked for, but for what differs in each attempt anyway."""
    left = {k: v for k, v in body.items() if k not in {"labels", "displayName", "name"}}
    return f"{place} {json.dumps(Job(job(CUSTOM).name, left).without_our_variables().to_json(), sort_keys=True)}"


@CALM
@given(failed_jobs(), ladders, st.sampled_from(OF_SIZE))
def test_the_next_night_repeats_no_step_that_was_tried_in_vain(
    document: Job, text: str, cause: Cause
) -> None:
    first = night(document, text, cause)
    assume(first)
    known = remembered(first, cause)
    tried = {
        asks(planned_request(one), one.name.location)
        for attempt, one in first
        if attempt.changes and any(k.number == attempt.number for k in known)
    }
    for attempt, one in night(document, text, cause, *known):
        if attempt.changes:
            assert asks(planned_request(one), one.name.location) not in tried


def planned_request(one: Job) -> dict[str, Any]:
    return dict(one.clone().without_our_variables().to_json())


@CALM
@given(failed_jobs(), ladders, st.sampled_from(OF_SIZE))
def test_nights_in_which_nothing_helps_come_to_an_end(
    document: Job, text: str, cause: Cause
) -> None:
    known: tuple[VainAttempt, ...] = ()
    for count in range(12):
        made = night(document, text, cause, *known)
        if not any(one.changes and not one.resume.parts for one, _ in made):
            return
        known = (*known, *remembered(made, cause, f"night-{count}"))
    raise AssertionError([one.size for one in known])


@CALM
@given(failed_jobs(), ladders, st.sampled_from(OF_SIZE), st.sampled_from([*Cause]))
def test_nothing_is_held_back_by_what_was_for_another_cause(
    document: Job, text: str, cause: Cause, other: Cause
) -> None:
    assume(cause is not other)
    known = (
        tuple(replace(one, verdict=other.value) for one in in_vain(document, text, cause))
        if (night(document, text, cause))
        else ()
    )
    assert planned(document, text, cause, *known) == planned(document, text, cause)


@CALM
@given(failed_jobs(), ladders, st.sampled_from(sorted(PASSING)))
def test_what_goes_by_itself_is_waited_for_every_night(
    document: Job, text: str, cause: Cause
) -> None:
    first = night(document, text, cause)
    assume(first)
    assert remembered(first, cause) == ()
    known = tuple(
        VainAttempt(
            root="r",
            display_name="d",
            number=one.number,
            at=failed.end_time or datetime.now().astimezone(),
            verdict=cause.value,
            ended_by=cause.value,
            size=vain._size(failed, failed.name.location),
            changes=one.changes,
        )
        for one, failed in first
    )
    assert planned(document, text, cause, *known) == planned(document, text, cause)


# --- what is in vain ----------------------------------------------------------------------------------


def test_a_step_that_was_tried_in_vain_is_refused_with_what_it_cost_and_what_would_change_it() -> (
    None
):
    known = in_vain(job(CUSTOM))
    made = planned(job(CUSTOM), BIGGER, Cause.CPU_SATURATION, *known)
    assert (made.action, made.refused_by, made.request) == (
        Action.ALERT,
        (Guard.TRIED_IN_VAIN,),
        None,
    )
    assert made.why_refused(Guard.TRIED_IN_VAIN) == (
        "n1-standard-16 did not help align, the same work, which was given up after 2026-11-23 19:00 "
        "UTC; its attempt cost $3.50. It is tried again once its image, arguments or input change, or "
        "the label remediator=on is put on it, else after 2026-12-07 19:00 UTC"
    )
    assert (
        "step 1 is passed over: n1-standard-16 was tried in vain for align, which ended 2026-11-23 "
        "19:00 UTC" in made.explanation
    )


CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, True),
    "smaller-machine": ({MACHINE: "n1-standard-4"}, True),
    "larger-machine": ({MACHINE: "n1-standard-16"}, False),
    "another-family": ({MACHINE: "c2-standard-8"}, False),
    "more-time": ({"jobSpec.scheduling.timeout": "7200s"}, False),
    "less-time": ({"jobSpec.scheduling.timeout": "1800s"}, True),
    "more-replicas": ({"jobSpec.workerPoolSpecs[0].replicaCount": "2"}, False),
    "larger-disk": ({"jobSpec.workerPoolSpecs[0].diskSpec.bootDiskSizeGb": 500}, False),
    "vouched-for": ({"labels": {"remediator": "on"}}, False),
    "another-label": ({"labels": {"team": "x"}}, True),
}


@pytest.mark.parametrize(("changes", "held_back"), CHANGES.values(), ids=CHANGES.keys())
def test_what_a_person_changed_is_tried(changes: dict[str, Any], held_back: bool) -> None:
    known = in_vain(job(CUSTOM))
    document = job(CUSTOM)
    for path, value in changes.items():
        document = document.changed(path, value)
    made = planned(document, BIGGER, Cause.CPU_SATURATION, *known)
    assert (Guard.TRIED_IN_VAIN in made.refused_by) is held_back


@pytest.mark.parametrize(
    ("before", "now", "held_back"),
    [(100, 100, True), (100, 120, True), (100, 126, False), (100, 79, False), (None, 79, True)],
)
def test_another_number_of_rows_is_another_input(
    before: int | None, now: int, held_back: bool
) -> None:
    text = ladder("resubmit: {machine_type: bigger}")
    known = in_vain(job(BATCH), text)
    known = tuple(replace(one, rows=before) for one in known)
    counts = {"successfulCount": "0", "failedCount": "0", "incompleteCount": str(now)}
    document = job(BATCH).changed("completionStats", counts)
    made = planned(document, text, Cause.CPU_SATURATION, *known)
    assert (Guard.TRIED_IN_VAIN in made.refused_by) is held_back


def test_after_two_weeks_it_is_tried_again() -> None:
    known = in_vain(job(CUSTOM))
    for days, held_back in ((13.9, True), (14, False)):
        at = job(CUSTOM).end_time
        assert at is not None
        made = planned(
            job(CUSTOM), BIGGER, Cause.CPU_SATURATION, *known, now=at + timedelta(days=days)
        )
        assert (Guard.TRIED_IN_VAIN in made.refused_by) is held_back


@pytest.mark.parametrize(
    ("ended_by", "chains", "held_back"),
    [
        (Cause.CPU_SATURATION, 1, True),
        (Cause.SLOW_CODE, 1, True),
        (Cause.MEMORY_PRESSURE, 1, True),
        (Cause.UNKNOWN, 1, False),
        (Cause.UNKNOWN, 2, True),
        (Cause.USER_CODE_ERROR, 2, False),
        (Cause.BAD_INPUT, 2, False),
        (Cause.PREEMPTION, 2, False),
        (Cause.QUOTA, 2, False),
    ],
)
def test_how_an_attempt_ended_says_whether_it_was_in_vain(
    ended_by: Cause, chains: int, held_back: bool
) -> None:
    made = night(job(CUSTOM), BIGGER, Cause.CPU_SATURATION)
    known = [one for n in range(chains) for one in remembered(made, ended_by, f"night-{n}")]
    again = planned(job(CUSTOM), BIGGER, Cause.CPU_SATURATION, *known)
    assert (Guard.TRIED_IN_VAIN in again.refused_by) is held_back


def test_an_attempt_that_a_person_ended_was_not_in_vain() -> None:
    ((made, failed),) = night(job(CUSTOM), BIGGER, Cause.CPU_SATURATION)
    cancelled = Job.parse({**failed.to_json(), "state": "JOB_STATE_CANCELLED", "error": None})
    cancelled = cancelled.changed("startTime", "2026-11-23T18:50:00Z")
    assert remembered([(made, cancelled)], Cause.CPU_SATURATION) == ()


def test_a_later_step_goes_on_from_where_those_in_vain_led() -> None:
    """The first night got no further than its first step; what it raised is kept, as in a chain."""
    text = ladder("{resubmit: {machine_type: bigger}, times: 2}", "resubmit: {timeout: double}")
    made = night(job(CUSTOM), text, Cause.CPU_SATURATION)
    assert len(made) == 3
    known = remembered(made[:2], Cause.CPU_SATURATION)
    (again, failed), *_ = night(job(CUSTOM), text, Cause.CPU_SATURATION, *known)
    assert again.step == 2
    assert {change.field: change.after for change in again.changes} == {
        MACHINE: "n1-standard-32",
        "jobSpec.scheduling.timeout": "7200s",
    }
    assert [change.before for change in again.changes] == ["n1-standard-8", "3600s"]
    assert failed.pools[0].hardware.machine == "n1-standard-32"


def test_a_way_of_a_fallback_that_was_tried_in_vain_gives_way_to_the_next() -> None:
    step = (
        "resubmit: {fallback: [{machine_type: n1-standard-16}, {machine_type: n1-highmem-16}, "
        "{machine_type: c2-standard-16}]}"
    )
    known = in_vain(job(CUSTOM), ladder(step))[:1]
    (again, _), *_ = night(job(CUSTOM), ladder(step), Cause.CPU_SATURATION, *known)
    assert again.entry == 2


def test_a_smaller_batch_in_vain_is_not_tried_again_and_a_smaller_still_is() -> None:
    text = ladder("{resubmit: {batch_size: halve}, times: 2}")
    document = job(BATCH)
    made = night(document, text, Cause.MEMORY_PRESSURE)
    known = remembered(made[:1], Cause.MEMORY_PRESSURE)
    (again, failed), *_ = night(document, text, Cause.MEMORY_PRESSURE, *known)
    assert failed.batch_size == 16
    assert again.changes[0].after == 16


def test_a_variable_that_was_halved_in_vain_is_halved_further() -> None:
    text = ladder("{resubmit: {env: {SHARDS: halve}}, times: 2}")
    made = night(job(CUSTOM), text, Cause.MEMORY_PRESSURE)
    known = remembered(made[:1], Cause.MEMORY_PRESSURE)
    assert known[0].changes[0].after == "8"
    (again, _), *_ = night(job(CUSTOM), text, Cause.MEMORY_PRESSURE, *known)
    assert again.changes[0].after == "4"
    assert (
        night(job(CUSTOM), text, Cause.MEMORY_PRESSURE, *remembered(made, Cause.MEMORY_PRESSURE))
        == []
    )


def test_a_plain_retry_is_never_held_back() -> None:
    text = ladder("{resubmit: {}, times: 2}")
    made = night(job(CUSTOM), text, Cause.SLOW_STARTUP)
    assert remembered(made, Cause.SLOW_STARTUP) == ()


# --- which work is the same ---------------------------------------------------------------------------


def nightly(**changes: Any) -> Job:
    document = job(CUSTOM).changed("displayName", "align-2026-11-23")
    pool = "jobSpec.workerPoolSpecs[0].containerSpec"
    args = ["--day=2026-11-23", "--since", "20261122T0300Z", "--rows=20000000"]
    document = document.changed(f"{pool}.args", args)
    for path, value in changes.items():
        document = document.changed(path.replace("POOL", pool), value)
    return document


SAME: dict[str, tuple[dict[str, Any], bool]] = {
    "another-day": (
        {
            "displayName": "align-2026-11-24",
            "POOL.args": ["--day=2026-11-24", "--since", "20261123T0300Z", "--rows=20000000"],
            "jobSpec.baseOutputDirectory.outputUriPrefix": "gs://results/run-8",
        },
        True,
    ),
    "another-machine": ({MACHINE: "n1-highmem-96"}, True),
    "another-argument": (
        {"POOL.args": ["--day=2026-11-23", "--since", "20261122T0300Z", "--rows=30000000"]},
        False,
    ),
    "another-tag": ({"POOL.imageUri": "us-docker.pkg.dev/p/genomics/align:4"}, False),
    "a-date-as-tag": ({"POOL.imageUri": "us-docker.pkg.dev/p/genomics/align:2026-11-24"}, False),
    "another-variable": ({"POOL.env": [{"name": "SHARDS", "value": "8"}]}, False),
    "arguments-in-another-order": (
        {"POOL.args": ["--since", "20261122T0300Z", "--day=2026-11-23", "--rows=20000000"]},
        False,
    ),
    "another-account": ({"jobSpec.serviceAccount": "x@y.iam.gserviceaccount.com"}, False),
    "another-name": ({"displayName": "sort-2026-11-23"}, False),
}


@pytest.mark.parametrize(("changes", "is_same"), SAME.values(), ids=SAME.keys())
def test_the_same_work_on_another_day(changes: dict[str, Any], is_same: bool) -> None:
    assert (vain_track(nightly()) == vain_track(nightly(**changes))) is is_same


POOL = "jobSpec.workerPoolSpecs[0].containerSpec"
IMAGE = "us-docker.pkg.dev/p/genomics/align"
DIGEST = "@sha256:" + "a" * 64
ALIKE: dict[str, tuple[str, Any, Any, bool]] = {
    "variables-in-another-order": ("env", [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}], True),
    "another-value": ("env", [{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}], False),
    "flags-in-another-order": ("args", ["--a=1", "--b=2"], ["--b=2", "--a=1"], True),
    "a-flag-twice": ("args", ["--a=1", "--a=2"], ["--a=2", "--a=1"], False),
    "words-in-another-order": ("args", ["in.csv", "out.csv"], ["out.csv", "in.csv"], False),
    "seconds-since-1970": ("args", ["--since=1764547200"], ["--since=1764633600"], True),
    "milliseconds": ("args", ["--since=1764547200000"], ["--since=1764633600000"], True),
    "a-large-count": ("args", ["--rows=1000000000"], ["--rows=1100000000"], False),
    "a-week": ("args", ["--week=2026-W48"], ["--week=2026-W49"], True),
    "a-month": ("args", ["gs://in/2026/11/"], ["gs://in/2026/12/"], True),
    "the-day-first": ("args", ["--day=23.11.2026"], ["--day=24.11.2026"], True),
    "a-version": ("args", ["--tool=2026.11"], ["--tool=2026.12"], False),
    "a-commit": ("args", ["--commit=8f3ab29c"], ["--commit=77aabb01"], False),
    "no-tag-is-the-latest": ("imageUri", IMAGE, f"{IMAGE}:latest", True),
    "a-tag-beside-a-digest": ("imageUri", f"{IMAGE}{DIGEST}", f"{IMAGE}:3{DIGEST}", True),
    "a-tag-or-a-digest": ("imageUri", f"{IMAGE}:3", f"{IMAGE}{DIGEST}", False),
    "another-digest": ("imageUri", f"{IMAGE}{DIGEST}", f"{IMAGE}@sha256:" + "b" * 64, False),
}  # fmt: skip


@pytest.mark.parametrize(("field", "one", "other", "is_same"), ALIKE.values(), ids=ALIKE.keys())
def test_what_says_nothing_of_the_work(field: str, one: Any, other: Any, is_same: bool) -> None:
    first, second = (job(CUSTOM).changed(f"{POOL}.{field}", value) for value in (one, other))
    assert (vain_track(first) == vain_track(second)) is is_same


@pytest.mark.parametrize(("ahead", "held_back"), [(timedelta(minutes=20), True), (timedelta(days=2), False)])  # fmt: skip
def test_what_ended_in_the_future_by_more_than_clocks_differ_holds_nothing_back(
    ahead: timedelta, held_back: bool
) -> None:
    known = [replace(one, at=case(job(CUSTOM)).now + ahead) for one in in_vain(job(CUSTOM))]
    made = planned(job(CUSTOM), BIGGER, Cause.CPU_SATURATION, *known)
    assert (Guard.TRIED_IN_VAIN in made.refused_by) is held_back


def test_a_resumes_rows_are_not_those_of_the_attempts_before_it() -> None:
    """The last job had the 20 rows that were left of 100."""
    (first, failed), *_ = night(job(BATCH), BIGGER, Cause.CPU_SATURATION)
    resume = replace(first.resume, parts=(Part(str(failed.name), 1, 80, "gs://b/1"),))
    second = replace(first, number=2, changes=(), resume=resume, name=str(failed.name))
    left = failed.changed(
        "completionStats", {"successfulCount": "0", "failedCount": "0", "incompleteCount": "20"}
    )
    (kept,) = remembered([(first, failed), (second, left)], Cause.CPU_SATURATION)
    assert (kept.number, kept.rows) == (1, None)
    again = planned(job(BATCH), BIGGER, Cause.CPU_SATURATION, kept)
    assert Guard.TRIED_IN_VAIN in again.refused_by


def test_what_attempts_changed_makes_no_other_work() -> None:
    text = ladder("resubmit: {env: {SHARDS: halve}, machine_type: bigger, location: us-east1}")
    ((made, failed),) = night(job(CUSTOM), text, Cause.MEMORY_PRESSURE)
    assert vain_track(draft.origin(failed, (made,))) == vain_track(job(CUSTOM))


def test_what_is_kept_reads_back_as_it_was() -> None:
    (one,) = in_vain(job(CUSTOM))
    assert VainAttempt.parse(json.loads(json.dumps(one.to_json()))) == one
    assert VainAttempt.parse({}) is None
    assert one.changes == (Change(MACHINE, "n1-standard-8", "n1-standard-16"),)
