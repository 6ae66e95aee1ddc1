"""What is thought of a job that still runs: healthy, standing still, waiting in vain, doomed.

Owns the rules and their bounds. `stalled` and `spinning` need two signals of different sources that
agree, over the whole standstill, and a job that worked before; what cannot be seen is `unknown`, and
an allowance for start-up comes first. Pure; called by `watch`.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import RAW_WINDOW, Case
from remediator.diagnosis.progress import read_progress
from remediator.domain import NOTHING_WRONG, Evidence, JobState, Source, WatchVerdict, rfc3339
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job
from remediator.watch.signals import (
    IDLE_ACCELERATOR,
    Points,
    Signals,
    is_pinned_since,
    last_busy,
    last_traffic,
    minutes,
)


class Watch(Struct, frozen=True):
    """`watch` of `diagnose --json`: `since` is the last sign of work, not when it was noticed."""

    verdict: WatchVerdict
    since: datetime | None
    confidence: float
    usd_per_hour: float | None
    evidence: tuple[Evidence, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.value,
            "since": rfc3339(self.since) if self.since else None,
            "confidence": round(self.confidence, 4),
            "usd_per_hour": self.usd_per_hour,
            "evidence": [item.to_json() for item in self.evidence],
        }


# The contract's own numbers, where no policy says others.
_STANDSTILL_WITH_ACCELERATOR = timedelta(minutes=30)
_STANDSTILL = timedelta(minutes=60)
_WAITING = timedelta(minutes=60)
_WAITING_GEMINI = timedelta(hours=24)
_UNUSED_AFTER = timedelta(minutes=150)
# Chosen: metrics are up to six minutes late (vertex facts, section 1), and three may be missing.
_METRIC_LATENESS = timedelta(minutes=10)
_START_UP = timedelta(minutes=20)  # chosen: image pull, data set encoding, compilation
_FEWEST_POINTS = 8  # chosen: a standstill is seen in at least so many readings
_MOST_MISSING = 0.5  # chosen: share of a standstill's minutes that may lack a reading
_SEEN_OVER = RAW_WINDOW - timedelta(minutes=30)  # what is older may have been read by its means
_CLIMB_POINTS = 60  # chosen: an hour of readings
_SMOOTHED = 5  # chosen: readings that make one point of the climb
_LEAST_RISE = 0.05  # chosen: of all memory
_STEADY = 0.9  # chosen: of its earlier pace that a climb keeps
_HORIZON = timedelta(hours=12)  # chosen: how far ahead is looked where no end is known
_CLIMB_FROM = 0.6  # chosen: below it a climb may still level off
_PACE_DOUBT = 0.05  # chosen: what is left may come so much sooner than at the pace seen so far
_LEAST_DONE = 0.05  # chosen: before that a pace is a guess

_SILENCE_LABEL = "remediator-silence"
_SILENCE = late_pattern(r"(\d{1,4})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def silence_of(job: Job) -> timedelta:
    """How long the job's own label lets it be silent (`remediator-silence: 4h`); zero without it."""
    match = _SILENCE.fullmatch(job.labels.get(_SILENCE_LABEL, ""))
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta(0)


def _with_label(found: WatchJudgement, job: Job) -> WatchJudgement:
    """The judgement, and that the job's own label was not understood, where it was not."""
    said = job.labels.get(_SILENCE_LABEL, "")
    if found.verdict in NOTHING_WRONG or not said or _SILENCE.fullmatch(said):
        return found
    why = f"`{said}` is not a duration such as 4h or 90m, so the label allows no silence"
    unread = Evidence(Source.JOB, f"labels.{_SILENCE_LABEL}", why)
    return replace(found, evidence=(*found.evidence, unread))


class Allowance(Struct, frozen=True):
    """How long what may be as it should: a policy's own number in place of each default; None: none.

    `silence` is what the job's own label allows, which widens each of them.
    """

    longer_than: timedelta | None
    silence: timedelta

    def limit(self, default: timedelta) -> timedelta:
        own = default if self.longer_than is None else self.longer_than
        return max(own, self.silence)


