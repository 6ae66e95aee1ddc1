"""Where a request may differ from the job it was made from: the last check before anything is sent.

Owns the table of what a remedy may change in each kind of job. Must not decide. Called just before
a create, and by the tests of every plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediator.domain import Change, JobKind, Json
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields, programs, workload
from remediator.job.batch import is_resumed
from remediator.job.document import Document

_MACHINE = r"machine_?[sS]pec\.(machine_?[tT]ype|accelerator_?[tT]ype|accelerator_?[cC]ount|tpu_?[tT]opology|gpu_?[pP]artition_?[sS]ize)"
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
_TRIALS = r"(\.trial_?[jJ]ob_?[sS]pec)?"  # of a training pipeline whose task is a tuning job
_LEGAL: Mapping[JobKind, re.Pattern[str]] = {
    JobKind.BATCH_PREDICTION: late_pattern(
        "|".join(
            (
                *_ANY_JOB,
                rf"dedicatedResources\.{_MACHINE}",
                r"dedicatedResources\.(starting|max)ReplicaCount",
                r"dedicatedResources\.(spot|flexStart(\..+)?)",
                r"manualBatchTuningParameters\.batchSize",
                r"generateExplanation",
            )
        )
    ),
    **{
        kind: late_pattern(
            "|".join(
                (
                    *_ANY_JOB,
                    *(re.escape(fields.KINDS[kind].spec) + _TRIALS + path for path in _POOLED),
                    *(
                        (r"(trainingTaskInputs\.)?max_?[tT]rial_?[cC]ount",)
                        * (kind is not JobKind.CUSTOM)
                    ),
                )
            )
        )
        for kind in (JobKind.CUSTOM, JobKind.HYPERPARAMETER_TUNING, JobKind.TRAINING_PIPELINE)
    },
    JobKind.PIPELINE: late_pattern(
        "|".join(
            (
                *_ANY_JOB,
                rf"pipelineSpec\.deployment.*\.{_MACHINE}",
                (
                    r"pipelineSpec\.deployment.*\.container\.resources\."
                    r"((cpu|memory|resourceCpu|resourceMemory)(Limit|Request)"
                    r"|accelerator\.(type|count|resourceType|resourceCount))"
                ),
                r"pipelineSpec\.deployment.*\.replica_?[cC]ount",
                r"pipelineSpec\.root\.dag\.tasks\..*\.cachingOptions\.enableCache",
                r"runtimeConfig\.gcsOutputDirectory",
            )
        )
    ),
}


def differences(original: Document, request: Json) -> tuple[str, ...]:
    """Paths at which the request differs from the original's own, output-only fields aside."""
    asked = {k: v for k, v in original._body.items() if k not in fields.rules(original).output_only}
    before, after = dict(_leaves(asked)), dict(_leaves(request))
    different = {path for path in before | after if before.get(path) != after.get(path)}
    return tuple(sorted(different))


def illegal_differences(
    original: Document, request: Json, changes: Sequence[Change] = ()
) -> tuple[str, ...]:
    """Paths at which the request differs though no remedy may change them.

    Never image, service account, network or key, of the labels only ours and Google's. Of command,
    arguments and variables only what the step named, and our own variables; of the input only which
    rows are left. The plan's `changes` tell these. Empty: the request may be sent.
    """
    legal = _LEGAL[original.kind]
    pinned = workload.pinned_model(original)
    named = {
        _leaf(original, change.field) for change in changes if _OF_A_PROGRAM.search(change.field)
    }
    return tuple(
        path
        for path in differences(original, request)
        if not legal.fullmatch(path)
        and path not in named
        and not (is_resumed(path) and any(is_resumed(change.field) for change in changes))
        and not any(_is_of_a_run(path, change.field) for change in changes)
        and not (path == "model" and pinned and request.get("model") == pinned)
    )


_OF_A_RUN = late_pattern(
    r"runtimeConfig\.parameter(Value)?s\..+"
    r"|(?P<input>pipelineSpec\..+\.inputs\.parameters\.[^.]+)\.runtimeValue\..+"
    r"|pipelineSpec\..+\.inputDefinitions\.parameters\.[^.]+\.defaultValue.*"
)


def _is_of_a_run(path: str, field: str) -> bool:
    """Whether a difference is that of a change to a run's parameter, a task's input or a default.

    A list that stands there as JSON text differs as a whole; a constant takes the place of what was
    handed down.
    """
    found = _OF_A_RUN.fullmatch(field)
    if found is None:
        return False
    if found["input"] and path == f"{found['input']}.componentInputParameter":
        return True
    return (
        path == field
        or path.startswith((f"{field}.", f"{field}["))
        or field.startswith((f"{path}.", f"{path}["))
    )


_OF_A_PROGRAM = late_pattern(r"\.env\[\d+\]\.value$|\.(args|command)\[\d+\]$")


def _leaf(original: Document, field: str) -> str:
    """A change's field as `_leaves` names it: variables go by their name."""
    variable = re.fullmatch(r"(.+\.env)\[(\d+)\]\.value", field)
    if variable is None:
        return field
    listed = [v for v in original.read(variable[1]) or () if not programs.is_our_variable(v)]
    at = int(variable[2])
    return f"{variable[1]}{{{listed[at].get('name')}}}" if at < len(listed) else field


def difference_is_legal(original: Document, request: Json, changes: Sequence[Change] = ()) -> bool:
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
