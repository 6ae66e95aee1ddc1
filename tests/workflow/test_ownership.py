"""Somebody else's rerun: what is one, and what is ours though nobody wrote it down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.domain import (
    Action,
    Change,
    Guard,
)
from remediator.job import Job
from remediator.ledger import Claim
from remediator.workflow.ownership import find_external_rerun, is_own_unrecorded_attempt
from tests.workflow.decide_cases import planned, twin_job
from tests.workflow.workbench import CALL_SECONDS, NOW, NUMBER, PROJECT, Bench


def test_a_job_of_the_same_workload_made_since_is_somebody_elses_rerun(
    bench: Bench, job: Job
) -> None:
    other = twin_job(bench)
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == str(
        other.name
    )
    (asked,) = bench.vertex.listed
    assert asked == (job.kind, PROJECT, "us-central1", job.end_time, {}, CALL_SECONDS)
    made = planned(bench, job)
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
    twin_job(bench, **changes)
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == ""
    assert planned(bench, job).action is Action.RESUBMIT


@pytest.mark.parametrize("state", ["JOB_STATE_SUCCEEDED", "JOB_STATE_PENDING", "JOB_STATE_QUEUED"])
def test_a_rerun_counts_while_it_may_succeed_or_has(bench: Bench, job: Job, state: str) -> None:
    other = twin_job(bench, state=state)
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == str(
        other.name
    )


def test_a_rerun_made_in_the_second_of_the_failure_counts(bench: Bench, job: Job) -> None:
    other = twin_job(bench, createTime="2026-11-23T19:00:00Z")
    assert find_external_rerun(job, bench.services.vertex, bench.services.records.ledger) == str(
        other.name
    )


def test_nobody_was_faster_than_a_job_that_has_not_ended(bench: Bench, job: Job) -> None:
    running = Job(job.name, {**job.to_json(), "endTime": None, "state": "JOB_STATE_RUNNING"})
    twin_job(bench)
    assert find_external_rerun(running, bench.services.vertex, bench.services.records.ledger) == ""
    assert not bench.vertex.listed


def test_a_job_of_our_own_is_nobody_elses(bench: Bench, job: Job) -> None:
    other = twin_job(bench)
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
    other = twin_job(bench, **{machine: size})
    other = bench.vertex.add(other.changed("labels.remediator-claim", token).to_json())
    assert is_own_unrecorded_attempt(other, bench.services.records.ledger) is ours
    assert (
        bool(find_external_rerun(job, bench.services.vertex, bench.services.records.ledger))
        is not ours
    )


def test_once_the_claim_is_gone_its_label_says_nothing(bench: Bench, job: Job) -> None:
    claim = _claimed(bench, job)
    machine = "jobSpec__workerPoolSpecs[0]__machineSpec__machineType"
    other = twin_job(bench, **{machine: "n1-standard-16"})
    other = bench.vertex.add(other.changed("labels.remediator-claim", "t").to_json())
    assert is_own_unrecorded_attempt(other, bench.services.records.ledger)
    assert bench.ledger.withdraw(job.name.key, claim.token)
    assert not is_own_unrecorded_attempt(other, bench.services.records.ledger)