class WatchJudgement(Struct, frozen=True):
    """A verdict with what it rests on, before the price is known."""

    verdict: WatchVerdict
    since: datetime | None
    confidence: float
    evidence: tuple[Evidence, ...] = ()


def judge(
    case: Case,
    signals: Signals,
    *,
    has_accelerator: bool,
    workers: int,
    longer_than: timedelta | None = None,
) -> WatchJudgement:
    """The first of the rules that holds, costliest first; healthy where none does.

    `longer_than`: how long a standstill or a wait must last, in place of the defaults.
    """
    job = case.job
    allowed = Allowance(longer_than, silence_of(job))
    if job.state in {JobState.QUEUED, JobState.PENDING}:
        return _with_label(_waiting(case, allowed), job)
    if not signals.is_measured:
        return WatchJudgement(WatchVerdict.UNKNOWN, None, 0.0, _unseen())
    for rule in (
        _standing_still(case, signals, has_accelerator, workers, allowed),
        _unused(case, signals, has_accelerator, allowed),
        _late(case),
        _climbing(case, signals),
    ):
        if rule is not None:
            return _with_label(rule, job)
    newest = signals.newest
    if newest is None or case.now - newest > allowed.limit(_standstill(has_accelerator)):
        return WatchJudgement(WatchVerdict.UNKNOWN, None, 0.0, _unseen())
    return WatchJudgement(WatchVerdict.HEALTHY, None, 0.8)


def _unseen() -> tuple[Evidence, ...]:
    return (Evidence(Source.METRIC, "training/cpu/utilization", "no utilisation can be seen"),)


def _waiting(case: Case, allowed: Allowance) -> WatchJudgement:
    job = case.job
    queued = job.state is JobState.QUEUED
    began = job.create_time
    limit = _WAITING
    if job.is_gemini_batch:
        limit = _WAITING_GEMINI
    elif job.is_flex_start:
        limit = timedelta(seconds=job.max_wait_seconds or _WAITING_GEMINI.total_seconds())
    limit = allowed.limit(limit)
    if began is None or case.now - began < limit:
        return WatchJudgement(WatchVerdict.HEALTHY, None, 0.8)
    waited = minutes(case.now - began)
    what = "a quota" if queued else "machines"
    said = Evidence(Source.JOB, "state", f"{job.state.value} for {waited}: it waits for {what}")
    verdict = WatchVerdict.WAITING_FOR_QUOTA if queued else WatchVerdict.WAITING_FOR_CAPACITY
    return WatchJudgement(verdict, began, 0.95, (said,))


def _standstill(has_accelerator: bool) -> timedelta:
    return _STANDSTILL_WITH_ACCELERATOR if has_accelerator else _STANDSTILL


def _standing_still(
    case: Case, signals: Signals, has_accelerator: bool, workers: int, allowed: Allowance
) -> WatchJudgement | None:
    """Two signals of different sources that say the same, since the last of either's work."""
    job = case.job
    limit = allowed.limit(_standstill(has_accelerator))
    newest = signals.newest
    begun = job.start_time or job.create_time
    if newest is None or begun is None or case.now - newest > _METRIC_LATENESS + _START_UP:
        return None
    spins, worked = worked_until(signals, workers)
    if worked is None:
        return None
    marks = [worked]
    marks += [mark for mark in (signals.news.at, signals.last_output) if mark is not None]
    since = max(marks)
    if since - begun < _START_UP:  # it has hardly begun: pulls, encodes, compiles
        limit += _START_UP
    if newest - since < limit or since < begun:
        return None
    if not _is_covered(signals.cpu or signals.accelerator, since, newest):
        return None
    quiet = _quiet_evidence(signals, case.now)
    if not quiet:
        return None
    measured = _spin_evidence(signals, since) if spins else _idle_evidence(signals, since, newest)
    verdict = WatchVerdict.SPINNING if spins else WatchVerdict.STALLED
    confidence = min(0.97, 0.85 + 0.06 * len(quiet))
    return WatchJudgement(verdict, since, confidence, (measured, *quiet))


