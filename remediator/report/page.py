"""The report's page: what waits, figures, causes over time, where they gather, each incident. Pure.

Owns what a reader sees and in which order; the templates beside it say how. jinja2 escapes each text,
and each text from outside passes `shown`, which redacts and cuts, here or as a filter in a template.
Called through the report's front.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from pathlib import Path

from msgspec import Struct

from remediator.alerts.links import console_url
from remediator.alerts.pages import Templates
from remediator.alerts.wording import (
    amount,
    cause_words,
    certainty,
    described,
    plural,
    read_at,
    shown,
)
from remediator.domain import Attempt, Cause, InvalidInput, JobName, Json, rfc3339
from remediator.domain.cause_words import MEANINGS
from remediator.domain.time_words import moment_words
from remediator.ledger import WatchedJob
from remediator.report import standstill
from remediator.report.drawings import BarChart, Line, line, stacked_bars
from remediator.report.history import Curve, Story, StoryOutcome, Sums, ran_seconds, sums

MOST_SHOWN = 2000
"""Incidents drawn one by one; a page with more of them is slow on a phone. All are counted."""
MOST_GROUPS = 10
MOST_BARS = 60


def render(
    all_stories: Sequence[Story],
    *,
    title: str,
    made: datetime,
    days: float | None = None,
    command: Callable[[str, str], str] | None = None,
    watched: Sequence[WatchedJob] = (),
) -> str:
    """The page as HTML. `title` says whose it is (the project), `made` when it was written.

    `days`: only failures of so many days are told, and what is still open. `command` gives the shell
    command that answers a question, from its words and the job's region.
    """
    counted = [story for story in all_stories if story.outcome is not StoryOutcome.RECORDED]
    drawn = all_stories[:MOST_SHOWN]
    total = sums(all_stories)
    script = _TEMPLATES.text("report.js")
    return _TEMPLATES.draw(
        "report.html.jinja",
        title=title,
        made=made,
        since=min((story.failed_at for story in all_stories), default=None),
        days=round(days) if days else None,
        total=total,
        questions=_questions(all_stories, command),
        figures=_figures(total, watched),
        running=standstill.lines(watched),
        over_time=_over_time(counted) if counted else None,
        by_cause=_by_cause(counted),
        groups=_groups(counted),
        drawn=drawn,
        left_out=len(all_stories) - len(drawn),
        causes=sorted({(shown(s.verdict, 60), shown(_in_words(s.verdict), 60)) for s in drawn}),
        outcomes=[(o.value, o.value) for o in StoryOutcome if any(s.outcome is o for s in drawn)],
        style=_TEMPLATES.text("report.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _share(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.0%}"


def _hours(seconds: float) -> str:
    """Time is told in hours everywhere on the page; less than six minutes with two digits."""
    hours = seconds / 3600
    if 0 < hours < _HUNDREDTH:
        return "under 0.01 h"
    return f"{hours:,.1f} h" if hours >= _TENTH or not hours else f"{hours:.2f} h"


_TENTH, _HUNDREDTH = 0.1, 0.01  # hours


class Question(Struct, frozen=True):
    """What waits for a person's yes: the proposal, why it is asked, and the command that answers."""

    name: str
    cause: str
    question: str
    usd: float | None
    until: datetime
    reason: str
    command: str


def _questions(
    all_stories: Sequence[Story], command: Callable[[str, str], str] | None
) -> list[Question]:
    """The questions that nobody has answered, those that expire first in front."""
    asked = [(s.question, s) for s in all_stories if s.question is not None]
    asked.sort(key=lambda one: (one[0].until, one[0].id))
    found = []
    for question, story in asked:
        words = f"approve {question.id}"
        found.append(
            Question(
                name=story.name,
                cause=cause_words(story.verdict),
                question=question.question,
                usd=question.usd,
                until=question.until,
                reason=question.reason,
                command=command(words, _place(story.job))
                if command
                else f"python -m remediator {words}",
            )
        )
    return found


def _place(job: str) -> str:
    return job.partition("/locations/")[2].partition("/")[0]


class Figure(Struct, frozen=True):
    """One of the figures at the top, and what it rests on."""

    label: str
    value: str
    basis: str


