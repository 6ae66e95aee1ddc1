"""Several inputs made one case: a job, its log, whatever else there is.

Owns which job is meant where several are named, what stands in for a job that nobody gave, and what
is missing with the command that would fetch it. Pure; called by the command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.domain import InvalidInput, JobKind, JobName, JobState, Json, parse_time
from remediator.domain.late_pattern import late_pattern
from remediator.inputs.documents import Material
from remediator.inputs.text_log import (
    Exit,
    ended_well,
    ends_in_failure,
    ends_in_order,
    has_sign_of_death,
    iter_texts,
    last_exit,
    was_stopped,
)

_NO_JOB = "projects/-/locations/-/customJobs/0"
_NO_BATCH = "projects/-/locations/-/batchPredictionJobs/0"
"""Stand in for the job of a log, or of rows, that came alone. Nothing is ever asked or made under this name."""


class Assembly(Struct, frozen=True):
    """One case, and what should be said about how it came to be.

    `has_job`: a job was among the inputs; without one, `case.job` is a stand-in. `silent`: a plain
    log, alone, whose last line says that all is in order, so that no verdict can be asked of it.
    `without_complaint`: one that ends in no word of failure, whose end a signature may still know.
    `ended` is how the log says that the process ended. `refused`: all that is known is what a Google
    API answered.
    """

    case: Case
    has_job: bool
    silent: bool = False
    without_complaint: bool = False
    ended: Exit | None = None
    ignored: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    rows: Json | None = None
    refused: bool = False

    @property
    def is_of_rows(self) -> bool:
        """Rows of results came alone: there is no job, and nobody wrote a line."""
        return not self.has_job and bool(self.case.error_files) and not self.case.log_lines


def assemble(materials: Sequence[Material]) -> Assembly:
    """The case of all inputs; raises InvalidInput where they are about different jobs or say nothing."""
    job, notes = _one_job(materials)
    parts = _merged_parts(materials)
    entries = [*parts.get("logEntries", ()), *(e for m in materials for e in m.entries)]
    plain = [entry for m in materials if m.plain for entry in m.entries]
    ended = last_exit(list(iter_texts(plain))) if plain else None
    body: dict[str, Any] = {
        **parts,
        "logEntries": entries,
        "job": job or _stand_in(parts, entries, ended, _title(materials)),
    }
    case = Case.parse(body)
    case = replace(case, gaps=tuple(gap for m in materials for gap in m.gaps))
    texts = list(iter_texts(entries)) if job is None and plain else []
    without_complaint = bool(texts) and not has_sign_of_death(texts) and not was_stopped(texts)
    if job is None:
        case = replace(case, now=_end_of(entries) or case.now)
    return Assembly(
        case,
        has_job=job is not None,
        silent=ended_well(texts) or (without_complaint and ends_in_order(texts)),
        without_complaint=without_complaint,
        ended=ended,
        ignored=tuple(pair for m in materials for pair in m.ignored),
        notes=tuple(notes),
        rows=parts.get("rows") if isinstance(parts.get("rows"), Mapping) else None,
        refused=all(material.refused for material in materials),
    )


def _one_job(materials: Sequence[Material]) -> tuple[Json | None, list[str]]:
    """The job that is meant: of a list, the one that failed last."""
    notes: list[str] = []
    chosen: dict[str, Json] = {}
    for material in materials:
        if not material.jobs:
            continue
        job = material.jobs[0]
        if len(material.jobs) > 1:
            job = max(material.jobs, key=_failed_last)
            notes.append(
                f"{material.name}: {len(material.jobs)} jobs; the newest that failed is taken: "
                f"{job.get('name')}"
            )
        name = str(job.get("name"))
        try:
            key = JobName.parse(name).key
        except InvalidInput as err:
            if len(materials) == 1 and not material.jobs[1:]:
                raise
            msg = f"{material.name}: {err}"
            raise InvalidInput(msg) from err
        known = chosen.get(key)
        chosen[key] = job if known is None or len(job) > len(known) else known
    if len(chosen) > 1:
        msg = f"the inputs are about different jobs: {', '.join(sorted(chosen))}"
        raise InvalidInput(msg)
    return (next(iter(chosen.values())) if chosen else None), notes


_EARLIEST = datetime.min.replace(tzinfo=UTC)


def _failed_last(job: Json) -> tuple[bool, datetime]:
    state = JobState.parse(job.get("state"))
    failed = state in {JobState.FAILED, JobState.EXPIRED, JobState.PARTIALLY_SUCCEEDED}
    ended = parse_time(job.get("endTime")) or parse_time(job.get("updateTime"))
    return failed, ended or parse_time(job.get("createTime")) or _EARLIEST


def _merged_parts(materials: Sequence[Material]) -> dict[str, Any]:
    """Parts of several case files: lists follow each other, objects are laid over, the last wins."""
    merged: dict[str, Any] = {}
    for material in materials:
        for key, value in (material.parts or {}).items():
            known = merged.get(key)
            if isinstance(known, list) and isinstance(value, list):
                merged[key] = [*known, *value]
            elif isinstance(known, Mapping) and isinstance(value, Mapping) and key != "logEntry":
                merged[key] = {**known, **value}
            else:
                merged[key] = value
    return merged


def _title(materials: Sequence[Material]) -> str:
    """What a log that came alone is called: its file's name."""
    return materials[0].name.rpartition("/")[2] if materials else ""


