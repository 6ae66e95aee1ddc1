"""What can be seen of a job that still runs: levels over time, new lines, new objects.

Owns the reading of metrics, log lines and outputs into one frozen value, and what counts as a sign
of work in each. A line brings something new when its words, without times, were not written before;
a heartbeat brings nothing, since a thread may write it over a loop that is wedged. Pure; called by
`verdicts`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from remediator.case import Case, LogLine
from remediator.domain import Json, parse_time

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
QUIET_BYTES = 1_000_000.0  # chosen: of a minute; health checks and log lines stay far below


@dataclass(frozen=True, slots=True)
class Signals:
    """One running job as it can be seen at `now`; times are UTC, levels fractions of what there is.

    `cpu` is in cores. `network` is in bytes of a minute. `last_new_line` is when the log last brought
    something new, `last_output` when an object was last written below the output directory.
    """

    now: datetime
    cpu: Points
    memory: Points
    accelerator: Points
    network: Points
    lines: int
    last_new_line: datetime | None
    last_new_text: str
    outputs: int
    last_output: datetime | None

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
        ordered = sorted(value for _, value in self.cpu)
        return ordered[(9 * len(ordered)) // 10] if ordered else 0.0

    @property
    def idle_below_cores(self) -> float:
        return min(IDLE_CORES, max(self.working_cores / 2, 0.0)) or IDLE_CORES

    def last_busy(self) -> datetime | None:
        """When a device or the CPUs last worked, by the metrics."""
        bound = self.idle_below_cores
        busy = [at for at, cores in self.cpu if cores >= bound]
        busy += [at for at, share in self.accelerator if share > IDLE_ACCELERATOR]
        return max(busy, default=None)

    def last_traffic(self) -> datetime | None:
        return max((at for at, count in self.network if count >= QUIET_BYTES), default=None)


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
    levels: dict[str, dict[datetime, list[float]]] = defaultdict(lambda: defaultdict(list))
    for series in case.series:
        name = series.metric.partition("googleapis.com/")[2] or series.metric
        kind = _METRICS.get(name)
        if kind is None:
            continue
        of_kind = levels[kind]
        for at, value in series.points:
            if at <= case.now:
                whole = (
                    at if not (at.second or at.microsecond) else at.replace(second=0, microsecond=0)
                )
                of_kind[whole].append(value)
    cores = vcpus or 1.0
    if is_progress is None:
        newest, text = _last_new(worker_lines(case))
    else:
        newest, text = last_matching(case, is_progress)
    times = (parse_time(one.get("updated")) for one in outputs)
    written = [moment for moment in times if moment is not None and moment <= case.now]
    return Signals(
        now=case.now,
        cpu=tuple((at, value * cores) for at, value in _highest(levels["cpu"])),
        memory=_highest(levels["memory"]),
        accelerator=_highest(levels["accelerator"]),
        network=tuple(sorted((at, sum(values)) for at, values in levels["network"].items())),
        lines=len(case.log_lines),
        last_new_line=newest,
        last_new_text=text,
        outputs=len(written),
        last_output=max(written, default=None),
    )


def _highest(levels: Mapping[datetime, Sequence[float]]) -> Points:
    """Of several workers the busiest speaks: one that works is work."""
    return tuple(sorted((at, max(values)) for at, values in levels.items()))


_TIMES = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]?|\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?|\b\d{9,13}(?:\.\d+)?\b"
    r"|\b\d+(?:\.\d+)? ?(?:s|sec|secs|seconds?|min|mins|minutes?|h|hours?) (?:ago|elapsed|so far)\b|\buptime\S* \S+",
    re.IGNORECASE,
)
_HEARTBEAT = re.compile(
    r"\bheart-?beats?\b|\balive\b|\bstill (?:running|waiting|here|working)\b|\bping(?:ing)?\b|\bkeep-?alive\b"
    r"|\bliveness\b|\bhealth(?:z| ?check)?\b|\bwaiting for\b|\bidle\b|\bwatchdog\b",
    re.IGNORECASE,
)
_MOST_TEXT = 300
_LINES_KEPT = 4096  # chosen: two looks at a talkative job; a megabyte or two


def _last_new(lines: Iterable[LogLine]) -> tuple[datetime | None, str]:
    """When, and with which words, the log last said something that it had not said before."""
    seen: set[str] = set()
    newest: datetime | None = None
    text = ""
    for line in sorted(lines, key=_time_of):
        words = _news_in(line.text[:_MOST_TEXT])
        if not words or words in seen:
            continue
        seen.add(words)
        newest, text = line.time, line.text[:_MOST_TEXT]
    return newest, text


@lru_cache(maxsize=_LINES_KEPT)
def _news_in(text: str) -> str:
    """The words of a line without times; empty for what only says that the program is alive."""
    words = " ".join(_TIMES.sub(" ", text).split())
    return "" if _HEARTBEAT.search(words) else words


def last_matching(case: Case, matches: Callable[[str], bool]) -> tuple[datetime | None, str]:
    """When a worker last wrote a line that matches, and the line; (None, "") where none did."""
    fitting = (
        line
        for line in worker_lines(case)
        if line.time is not None and matches(line.text[:LONGEST_LINE])
    )
    last = max(fitting, key=_time_of, default=None)
    return (last.time, last.text[:_MOST_TEXT]) if last else (None, "")


LONGEST_LINE = 10_000  # characters that a pattern is held against; chosen


def worker_lines(case: Case) -> Iterator[LogLine]:
    """What the job's own programs wrote by `now`: not the service, not our telemetry."""
    for line in case.log_lines:
        is_ours = line.task == "service" or "remediatorTelemetry" in line.text
        if line.time is not None and line.time <= case.now and not is_ours:
            yield line


def _time_of(line: LogLine) -> datetime:
    return line.time or datetime.min.replace(tzinfo=None)  # noqa: DTZ901  # all are set


def minutes(span: timedelta) -> str:
    """`1 h 05 min`, `42 min`."""
    whole = max(0, round(span.total_seconds() / 60))
    hours, rest = divmod(whole, 60)
    return f"{hours} h {rest:02d} min" if hours else f"{rest} min"
