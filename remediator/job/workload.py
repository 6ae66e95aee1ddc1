"""A job's work, apart from how it is run: its request as it would be sent again, and a digest of it.

Owns what of a request is output, what makes two jobs do the same work, and what differs from one day's run of
a job to the next. Must not decide. Called by `Job`, `differences` and `likeness`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from remediator.domain import JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields
from remediator.job.data_places import OUTPUTS
from remediator.job.document import Document
from remediator.job.programs import is_our_variable

AnyDocument = TypeVar("AnyDocument", bound=Document)


def clone(job: AnyDocument) -> AnyDocument:
    """The job as it would be asked for again: output-only fields gone, model version pinned.

    Google's own labels and ours go too; the planner writes ours anew.
    """
    kind = fields.rules(job)
    body = {k: _fresh(v) for k, v in job._body.items() if k not in kind.output_only}
    pinned = pinned_model(job)
    if pinned:
        body["model"] = pinned
    labels = {
        key: value
        for key, value in job.labels.items()
        if not key.startswith(fields.GOOGLES_LABELS) and key not in fields.OUR_LABELS
    }
    if labels or "labels" in body:
        body["labels"] = labels
    return type(job)(job.name, body)


def _fresh(value: Any) -> Any:
    """A copy in which no two places share an object, so that a change is made in one alone."""
    if isinstance(value, Mapping):
        return {key: _fresh(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_fresh(item) for item in value]
    return value


def pinned_model(job: Document) -> str:
    """`model@version` of a batch prediction, since the default version may have moved since."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return ""
    model, version = job.read("model"), job.read("modelVersionId")
    if not isinstance(model, str) or not version or "publishers/" in model:
        return ""
    return f"{model.partition('@')[0]}@{version}"


_NOT_WORKLOAD = (
    "machineSpec",
    "machine_spec",
    "diskSpec",
    "disk_spec",
    "startingReplicaCount",
    "maxReplicaCount",
    "replicaCount",
    "replica_count",
    "manualBatchTuningParameters",
    "scheduling",
    "spot",
    "flexStart",
    "modelMonitoringConfig",
    "displayName",
    "display_name",
    "labels",
)


def workload_digest(job: Document, *, undated: bool = False) -> str:
    """The same for two jobs that do the same work, on whatever machines: 16 hex digits.

    Of the request without name, labels, machine, accelerator, replicas, batch size, scheduling and
    our own environment variables. Projects by id and by number are taken as one. `undated`: also the
    same for the runs of one job on different days: without the dates and UUIDs in its texts, but for
    those of images, models and packages, and without where it writes.
    """
    import hashlib  # noqa: PLC0415  # it loads OpenSSL, which a diagnosis never needs

    asked = clone(job)._body
    work = _undated(_workload(asked)) if undated else _workload(asked)
    text = json.dumps(work, sort_keys=True, ensure_ascii=False, default=str)
    text = re.sub(r"projects/[^/\"]+/locations/", "projects/-/locations/", text)
    return hashlib.sha256(f"{job.kind}:{text}".encode()).hexdigest()[:16]


def _workload(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {k: _workload(v) for k, v in value.items() if k not in _NOT_WORKLOAD}
        return {k: v for k, v in kept.items() if v not in ({}, [], None, "")}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_workload(item) for item in value if not is_our_variable(item)]
    return value


_OF_ONE_RUN = frozenset(  # where it writes, and the trials that an attempt has left
    {*OUTPUTS, "gcsOutputDirectory", "gcs_output_directory", "maxTrialCount", "max_trial_count"}
)
_NAMES_A_PROGRAM = frozenset(
    {
        *("imageUri", "image_uri", "image", "executorImageUri", "executor_image_uri"),
        *("packageUris", "package_uris", "model", "templateUri", "template_uri"),
    }
)
_DATE = late_pattern(
    r"(?<!\d)(?:19|20)\d\d(?P<between>[-_./]?)(?:0[1-9]|1[0-2])(?P=between)(?:0[1-9]|[12]\d|3[01])"
    r"(?:[Tt_ -]?(?:[01]\d|2[0-3])[:_-]?[0-5]\d(?:[:_-]?[0-5]\d(?:\.\d+)?)?[Zz]?)?(?!\d)"
)
_RUN_ID = late_pattern(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _undated(value: Any) -> Any:
    """Without what differs from one run of a job to the next, in one order where the order says nothing."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key not in _OF_ONE_RUN}
        return {k: _image(v) if k in _NAMES_A_PROGRAM else _undated(v) for k, v in kept.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _in_one_order([_undated(item) for item in value])
    return _without_dates(value) if isinstance(value, str) else value


def _in_one_order(items: list[Any]) -> list[Any]:
    """Variables by their names, and arguments that are all flags with their values; each name once."""
    if all(isinstance(item, dict) and "name" in item for item in items):
        names = [str(item["name"]) for item in items]
    else:
        names = [
            item.partition("=")[0] for item in items if isinstance(item, str) and _FLAG.match(item)
        ]
    if len(set(names)) < len(items):
        return items
    return [item for _, item in sorted(zip(names, items, strict=True), key=lambda pair: pair[0])]


_FLAG = late_pattern(r"--[\w.-]+=")


def _image(value: Any) -> Any:
    """An image by its digest alone where it names one; without a tag it is the latest."""
    if not isinstance(value, str) or "/" not in value or "://" in value:
        return value
    name, at, digest = value.partition("@sha256:")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a registry's port
        repository, tag = name, "latest"
    if at:
        return f"{repository}@{digest}"
    return f"{repository}:{tag}" if _REGISTRY.match(value) else value


_REGISTRY = late_pattern(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/")  # a model's name has none


def _without_dates(text: str) -> str:
    """Dates, moments and UUIDs as `*`; most texts have no sign of any, and are not searched."""
    if text.count("-") >= _DASHES_OF_AN_ID:
        text = _RUN_ID.sub("*", text)
    if "20" in text or "19" in text:
        text = _SHORT_DATE.sub("*", _DATE.sub("*", text))
    return _EPOCH.sub("*", text) if "1" in text else text


# The day first, a week (`2026-W48`), a month (`2026-11`, `/2026/11/`).
_SHORT_DATE = late_pattern(
    r"(?<!\d)(?:0[1-9]|[12]\d|3[01])(?P<between>[-_./])(?:0[1-9]|1[0-2])(?P=between)(?:19|20)\d\d(?!\d)"
    r"|(?<!\d)(?:19|20)\d\d-?W[0-5]\d(?!\d)|(?<![\d.-])(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])(?![\d.-])"
)
# Seconds or milliseconds since 1970, of the years from 2017 to 2033.
_EPOCH = late_pattern(r"(?<![\d.])1[5-9]\d{8}(?:\d{3})?(?![\d.])")
_DASHES_OF_AN_ID = 4
