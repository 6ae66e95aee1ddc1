"""A job as it could be seen at any moment of its life: what had been measured, written and saved by then.

Owns what of a whole run's evidence had arrived at a moment, and how coarse the older samples are, as a
look at a running job reads them. Pure; called by `replay`, and by the bench that judges simulated jobs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import RAW_ONLY_UP_TO, RAW_WINDOW, Case, Series
from remediator.domain import parse_time

METRICS_LATE = timedelta(minutes=6)
"""How late a sample may reach Cloud Monitoring (documented there): a look at the past assumes the latest."""
_GRAIN = timedelta(minutes=10)
_INFINITY = float("inf")


class PastView:
    """One job's evidence, sorted once; `at` is the case as it stood at a moment."""

    def __init__(self, case: Case, *, late: timedelta = METRICS_LATE) -> None:
        self._case = case
        self._late = late
        self._curves = tuple(_Curve.of(one) for one in case.series)
        lines = [line for line in case.log_lines if line.time is not None]
        self._lines = tuple(sorted(lines, key=lambda line: line.time or case.now))
        self._times = [line.time or case.now for line in self._lines]
        self._outputs = tuple(
            (at, one) for one in case.outputs if (at := parse_time(one.get("updated"))) is not None
        )
        self._waiting = case.job.before_its_end(started=False)
        self._running = case.job.before_its_end(started=True)

    @property
    def begun(self) -> datetime | None:
        """When the job was created, or started where that is all that is known."""
        return self._case.job.create_time or self._case.job.start_time

    @property
    def ended(self) -> datetime:
        """When the job ended; for one that has not, when its case was read."""
        return self._case.job.end_time or self._case.now

    @property
    def has_ended(self) -> bool:
        return self._case.job.end_time is not None

    def at(self, moment: datetime, *, with_log: bool = True) -> Case:
        """The case at `moment`, the job PENDING or RUNNING; without its log where none is read."""
        started = self._case.job.start_time
        newest = moment - self._late
        whole = moment - (self.begun or moment) <= RAW_ONLY_UP_TO
        raw_from = None if whole else moment - RAW_WINDOW
        last = bisect_right(self._times, moment)
        return replace(
            self._case,
            job=self._running if started is not None and started <= moment else self._waiting,
            now=moment,
            series=tuple(curve.until(newest, raw_from) for curve in self._curves),
            log_lines=self._lines[:last] if with_log else (),
            outputs=tuple(one for at, one in self._outputs if at <= moment),
        )


class _Curve(Struct, frozen=True):
    """One series, and its means (of memory its highest) by ten minutes; `ends` are those minutes'."""

    series: Series
    coarse: tuple[tuple[datetime, float], ...]
    ends: tuple[datetime, ...]

    @classmethod
    def of(cls, series: Series) -> _Curve:
        groups: dict[datetime, list[float]] = {}
        for at, value in series.points:
            minute = at.replace(minute=at.minute - at.minute % 10, second=0, microsecond=0)
            groups.setdefault(minute + _GRAIN, []).append(value)
        is_memory = "memory/" in series.metric
        coarse = tuple(
            (end, max(values) if is_memory else sum(values) / len(values))
            for end, values in groups.items()
        )
        return cls(series, coarse, tuple(end for end, _ in coarse))

    def until(self, newest: datetime, raw_from: datetime | None) -> Series:
        points = self.series.points
        last = bisect_right(points, (newest, _INFINITY))
        if raw_from is None:
            return replace(self.series, points=points[:last])
        older = self.coarse[: bisect_right(self.ends, raw_from)]
        begin = older[-1][0] if older else raw_from
        return replace(
            self.series, points=(*older, *points[bisect_left(points, (begin, -_INFINITY)) : last])
        )
