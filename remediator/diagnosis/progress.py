"""How far the work had come, by its own log, and how long all of it would have taken at that pace.

Owns the reading of progress lines ("step 4200/10000", "Epoch 3/10 batch 200/500", "45%|####", "12,000
of 90,000 rows") into one series over time, and its extrapolation. Says nothing where the pace is not
steady, where the work had stopped before the run ended, or where what counts is not the whole work.
Pure; called by `diagnose`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from remediator.case import LogLine
from remediator.domain import Evidence, Progress, Source
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

_COUNT = r"\d[\d,_]{0,15}(?:\.\d{1,2})?"
_FRACTION = late_pattern(
    rf"(?:(?P<label>[A-Za-z]{{2,20}})s?\W{{0,4}})?(?<![\d./:-])(?P<done>{_COUNT}) ?(?:/|\bof\b|\bout of\b) ?"
    rf"(?P<all>{_COUNT})(?![\d/:-])"
)
_PERCENT = late_pattern(
    r"(?:(?:progress|done|complete[d]?|finished|processed)\W{0,4}(?P<after>\d{1,3}(?:\.\d{1,4})?) ?%"
    r"|(?P<before>\d{1,3}(?:\.\d{1,4})?) ?% ?(?:\||done|complete|finished|processed|of (?:the )?(?:rows|records|work|data)))",
    re.IGNORECASE,
)
_OWN = late_pattern(
    r'"progress": ?\{"done": ?(?P<done>\d{1,15}(?:\.\d{1,6})?), ?"of": ?(?P<all>\d{1,15}(?:\.\d{1,6})?)\}'
)
"""What the job's own telemetry says (`progress(n, of)`)."""
_ROUNDS = late_pattern(r"\bNum Epochs ?= ?(?P<all>\d{1,4})\b")
_AT_ROUND = late_pattern(r"['\"]epoch['\"]: ?(?P<done>\d{1,4}(?:\.\d{1,6})?)[,}]")
"""transformers says once how many epochs there are, and with each loss in which of them it is (recalled)."""
_OUTER = frozenset({"epoch", "fold", "round", "pass", "stage", "phase", "cycle", "generation"})
_NOT_WORK = frozenset({"attempt", "retry", "retries", "try", "worker", "replica", "rank", "shard", "gpu", "gpus", "cpu", "core", "page", "http", "version", "errors"})  # fmt: skip
"""What a fraction may be of that is no measure of the work done."""
_TEXT = 300  # characters of a line that are read; chosen
_QUOTED = 200  # characters; chosen
_LONGEST_OWN = 4096  # bytes of a line; documented: telemetry/, what a pipe takes whole
_LINES_KEPT = 4096  # chosen: two looks at a talkative job; a megabyte or two
_FEWEST = 4  # points of a series; chosen
_LEAST_SPAN = 0.1  # of the run that a series must cover; chosen
_LONGEST_SILENCE = 0.25  # of a series's span between its last point and the end; chosen
_BEFORE_THE_NEXT = (
    1.5  # times what usually lies between two points: the next was not yet due; chosen
)
_WARM_UP = 0.15  # of the series, which may be slower than what follows; chosen
_ROUNDING = 1e-9  # chosen
_FALLS = 10  # of so many points one may go back; chosen
_SLOWED = 0.4  # of the mean pace that the last third must keep; chosen


class _Point(Struct, frozen=True):
    at: datetime
    value: float
    line: LogLine


def read_progress(lines: Iterable[LogLine], job: Job) -> Progress | None:
    """What the log's progress says; None where it tells none that can be extrapolated."""
    started, ended = job.start_time or job.create_time, job.end_time
    if started is None or ended is None or ended <= started:
        return None
    series: dict[tuple[str, str], list[_Point]] = defaultdict(list)
    rounds: dict[str, float] = {}
    for line in lines:
        if line.time is None or not started <= line.time <= ended:
            continue
        # A telemetry line has its progress near its end.
        is_own = "remediatorTelemetry" in line.text[:_TEXT]
        text = line.text[:_LONGEST_OWN] if is_own else line.text[:_TEXT]
        if (announced := _ROUNDS.search(text)) is not None:
            rounds[line.task] = float(announced["all"])
            continue
        at_round = _AT_ROUND.search(text) if rounds.get(line.task) else None
        if at_round is not None:
            share = float(at_round["done"]) / rounds[line.task]
            series[line.task, "epoch"].append(_Point(line.time, share, line))
            continue
        for key, value in progress_in(text):
            series[line.task, key].append(_Point(line.time, value, line))
    found = [read for points in series.values() if (read := _extrapolated(points, started, ended))]
    # Several workers tell of the same work: the slowest is what the run waits for.
    return max(found, key=lambda one: one.seconds_needed, default=None)


