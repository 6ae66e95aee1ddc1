"""A job in brief: its machine in words, where its results are, whether it holds what was asked.

Pure; for alerts, outcomes and the adoption of created jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from remediator.domain import Change, JobKind, parse_seconds
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import moment_words
from remediator.job import batch, ending, fields, machines
from remediator.job.document import Document


class Saved(Struct, frozen=True):
    """What the job's base output directory holds: checkpoints, as far as anybody can tell.

    `count` of objects, `more` where it is only that many that were counted; `newest` is the path
    under `folder` of the one that changed last, `at` when.
    """

    folder: str
    count: int
    newest: str = ""
    at: datetime | None = None
    more: bool = False


def machine_words(job: Document) -> str:
    """`n1-standard-8`, `2 x n1-standard-8 + 1 NVIDIA_TESLA_T4`; empty where the job names none."""
    parts: list[str] = []
    for pool in machines.pools(job):
        words = str(pool.hardware)
        if pool.replicas > 1:
            words = f"{pool.replicas} x {words}"
        if words not in parts:
            parts.append(words)
    return ", ".join(parts)


_TEAM_LABELS = ("team", "owner", "group", "department", "cost-center", "cost_center")


def team_of(job: Document) -> str:
    """Which team's job it is, by the first of the labels that people use for it; empty: none is set."""
    return next((job.labels[name] for name in _TEAM_LABELS if job.labels.get(name)), "")


def accelerators_of(job: Document) -> int:
    """How many accelerators all machines of the job have together."""
    return sum(pool.hardware.count * max(pool.replicas, 1) for pool in machines.pools(job))


_OWNER_LABELS = ("owner", "team", "user", "created-by", "created_by")


def owner_of(job: Document) -> str:
    """Whose job it is, by the first of the labels that people use for it; empty where none is set."""
    return next((job.labels[name] for name in _OWNER_LABELS if job.labels.get(name)), "")


class RowCounts(Struct, frozen=True):
    """What a batch prediction did with its instances; -1: nobody counted them.

    `output` is where the results lie, empty where the job names no place; `is_asked_for`: that is
    only the prefix the job asked for, since Vertex named no folder (yet).
    """

    done: int
    failed: int
    left: int
    output: str = ""
    is_asked_for: bool = False


def rows_of(job: Document) -> RowCounts | None:
    """The rows of a batch prediction of which a count or the output is known; else None."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return None
    done, failed, left = ending.instance_counts(job)
    failed = failed if failed > 0 else ending.failed_instances(job)
    counted = isinstance(job.read(fields.COUNTS), Mapping)
    named = any(job.read(path) for path in _NAMED_OUTPUT)
    if done <= 0 and failed <= 0 and left <= 0 and not named:
        return None
    return RowCounts(
        done if counted else -1,
        failed,
        left if counted else -1,
        output_of(job) or "",
        is_asked_for=not named,
    )


COUNTS_PATH = fields.COUNTS
"""Where a batch prediction says how many instances succeeded and failed."""
_NAMED_OUTPUT = ("outputInfo.gcsOutputDirectory", "outputInfo.bigqueryOutputDataset")


def result_words(job: Document) -> str:
    """`900 instances succeeded, 100 failed; see gs://out/run`; empty where none failed."""
    rows = rows_of(job)
    if rows is None or not ending.failed_instances(job):
        return ""
    left = f", {rows.left:,} never attempted" if rows.left > 0 else ""
    place = f"; see {rows.output}" if rows.output else ""
    return f"{max(rows.done, 0):,} instances succeeded, {rows.failed:,} failed{left}{place}"


def saved_words(saved: Saved, changes: Sequence[Change]) -> str:
    """What the base output directory holds, and what that means for the next attempt."""
    if not saved.count:
        return f"{saved.folder} holds nothing yet: the work begins anew."
    number = f"{saved.count:,} object{'s' * (saved.count != 1)}"
    number = f"at least {number}" if saved.more else number
    when = f" ({moment_words(saved.at)})" if saved.at else ""
    held = f"{saved.folder} holds {number}, the newest {saved.newest}{when}"
    if any(_BASE_OUTPUT.search(change.field) for change in changes):
        return f"{held}; they stay, the new attempt writes to a folder of its own."
    return f"{held}; the new attempt finds them."


_BASE_OUTPUT = late_pattern(r"base_?output_?directory", re.IGNORECASE)


def output_of(job: Document) -> str | None:
    """Where the job's results are: a folder, a table, or None where the job names no such place."""
    paths = (
        "outputInfo.gcsOutputDirectory",
        "outputInfo.bigqueryOutputDataset",
        batch.OUTPUT_PREFIX,
        batch.OUTPUT_TABLE,
        "runtimeConfig.gcsOutputDirectory",
    )
    for path in paths:
        if value := fields.text(job, path):
            return value
    if job.kind is JobKind.BATCH_PREDICTION:
        return None
    return fields.base_output(job) or None


def results_of(job: Document) -> str:
    """As `output_of`, but the table where the results are in BigQuery and it is named; empty: nowhere."""
    in_files = fields.text(job, "outputInfo.gcsOutputDirectory")
    return (batch.output_table(job) if not in_files else "") or output_of(job) or ""


def holds(job: Document, changes: Sequence[Change]) -> bool:
    """Whether every changed field has the value asked for; Vertex may have filled in others."""
    return all(_same(change.after, _found(job, change.field)) for change in changes)


def _found(job: Document, field: str) -> Any:
    """The region is no field of a job: it stands in its name."""
    return job.name.location if field == "location" else job.read(field)


def _same(asked: Any, found: Any) -> bool:
    """Equal as protobuf's JSON means it: numbers may be text, durations differ in form, null is 0."""
    if isinstance(asked, Mapping):
        return isinstance(found, Mapping) and all(
            _same(value, found.get(key)) for key, value in asked.items()
        )
    if asked in (None, 0, "", False):
        return found in (None, 0, "", False, "0")
    seconds = parse_seconds(asked)
    if seconds is not None:
        return parse_seconds(found) == seconds
    return str(asked) == str(found)
