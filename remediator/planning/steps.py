"""What one step does to a job: the contract's table of `resubmit`, one function to a row.

Owns which fields change and to what, with a word for whatever was adjusted or is in doubt. Must not
weigh limits (see `guards`) or money (see `costs`). Called by the planner alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from remediator.domain import Cause, Guard, JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import hours_words
from remediator.job import (
    DEFAULT_BOOT_DISK_GB,
    DEFAULT_TIMEOUT_SECONDS,
    Job,
    Pool,
    pipeline,
)
from remediator.planning import halving, regions
from remediator.planning.components import change_tasks
from remediator.planning.costs import longest_run
from remediator.planning.draft import JobDraft, StepContext, StepHasNoEffect, StepImpossible
from remediator.planning.hardware import change_hardware, goes_on_from, target_pools
from remediator.planning.quota_readings import known_shortage
from remediator.planning.resume import carried, resume_rows
from remediator.planning.sizing import is_permitted
from remediator.policy.steps import MOST_DISK_GB, Resubmit


def apply(step: Resubmit, now: StepContext) -> JobDraft:
    """The job with the step's changes; raises Impossible or Exhausted."""
    if now.job.is_automl:
        msg = "an AutoML training is advised on, never run again by itself"
        raise StepImpossible(msg)
    draft = JobDraft(now.job.clone(), now.job.name.location, now.head_start, resume=carried(now))
    if now.job.kind is JobKind.PIPELINE:
        draft = _caching_on(draft, now)
    # What is offered depends on the region: it is settled first.
    draft = _with_rows({"location": functools.partial(_location, step)}, draft, step, now)
    draft = _on_its_hardware(_with_rows(_ROWS, draft, step, now), step, now)
    if step.strategy == _FLEX_START and (why := _not_for_flex_start(draft.job)):
        raise StepImpossible(why)
    return draft


def _with_rows(
    rows: Mapping[str, _Row], draft: JobDraft, step: Resubmit, now: StepContext
) -> JobDraft:
    """The draft with what the step asks of these rows; raises Impossible or Exhausted."""
    asked = step.named()
    for key, change in rows.items():
        if key not in asked or (key == "output" and step.output == "same"):
            continue
        own_way = key in {"spot", "strategy"} and now.job.batch_strategy_paths
        if not own_way and (said := _holds_already(now.job.kind, key, asked[key])):
            draft = draft.note(said)
            continue
        if not own_way and key not in now.job.changeable:
            raise StepImpossible(_NO_SUCH_FIELD.get((now.job.kind, key), _not_legal(now, key)))
        draft = change(draft, getattr(step, key), now)
    return draft


def _on_its_hardware(draft: JobDraft, step: Resubmit, now: StepContext) -> JobDraft:
    """The draft on the machines and accelerators that the step names, in the draft's region."""
    named = [key for key in ("machine_type", "accelerator") if getattr(step, key) is not None]
    if not named:
        return draft
    if not set(named) <= now.job.changeable:
        raise StepImpossible(_not_legal(now, named[0]))
    in_tasks = now.job.kind is JobKind.PIPELINE
    return (change_tasks if in_tasks else change_hardware)(draft, step, now)


def _not_legal(now: StepContext, key: str) -> str:
    return f"a {now.job.kind.value.replace('_', ' ')} job has no {key.replace('_', ' ')} to change"


_NO_SUCH_FIELD: Mapping[tuple[JobKind, str], str] = {
    (JobKind.BATCH_PREDICTION, "timeout"): "a batch prediction has no time-out to change",
    (JobKind.BATCH_PREDICTION, "spot"): "the API's version 1 has no spot for batch prediction",
    (JobKind.CUSTOM, "batch_size"): "only batch predictions have a batch size",
    (JobKind.PIPELINE, "timeout"): "a pipeline run has no time-out field",
}


_HOLDS_ALREADY: Mapping[tuple[JobKind, str, object], str] = {
    (
        JobKind.BATCH_PREDICTION,
        "spot",
        False,
    ): "the API's version 1 runs no batch prediction on spot",
    (
        JobKind.BATCH_PREDICTION,
        "strategy",
        "STANDARD",
    ): "the API's version 1 runs each batch prediction on demand",
    (JobKind.BATCH_PREDICTION, "output", "attempt"): (
        "Vertex writes each batch prediction into a folder of its own anyway"
    ),
}
"""What a step may ask of a kind that has no such field, because it is so in any case."""


