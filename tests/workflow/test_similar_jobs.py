"""What other runs of the same work tried in vain, and what a success since makes of it."""

from __future__ import annotations

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
    JobState,
    TransientError,
)
from remediator.job import Job
from remediator.job.likeness import vain_track
from remediator.planning.vain import attempts_in_vain
from remediator.workflow.incident_context import RETRY_WINDOW
from tests.workflow.decide_cases import planned, twin_job
from tests.workflow.workbench import NOW, Bench


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
    made = planned(bench, job)
    assert made.action is Action.RESUBMIT
    assert [(one.field, one.after) for one in made.changes] == [(_MACHINE, "n1-standard-32")]
    assert "n1-standard-16 was tried in vain for align" in made.because
    asked = [one[3] for one in bench.vertex.listed]
    assert asked == [NOW - timedelta(days=8), job.end_time]  # it may have run for a week


def test_nobody_is_asked_for_successes_where_nothing_was_tried_in_vain(
    bench: Bench, job: Job
) -> None:
    assert planned(bench, job).changes[0].after == "n1-standard-16"
    assert [one[3] for one in bench.vertex.listed] == [job.end_time]
    bench.vertex.listed.clear()
    _remember(bench, job, ended=timedelta(days=14))
    assert planned(bench, job).changes[0].after == "n1-standard-16"
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
    twin_job(bench, **{**success, "endTime": "2026-11-23T04:00:00Z", **changes})
    made = planned(bench, job)
    assert made.changes[0].after == ("n1-standard-32" if goes_on else "n1-standard-16")


def test_whether_one_succeeded_since_is_waited_for_a_day_and_then_left_to_a_person(
    bench: Bench, job: Job
) -> None:
    _remember(bench, job)
    bench.vertex.list_error = TransientError("503")
    with pytest.raises(TransientError):
        planned(bench, job)
    known = replace(bench.incident(job, key="late"), first_known=bench.time - RETRY_WINDOW)
    made = planned(bench, job, incident=known)
    assert made.action is Action.ALERT
    assert "whether such a job succeeded since the same was tried in vain: 503" in made.because
