"""What the numbers say: CPUs, memory, accelerators and network over the job's life.

Owns the reading of Cloud Monitoring series and of in-job telemetry lines into one `Usage`, and
the words for it. Absent is not zero: a job without samples has `None`, never 0, and a batch
prediction normally has none at all. Judges nothing: which cause a full CPU speaks for depends on
how the job ended, and that is decided in `rules`. Pure; called by `diagnose`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from msgspec import Struct

from remediator.case import Case, LogLine, Series
from remediator.domain import Json, Source, parse_time
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import is_number, mean, median
from remediator.job import JobFacts

# A resource counts as full in a sample from here up; samples are means over a minute.
FULL = 0.85  # chosen
# "Full" for a run: in at least this share of its samples.
_FULL_SHARE = 0.55  # chosen
_FULL_MEAN = 0.75  # and at least this in the mean; chosen
_IDLE_MEAN = 0.30  # chosen
_NEAR_LIMIT = 0.93  # of memory: the rest is the system's; chosen
_FEW_SAMPLES = 3  # chosen
# Samples from less than this share of the run are a glimpse of it: pulled images, lost lines and
# late series never hide this much.
_LAST_SAMPLES, _SAGS = (
    3,
    0.05,
)  # samples of the end, and how far they may lie below the limit; chosen
_GLIMPSE = 0.1  # chosen
# Bytes a second over a whole run.
_RECEIVES = 5_000_000.0  # chosen
_USUAL_STEP = 60.0  # seconds; documented: cloud.google.com/monitoring/api/metrics_gcp
# Telemetry and metric of one thing may differ this much in the mean: other windows, other limits.
_AGREES = 0.2  # chosen
GIB = 1 << 30  # bytes; documented: IEC 80000-13
_TELEMETRY_MARK = "remediatorTelemetry"
# A line may carry a logger's prefix, with braces of its own, before the JSON.
_TELEMETRY_START = late_pattern(r'\{\s{0,8}"remediatorTelemetry"')
_TELEMETRY_DECODER = json.JSONDecoder()
_TELEMETRY_LIMIT = 20_000  # lines; chosen
_MOST = 1e18  # nothing that is measured comes near it; chosen
_MOST_SHARE = 1.5  # of a limit, where clocks and limits differ; chosen
_TELEMETRY_CHARS = 64_000  # of a line; chosen


class Load(Struct, frozen=True):
    """One resource as a fraction of its limit: the samples of its fullest replica, in order.

    `covered` is the share of the run from the first sample to the last. `replica` is whose samples they are, where
    several replicas were measured.
    """

    samples: tuple[float, ...]
    source: Source
    where: str
    covered: float = 1.0
    replica: str = ""

    @property
    def mean(self) -> float:
        return mean(self.samples)

    @property
    def usual(self) -> float:
        """The median: what it was for most of the run, whatever a short burst did to the mean."""
        return median(self.samples)

    @property
    def peak(self) -> float:
        return max(self.samples)

    @property
    def full_share(self) -> float:
        """The share of samples at `FULL` or more."""
        return sum(value >= FULL for value in self.samples) / len(self.samples)

    @property
    def is_full(self) -> bool:
        return self.full_share >= _FULL_SHARE and self.mean >= _FULL_MEAN

    @property
    def is_idle(self) -> bool:
        return self.mean < _IDLE_MEAN and self.full_share <= 1 - _FULL_SHARE

    @property
    def is_thin(self) -> bool:
        """Too few samples to lean on, or from too short a part of the run."""
        return len(self.samples) < _FEW_SAMPLES or self.is_glimpse

    @property
    def is_glimpse(self) -> bool:
        """Most of the run was not seen: what these samples say need not hold for it."""
        return self.covered < _GLIMPSE

    def share_between(self, low: float, high: float) -> float:
        """The share of the samples that lie there."""
        return sum(low <= value <= high for value in self.samples) / len(self.samples)

    @property
    def first_at_limit(self) -> float | None:
        """The share of the samples after which the resource first stood near its limit."""
        return next(
            (i / len(self.samples) for i, v in enumerate(self.samples) if v >= _NEAR_LIMIT), None
        )

    def around(self, share: float) -> tuple[float, float]:
        """The means before and after that share of the samples; there are some on both sides."""
        cut = min(len(self.samples) - 1, max(1, round(share * len(self.samples))))
        return mean(self.samples[:cut]), mean(self.samples[cut:])

    @property
    def reached_limit(self) -> bool:
        """The last samples stand at the limit, or one did after a climb."""
        return (
            self.peak >= _NEAR_LIMIT and max(self.samples[-_LAST_SAMPLES:]) >= _NEAR_LIMIT - _SAGS
        )


class TelemetryLine(Struct, frozen=True):
    """One telemetry line: its insertId, its own time, what it says, and the replica that wrote it."""

    where: str
    time: datetime | None
    body: Json
    replica: str


class SectionSample(Struct, frozen=True):
    """What the job was doing at one moment, by its own telemetry."""

    time: datetime | None
    section: str
    stack: str
    cpu: float | None


class Usage(Struct, frozen=True):
    """Everything measured; None where nothing was.

    `received_bytes_per_second` is the mean over the run, `usually_received` the median: what a job fetches once, before
    it works, makes the mean and not the median. Peaks in bytes come from telemetry.
    """

    cpu: Load | None
    memory: Load | None
    gpu: Load | None
    gpu_memory: Load | None
    received_bytes_per_second: float | None
    usually_received: float | None
    peak_memory_bytes: float | None
    sections: tuple[SectionSample, ...]

    @property
    def receives(self) -> bool:
        """Data came in all through the run, more than signs of life."""
        return (self.usually_received or 0.0) >= _RECEIVES

    @property
    def is_empty(self) -> bool:
        return self.cpu is None and self.memory is None and self.gpu is None


def read_usage(case: Case, workload: JobFacts, failed: frozenset[str] = frozenset()) -> Usage:
    """Metrics and telemetry of one case: those of the replicas that `failed`, where they were measured, else of the
    fullest.

    Telemetry is closer, but a worker wrote it: where Google measured the same thing and the two
    disagree, Google's numbers count.
    """
    samples = telemetry_of(case.log_lines)
    own = [sample for sample in samples if sample.replica in failed] or samples
    several = len({sample.replica for sample in samples}) > 1
    by_metric = _by_metric(case.series)
    ran = case.job.run_seconds if case.job.start_time else None
    cpu = _believed(
        _telemetry_load(own, _cpu, ran, several=several),
        _metric_load(by_metric, _CPU_METRICS, ran, failed),
    )
    measured = _metric_load(by_metric, _MEMORY_METRICS, ran, failed)
    if measured is None and workload.memory_gib:
        measured = _bytes_load(
            by_metric, "prediction/online/memory/bytes_used", workload.memory_gib
        )
    memory = _believed(_telemetry_load(own, _memory, ran, several=several), measured)
    gpu = _believed(
        _telemetry_load(own, _gpu, ran, several=several),
        _metric_load(by_metric, _GPU_METRICS, ran, failed),
    )
    gpu_memory = _believed(
        _telemetry_load(own, _gpu_memory, ran, several=several),
        _metric_load(by_metric, _GPU_MEMORY, ran, failed),
    )
    received, usually_received = _received(samples, by_metric)
    return Usage(
        cpu=cpu,
        memory=memory,
        gpu=gpu,
        gpu_memory=gpu_memory,
        received_bytes_per_second=received,
        usually_received=usually_received,
        peak_memory_bytes=_peak(own, lambda body: _number(body.get("memoryBytes"))),
        sections=tuple(
            SectionSample(
                one.time,
                str(one.body.get("section") or ""),
                str(one.body.get("stack") or ""),
                _cpu(one.body),
            )
            for one in samples
            if one.body.get("section") or one.body.get("stack")
        ),
    )


def _believed(reported: Load | None, measured: Load | None) -> Load | None:
    """Telemetry where nothing was measured, or where the measurement bears it out."""
    if reported is None or measured is None:
        return reported or measured
    if measured.is_thin or abs(reported.mean - measured.mean) <= _AGREES:
        return reported
    return measured


def peak_memory_gib(usage: Usage, memory_gib: float | None) -> float | None:
    """The most host memory ever seen in use: telemetry's bytes, else the metric's share of the
    machine, which has `memory_gib`; None where neither is known."""
    if usage.peak_memory_bytes:
        return usage.peak_memory_bytes / GIB
    if usage.memory and memory_gib and usage.memory.source is Source.METRIC:
        return min(1.0, usage.memory.peak) * memory_gib
    return None


def describe(name: str, load: Load, machine: str | None) -> str:
    """ "CPU at 97% or more for 92% of the run (n1-standard-8)": short, with numbers."""
    on = ", ".join(filter(None, (load.replica, machine)))
    on = f" ({on})" if on else ""
    thin = f", {len(load.samples)} samples only" if load.is_thin else ""
    if load.full_share >= _FULL_SHARE:
        full = sorted(value for value in load.samples if value >= FULL)
        usual = full[len(full) // 10]  # chosen: nine tenths of them are above
        return (
            f"{name} at {_percent(usual)} or more for {_percent(load.full_share)} of the run"
            f"{on}{thin}"
        )
    return f"{name} at {_percent(load.mean)} on average, {_percent(load.peak)} at most{on}{thin}"


def _percent(fraction: float) -> str:
    return f"{min(fraction, 1.0) * 100:.0f}%"


# --- Cloud Monitoring --------------------------------------------------------------------------

_CPU_METRICS = ("training/cpu/utilization", "prediction/online/cpu/utilization")
_MEMORY_METRICS = ("training/memory/utilization",)
_GPU_METRICS = (
    "training/accelerator/utilization",
    "prediction/online/accelerator/duty_cycle",
)
_GPU_MEMORY = ("training/accelerator/memory/utilization",)
_RECEIVED = "network/received_bytes_count"
# The documented unit of these is a percentage; all others are fractions.
_IN_PERCENT = frozenset({"prediction/online/cpu/utilization"})
_SURELY_PERCENT = 2.0  # no fraction of a limit comes so high; chosen


def _by_metric(series: Sequence[Series]) -> dict[str, list[Series]]:
    """Series by the end of their metric type, without the service's host name."""
    found: dict[str, list[Series]] = {}
    for item in series:
        if item.points:
            found.setdefault(item.metric.partition(".googleapis.com/")[2], []).append(item)
    return found


