"""What the tests of the decision share: a second job of the same workload, and the plan for a failure."""

from __future__ import annotations

import copy
from typing import Any

from remediator.case import Case
from remediator.domain import (
    Cause,
    Plan,
)
from remediator.job import Job
from remediator.ledger import Chain, Incident
from remediator.workflow.decide import plan_incident
from remediator.workflow.services import Services
from tests.jobs import CUSTOM, diagnosis
from tests.workflow.workbench import NUMBER, Bench


def twin_job(bench: Bench, number: int = 5, **changes: Any) -> Job:
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


def planned(
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
