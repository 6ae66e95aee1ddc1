"""Cloud Monitoring in the twin: time series put in directly, read over gRPC.

Points later than now, or younger than `lag` (metrics really arrive minutes late), are not shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from google.cloud import monitoring_v3 as monitoring
from google.protobuf import json_format

from twin.clock import Clock, parse_time
from twin.grammar import BadQuery, parse
from twin.index import Index
from twin.query import monitoring_filter
from twin.rpc import Body, Caller, Method, Refusal, page, plain

_Series, _Point, _Answer = (
    plain(kind)
    for kind in (monitoring.TimeSeries, monitoring.Point, monitoring.ListTimeSeriesResponse)
)


class SeriesStore:
    """Every time series of the project, as REST-shaped JSON."""

    def __init__(self, clock: Clock, project: str, number: str) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._series = Index(_keys, _is_key)
        self._messages: dict[int, _Kept] = {}  # by the identity of what `_series` keeps
        self._ours = {f"projects/{project}", f"projects/{number}"}
        self.lag = timedelta(0)
        self.lists_everything = False  # a filter is read and not obeyed

    def add(self, series: Mapping[str, Any]) -> None:
        """One series more; points in any order."""
        with self._lock:
            self._series.add(dict(series))

    def methods(self) -> list[Method]:
        """The RPCs that this store answers."""
        return [
            Method(
                "/google.monitoring.v3.MetricService/ListTimeSeries",
                monitoring.ListTimeSeriesRequest,
                monitoring.ListTimeSeriesResponse,
                self._list,
            )
        ]

    def _list(self, body: Body, caller: Caller) -> Any:
        if body.get("name") not in self._ours:
            raise Refusal("PERMISSION_DENIED", f"Permission denied on {body.get('name')}.")
        interval = body.get("interval") or {}
        if "endTime" not in interval:
            raise Refusal("INVALID_ARGUMENT", "Field interval.endTime had an invalid value.")
        end = parse_time(interval["endTime"])
        start = parse_time(interval.get("startTime", interval["endTime"]))
        if start > end:
            raise Refusal(
                "INVALID_ARGUMENT", "The start time must be before the end time of the interval."
            )
        try:
            query = str(body.get("filter", ""))
            matches = monitoring_filter(query)
            with self._lock:
                known = self._series.candidates(parse("" if self.lists_everything else query))
            found = [one for one in known if self.lists_everything or matches(one)]
        except BadQuery as err:
            raise Refusal("INVALID_ARGUMENT", str(err)) from err
        newest = min(end, self._clock.now() - self.lag)
        shown = []
        for series in found:
            kept = self._kept_of(series)
            within = [one for one in kept.points if start < one.end <= newest]
            if within:
                shown.append((kept.head, [] if body.get("view") == "HEADERS" else within))
        series_page, following = page(shown, body, 1000)
        answer = _Answer(next_page_token=following)
        for head, within in series_page:
            answer.time_series.append(head)
            answer.time_series[-1].points.extend(one.message for one in within)
        return answer

    def _kept_of(self, series: Mapping[str, Any]) -> _Kept:
        with self._lock:
            if id(series) not in self._messages:
                self._messages[id(series)] = _Kept(series)
            return self._messages[id(series)]


class _Kept:
    """A series as messages; each point is made into one once, when it is first asked for.

    A day of points takes longer to make than to send, and running jobs are looked at again and again.
    """

    def __init__(self, series: Mapping[str, Any]) -> None:
        self.head = _parsed({**series, "points": []}, _Series())
        points = map(_KeptPoint, series.get("points") or ())
        self.points = sorted(points, key=lambda point: point.end, reverse=True)


class _KeptPoint:
    def __init__(self, point: Mapping[str, Any]) -> None:
        self._body = point
        self.end = parse_time(point["interval"]["endTime"])

    @cached_property
    def message(self) -> Any:
        return _parsed(self._body, _Point())


def _parsed(body: Mapping[str, Any], message: Any) -> Any:
    return json_format.ParseDict(dict(body), message, ignore_unknown_fields=True)


def _is_key(path: str) -> bool:
    return path == "metric.type" or (
        path.startswith("resource.labels.") and path.endswith("job_id")
    )


def _keys(series: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "metric.type", str(series["metric"]["type"])
    for key, value in ((series.get("resource") or {}).get("labels") or {}).items():
        if key.endswith("job_id"):
            yield f"resource.labels.{key}", str(value)
