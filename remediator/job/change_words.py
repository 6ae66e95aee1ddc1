"""A plan's changes in words: in a plan's sentence, one by one in an alert, and as a phrase. Pure.

Owns the name that people have for each field, in either spelling of it, what a field that is not set
stands for, and that an accelerator's count is told with its type and input and output of a resumed batch
as what they are for. Called by planning and by alerts, who have the texts from outside cleaned by `show`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import Change
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import as_whole
from remediator.domain.time_words import span_words
from remediator.job.batch import is_resumed
from remediator.job.fields import DEFAULT_BATCH_SIZE, DEFAULT_BOOT_DISK_GB
from remediator.job.job import Job

Show = Callable[[str, int], str]
"""Text from outside as it may be shown, at most so many characters."""

MOST_CHANGES = 20
"""A plan has a handful; more are not read out."""
_MOST_PHRASES = 3  # chosen: a title has room for three

_LABELS: Mapping[str, str] = {
    "machineType": "machine type",
    "acceleratorType": "accelerator",
    "batchSize": "batch size",
    "timeout": "time-out",
    "maxWaitDuration": "longest wait for machines",
    "generateExplanation": "explanations",
    "outputUriPrefix": "output",
    "flexStart": "flex-start",
    "spot": "spot",
    "strategy": "strategy",
    "enableCache": "caching",
    "memoryLimit": "memory limit",
    "cpuLimit": "CPU limit",
    "tpuTopology": "TPU topology",
    "gpuPartitionSize": "GPU partition size",
}
_PLAN_LABELS: Mapping[str, str] = {
    **_LABELS,
    "acceleratorCount": "accelerator count",
    "bootDiskSizeGb": "boot disk",
    "startingReplicaCount": "starting replica count",
    "maxReplicaCount": "maximal replica count",
    "replicaCount": "replica count",
    "args": "argument",
}
"""In a plan's sentence, where a value bears its unit itself."""
_ALERT_LABELS: Mapping[str, str] = {
    **_LABELS,
    "acceleratorCount": "accelerators",
    "bootDiskSizeGb": "boot disk (GB)",
    "startingReplicaCount": "starting replicas",
    "maxReplicaCount": "most replicas",
    "replicaCount": "replicas",
}
_PHRASES: Mapping[str, str] = {
    "machineType": "on {0}",
    "acceleratorType": "with {0}",
    "batchSize": "with batch size {0}",
    "startingReplicaCount": "with {0} replicas",
    "replicaCount": "with {0} replicas",
    "timeout": "with time-out {0}",
    "location": "in {0}",
    "strategy": "as {0}",
    "bootDiskSizeGb": "with a boot disk of {0} GB",
    "maxWaitDuration": "waiting for machines at most {0}",
    "generateExplanation": "with explanations {0}",
}
_FIELDS = frozenset({*_PLAN_LABELS, *_ALERT_LABELS, *_PHRASES})
_DEFAULTS: Mapping[str, int] = {
    "batchSize": DEFAULT_BATCH_SIZE,
    "bootDiskSizeGb": DEFAULT_BOOT_DISK_GB,
}
_SWITCHES = frozenset({"flexStart", "spot"})
_DURATIONS = frozenset({"timeout", "maxWaitDuration"})
_SECONDS = late_pattern(r"(\d{1,9}(?:\.\d{1,9})?)s")
"""A Duration as Google's JSON writes it, such as `14400s` (protobuf's documentation)."""
_UNITS: Mapping[str, str] = {"bootDiskSizeGb": " GB"}


def field_label(path: str) -> str:
    """A field of a job as an alert calls it: `machine type` for `pools[0].machineType`; else empty."""
    return _ALERT_LABELS.get(_name(path), "")


def plan_words(changes: Iterable[Change], job: Job, *, only_rows_left: bool) -> str:
    """Each change of the job, once for all the worker pools it is made in.

    `machine type n1-standard-8 becomes n1-standard-16`; `job` is the job as changed.
    """
    texts = ["only the rows that are left run again"] if only_rows_left else []
    for one in _separate(changes):
        change, name = one.change, one.name
        if only_rows_left and is_resumed(change.field):
            continue  # told as what they are for
        unit = _UNITS.get(name, "")
        before, after = _plain(name, change.before), _plain(name, change.after) + unit
        if change.before is not None:
            before += unit
        elif name in _DEFAULTS:
            before = f"{_DEFAULTS[name]}{unit} (Vertex's default)"
        if name == "acceleratorType" and change.after:
            devices = job.devices_beside(change.field)
            had = one.count.before if one.count is not None else devices
            after = f"{devices} {after}"
            if change.before and had and (had, devices) != (1, 1):
                before = f"{had} {before}"
        texts.append(f"{_plan_label(one, job)} {before} becomes {after}")
    return ", ".join(dict.fromkeys(texts))