def _covered(moments: Sequence[datetime | None], ran: float | None) -> float:
    """The share of the run that samples at these times, in order, stand for; 1 if not known."""
    known = [moment for moment in moments if moment is not None]
    if not ran or ran <= 0 or len(known) < len(moments) or not known:
        return 1.0
    span = (known[-1] - known[0]).total_seconds()
    step = span / (len(known) - 1) if len(known) > 1 else _USUAL_STEP
    return min(1.0, (span + step) / ran)


def _metric_load(
    by_metric: Mapping[str, list[Series]],
    names: Iterable[str],
    ran: float | None,
    failed: frozenset[str],
) -> Load | None:
    for name in names:
        measured = by_metric.get(name)
        if measured:
            held = [item for item in measured if _replica(item) in failed] or measured
            values = [
                _fractions(
                    [v for _, v in item.points], scale=100.0 if name in _IN_PERCENT else None
                )
                for item in held
            ]
            fullest = max(values, key=mean)
            one = held[values.index(fullest)]
            covered = _covered([moment for moment, _ in one.points], ran)
            several = len({_replica(item) for item in measured}) > 1
            replica = _replica(one) if several else ""
            return Load(tuple(fullest), Source.METRIC, held[0].metric, covered, replica)
    return None


def _replica(item: Series) -> str:
    """The replica of which a series tells; empty where it does not say so."""
    return item.labels.get("task_name") or item.resource_labels.get("task_name") or ""