def worked_until(signals: Signals, workers: int) -> tuple[bool, datetime | None]:
    """Whether several workers wait for each other, and when they last worked by the metrics; None: they
    never did."""
    traffic = last_traffic(signals.network)
    spins = workers > 1 and traffic is not None and is_pinned_since(signals.accelerator, traffic)
    busy = last_busy(signals.cpu, signals.accelerator)
    if busy is None:
        return spins, None
    if spins or traffic is None:
        return spins, traffic if spins else busy
    return spins, max(busy, traffic)


def default_standstill(*, has_accelerator: bool) -> timedelta:
    """How long a standstill lasts before it is told, where no entry says."""
    return _standstill(has_accelerator)


def _is_covered(points: Points, since: datetime, newest: datetime) -> bool:
    """Whether the standstill was seen, of a long one its last hours: missing metrics are no verdict."""
    begin = max(since, newest - _SEEN_OVER)
    inside = sum(begin < at <= newest for at, _ in points)
    wanted = max(_FEWEST_POINTS, (newest - begin).total_seconds() / 60 * _MOST_MISSING)
    return inside >= wanted


def _idle_evidence(signals: Signals, since: datetime, newest: datetime) -> Evidence:
    cores = [value for at, value in signals.cpu if at > since]
    shares = [value for at, value in signals.accelerator if at > since]
    parts = [f"CPU at most {max(cores):.2f} cores"] if cores else []
    parts += [f"accelerator at most {max(shares):.0%}"] if shares else []
    before = f" (it worked at {signals.working_cores:.1f} cores)" if cores else ""
    span = minutes(newest - since)
    return Evidence(
        Source.METRIC, "training/cpu/utilization", f"{', '.join(parts)} for {span}{before}"
    )


def _spin_evidence(signals: Signals, since: datetime) -> Evidence:
    shares = [value for at, value in signals.accelerator if at > since]
    sent = [value for at, value in signals.network if at > since]
    most = max(sent, default=0.0)
    says = (
        f"accelerator at least {min(shares, default=0.0):.0%} while the network carries at most "
        f"{most:,.0f} bytes a minute: workers wait for each other"
    )
    return Evidence(Source.METRIC, "training/network/received_bytes_count", says)


def _quiet_evidence(signals: Signals, now: datetime) -> tuple[Evidence, ...]:
    """What beside the metrics says that nothing comes any more; only what spoke before can be silent."""
    found = []
    news = signals.news
    if news.at is not None:
        words = " ".join(news.text.split())[:160]
        said = f'no line that says anything new for {minutes(now - news.at)}; the last: "{words}"'
        if news.missing:
            said += f'; lines like "{news.missing[:80]}" stopped, while others are still written'
        found.append(Evidence(Source.LOG, "log", said))
    if signals.last_output is not None:
        said = f"no new object for {minutes(now - signals.last_output)} ({signals.outputs} before)"
        found.append(Evidence(Source.STORAGE, "outputs", said))
    if signals.stacks is not None and (news.at is None or signals.stacks.at > news.at):
        where = "; ".join(signals.stacks.stacks)[:600]
        said = f"at {signals.stacks.at:%H:%M} UTC its threads stood at {where}"
        found.append(Evidence(Source.TELEMETRY, "stacks", said))
    return tuple(found)


def _unused(
    case: Case, signals: Signals, has_accelerator: bool, allowed: Allowance
) -> WatchJudgement | None:
    begun = case.job.start_time
    if not has_accelerator or not signals.accelerator or begun is None:
        return None
    limit = allowed.limit(_UNUSED_AFTER)
    seen = signals.accelerator[-1][0] - begun
    most = max(share for _, share in signals.accelerator)
    enough = _is_covered(signals.accelerator, begun, signals.accelerator[-1][0])
    if seen < limit or most > IDLE_ACCELERATOR or not enough:
        return None
    says = f"the accelerator was never above {most:.0%} in {minutes(seen)}"
    proof = Evidence(Source.METRIC, "training/accelerator/utilization", says)
    return WatchJudgement(WatchVerdict.ACCELERATOR_UNUSED, begun, 0.9, (proof,))


