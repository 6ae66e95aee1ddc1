"""Cloud Monitoring: the utilisation of a job's machines.

Owns the channel to Monitoring and which metric types there are. Batch predictions have none
(their model runs in Google's own project), so nobody asks here about one. `evidence` sees it
through its own Protocol.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from remediator.case import Series
from remediator.cloud.connection import DEFAULT_TIMEOUT_SECONDS, answered, open_channel
from remediator.cloud.grpc_methods import Methods, message, protobuf
from remediator.domain import InvalidInput, NotFound, is_usable
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job
from remediator.job.quota import QUOTA_LIMIT, QUOTA_USAGE

HOST = "monitoring.googleapis.com"
TRAINING_METRICS = tuple(
    f"ml.googleapis.com/training/{name}"
    for name in (
        "cpu/utilization",
        "memory/utilization",
        "accelerator/utilization",
        "accelerator/memory/utilization",
        "network/received_bytes_count",
        "network/sent_bytes_count",
    )
)
"""On the resource `cloudml_job`; fractions from 0 to 1, or bytes. The disk's series is unreliable."""

# Samples begin minutes late and stand for the time before them (vertex-facts, section 2).
_BEFORE, _AFTER = timedelta(minutes=5), timedelta(minutes=10)
_RAW_UP_TO = timedelta(hours=12)
_MOST_POINTS = 720  # a series of a longer run is averaged down to about this many by Monitoring
_COARSE_POINTS = 240  # chosen: of a series that is only read to know a job's own levels
_MOST_IDS = 20  # trials or tasks; the caller puts the ones that failed first
_MOST_PAGES = 5
_PAGE_POINTS = 20_000
_QUOTA_METRIC = late_pattern(r"aiplatform\.googleapis\.com/[a-z][a-z0-9_]{2,120}")
_MOST_QUOTAS = 10  # of one message; chosen
_QUOTA_WINDOW = timedelta(hours=49)
"""Two samples of a limit, which is written daily: Google's quota-monitoring-solution (on GitHub) asks for the newest
of a day (`align next_older(1d)`); no page of Google's that we found says how often."""
_JOB_ID = late_pattern(r"[A-Za-z0-9._-]{1,128}")


