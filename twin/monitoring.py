"""Cloud Monitoring in the twin: time series put in directly, read over gRPC.

Points later than now, or younger than `lag` (metrics really arrive minutes late), are not shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
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
        self._series = Index(_keys)
        self._parsed: dict[int, _Parsed] = {}  # by the identity of what `_series` keeps
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
            head, points = self._parse(series)
            within = [point for at, point in points if start < at <= newest]
            if within:
                shown.append((head, [] if body.get("view") == "HEADERS" else within))
        series_page, following = page(shown, body, 1000)
        answer = _Answer(next_page_token=following)
        for head, within in series_page:
            answer.time_series.append(head)
            answer.time_series[-1].points.extend(within)
        return answer

    def _parse(self, series: Mapping[str, Any]) -> _Parsed:
        """A series as messages, made once: a day of points takes longer to make than to send."""
        if id(series) not in self._parsed:
            head = json_format.ParseDict(
                {**series, "points": []}, _Series(), ignore_unknown_fields=True
            )
            points = [
                (
                    parse_time(point["interval"]["endTime"]),
                    json_format.ParseDict(point, _Point(), ignore_unknown_fields=True),
                )
                for point in series.get("points") or []
            ]
            points.sort(key=lambda one: one[0], reverse=True)
            self._parsed[id(series)] = head, points
        return self._parsed[id(series)]


_Parsed = tuple[Any, list[tuple[datetime, Any]]]
"""A series without its points, and its points with their ends, newest first."""


def _keys(series: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "metric.type", str(series["metric"]["type"])
    for key, value in ((series.get("resource") or {}).get("labels") or {}).items():
        if key.endswith("job_id"):
            yield f"resource.labels.{key}", str(value)