def _figures(total: Sums, watched: Sequence[WatchedJob]) -> tuple[Figure, ...]:
    recovery = total.median_recovery_seconds
    return (
        Figure(
            "Recovered",
            _share(total.recovery_rate),
            _recovered(total)
            if total.could_recover
            else "no failure that a rerun may fix has ended",
        ),
        Figure(
            "Wrong actions",
            _share(total.wrong_share),
            f"{total.wrong:,} of {plural(total.finished_attempts, 'resubmission')} did not succeed"
            if total.finished_attempts
            else "no resubmission has ended",
        ),
        Figure(
            "Time to recovery",
            _hours(recovery) if recovery is not None else "none yet",
            "median, from the failure to the success",
        ),
        Figure(
            "Left to people",
            f"{total.needing_people:,}",
            f"of {plural(total.chains, 'chain')}, given up or told",
        ),
        Figure(
            "Lost",
            _both(total.lost_seconds, total.wasted_usd),
            "against no failure at all: machine time of failed runs, and their cost where it is known",
        ),
        Figure(
            "Saved",
            _both(total.saved_seconds, total.saved_usd),
            f"against one blind rerun, as long as the failed run, {_SPARED}",
        ),
        Figure(
            "GPU-hours lost",
            _gpu_hours(total.lost_gpu_seconds),
            "accelerators times hours of failed runs",
        ),
        Figure("Stood still", *standstill.figure(watched)),
        Figure(
            "Spent on resubmissions",
            amount(total.spent_usd),
            f"estimated beforehand: {amount(total.estimated_usd)}",
        ),
        Figure(
            "Failures",
            f"{total.chains:,}",
            f"{total.in_progress:,} in progress, {total.only_recorded:,} recorded only",
        ),
    )


def _recovered(total: Sums) -> str:
    parts = [
        f"{total.recovered:,} of {plural(total.could_recover, 'ended failure')} that a rerun may fix",
        f"{total.recovered:,} of {plural(total.acted, 'resubmitted chain')} that ended",
        f"{total.observed:,} only observed" if total.observed else "",
    ]
    return "; ".join(filter(None, parts))


_SPARED = "of each job that no rerun fixes (code, input, rights, configuration)"


def _gpu_hours(seconds: float | None) -> str:
    return "not known" if seconds is None else f"{seconds / 3600:,.1f}"


def _both(seconds: float, usd: float | None) -> str:
    """Hours and dollars; what there is none of is not told as a price that is not known."""
    if not seconds and not usd:
        return "none yet"
    return f"{_hours(seconds)}, {amount(usd) if usd is not None else 'price not known'}"


_FAMILIES: Mapping[str, tuple[Cause, ...]] = {
    "resources": (
        Cause.CPU_SATURATION,
        Cause.MEMORY_PRESSURE,
        Cause.GPU_MEMORY,
        Cause.DISK_FULL,
        Cause.ACCELERATOR_MISSING,
        Cause.SLOW_STARTUP,
        Cause.REQUEST_TOO_LARGE,
    ),
    "network": (Cause.NETWORK_LATENCY,),
    "code": (Cause.SLOW_CODE, Cause.USER_CODE_ERROR),
    "input and configuration": (Cause.BAD_INPUT, Cause.PERMISSION, Cause.INVALID_CONFIG),
    "capacity and quota": (Cause.CAPACITY_STOCKOUT, Cause.QUOTA, Cause.PREEMPTION),
    "the service": (Cause.TRANSIENT_BACKEND,),
    "unknown": (Cause.UNKNOWN,),
}
_FAMILY_OF: Mapping[str, str] = {
    cause.value: family for family, causes in _FAMILIES.items() for cause in causes
}


class CountedRow(Struct, frozen=True):
    """A row of numbers: its first cell, what is said of it beneath, and the other cells."""

    head: str
    cells: tuple[str, ...]
    note: str = ""