def change_list(changes: Iterable[Change], field_name: Callable[[str], str], show: Show) -> str:
    """Changes one by one: `machine type n1-standard-8 -> n1-standard-16; accelerator none -> …`."""
    parts = []
    for one in _separate(itertools.islice(changes, MOST_CHANGES)):
        change, count = one.change, one.count
        if is_resumed(change.field):
            what = "its input" if change.field.startswith("input") else "its output"
            after = change.after[0] if isinstance(change.after, list) else change.after
            parts.append(f"{what} is {show(str(after), 300)}")
            continue
        before, after = (
            _setting(one.name, change.before, show),
            _setting(one.name, change.after, show),
        )
        if count is not None:
            before = f"{count.before} {before}" if count.before and change.before else before
            after = f"{count.after} {after}" if count.after and change.after else after
        what = show(change.name, 120) if change.name else field_name(change.field)
        parts.append(f"{what} {before} -> {after}")
    return "; ".join(dict.fromkeys(parts))


def change_phrase(changes: Iterable[Change], field_name: Callable[[str], str], show: Show) -> str:
    """Changes as a phrase: `on n1-standard-16 with 1 NVIDIA_TESLA_T4`; empty for none."""
    taken = tuple(map(_in_whole_numbers, itertools.islice(changes, MOST_CHANGES)))
    named = [c for c in taken if c.name]
    made = {_name(c.field): c.after for c in taken if not (c.name or is_resumed(c.field))}
    count = made.pop("acceleratorCount", None)
    device = made.get("acceleratorType")
    if count and device:
        made["acceleratorType"] = f"{count} {device}"
    elif count:
        made["acceleratorType"] = f"{count} accelerators"
    made.pop("maxReplicaCount", None)  # follows the starting count, which is the one that counts
    said = ["with only the rows that are left"] if any(is_resumed(c.field) for c in taken) else []
    said += dict.fromkeys(f"with {show(c.name, 60)} {show(str(c.after), 40)}" for c in named)
    for name, after in made.items():
        if name.startswith(("args[", "command[")):
            said.append(f"with {show(str(after), 40)}")  # `--batch-size=32` names itself
        elif after is None:
            said.append(f"without {_ALERT_LABELS.get(name, name)}")
        else:
            phrase = _PHRASES.get(name, f"with {field_name(name)} {{0}}")
            value = _worded(name, after) or show(str(after), 40).replace("{", "(").replace("}", ")")
            said.append(phrase.format(value))
    if len(said) > _MOST_PHRASES:
        said = [*said[:_MOST_PHRASES], "and more"]
    return " ".join(said)


class _NamedChange(Struct, frozen=True):
    """A change, its field's name in camelCase, and of an accelerator's type the change of its count."""

    change: Change
    name: str
    count: Change | None


def _separate(changes: Iterable[Change]) -> Iterator[_NamedChange]:
    """The changes that are told on their own."""
    taken = tuple(map(_in_whole_numbers, changes))
    counts, types = (
        {_holder(one.field): one for one in taken if _name(one.field) == name}
        for name in ("acceleratorCount", "acceleratorType")
    )
    for change in taken:
        name, holder = _name(change.field), _holder(change.field)
        if name == "acceleratorCount" and holder in types:
            continue  # told with its type
        count = counts.get(holder) if name == "acceleratorType" else None
        yield _NamedChange(change, name, count)


def _in_whole_numbers(change: Change) -> Change:
    """Numbers of a pipeline's spec are doubles (protobuf's Struct): two devices, not 2.0."""
    before, after = as_whole(change.before), as_whole(change.after)
    return replace(
        change,
        before=change.before if before is None else before,
        after=change.after if after is None else after,
    )


def _holder(path: str) -> str:
    return path.rpartition(".")[0]


def _name(path: str) -> str:
    """The last key of a path, a field's in camelCase: `machineType` for `pools[0].machine_type`."""
    name = path.rpartition(".")[2]
    camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
    return camel if camel in _FIELDS else name  # a person's own parameter keeps its name


def _plan_label(one: _NamedChange, job: Job) -> str:
    path, name = one.change.field, one.name
    if name == "value":  # of an environment variable
        return job.variable_at(_holder(path)) or "variable"
    if name.startswith("args[") and not str(one.change.before).startswith("-"):
        # The flag whose value is changed, as in `--batch 32`; an item that begins with `-` is one itself.
        name = job.flag_before(path) or name
    return _PLAN_LABELS.get(name.partition("[")[0], name)


def _plain(name: str, value: object) -> str:
    worded = _worded(name, value)
    return worded or ("none" if value is None else str(value))


def _setting(name: str, value: object, show: Show) -> str:
    """A value in a job's own words; what is not set is told by what Vertex then takes."""
    if worded := _worded(name, value):
        return worded
    if value is not None:
        return show(str(value), 80)
    if name in _DEFAULTS:
        return f"{_DEFAULTS[name]} (the default)"
    return "none" if name == "acceleratorType" else "not set"


def _worded(name: str, value: object) -> str:
    """`on` or `off`, or `4 h 00 min` for `14400s`; else empty. A batch's flex-start is on where it is set."""
    if isinstance(value, bool) or name in _SWITCHES:
        return "on" if value or isinstance(value, Mapping) else "off"
    seconds = _SECONDS.fullmatch(value) if name in _DURATIONS and isinstance(value, str) else None
    return span_words(float(seconds[1])) if seconds else ""