class Metrics:
    """The Monitoring API. `endpoint`: `host:port` of a plaintext gRPC server on loopback, or None."""

    def __init__(
        self, endpoint: str | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._channel: Any = None
        self._opened: Any = None

    def series(
        self,
        job: Job,
        job_ids: Sequence[str] = (),
        *,
        now: datetime | None = None,
        unread: Collection[str] = (),
        raw_for: timedelta | None = None,
        timeout_seconds: float | None = None,
    ) -> tuple[Series, ...]:
        """Every series of the machines that worked for the job, all types asked side by side.

        `job_ids` are CustomJob ids (of trials, tasks, a training pipeline); none: the job's own.
        Empty where there are no samples, which is not the same as idle. A job that has not ended is
        read up to `now`. `unread` are types that nobody needs; of a longer run than `raw_for` the samples
        before so long ago are averaged, in a read of their own. Raises TransientError if any type could not
        be read.
        """
        ids = tuple(dict.fromkeys(job_ids))[:_MOST_IDS] or (job.name.id,)
        if not all(_JOB_ID.fullmatch(one) for one in ids):
            msg = f"not the ids of jobs: {ids!r}"
            raise InvalidInput(msg)
        started, ended = job.start_time or job.create_time, job.end_time or now
        if started is None or ended is None:
            return ()
        spans = _spans(started - _BEFORE, ended + _AFTER, raw_for)
        which = f'resource.labels.job_id="{ids[0]}"'
        if len(ids) > 1:
            listed = ", ".join(f'"{one}"' for one in ids)
            which = f"resource.labels.job_id=one_of({listed})"
        budget = timeout_seconds or self._timeout_seconds
        client = self._client()

        def read(metric: str) -> list[Series]:
            # A list names one metric type each: Monitoring takes no more in one.
            query = f'metric.type="{metric}" AND resource.type="cloudml_job" AND {which}'
            try:
                found = _read_series(client, job.name.project, query, spans, budget)
            except (
                NotFound
            ):  # the project has never had a sample of this type, such as without GPUs
                return []
            # Whatever came back: another job's machines are no evidence, nor is a type read twice.
            return [
                one
                for one in found
                if one.metric == metric and one.resource_labels.get("job_id", ids[0]) in ids
            ]

        wanted = tuple(one for one in TRAINING_METRICS if one not in unread)
        with ThreadPoolExecutor(len(wanted) or 1) as pool:
            beside = pool.map(read, wanted[1:])  # begun at once
            found = [*map(read, wanted[:1]), *beside]  # the first one in this thread
        return tuple(series for several in found for series in several)

    def quotas(
        self,
        project: str,
        metrics: Sequence[str],
        *,
        now: datetime,
        timeout_seconds: float | None = None,
    ) -> tuple[Series, ...]:
        """The limits and use, in every region, of quota metrics such as
        `aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus`.

        Empty where the project has no such series. Their names and labels are documented
        (https://cloud.google.com/monitoring/alerts/using-quota-metrics); no real project was asked.
        """
        wanted = tuple(one for one in dict.fromkeys(metrics) if _QUOTA_METRIC.fullmatch(one))
        if not wanted:
            return ()
        listed = ", ".join(f'"{one}"' for one in wanted[:_MOST_QUOTAS])
        budget = timeout_seconds or self._timeout_seconds
        client = self._client()

        def read(metric: str) -> list[Series]:
            query = (
                f'metric.type="{metric}" AND resource.type="consumer_quota" '
                'AND resource.labels.service="aiplatform.googleapis.com" '
                f"AND metric.labels.quota_metric=one_of({listed})"
            )
            try:
                spans = _spans(now - _QUOTA_WINDOW, now, None)
                found = _read_series(client, project, query, spans, budget)
            except NotFound:
                return []
            return [
                one
                for one in found
                if one.metric == metric and one.labels.get("quota_metric") in wanted
            ]

        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(read, (QUOTA_LIMIT, QUOTA_USAGE)))
        return tuple(series for several in both for series in several)

    def close(self) -> None:
        """Closes the channel; the next call opens a new one."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = self._opened = None

    def _client(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._channel = open_channel(HOST, self._endpoint)
                self._opened = Methods(self._channel, "google.monitoring.v3.MetricService")
            return self._opened


class _Span(Struct, frozen=True):
    """A time that is read at once; `minutes`: averaged to a sample in so many, None: as it is."""

    start: datetime
    end: datetime
    minutes: int | None


def _spans(start: datetime, end: datetime, raw_for: timedelta | None) -> tuple[_Span, ...]:
    """What is read of a run: averages of all of it where it is long, or of all but its last `raw_for`.

    Averages are at least a minute's, in whole minutes, which is the metrics' own grain.
    """
    if raw_for is None:
        minutes = max(1, round((end - start).total_seconds() / 60 / _MOST_POINTS))
        return (_Span(start, end, minutes if end - start > _RAW_UP_TO else None),)
    if end - start <= raw_for:
        return (_Span(start, end, None),)
    cut = end - raw_for
    minutes = max(1, math.ceil((cut - start).total_seconds() / 60 / _COARSE_POINTS))
    return (_Span(start, cut, minutes), _Span(cut, end, None))


def _read_series(
    client: Any, project: str, query: str, spans: Sequence[_Span], timeout_seconds: float
) -> list[Series]:
    merged: dict[str, Series] = {}
    for one in spans:
        for series in _pages(client, project, query, one, timeout_seconds):
            labels = sorted(series.labels.items()), sorted(series.resource_labels.items())
            key = repr((series.metric, labels))
            known = merged.get(key)
            points = tuple(sorted((*known.points, *series.points))) if known else series.points
            merged[key] = Series(series.metric, series.labels, series.resource_labels, points)
    return list(merged.values())


def _pages(
    client: Any, project: str, query: str, span: _Span, timeout_seconds: float
) -> Iterator[Series]:
    package = "google.cloud.monitoring_v3"
    request_type = message(package, "metric_service", "ListTimeSeriesRequest")
    answer = protobuf(package, "metric_service", "ListTimeSeriesResponse")
    name = f"projects/{project}"
    request = request_type.pb()(
        name=name,
        filter=query,
        view=request_type.TimeSeriesView.FULL,
        page_size=_PAGE_POINTS,
    )
    request.interval.start_time.FromDatetime(span.start)
    request.interval.end_time.FromDatetime(span.end)
    if span.minutes is not None:
        aligner = message(package, "common", "Aggregation").Aligner
        request.aggregation.alignment_period.FromTimedelta(timedelta(minutes=span.minutes))
        request.aggregation.per_series_aligner = (
            aligner.ALIGN_MAX  # a mean would hide the peak that killed it
            if "memory/" in query
            else aligner.ALIGN_MEAN
        )
    for _ in range(_MOST_PAGES):
        page = answered(
            "reading metrics",
            lambda seconds: client.call(
                "ListTimeSeries", request, answer, seconds=seconds, name=name
            ),
            timeout_seconds=timeout_seconds,
            permission="monitoring.timeSeries.list",
        )
        yield from map(series_of, page.time_series)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token


def series_of(message: Any) -> Series:
    """What `Series.parse` makes of the message's JSON, without the JSON: a run has thousands of points."""
    points: list[tuple[datetime, float]] = []
    for point in message.points:
        end, value = point.interval.end_time, point.value
        seconds = end.seconds
        # What is 0 may also not be there at all, which takes longer to find out.
        number = value.double_value or _number(value)
        if 0 < seconds < _YEAR_3000 and not end.nanos:  # a run has hundreds, and all are
            moment: datetime | None = _second(seconds)
        else:
            moment = _moment(end) if seconds or point.interval.HasField("end_time") else None
        if moment is not None and number is not None:
            points.append((moment, number))
    return Series(
        metric=message.metric.type,
        labels=dict(message.metric.labels),
        resource_labels=dict(message.resource.labels),
        points=tuple(sorted(points)),
    )


def _number(value: Any) -> float | None:
    """The number of a TypedValue whose double is 0 or not there; of a distribution its mean."""
    kind = value.WhichOneof("value")
    if kind == "double_value":
        return 0.0
    if kind == "int64_value":
        return float(value.int64_value)
    return value.distribution_value.mean or None if kind == "distribution_value" else None


_YEAR_3000 = 32_503_680_000  # in seconds since 1970


@functools.lru_cache(maxsize=2048)
def _second(seconds: int) -> datetime:
    """A whole second since 1970: the series of a job have their samples at the same ones."""
    return datetime.fromtimestamp(seconds, UTC)


def _moment(end: Any) -> datetime | None:
    """The Timestamp, to the microsecond below; None in a year that is not usable."""
    try:
        moment = datetime.fromtimestamp(end.seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if end.nanos:
        moment += timedelta(microseconds=end.nanos // 1000)
    return moment if is_usable(moment) else None
