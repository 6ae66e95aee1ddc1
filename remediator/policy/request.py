"""The exact job that would be created: labels, name, our environment; and what may differ at all.

Owns the dress of a request around the changes of a step, and the test that nothing else differs.
Must not decide. Called by the planner, by whoever claims a step (`with_claim`) and by whoever checks
a request before it is sent (`illegal_differences`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediator.catalog.catalog import Catalogue
from remediator.domain import Change, JobDocument, JobKind, Json, label_value
from remediator.job import fields

_LONGEST_NAME = 128  # Vertex's own limit for display names
_LOOKED_AT = 1000  # characters of a display name, whoever wrote it
_ATTEMPT = re.compile(r"\s*\(attempt \d+\)\s*$")


def dressed(
    job: JobDocument,
    *,
    original: JobDocument,
    root: str,
    number: int,
    policy: str,
    catalogue: Catalogue,
) -> dict[str, Any]:
    """The changed clone of `original` as the body of a create call, without the claim."""
    named = job.changed("displayName", display_name(job, number))
    labels = {
        **named.labels,
        "remediator-root": label_value(root),
        "remediator-attempt": str(number),
        "remediator-policy": label_value(policy),
    }
    labelled = named.changed("labels", labels)
    told = _with_environment(_with_remaining_trials(labelled, original), number, catalogue)
    return dict(told.body)


def display_name(job: JobDocument, number: int) -> str:
    """The original's name with ` (attempt N)`, replaced not repeated, cut to 128."""
    suffix = f" (attempt {number})"
    bare = job.display_name[:_LOOKED_AT]
    while found := _ATTEMPT.search(bare):
        bare = bare[: found.start()]
    return (bare or job.name.id)[: _LONGEST_NAME - len(suffix)].rstrip() + suffix


def with_claim(request: Json, claim: str) -> dict[str, Any]:
    """The request with the claim's label, as it is sent."""
    body = copy.deepcopy(dict(request))
    body["labels"] = {**(body.get("labels") or {}), "remediator-claim": label_value(claim)}
    return body


def _with_remaining_trials(job: JobDocument, original: JobDocument) -> JobDocument:
    """A tuning job is asked for the trials that are left, as far as Vertex takes that number."""
    if job.kind is not JobKind.HYPERPARAMETER_TUNING:
        return job
    most = fields.whole_number(job.read("maxTrialCount"))
    done = fields.succeeded_trials(original)
    if most is None or not done:
        return job
    together = fields.whole_number(job.read("parallelTrialCount")) or 1
    return job.changed("maxTrialCount", min(most, max(1, together, most - done)))


def _with_environment(job: JobDocument, number: int, catalogue: Catalogue) -> JobDocument:
    """Tells the containers their attempt, machine and memory; no other variable is touched."""
    pools = {pool.name: pool for pool in fields.pools(job)}
    for path in fields.environments(job):
        match = re.search(r"[sS]pecs\[(\d+)\]", path)
        pool = pools.get(f"workerpool{match[1]}") if match else None
        ours = {"REMEDIATOR_ATTEMPT": str(number)}
        if pool is not None:
            ours["REMEDIATOR_MACHINE_TYPE"] = pool.hardware.machine
            machine = catalogue.machine(pool.hardware.machine)
            if machine is not None and machine.memory_gib:
                ours["REMEDIATOR_MEMORY_GIB"] = f"{machine.memory_gib:g}"
        kept = [v for v in job.read(path) or () if not fields.is_our_variable(v)]
        job = job.changed(path, [*kept, *({"name": k, "value": v} for k, v in ours.items())])
    return job


# --- what may differ --------------------------------------------------------------------------------