@lru_cache(maxsize=_LINES_KEPT)
def progress_in(text: str) -> tuple[tuple[str, float], ...]:
    """What one line tells: (what is counted, share of it that is done), at most one pair.

    Kept for a while: a job that runs is read every few minutes, and its lines are the same.
    """
    return tuple(_progress_in(text))


def _progress_in(text: str) -> Iterator[tuple[str, float]]:
    own = _OWN.search(text)
    if own is not None:
        done, whole = float(own["done"]), float(own["all"])
        if 0 <= done <= whole and whole > 0:
            yield "telemetry", done / whole
        return
    fractions = [
        (str(match["label"] or "").lower(), _number(match["done"]), _number(match["all"]))
        for match in _FRACTION.finditer(text)
    ]
    usable = [
        (label, done, whole)
        for label, done, whole in fractions
        if label not in _NOT_WORK and whole > 1 and 0 <= done <= whole
    ]
    outer = next((one for one in usable if one[0].rstrip("s") in _OUTER), None)
    inner = next((one for one in usable if one is not outer), None)
    if outer and inner:
        _, at, rounds = outer
        _, done, whole = inner
        yield f"{outer[0]} of {rounds:g}, {whole:g} each", (max(at - 1, 0) + done / whole) / rounds
    elif usable:
        label, done, whole = usable[-1]
        yield f"{label} of {whole:g}", done / whole
    elif percent := _PERCENT.search(text):
        value = float(percent["after"] or percent["before"]) / 100
        if value <= 1:
            yield "percent", value


def _number(text: str) -> float:
    return float(text.replace(",", "").replace("_", ""))


def _extrapolated(points: Sequence[_Point], started: datetime, ended: datetime) -> Progress | None:
    points = sorted(points, key=lambda point: point.at)
    rising = [points[0]]
    for point in points[1:]:
        if point.value > rising[-1].value:
            rising.append(point)
    falls = sum(after.value < before.value - _ROUNDING for before, after in pairwise(points))
    if len(rising) < _FEWEST or falls > len(points) // _FALLS:
        return None
    first, last = rising[0], rising[-1]
    span, ran = (last.at - first.at).total_seconds(), (ended - started).total_seconds()
    if last.value >= 1 or span < _LEAST_SPAN * ran or span <= 0:
        return None
    gaps = sorted((after.at - before.at).total_seconds() for before, after in pairwise(rising))
    longest = max(_LONGEST_SILENCE * span, _BEFORE_THE_NEXT * gaps[len(gaps) // 2])
    if (ended - last.at).total_seconds() > longest:
        return None
    pace = (last.value - first.value) / span
    recent = _pace_since(rising, last.at - (last.at - first.at) / 3)  # chosen: its last third
    if recent is None or recent < _SLOWED * pace:
        return None
    left = (1 - last.value) / min(pace, recent)
    needed = (last.at - started).total_seconds() + left
    warm = _pace_since(rising, first.at + (last.at - first.at) * _WARM_UP) or pace
    expected = (last.at - started).total_seconds() + (1 - last.value) / warm
    says = last.line.text.strip()[:_QUOTED]
    proof = Evidence(Source.LOG, last.line.insert_id or last.line.task, says)
    return Progress(last.value, needed, proof, expected)


def _pace_since(points: Sequence[_Point], since: datetime) -> float | None:
    recent = [point for point in points if point.at >= since]
    before = [point for point in points if point.at < since]
    begin = before[-1] if before else recent[0]
    seconds = (recent[-1].at - begin.at).total_seconds()
    return (recent[-1].value - begin.value) / seconds if seconds > 0 else None