def _stand_in(parts: Json, entries: Sequence[Json], ended: Exit | None, title: str) -> Json:
    """A custom job that ran one container and failed: what a log that came alone is read as.

    Of rows that came alone, a batch prediction that failed.
    """
    name = _NO_BATCH if parts.get("errorFiles") else _NO_JOB
    job: dict[str, Any] = {"name": name, "state": "JOB_STATE_FAILED", "displayName": title}
    status = ended.status if ended is not None else _status_of(entries)
    if status:
        job["error"] = {
            "code": 3,
            "message": f"The replica workerpool0-0 exited with a non-zero status of {status}.",
        }
    moments = _moments(entries)
    if moments:
        job["createTime"] = job["startTime"] = moments[0]
        job["endTime"] = moments[-1]
    return job


_GAVE_UP = 1  # chosen: what most languages' runtimes exit with after an error that nobody handled


def _status_of(entries: Sequence[Json]) -> int:
    """The status that is presumed of a log which ends in a complaint and names none: its program gave up.

    0 where the log's end tells of no failure, or that it was told to end. Entries of the level of a warning tell of none, but the last.
    """
    if was_stopped(list(iter_texts(entries))):
        return 0
    said = [*(entry for entry in entries[:-1] if entry.get("severity") != "WARNING"), *entries[-1:]]
    return _GAVE_UP if ends_in_failure(list(iter_texts(said))) else 0


def _moments(entries: Sequence[Json]) -> list[str]:
    """The times of the entries as they stand, oldest first."""
    found = [
        (moment, entry["timestamp"])
        for entry in entries
        if (moment := parse_time(entry.get("timestamp"))) is not None
    ]
    return [text for _, text in sorted(found)]


def _end_of(entries: Sequence[Json]) -> datetime | None:
    moments = _moments(entries)
    return parse_time(moments[-1]) if moments else None


# --- what is missing, and what would fetch it ----------------------------------------------------

_DESCRIBE: Mapping[JobKind, str] = {
    JobKind.CUSTOM: "gcloud ai custom-jobs describe {id} --project={project} --region={location} --format=json",
    JobKind.HYPERPARAMETER_TUNING: "gcloud ai hp-tuning-jobs describe {id} --project={project} --region={location} --format=json",
}
_LOG_OF: Mapping[JobKind, str] = {
    JobKind.CUSTOM: 'resource.type="ml_job" AND resource.labels.job_id="{id}"',
    JobKind.PIPELINE: 'resource.type="aiplatform.googleapis.com/PipelineJob" AND resource.labels.pipeline_job_id="{id}"',
}
_JOB_ID = late_pattern(r"\d{5,25}")


def wishes(found: Assembly) -> tuple[str, ...]:
    """What would make the answer surer, each with the command that fetches it."""
    if found.refused:
        return ()
    if not found.has_job:
        return (_BATCH_WISH if found.is_of_rows else _job_wish(found.case),)
    name = found.case.job.name
    if found.case.log_lines:
        return ()
    query = _LOG_OF.get(name.kind, '"{id}"').format(id=name.id)
    command = f"gcloud logging read {shlex.quote(query)} --project={name.project} --format=json --freshness=30d"
    return (f"the job's log lines: {command}",)


_BATCH_WISH = (
    "the batch prediction's job (model, input, state), by its page in the Cloud console or its name: "
    "projects/PROJECT/locations/REGION/batchPredictionJobs/ID"
)
"""No command: gcloud describes no batch prediction (documented: the commands of `gcloud ai`)."""


def _job_wish(case: Case) -> str:
    """The job itself; by its id where the log names it."""
    for line in case.log_lines:
        resource = line.entry.get("resource")
        labels = resource.get("labels") if isinstance(resource, Mapping) else None
        if not isinstance(labels, Mapping):
            continue
        job_id, project = str(labels.get("job_id") or ""), str(labels.get("project_id") or "")
        if _JOB_ID.fullmatch(job_id):
            command = _DESCRIBE[JobKind.CUSTOM].format(
                id=job_id, project=project or "PROJECT", location="REGION"
            )
            return f"the job itself (machine, state, its own error): {command}"
    command = _DESCRIBE[JobKind.CUSTOM].format(id="JOB_ID", project="PROJECT", location="REGION")
    return f"the job itself (machine, state, its own error), for a custom job: {command}"