_MACHINE = r"machine_?[sS]pec\.(machine_?[tT]ype|accelerator_?[tT]ype|accelerator_?[cC]ount)"
_ANY_JOB = (
    rf"labels\.({'|'.join(fields.OUR_LABELS)}|{re.escape(fields.GOOGLES_LABELS)}.+)",
    r"displayName",
)
_POOLED = (
    rf"\.worker_?[pP]ool_?[sS]pecs\[\d+\]\.{_MACHINE}",
    r"\.worker_?[pP]ool_?[sS]pecs\[\d+\]\.replica_?[cC]ount",
    r"\.worker_?[pP]ool_?[sS]pecs\[\d+\]\.(container_?[sS]pec|python_?[pP]ackage_?[sS]pec)\.env\{REMEDIATOR_.*",
    r"\.scheduling\.(timeout|strategy|max_?[wW]ait_?[dD]uration)",
    r"\.worker_?[pP]ool_?[sS]pecs\[\d+\]\.disk_?[sS]pec\.boot_?[dD]isk_?[sS]ize_?[gG]b",
    r"\.base_?[oO]utput_?[dD]irectory\.output_?[uU]ri_?[pP]refix",
)
_LEGAL: Mapping[JobKind, re.Pattern[str]] = {
    JobKind.BATCH_PREDICTION: re.compile(
        "|".join(
            (
                *_ANY_JOB,
                rf"dedicatedResources\.{_MACHINE}",
                r"dedicatedResources\.(starting|max)ReplicaCount",
                r"manualBatchTuningParameters\.batchSize",
                r"generateExplanation",
            )
        )
    ),
    **{
        kind: re.compile(
            "|".join(
                (
                    *_ANY_JOB,
                    *(re.escape(fields.KINDS[kind].spec) + path for path in _POOLED),
                    *((r"maxTrialCount",) if kind is JobKind.HYPERPARAMETER_TUNING else ()),
                )
            )
        )
        for kind in (JobKind.CUSTOM, JobKind.HYPERPARAMETER_TUNING, JobKind.TRAINING_PIPELINE)
    },
    JobKind.PIPELINE: re.compile(
        "|".join(
            (
                *_ANY_JOB,
                rf"pipelineSpec\.deployment.*\.{_MACHINE}",
                (
                    r"pipelineSpec\.deployment.*\.container\.resources\."
                    r"(cpuLimit|memoryLimit|resourceCpuLimit|resourceMemoryLimit"
                    r"|accelerator\.(type|count|resourceType|resourceCount))"
                ),
                r"pipelineSpec\.deployment.*\.replica_?[cC]ount",
                r"pipelineSpec\.root\.dag\.tasks\..*\.cachingOptions\.enableCache",
                r"runtimeConfig\.gcsOutputDirectory",
            )
        )
    ),
}


def differences(original: JobDocument, request: Json) -> tuple[str, ...]:
    """Paths at which the request differs from the original's own, output-only fields aside."""
    asked = {k: v for k, v in original.body.items() if k not in fields.rules(original).output_only}
    before, after = dict(_leaves(asked)), dict(_leaves(request))
    different = {path for path in before | after if before.get(path) != after.get(path)}
    return tuple(sorted(different))


def illegal_differences(
    original: JobDocument, request: Json, changes: Sequence[Change] = ()
) -> tuple[str, ...]:
    """Paths at which the request differs though no remedy may change them.

    Never image, command, arguments, input, service account, network or key, in the environment only
    our own variables, of the labels only ours and Google's. Of variables and arguments those may
    differ besides that the step named, which the plan's `changes` tell. Empty: the request may be
    sent.
    """
    legal = _LEGAL[original.kind]
    pinned = fields.pinned_model(original)
    named = {
        _leaf(original, change.field) for change in changes if _OF_A_PROGRAM.search(change.field)
    }
    return tuple(
        path
        for path in differences(original, request)
        if not legal.fullmatch(path)
        and path not in named
        and not (path == "model" and pinned and request.get("model") == pinned)
    )


_OF_A_PROGRAM = re.compile(r"\.env\[\d+\]\.value$|\.(args|command)\[\d+\]$")


def _leaf(original: JobDocument, field: str) -> str:
    """A change's field as `_leaves` names it: variables go by their name."""
    variable = re.fullmatch(r"(.+\.env)\[(\d+)\]\.value", field)
    if variable is None:
        return field
    listed = [v for v in original.read(variable[1]) or () if not fields.is_our_variable(v)]
    at = int(variable[2])
    return f"{variable[1]}{{{listed[at].get('name')}}}" if at < len(listed) else field


def difference_is_legal(
    original: JobDocument, request: Json, changes: Sequence[Change] = ()
) -> bool:
    """Whether the request differs only where a resubmission may, and where its step named it."""
    return not illegal_differences(original, request, changes)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf by path; variables of an environment by their name, since their order is theirs."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for index, item in enumerate(value):
            if path.endswith(".env") and isinstance(item, Mapping) and "name" in item:
                yield f"{path}{{{item['name']}}}", {k: v for k, v in item.items() if k != "name"}
            else:
                yield from _leaves(item, f"{path}[{index}]")
    elif value not in ({}, [], None):
        yield path, value