def _fractions(values: list[float], *, scale: float | None) -> list[float]:
    """Values over `scale`, or over 100 where they can only be percentages; nonsense left out."""
    sane = [value for value in values if 0 <= value <= _MOST] or [0.0]
    most = max(sane)
    divisor = scale or (100.0 if most > _SURELY_PERCENT else 1.0)
    if divisor == 1.0 and most <= _MOST_SHARE:  # as most are
        return sane
    return [min(value / divisor, _MOST_SHARE) for value in sane]


def _bytes_load(by_metric: Mapping[str, list[Series]], name: str, gib: float) -> Load | None:
    held = by_metric.get(name)
    if not held:
        return None
    values = max(
        (_fractions([v / (gib * GIB) for _, v in item.points], scale=1.0) for item in held),
        key=mean,
    )
    return Load(tuple(values), Source.METRIC, held[0].metric)


def _received(
    samples: Sequence[TelemetryLine], by_metric: Mapping[str, list[Series]]
) -> tuple[float | None, float | None]:
    """Bytes a second: the mean over the run, and the median of what is told of its parts."""
    reported = _by_replica(samples, lambda body: _number(body.get("receivedBytesPerSecond")))
    if reported:
        rates = [[rate for _, rate in of_one] for of_one in reported.values()]
        return max(map(mean, rates)), max(map(median, rates))
    for name, held in by_metric.items():
        if name.endswith(_RECEIVED):
            points = max((item.points for item in held), key=len)
            seconds = (points[-1][0] - points[0][0]).total_seconds()
            if seconds > 0:
                parts = [
                    value / spent
                    for (before, _), (at, value) in pairwise(points)
                    if (spent := (at - before).total_seconds()) > 0
                ]
                return sum(value for _, value in points[1:]) / seconds, median(parts)
    return None, None