def has_time_out(job: Job) -> bool:
    """Whether the job sets itself a time-out that its progress can be held against."""
    return bool(_own_time_out(job))


def _own_time_out(job: Job) -> float | None:
    """Seconds that the whole job may run, where it says so; that of a tuning job is one trial's."""
    return None if job.trials is not None else job.timeout_seconds


def _late(case: Case) -> WatchJudgement | None:
    """The progress in the log, extrapolated, ends after the job's own time-out."""
    job = case.job
    limit, begun = _own_time_out(job), job.start_time or job.create_time
    if limit is None or begun is None:
        return None
    progress = read_progress(case.log_lines, job.as_of(case.now))
    if progress is None or not _LEAST_DONE <= progress.done < 1:
        return None
    needed = progress.seconds_expected or progress.seconds_needed
    if _soonest(needed, (case.now - begun).total_seconds()) <= limit:
        return None
    says = (
        f"{progress.done:.0%} is done; at this pace it takes {minutes(timedelta(seconds=needed))}, "
        f"and its time-out is {minutes(timedelta(seconds=limit))}"
    )
    proof = (progress.evidence, Evidence(Source.JOB, "scheduling.timeout", says))
    return WatchJudgement(WatchVerdict.WILL_TIME_OUT, begun, 0.85, proof)


def _soonest(needed: float, elapsed: float) -> float:
    """Seconds that the whole takes if what is left goes faster than the pace seen so far.

    The time gone by is known, so only what is left is in doubt: the more, by the square root, the
    longer it is against the time (`elapsed`, above 0) over which the pace was seen.
    """
    left = max(0.0, needed - elapsed)
    return needed - left * _PACE_DOUBT * max(1.0, math.sqrt(left / elapsed))


def _climbing(case: Case, signals: Signals) -> WatchJudgement | None:
    """Memory grows steadily and meets its limit before the end, as far as an end is known."""
    points = signals.memory
    if len(points) < _CLIMB_POINTS or points[-1][1] < _CLIMB_FROM:
        return None
    recent = points[-3 * len(points) // 4 :]
    half = len(recent) // 2
    first_at, first = _mean(recent[:_SMOOTHED])
    middle_at, middle = _mean(recent[half : half + _SMOOTHED])
    last_at, last = _mean(recent[-_SMOOTHED:])
    early = (middle - first) / max(1.0, middle_at - first_at)
    lately = (last - middle) / max(1.0, last_at - middle_at)
    # What levels off slows down; a leak does not.
    if last - first < _LEAST_RISE or lately <= 0 or lately < _STEADY * early:
        return None
    begun = case.job.start_time or points[0][0]
    progress = read_progress(case.log_lines, case.job.as_of(case.now))
    whole = progress.seconds_needed if progress else _own_time_out(case.job)
    seconds_left = (1.0 - last) / lately
    full = recent[-1][0] + timedelta(seconds=seconds_left)
    ends_at = begun + timedelta(seconds=whole) if whole else case.now + _HORIZON
    if full >= ends_at:
        return None
    span = minutes(recent[-1][0] - recent[0][0])
    says = (
        f"memory rose from {first:.0%} to {last:.0%} in {span} and is full at {full:%Y-%m-%d %H:%M} "
        "UTC, before the end"
    )
    proof = Evidence(Source.METRIC, "training/memory/utilization", says)
    return WatchJudgement(WatchVerdict.MEMORY_CLIMBING, recent[0][0], 0.8, (proof,))


def _mean(points: Points) -> tuple[float, float]:
    """The middle of some points: seconds since the epoch, and their level."""
    at = sum(moment.timestamp() for moment, _ in points) / len(points)
    return at, sum(value for _, value in points) / len(points)
