"""The matrix of kinds, causes and remedies: what may be resubmitted, for which job, with which change.

Made from the table of kinds and from one list of fitting remedies, cheapest first; a test holds the
page under `docs/` equal to what is made here. Must not decide: the planner does what a policy says.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.domain import NEVER_RETRIED, Cause, JobKind
from remediator.job import KINDS

REMEDIES: Mapping[Cause, tuple[str, ...]] = {
    Cause.CPU_SATURATION: ("machine_type: bigger", "replicas: double", "timeout: double"),
    Cause.MEMORY_PRESSURE: ("batch_size: halve", "machine_type: more_memory"),
    Cause.GPU_MEMORY: (
        "batch_size: halve",
        "env: {BATCH_SIZE: halve}",
        "args: {--batch_size: halve}",
        "accelerator: more_memory",
    ),
    Cause.ACCELERATOR_MISSING: ("accelerator: {type: NVIDIA_TESLA_T4, count: 1}",),
    Cause.SLOW_STARTUP: ("machine_type: bigger",),
    Cause.REQUEST_TOO_LARGE: ("batch_size: halve", "explanations: false", "machine_type: bigger"),
    Cause.CAPACITY_STOCKOUT: (
        "wait: backoff",
        "strategy: FLEX_START",
        "spot: false",
        "location: next",
    ),
    Cause.QUOTA: ("wait: backoff",),
    Cause.PREEMPTION: ("wait: backoff", "spot: false"),
    Cause.TRANSIENT_BACKEND: ("wait: backoff",),
    Cause.DISK_FULL: ("disk: double",),
}
"""Fitting values of `resubmit` for each cause, cheapest first; a cause that is absent is alerted."""

_BATCH_ONLY = frozenset({Cause.REQUEST_TOO_LARGE, Cause.SLOW_STARTUP})
"""Causes of a model server, which only batch predictions have."""


def fitting(kind: JobKind, cause: Cause) -> tuple[str, ...]:
    """The remedies for a cause that are legal changes of the kind; empty: only an alert."""
    if cause in NEVER_RETRIED or (cause in _BATCH_ONLY and kind is not JobKind.BATCH_PREDICTION):
        return ()
    legal = KINDS[kind].legal
    found = [one for one in REMEDIES.get(cause, ()) if one.partition(":")[0] in legal]
    if kind is JobKind.BATCH_PREDICTION:  # its model stays in its region
        found = [one for one in found if not one.startswith("location")]
    return tuple(found)


def matrix() -> str:
    """The page, as Markdown."""
    kinds = list(JobKind)
    lines = [
        "# Kinds, causes, remedies",
        "",
        (
            "Generated from the product's own tables; do not edit. A cell lists what `resubmit` may ask "
            "for, cheapest first; a policy decides whether it does."
        ),
        "",
        "| cause | " + " | ".join(f"`{kind.value}`" for kind in kinds) + " |",
        "| --- |" + " --- |" * len(kinds),
    ]
    for cause in Cause:
        cells = [_cell(fitting(kind, cause), cause) for kind in kinds]
        lines.append(f"| `{cause.value}` | " + " | ".join(cells) + " |")
    lines += [
        "",
        (
            "*Alert, never retried*: the guard `cause` refuses whatever a policy says. AutoML trainings "
            "are advised on only. A child of a pipeline run, tuning job or training pipeline is never "
            "run again on its own. Of a pipeline run the failed component's limits and accelerator "
            "are changed."
        ),
        "",
    ]
    return "\n".join(lines)


def _cell(remedies: tuple[str, ...], cause: Cause) -> str:
    if cause in NEVER_RETRIED:
        return "alert, never retried"
    return "<br>".join(f"`{one}`" for one in remedies) or "alert"