def _holds_already(kind: JobKind, key: str, asked: Any) -> str:
    return _HOLDS_ALREADY.get((kind, key, asked), "") if isinstance(asked, bool | str) else ""


def _caching_on(draft: JobDraft, now: StepContext) -> JobDraft:
    """Tasks of a run that have succeeded are answered from the cache, where they may be."""
    for path in pipeline.uncached(now.job):
        draft = draft.set(path, value=True)
    off = ", ".join(node.title for node in pipeline.switched_off(now.job))
    return draft.note(f"caching is switched off for {off}, which runs again" if off else "")


# --- the other rows -------------------------------------------------------------------------------


def _location(step: Resubmit, draft: JobDraft, asked: str, now: StepContext) -> JobDraft:
    hardware = tuple(pool.hardware for pool in now.job.pools)
    to = regions.target(
        asked,
        now.case,
        now.history,
        now.catalog,
        now.limits.locations,
        hardware,
        now.service,
        lambda region: _suitability(step, draft, now, region),
    )
    if isinstance(to, regions.Stuck):
        if to.is_there:
            raise StepHasNoEffect(to.why)
        raise StepImpossible(to.why, Guard.PINNED if to.pinned else Guard.INCOMPATIBLE)
    if to.region == draft.location:
        return draft.note(f"the job is in {to.region} already")
    return draft.moved(to.region).note(*to.notes)


def _suitability(
    step: Resubmit, draft: JobDraft, now: StepContext, region: str
) -> regions.Suitability:
    """What the whole step would run on in the region: whether it is to be had there, then whether a quota
    is known to be too small for it, then whether the lists and the price let it, then whether the
    policy's later steps can be taken from there.

    Raises Impossible or Exhausted where a row of the step leads nowhere, whatever the region.
    """
    whole = _with_rows(_ROWS, replace(draft, location=region), step, now)
    try:
        there = _on_its_hardware(whole, step, now)
    except (StepImpossible, StepHasNoEffect) as why:
        return regions.Suitability(str(why))
    held = [pool.hardware for pool in there.job.pools]
    for hardware in held:
        if now.catalog.offered(hardware, region, now.service) is False:
            device = hardware.accelerator or hardware.machine
            return regions.Suitability(f"{device} is not offered there for {now.service.value}")
    if known_shortage(there, now):
        return regions.Suitability(
            rank=3
        )  # the ladder passes over a step that leads there, and says why
    permitted = all(is_permitted(hardware, now.limits) for hardware in held)
    priced = all(now.catalog.price(hardware, region) is not None for hardware in held)
    if not (permitted and priced):
        return regions.Suitability(rank=2)
    return regions.Suitability(rank=0 if goes_on_from(held, now, region) else 1)


_ONE_REQUEST = frozenset({Cause.REQUEST_TOO_LARGE, Cause.ACCELERATOR_MISSING, Cause.GPU_MEMORY})


def _replicas(draft: JobDraft, asked: int | str, now: StepContext) -> JobDraft:
    pools = draft.job.pools
    if not pools:
        msg = "the job has no machines of its own, so no replicas to change"
        raise StepImpossible(msg)
    if now.job.kind is JobKind.BATCH_PREDICTION:
        return _batch_replicas(draft, asked, now, pools[0])
    named = target_pools(now, draft) if now.job.failed_pools() else ()
    pool = named[0] if named else pools[min(1, len(pools) - 1)]
    count = 2 * pool.replicas if asked == "double" else int(asked)
    before = draft.job.read(pool.replicas_path)
    # int64 fields are text in Google's JSON: the job's own way of writing them is kept. What stands
    # in a training pipeline's inputs comes back as a float.
    as_number = isinstance(before, int | float)
    draft = draft.set(pool.replicas_path, count if as_number else str(count))
    if pool.name == "workerpool0" and count > 1:
        return draft.note("Vertex may want a single replica in the first worker pool")
    return draft


def _batch_replicas(draft: JobDraft, asked: int | str, now: StepContext, pool: Pool) -> JobDraft:
    count = 2 * pool.replicas if asked == "double" else int(asked)
    draft = draft.set(pool.replicas_path, count)
    if count > draft.job.most_replicas:
        draft = draft.set(draft.job.most_replicas_path, count)
    if draft.job.instances_format == "csv":
        draft = draft.note("CSV input is not split: more replicas will not share it")
    if now.diagnosis.verdict in _ONE_REQUEST:
        draft = draft.note("more replicas do nothing for the time or size of one request")
    return draft


