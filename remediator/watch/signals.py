"""What can be seen of a job that still runs: levels over time, new lines, new objects.

Owns the reading of metrics, log lines and outputs into one frozen value, and what counts as a sign of work in
each; `lines` knows the log. Pure; called by `entries`, judged by `verdicts`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from remediator.case import Case, LogLine
from remediator.domain import Json, parse_time
from remediator.domain.time_words import minutes_words
from remediator.watch.lines import MOST_TEXT, News, read_news
from remediator.watch.telemetry import Sample, is_telemetry, samples_in

Points = tuple[tuple[datetime, float], ...]

_METRICS: Mapping[str, str] = {
    "training/cpu/utilization": "cpu",
    "training/memory/utilization": "memory",
    "training/accelerator/utilization": "accelerator",
    "training/network/received_bytes_count": "network",
    "training/network/sent_bytes_count": "network",
}
"""Vertex's metrics of custom jobs (vertex facts, section 2): fractions, and bytes of a minute."""

IDLE_CORES = 0.5  # contract: below half a core, and below half of the job's own working level
IDLE_ACCELERATOR = 0.05  # contract: `accelerator_unused` is never above 5%
PINNED_ACCELERATOR = (
    0.9  # chosen: a collective that waits keeps its kernel on the device, near 100%
)
QUIET_BYTES = 1_000_000.0  # chosen: of a worker in a minute; health checks and log lines stay below
QUIET_SHARE = 0.02  # chosen: of the job's own working traffic
_WORKING_LEVEL = 0.9  # chosen: the share of its readings that lies below a job's own working level


class Signals(Struct, frozen=True):
    """One running job as it can be seen at `now`; times are UTC, levels fractions of what there is.

    Of several workers the busiest speaks. `cpu` is in cores, `network` in bytes of a minute. `news` is
    what the log last said that was new, `last_output` when an object was last written below the output
    directory.
    """

    now: datetime
    cpu: Points
    memory: Points
    accelerator: Points
    network: Points
    news: News
    outputs: int
    last_output: datetime | None
    stacks: Sample | None = None
    """The last telemetry line with the stacks of all threads; None: there is none."""

    @property
    def is_measured(self) -> bool:
        """Whether any level of work is seen at all."""
        return bool(self.cpu or self.accelerator)

    @property
    def newest(self) -> datetime | None:
        """The newest moment that a metric speaks of."""
        ends = [points[-1][0] for points in (self.cpu, self.accelerator) if points]
        return max(ends, default=None)

    @property
    def working_cores(self) -> float:
        """The job's own working level: what its cores reach in a tenth of the whole run."""
        return _level(self.cpu)


def _level(points: Points) -> float:
    ordered = sorted(value for _, value in points)
    return ordered[int(_WORKING_LEVEL * len(ordered))] if ordered else 0.0


def last_busy(cpu: Points, accelerator: Points) -> datetime | None:
    """When a device or the CPUs last worked, by the metrics."""
    level = _level(cpu)
    bound = min(IDLE_CORES, level / 2) or IDLE_CORES
    return _latest(_last_sustained(cpu, bound), _last_above(accelerator, IDLE_ACCELERATOR))


def last_traffic(network: Points) -> datetime | None:
    """When the network last carried more than health checks and log lines."""
    return _last_above(network, max(QUIET_BYTES, QUIET_SHARE * _level(network)))


def _last_above(points: Points, bound: float) -> datetime | None:
    return next((at for at, value in reversed(points) if value > bound), None)


def _last_sustained(points: Points, bound: float) -> datetime | None:
    """The last reading above the bound that is no blip: twice as high, or beside another one."""
    for index in range(len(points) - 1, -1, -1):
        at, value = points[index]
        if value <= bound:
            continue
        beside = points[max(0, index - 1) : index] + points[index + 1 : index + 2]
        is_alone = all(near <= bound for _, near in beside) and len(beside) > 1
        if value > _BLIP * bound or not is_alone:
            return at
    return None


