"""The exact job that would be created: labels, name, our environment; and what may differ at all.

Owns the dress of a request around the changes of a step, and the test that nothing else differs.
Must not decide. Called by the planner, by whoever claims a step (`with_claim`) and by whoever checks
a request before it is sent (`illegal_differences`).
"""

from __future__ import annotations

import copy
import re
from typing import Any

from remediator.catalog.catalog import Catalog
from remediator.domain import CLAIM_MARK, Json, label_value
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job
from remediator.job.batch import marked_request

_LONGEST_NAME = 128  # Vertex's own limit for display names
_LOOKED_AT = 1000  # characters of a display name, whoever wrote it
_ATTEMPT = late_pattern(r"\s*\(attempt \d+\)\s*$")


def dressed(
    job: Job,
    *,
    original: Job,
    root: str,
    number: int,
    policy: str,
    catalog: Catalog,
) -> dict[str, Any]:
    """The changed clone of `original` as the body of a create call, without the claim."""
    named = job.with_display_name(display_name(job, number))
    labels = {
        **named.labels,
        "remediator-root": label_value(root),
        "remediator-attempt": str(number),
        "remediator-policy": label_value(policy),
    }
    labelled = named.with_labels(labels)
    job = _with_environment(_with_remaining_trials(labelled, original), number, catalog)
    return job.request()


def display_name(job: Job, number: int) -> str:
    """The original's name with ` (attempt N)`, replaced not repeated, cut to 128."""
    suffix = f" (attempt {number})"
    bare = job.display_name[:_LOOKED_AT]
    while found := _ATTEMPT.search(bare):
        bare = bare[: found.start()]
    return (bare or job.name.id)[: _LONGEST_NAME - len(suffix)].rstrip() + suffix


def with_claim(request: Json, claim: str) -> dict[str, Any]:
    """The request with the claim's label, as it is sent; in names of our own files, its token."""
    body = copy.deepcopy(dict(marked_request(request, CLAIM_MARK, claim)))
    body["labels"] = {**(body.get("labels") or {}), "remediator-claim": label_value(claim)}
    return body


def _with_remaining_trials(job: Job, original: Job) -> Job:
    """A tuning job is asked for the trials that are left, as far as Vertex takes that number."""
    most, done = job.trials, original.succeeded_trials
    if most is None or not done:
        return job
    return job.with_trials(min(most, max(1, job.parallel_trials, most - done)))


def _with_environment(job: Job, number: int, catalog: Catalog) -> Job:
    """Tells the containers their attempt, machine and memory; no other variable is touched."""
    pools = {pool.name: pool for pool in job.pools}
    for path in job.environments:
        match = re.search(r"[sS]pecs\[(\d+)\]", path)
        pool = pools.get(f"workerpool{match[1]}") if match else None
        ours = {"REMEDIATOR_ATTEMPT": str(number)}
        if pool is not None:
            ours["REMEDIATOR_MACHINE_TYPE"] = pool.hardware.machine
            machine = catalog.machine(pool.hardware.machine)
            if machine is not None and machine.memory_gib:
                ours["REMEDIATOR_MEMORY_GIB"] = f"{machine.memory_gib:g}"
        job = job.with_our_variables(path, ours)
    return job