def _batch_size(draft: JobDraft, asked: int | str, now: StepContext) -> JobDraft:
    held = now.job.batch_size
    if held is None:
        msg = "a batch size goes only with dedicated machines, and the job has none"
        raise StepImpossible(msg)
    if asked == "halve" and held <= 1:
        msg = "the batch size is 1 already"
        raise StepHasNoEffect(msg)
    size = max(1, held // 2) if asked == "halve" else int(asked)
    if size == held:
        return draft.note(f"the batch size is {held} already")
    return draft.set(draft.job.batch_size_path, size)


def _timeout(draft: JobDraft, asked: timedelta | str, now: StepContext) -> JobDraft:
    path = draft.job.timeout_path
    held = now.job.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
    if asked == "sized":
        seconds, said = _time_needed(held, now)
        draft = draft.note(said)
    else:
        seconds = asked.total_seconds() if isinstance(asked, timedelta) else 2 * held
    return draft.set(path, _duration(seconds))


def _time_needed(held: float, now: StepContext) -> tuple[float, str]:
    """Seconds that the progress in the log says are needed and a fifth more, with its words."""
    progress = now.diagnosis.needs.progress
    if progress is None or now.job.kind is JobKind.HYPERPARAMETER_TUNING:
        msg = "the log tells no steady progress from which a time could be taken"
        raise StepHasNoEffect(msg)
    said = (
        f"{progress.done:.0%} was done, so all of it takes {hours_words(progress.seconds_needed)} "
        f"({progress.evidence.says})"
    )
    wanted = progress.seconds_needed * TIME_HEADROOM
    if wanted <= held:
        msg = f"{said}, and the time-out of {hours_words(held)} is long enough"
        raise StepHasNoEffect(msg)
    most, _ = longest_run(now.case, now.history, now.limits)
    if progress.seconds_needed > most:
        msg = f"{said}, more than the {hours_words(most)} that max_run and Vertex allow"
        raise StepHasNoEffect(msg)
    # Whole minutes, as a person would write it.
    return min(math.ceil(wanted / 60) * 60.0, most), said


TIME_HEADROOM = 1.2  # a fifth more than the progress says, the contract's own


def _spot(draft: JobDraft, asked: bool, now: StepContext) -> JobDraft:
    if asked == now.job.is_spot:
        return draft.note("the job is on spot machines already" if asked else "the job is not spot")
    if now.job.batch_strategy_paths:
        return _batch_strategy(draft, "SPOT" if asked else "STANDARD", now)
    return draft.set(draft.job.strategy_path, "SPOT" if asked else "STANDARD")


def _strategy(draft: JobDraft, asked: str, now: StepContext) -> JobDraft:
    if asked == now.job.strategy:
        return draft.note(f"the job's strategy is {asked} already")
    if now.job.batch_strategy_paths:
        return _batch_strategy(draft, asked, now)
    draft = draft.set(draft.job.strategy_path, asked)
    # Only FLEX_START waits: what the job says of it goes with it.
    return draft if asked == _FLEX_START else draft.set(draft.job.max_wait_path, None)


def _batch_strategy(draft: JobDraft, asked: str, now: StepContext) -> JobDraft:
    """Of a batch prediction that v1beta1 got its machines for: the one field or the other, or none."""
    spot, flex_start = now.job.batch_strategy_paths
    if asked == _FLEX_START:
        msg = "a batch prediction that was not made to be queued cannot be turned into one that is"
        raise StepImpossible(msg)
    return draft.set(flex_start, None).set(spot, True if asked == "SPOT" else None)


_FLEX_START = "FLEX_START"
_QUEUED_FOR = late_pattern(
    r"NVIDIA_(L4|TESLA_A100|A100_80GB|H100_80GB|H100_MEGA_80GB|H200_141GB|B200)"
)
"""Devices that Vertex queues for (cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws)."""


def _not_for_flex_start(job: Job) -> str:
    """Why Vertex would refuse to queue the job for its machines; empty: it would not."""
    held = {pool.hardware for pool in job.pools}
    wrong = sorted(str(one) for one in held if not _QUEUED_FOR.fullmatch(one.accelerator))
    if wrong:
        return f"FLEX_START is for L4, A100, H100, H200 or B200 GPUs: the job runs on {wrong[0]}"
    if len(held) > 1:
        return "FLEX_START wants the same machine in every worker pool"
    if (job.timeout_seconds or 0) > DEFAULT_TIMEOUT_SECONDS:
        return "FLEX_START takes jobs with a time-out of seven days at most"
    return ""


def _max_wait(draft: JobDraft, asked: timedelta, _: StepContext) -> JobDraft:
    if draft.job.strategy != _FLEX_START:
        return draft.note("max_wait does nothing: only FLEX_START waits for its machines")
    return draft.set(draft.job.max_wait_path, _duration(asked.total_seconds()))


def _duration(seconds: float) -> str:
    """As protobuf's JSON writes it."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _disk(draft: JobDraft, asked: int | str, now: StepContext) -> JobDraft:
    pools = target_pools(now, draft)
    if not pools:
        msg = "the job names no machine of its own, so no boot disk to change"
        raise StepImpossible(msg)
    mount = now.diagnosis.needs.full_mount
    if mount is not None and now.diagnosis.verdict is Cause.DISK_FULL:
        msg = (
            f"{mount.path} lies on a file system that is mounted from elsewhere, which no boot disk changes "
            f"({mount.evidence.says})"
        )
        raise StepImpossible(msg, Guard.NO_MACHINE)
    near_the_most = ""
    before = draft.changes
    for pool in pools:
        held = pool.disk_gb or DEFAULT_BOOT_DISK_GB
        size = min(2 * held, MOST_DISK_GB) if asked == "double" else int(asked)
        if size == held and asked == "double":
            msg = f"the boot disk has {held} GB already, the most that there is"
            raise StepHasNoEffect(msg)
        if size < held and now.diagnosis.verdict is Cause.DISK_FULL:
            msg = f"the boot disk that was full has {held} GB, more than {size}"
            raise StepHasNoEffect(msg)
        if asked == "double" and size < held * _LEAST_DISK_GROWTH:
            near_the_most = f"the boot disk has {held} GB already, and the most that there is, {size}, is next to nothing more"
            continue
        if size < held:
            draft = draft.note(f"the boot disk had {held} GB, more than {size}")
        if size != held:
            draft = draft.set(pool.disk_path, size)
    if near_the_most and draft.changes == before:
        raise StepHasNoEffect(near_the_most)
    return draft.note(near_the_most)


_LEAST_DISK_GROWTH = 1.1
"""Times as large as a doubled disk is at least, where the most that there is cuts it; chosen."""


def _env(draft: JobDraft, asked: Mapping[str, str], _: StepContext) -> JobDraft:
    return _halved(_without_ours(draft), halving.halved_variables, asked)


def _without_ours(draft: JobDraft) -> JobDraft:
    """Our own variables are written anew last: a change names the place that a variable then has."""
    return replace(draft, job=draft.job.without_our_variables())


def _args(draft: JobDraft, asked: Mapping[str, str], _: StepContext) -> JobDraft:
    return _halved(draft, halving.halved_flags, asked)


def _halved(
    draft: JobDraft,
    halve: Callable[[Job, Iterable[str]], halving.Edits],
    names: Mapping[str, str],
) -> JobDraft:
    try:
        edits = halve(draft.job, names)
    except halving.NothingToHalve as nothing:
        raise StepHasNoEffect(str(nothing)) from None
    for path, value in edits.items():
        draft = draft.set(path, value)
    return draft


def _explanations(draft: JobDraft, asked: bool, now: StepContext) -> JobDraft:
    if not now.job.asks_for_explanations:
        return draft.note("the job asks for no explanations as it is")
    return draft.set(draft.job.explanations_path, asked)


def _rows(draft: JobDraft, asked: str, now: StepContext) -> JobDraft:
    if asked != "remaining":
        return draft
    return resume_rows(draft, now)


def _output(draft: JobDraft, _: str, now: StepContext) -> JobDraft:
    held = now.job.base_output
    if not held:
        msg = "the job names no base output directory"
        raise StepImpossible(msg)
    root, _, last = held.rstrip("/").rpartition("/attempt-")
    base = root if root and last.isdigit() else held.rstrip("/")
    return draft.set(draft.job.base_output_path, f"{base}/attempt-{now.number}")


_Row = Callable[[JobDraft, Any, StepContext], JobDraft]
_ROWS: Mapping[str, _Row] = {
    "replicas": _replicas,
    "batch_size": _batch_size,
    "timeout": _timeout,
    "spot": _spot,
    "strategy": _strategy,
    "max_wait": _max_wait,
    "disk": _disk,
    "env": _env,
    "args": _args,
    "explanations": _explanations,
    "rows": _rows,
    "output": _output,
}
"""Rows of the table but for `location`, which is settled first and asks what these lead to in a region;
`machine_type` and `accelerator`, which are one decision; and `wait`, which changes nothing."""
