"""Plans, claims and answers that the tests of a resubmission share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import (
    Attempt,
    Change,
    JobState,
    OutcomeUnknown,
)
from remediator.job import Job
from remediator.ledger import Chain, Claim, Stage
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.resubmit import resubmit
from tests.workflow.workbench import (
    NOW,
    NUMBER,
    POLICIES,
    Answer,
    Bench,
)

SAID_COUNTS = (
    '400 Accelerator count "1" is not allowed for accelerator "NVIDIA_TESLA_T4" with machine type '
    '"n1-standard-8". Allowed counts: [2, 4]'
)


T4 = POLICIES.replace("machine_type: bigger", "accelerator: {type: NVIDIA_TESLA_T4, count: 1}")


def earlier(job: Job, number: int = 1, **more: Any) -> Attempt:
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


def in_a_chain(bench: Bench, job: Job, *attempts: Attempt) -> IncidentContext:
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


def chain_of(bench: Bench, job: Job) -> Chain:
    chain = bench.ledger.chain(job.name.key)
    assert chain is not None
    return chain


def other_job(body: dict[str, Any]) -> str:
    return str(body["name"]) + "5"


def unanswered(bench: Bench, job: Job) -> IncidentContext:
    """A create went unanswered and never arrived; the context as the next execution reads it."""
    bench.vertex.answers.append(Answer(OutcomeUnknown("504"), arrives=False))
    with pytest.raises(OutcomeUnknown):
        resubmit(bench.context(job), bench.services)
    return bench.context(job, incident=bench.ledger.incident(job.name.key))