# --- telemetry lines ---------------------------------------------------------------------------


def telemetry_of(lines: Sequence[LogLine]) -> list[TelemetryLine]:
    """Every telemetry line, in order of its own time.

    The body may be the jsonPayload, or JSON in `message` or in the text.
    """
    found: list[TelemetryLine] = []
    for line in lines:
        body: Json | None = None
        if "remediatorTelemetry" in line.payload:
            body = line.payload
        elif len(line.text) <= _TELEMETRY_CHARS and _TELEMETRY_MARK in line.text:
            body = _telemetry_in(line.text)
        if body is not None and body.get("remediatorTelemetry") == 1:
            time = parse_time(body.get("time")) or line.time
            found.append(TelemetryLine(line.insert_id, time, body, line.task))
        if len(found) >= _TELEMETRY_LIMIT:
            break
    found.sort(key=lambda item: item.time.timestamp() if item.time else 0.0)
    return found


def _telemetry_in(text: str) -> Json | None:
    """The telemetry object in one line, whatever a logger put before or after it."""
    start = _TELEMETRY_START.search(text)
    at = start.start() if start else text.find("{")
    if at < 0:
        return None
    try:
        parsed, _ = _TELEMETRY_DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _by_replica(
    samples: Sequence[TelemetryLine], read: Callable[[Json], float | None]
) -> dict[str, list[tuple[TelemetryLine, float]]]:
    """What each replica tells of one thing, in order."""
    found: dict[str, list[tuple[TelemetryLine, float]]] = {}
    for sample in samples:
        value = read(sample.body)
        if value is not None:
            found.setdefault(sample.replica, []).append((sample, value))
    return found


def _telemetry_load(
    samples: Sequence[TelemetryLine],
    read: Callable[[Json], float | None],
    ran: float | None,
    *,
    several: bool,
) -> Load | None:
    """Of the fullest replica; `several` wrote telemetry."""
    reported = _by_replica(samples, read)
    if not reported:
        return None
    replica, fullest = max(reported.items(), key=lambda item: mean([value for _, value in item[1]]))
    return Load(
        tuple(value for _, value in fullest),
        Source.TELEMETRY,
        fullest[-1][0].where or "telemetry",
        _covered([sample.time for sample, _ in fullest], ran),
        replica if several else "",
    )


def _number(value: object) -> float | None:
    if not is_number(value):
        return None
    # Nothing that is measured here comes near the bound; what does is no measurement.
    return float(value) if 0 <= value <= _MOST else None


def _share(used: object, limit: object) -> float | None:
    top, bottom = _number(used), _number(limit)
    return min(top / bottom, _MOST_SHARE) if top is not None and bottom else None


def _cpu(body: Json) -> float | None:
    number = _number(body.get("cpu"))
    return None if number is None else min(number, _MOST_SHARE)


def _memory(body: Json) -> float | None:
    return _share(body.get("memoryBytes"), body.get("memoryLimitBytes"))


def _gpus(body: Json) -> list[Json]:
    held = body.get("gpus")
    return [gpu for gpu in held if isinstance(gpu, Mapping)] if isinstance(held, list) else []


def _gpu(body: Json) -> float | None:
    values = [v for gpu in _gpus(body) if (v := _number(gpu.get("utilization"))) is not None]
    return min(max(values), _MOST_SHARE) if values else None


def _gpu_memory(body: Json) -> float | None:
    shares = [
        s
        for gpu in _gpus(body)
        if (s := _share(gpu.get("memoryBytes"), gpu.get("memoryLimitBytes"))) is not None
    ]
    return max(shares, default=None)


def _peak(samples: Sequence[TelemetryLine], read: Callable[[Json], float | None]) -> float | None:
    values = [value for one in samples if (value := read(one.body)) is not None]
    return max(values, default=None)