class CountedTable(Struct, frozen=True):
    """Rows of numbers; the first column is what they are counted by."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[CountedRow, ...]


class OverTime(Struct, frozen=True):
    """Failures by cause for each period, drawn and as a table."""

    chart: BarChart
    table: CountedTable


def _over_time(all_stories: Sequence[Story]) -> OverTime:
    days = [story.failed_at.astimezone(UTC).date() for story in all_stories]
    step = _step_days(min(days), max(days))
    heaps: dict[date, Counter[str]] = defaultdict(Counter)
    for story, day in zip(all_stories, days, strict=True):
        start = min(days) + timedelta(days=(day - min(days)).days // step * step)
        heaps[start][_FAMILY_OF.get(story.verdict, "unknown")] += 1
    starts = [
        min(days) + timedelta(days=n * step)
        for n in range((max(days) - min(days)).days // step + 1)
    ]
    rows = [(start.isoformat(), [heaps[start][family] for family in _FAMILIES]) for start in starts]
    unit = "day" if step == 1 else f"{step} days"
    table = CountedTable(
        f"Failures by cause, for each {unit}",
        ("From", *_FAMILIES),
        tuple(CountedRow(name, tuple(map(str, counts))) for name, counts in rows),
    )
    return OverTime(stacked_bars(rows), table)


def _by_cause(all_stories: Sequence[Story]) -> CountedTable:
    heaps: dict[str, list[Story]] = defaultdict(list)
    for story in all_stories:
        heaps[story.verdict].append(story)
    rows = tuple(
        CountedRow(shown(_in_words(cause), 60), _counts(found), _meaning(cause))
        for cause, found in sorted(heaps.items(), key=lambda item: (-len(item[1]), item[0]))
    )
    return CountedTable("Failures by cause", ("Cause", *_COUNTED), rows)


def _in_words(cause: str) -> str:
    words = cause_words(cause)
    return words[:1].upper() + words[1:]


def _counts(found: Sequence[Story]) -> tuple[str, ...]:
    return (
        f"{len(found):,}",
        f"{sum(s.outcome is StoryOutcome.RECOVERED for s in found):,}",
        _hours(sum(s.failed_seconds for s in found)),
        _gpu_hours(_sum_known(s.failed_gpu_seconds for s in found)),
        amount(sum(s.wasted_usd for s in found)),
        amount(sum(s.spent_usd for s in found)),
    )


def _sum_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


_COUNTED = ("Failures", "Recovered", "Lost", "GPU-hours", "Cost", "Spent")


def _step_days(first: date, last: date) -> int:
    """Days, weeks or longer, so that no more than MOST_BARS bars are drawn."""
    days = (last - first).days + 1
    return next((n for n in (1, 7, 30, 90) if days <= n * MOST_BARS), days // MOST_BARS + 1)


def _meaning(cause: str) -> str:
    return MEANINGS[Cause(cause)] if cause in _FAMILY_OF else ""


_GROUPS: tuple[tuple[str, Callable[[Story], str]], ...] = (
    ("Team", attrgetter("team")),
    ("Account", attrgetter("account")),
    ("Model", attrgetter("model_words")),
    ("Image", attrgetter("image")),
    ("Kind of job", lambda story: story.kind.replace("_", " ")),
)
"""By what failures are gathered: the label `team` (or `owner`), the account that jobs run as, …"""


def _groups(all_stories: Sequence[Story]) -> list[CountedTable]:
    """Where failures gather, each way in a table of its own; the most failures in front."""
    tables = (_group(name, by, all_stories) for name, by in _GROUPS)
    return [table for table in tables if table.rows]


def _group(name: str, by: Callable[[Story], str], all_stories: Sequence[Story]) -> CountedTable:
    heaps: dict[str, list[Story]] = defaultdict(list)
    for story in all_stories:
        if by(story):
            heaps[by(story)].append(story)
    ranked = sorted(heaps.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = tuple(
        CountedRow(shown(text, 160), _counts(found), f"mostly {shown(_most_frequent(found), 60)}")
        for text, found in ranked[:MOST_GROUPS]
    )
    more = f", {MOST_GROUPS} of {len(ranked):,}" if len(ranked) > MOST_GROUPS else ""
    return CountedTable(f"By {name[:1].lower()}{name[1:]}{more}", (name, *_COUNTED), rows)


def _most_frequent(found: Sequence[Story]) -> str:
    return cause_words(Counter(s.verdict for s in found).most_common(1)[0][0])


# --- filters of the templates --------------------------------------------------------------------


def _finding(story: Story) -> str:
    if story.outcome is StoryOutcome.RECORDED and not story.confidence:
        return "not looked into: it was known too late, or was nobody's to be told about"
    if story.verdict == Cause.UNKNOWN.value:
        return f"{story.verdict}: {_meaning(story.verdict)}"
    sure = certainty(story.confidence)
    return f"{shown(story.verdict, 60)}, {sure} sure: {_meaning(story.verdict)}"


class ConsolePage(Struct, frozen=True):
    """A job's page in Google's console, and the job's id."""

    url: str
    id: str


def _console_page(name: str) -> ConsolePage | None:
    try:
        job = JobName.parse(name)
    except InvalidInput:
        return None
    return ConsolePage(console_url(job), job.id)


def _spent(story: Story) -> str:
    if not story.attempts:
        return ""
    said = f", estimated {amount(story.estimated_usd)}" if story.estimated_usd else ""
    return f"{amount(story.spent_usd)}{said}"


class Proof(Struct, frozen=True):
    """A piece of evidence, and where it was read."""

    says: str
    place: str


def _proof(item: Json) -> Proof:
    where = shown(read_at(str(item.get("where") or "")), 200)
    source = shown(str(item.get("source") or ""), 40)
    place = source if where in {"", source} else f"{source}, {where}"
    return Proof(shown(str(item.get("says") or ""), 400), place)


def _lines(curves: Sequence[Curve]) -> list[Line]:
    return [_line(curve) for curve in curves if curve.points]


def _line(curve: Curve) -> Line:
    values = [min(max(share, 0.0), 1.0) for _, share in curve.points]
    mean, peak = sum(values) / len(values), max(values)
    return line(values, f"{shown(curve.label, 60)}: {mean:.0%} on average, {peak:.0%} at most")


def _ran(attempt: Attempt) -> str:
    return _hours(ran_seconds(attempt)) if attempt.end_time else ""


_TEMPLATES = Templates(
    Path(__file__).with_name("templates"),
    {
        "cause": _in_words,
        "console_page": _console_page,
        "described": described,
        "finding": _finding,
        "hours": _hours,
        "lines": _lines,
        "moment": moment_words,
        "plural": plural,
        "proof": _proof,
        "ran": _ran,
        "rfc3339": rfc3339,
        "shown": shown,
        "spent": _spent,
        "usd": amount,
    },
)