_BLIP = 2.0  # chosen: a log that is rotated, an agent that wakes up


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def read_signals(
    case: Case,
    vcpus: float | None,
    outputs: Sequence[Json],
    *,
    is_progress: Callable[[str], bool] | None = None,
) -> Signals:
    """The signals of the case's job; `vcpus` of one of its machines, where that is known.

    `is_progress` says which lines alone are a sign of work; without it, any that says something new.
    """
    levels: dict[str, dict[datetime, float]] = defaultdict(dict)
    for series in case.series:
        name = series.metric.partition("googleapis.com/")[2] or series.metric
        kind = _METRICS.get(name)
        if kind is None:
            continue
        of_kind = levels[kind]
        for at, value in series.points:
            if at > case.now:
                break
            minute = (
                at if not (at.second or at.microsecond) else at.replace(second=0, microsecond=0)
            )
            if value > of_kind.get(minute, -1.0):
                of_kind[minute] = value
    samples = tuple(samples_in(case.log_lines, case.now))
    _fill_from(samples, levels)
    cores = vcpus or 1.0
    cpu = tuple((at, value * cores) for at, value in sorted(levels["cpu"].items()))
    accelerator = tuple(sorted(levels["accelerator"].items()))
    network = tuple(sorted(levels["network"].items()))
    if is_progress is not None:
        news = News(*last_matching(case, is_progress))
    else:
        news = _news(case, cpu, accelerator, network)
    times = (parse_time(one.get("updated")) for one in outputs)
    written = [moment for moment in times if moment is not None and moment <= case.now]
    return Signals(
        now=case.now,
        cpu=cpu,
        memory=tuple(sorted(levels["memory"].items())),
        accelerator=accelerator,
        network=network,
        news=news,
        outputs=len(written),
        last_output=max(written, default=None),
        stacks=next((one for one in reversed(samples) if one.stacks), None),
    )


def _fill_from(samples: Sequence[Sample], levels: Mapping[str, dict[datetime, float]]) -> None:
    """Levels that the job's own telemetry tells, where no metric tells any (batch predictions, say)."""
    measured = {kind for kind in ("cpu", "accelerator", "memory", "network") if levels[kind]}
    for one in samples:
        minute = one.at.replace(second=0, microsecond=0)
        for kind, value in (
            ("cpu", one.cpu),
            ("accelerator", one.accelerator),
            ("memory", one.memory),
            ("network", one.bytes_per_minute),
        ):
            if kind not in measured and value is not None:
                levels[kind][minute] = max(value, levels[kind].get(minute, 0.0))


def _news(case: Case, cpu: Points, accelerator: Points, network: Points) -> News:
    """What the log says, held against when the machines last worked for anybody.

    A device that is pinned while the wire is silent may wait for others: then traffic alone is work.
    """
    traffic = last_traffic(network)
    busy = _latest(last_busy(cpu, accelerator), traffic)
    if traffic is not None and busy is not None and is_pinned_since(accelerator, traffic):
        busy = traffic
    lines = sorted(worker_lines(case), key=_time_of)
    return read_news(lines, busy, case.now)


def is_pinned_since(accelerator: Points, since: datetime) -> bool:
    """Whether the device has been near 100% in every reading after that moment, in several."""
    after = [share for at, share in accelerator if at > since]
    return len(after) >= _FEWEST_PINNED and min(after) >= PINNED_ACCELERATOR


_FEWEST_PINNED = 8  # chosen: readings


LONGEST_LINE = 10_000  # characters that a pattern is held against; chosen


def last_matching(case: Case, matches: Callable[[str], bool]) -> tuple[datetime | None, str]:
    """When a worker last wrote a line that matches, and the line; (None, "") where none did."""
    fitting = (line for line in worker_lines(case) if matches(line.text[:LONGEST_LINE]))
    last = max(fitting, key=_time_of, default=None)
    return (last.time, last.text[:MOST_TEXT]) if last else (None, "")


def worker_lines(case: Case) -> Iterator[LogLine]:
    """What the job's own programs wrote by `now`: not the service, not our telemetry."""
    for line in case.log_lines:
        is_ours = line.task == "service" or is_telemetry(line)
        if line.time is not None and line.time <= case.now and not is_ours:
            yield line


def _time_of(line: LogLine) -> datetime:
    return line.time or datetime.min.replace(tzinfo=None)  # noqa: DTZ901  # all are set


def minutes(span: timedelta) -> str:
    """`1 h 05 min`, `42 min`."""
    return minutes_words(span.total_seconds())
