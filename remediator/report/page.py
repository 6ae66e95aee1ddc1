"""The report's page: what waits, figures, causes over time, where they gather, each incident. Pure.

Owns what a reader sees and in which order. Every text from outside passes `_safe`, which redacts,
cuts and escapes. Called through the report's front.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape
from operator import attrgetter

from remediator.alerts.links import console_url
from remediator.alerts.wording import (
    MEANINGS,
    amount,
    cause_words,
    certainty,
    described,
    moment_words,
    plural,
    read_at,
    shown,
)
from remediator.domain import Attempt, Cause, InvalidInput, JobName, Json, rfc3339
from remediator.ledger import WatchedJob
from remediator.ledger.approvals import PendingApproval
from remediator.report import html, standstill
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
    """The paper. `title` says whose it is (the project), `made` when it was written.

    `days`: only failures of so many days are told, and what is still open. `command` gives the shell
    command that answers a question, from its words and the job's region.
    """
    heading = _safe(title, 200)
    counted = [story for story in all_stories if story.outcome is not StoryOutcome.RECORDED]
    since = (
        f"; failures since {_time(min(s.failed_at for s in all_stories))}" if all_stories else ""
    )
    only = f", of the last {plural(round(days), 'day')} and what is open" if days else ""
    total = sums(all_stories)
    body = "".join(
        (
            f"<header><h1>{heading}</h1>{_badge(total.waiting)}",
            f"<p>Written {_time(made)}{since}{only}.</p></header>",
            '<main id="main">',
            _waiting([s for s in all_stories if s.question is not None], command),
            _figures(total, watched),
            _stood_still(watched),
            _over_time(counted),
            _groups(counted),
            _incidents(all_stories),
            "</main>",
        )
    )
    return html.document(heading, body)


def _safe(text: str, limit: int, *, lines: bool = False) -> str:
    return escape(shown(text, limit, lines=lines), quote=True)


def _time(moment: datetime) -> str:
    return f'<time datetime="{rfc3339(moment)}">{moment_words(moment)}</time>'


def _share(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.0%}"


def _hours(seconds: float) -> str:
    """Time is told in hours everywhere on the page; less than six minutes with two digits."""
    hours = seconds / 3600
    if 0 < hours < _HUNDREDTH:
        return "under 0.01 h"
    return f"{hours:,.1f} h" if hours >= _TENTH or not hours else f"{hours:.2f} h"


_TENTH, _HUNDREDTH = 0.1, 0.01  # hours


def _badge(waiting: int) -> str:
    if not waiting:
        return ""
    verb = "waits" if waiting == 1 else "wait"
    said = f"{waiting:,} {verb} for your yes"
    return f'<p><a class="badge" href="#waiting-heading">{said}</a></p>'


def _waiting(all_stories: Sequence[Story], command: Callable[[str, str], str] | None) -> str:
    """The questions that nobody has answered, those that expire first in front."""
    if not all_stories:
        return ""
    asked = [(s.question, s) for s in all_stories if s.question is not None]
    asked.sort(key=lambda one: (one[0].until, one[0].id))
    items = "".join(_question(story, question, command) for question, story in asked)
    return _section("waiting", "Waits for your yes", f'<ul class="asked">{items}</ul>')


def _question(
    story: Story, question: PendingApproval, command: Callable[[str, str], str] | None
) -> str:
    verdict = cause_words(story.verdict)
    why = f"<p>Asked because {_safe(question.reason, 400)}.</p>" if question.reason else ""
    words = f"approve {question.id}"
    shell_line = command(words, _place(story.job)) if command else f"python -m remediator {words}"
    return (
        f"<li><p><b>{_safe(story.name, 120)}</b> failed ({_safe(verdict, 60)}): "
        f"{_safe(question.question, 200)} For about {amount(question.usd)}, until "
        f"{_time(question.until)}.</p>{why}<pre>{_safe(shell_line, 600)}</pre></li>"
    )


def _place(job: str) -> str:
    return job.partition("/locations/")[2].partition("/")[0]


def _stood_still(watched: Sequence[WatchedJob]) -> str:
    """The running jobs that were in trouble; nothing where there were none."""
    rows = "".join(
        f"<tr><td>{_safe(name, 100)}</td><td>{_safe(what, 200)}</td><td>{escape(usd)}</td></tr>"
        for name, what, usd in standstill.lines(watched)
    )
    if not rows:
        return ""
    head = "<thead><tr><th>Job</th><th>While it ran</th><th>Stood still</th></tr></thead>"
    return _section("running", "Running jobs", f"<table>{head}<tbody>{rows}</tbody></table>")


def _figures(total: Sums, watched: Sequence[WatchedJob]) -> str:
    recovery = total.median_recovery_seconds
    figures = (
        (
            "Recovered",
            _share(total.recovery_rate),
            _recovered(total)
            if total.could_recover
            else "no failure that a rerun may fix has ended",
        ),
        (
            "Wrong actions",
            _share(total.wrong_share),
            f"{total.wrong:,} of {plural(total.finished_attempts, 'resubmission')} did not succeed"
            if total.finished_attempts
            else "no resubmission has ended",
        ),
        (
            "Time to recovery",
            _hours(recovery) if recovery is not None else "none yet",
            "median, from the failure to the success",
        ),
        (
            "Left to people",
            f"{total.needing_people:,}",
            f"of {plural(total.chains, 'chain')}, given up or told",
        ),
        (
            "Lost",
            _both(total.lost_seconds, total.wasted_usd),
            "against no failure at all: machine time of failed runs, and their cost where it is known",
        ),
        (
            "Saved",
            _both(total.saved_seconds, total.saved_usd),
            f"against one blind rerun, as long as the failed run, {_SPARED}",
        ),
        (
            "GPU-hours lost",
            _gpu_hours(total.lost_gpu_seconds),
            "accelerators times hours of failed runs",
        ),
        ("Stood still", *standstill.figure(watched)),
        (
            "Spent on resubmissions",
            amount(total.spent_usd),
            f"estimated beforehand: {amount(total.estimated_usd)}",
        ),
        (
            "Failures",
            f"{total.chains:,}",
            f"{total.in_progress:,} in progress, {total.only_recorded:,} recorded only",
        ),
    )
    tiles = "".join(
        f'<div class="tile"><dt>{label}</dt><dd><strong>{escape(value)}</strong>'
        f"<span>{escape(basis)}</span></dd></div>"
        for label, value, basis in figures
    )
    return _section("figures", "In figures", f'<dl class="tiles">{tiles}</dl>')


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


def _section(name: str, heading: str, inner: str) -> str:
    return (
        f'<section aria-labelledby="{name}-heading"><h2 id="{name}-heading" tabindex="-1">{heading}</h2>'
        f"{inner}</section>"
    )


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


def _over_time(all_stories: Sequence[Story]) -> str:
    if not all_stories:
        return _section("causes", "Causes over time", "<p>Nothing yet.</p>")
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
    chart = html.stacked_bars(rows, tuple(_FAMILIES), f"Failures by cause, for each {unit}")
    table = html.table(
        f"Failures by cause, for each {unit}",
        ("From", *_FAMILIES),
        [(name, *(str(count) for count in counts)) for name, counts in rows],
    )
    inner = f"{chart}<details><summary>The same as a table</summary>{table}</details>"
    return _section("causes", "Causes over time", inner + _by_cause(all_stories))


def _by_cause(all_stories: Sequence[Story]) -> str:
    heaps: dict[str, list[Story]] = defaultdict(list)
    for story in all_stories:
        heaps[story.verdict].append(story)
    rows = [
        (_cause_cell(cause), *_counts(found))
        for cause, found in sorted(heaps.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return html.table("Failures by cause", ("Cause", *_COUNTED), rows)


def _cause_cell(cause: str) -> str:
    meaning = _meaning(cause)
    name = _safe(_in_words(cause), 60)
    return name + (f"<small>{meaning}</small>" if meaning else "")


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


def _groups(all_stories: Sequence[Story]) -> str:
    """Where failures gather, each way in a table of its own; the most failures in front."""
    tables = "".join(_group(name, by, all_stories) for name, by in _GROUPS)
    return _section("groups", "Where they gather", tables or "<p>Nothing yet.</p>")


def _group(name: str, by: Callable[[Story], str], all_stories: Sequence[Story]) -> str:
    heaps: dict[str, list[Story]] = defaultdict(list)
    for story in all_stories:
        if by(story):
            heaps[by(story)].append(story)
    ranked = sorted(heaps.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [(_gathered(text, found), *_counts(found)) for text, found in ranked[:MOST_GROUPS]]
    if not rows:
        return ""
    more = f", {MOST_GROUPS} of {len(ranked):,}" if len(ranked) > MOST_GROUPS else ""
    return html.table(f"By {name[:1].lower()}{name[1:]}{more}", (name, *_COUNTED), rows)


def _gathered(text: str, found: Sequence[Story]) -> str:
    cause = cause_words(Counter(s.verdict for s in found).most_common(1)[0][0])
    return f"{_safe(text, 160)}<small>mostly {_safe(cause, 60)}</small>"


def _incidents(all_stories: Sequence[Story]) -> str:
    drawn = all_stories[:MOST_SHOWN]
    more = len(all_stories) - len(drawn)
    rest = f"<p>{plural(more, 'older incident')} counted above, not drawn here.</p>" if more else ""
    if not drawn:
        return _section("incidents", "Incidents", "<p>Nothing yet.</p>")
    causes = sorted(
        {(_safe(story.verdict, 60), _safe(_in_words(story.verdict), 60)) for story in drawn}
    )
    outcomes = [(o.value,) * 2 for o in StoryOutcome if any(story.outcome is o for story in drawn)]
    inner = (
        html.filters(causes, outcomes, len(drawn))
        + f'<div id="list">{"".join(_incident(story) for story in drawn)}</div>{rest}'
    )
    return _section("incidents", "Incidents", inner)


def _incident(story: Story) -> str:
    verdict = _safe(story.verdict, 60)
    facts = (
        ("Job", _job_link(story.job)),
        ("Team", _safe(story.team, 100)),
        ("Owner", _safe(story.owner, 100)),
        ("Account", _safe(story.account, 160)),
        ("Model", " ".join(filter(None, (_safe(story.model_title, 100), _safe(story.model, 200))))),
        ("Image", _safe(story.image, 200)),
        ("Machine", _safe(story.machine, 120)),
        ("Cause", _cause(story)),
        ("Policy", _safe(story.policy, 63)),
        ("Reason", _safe(story.reason, 400)),
        ("Refused by", ", ".join(_safe(guard, 40) for guard in story.refused_by)),
        ("Lost", _hours(story.failed_seconds) if story.failed_seconds else ""),
        ("Recovered after", _hours(story.recovery_seconds) if story.recovery_seconds else ""),
        ("Spent", _spent(story)),
    )
    inner = "".join(
        (
            '<dl class="facts">',
            "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts if v),
            "</dl>",
            _listed("Evidence", [_proof(item) for item in story.evidence]),
            _curves(story.curves),
            _listed(
                "Timeline",
                [f"{_time(e.at)} <span>{_safe(e.what, 200)}</span>" for e in story.events],
                "ol",
            ),
            _attempts(story.attempts),
        )
    )
    kind = story.outcome.value.replace(" ", "-")
    return (
        f'<details class="incident" data-cause="{verdict}" data-outcome="{story.outcome.value}">'
        f'<summary><span class="mark {kind}">{story.outcome.value}</span> '
        f"<b>{_safe(story.name, 120)}</b> <i>{_safe(_in_words(story.verdict), 60)}</i> {_time(story.failed_at)}"
        f"</summary>{inner}</details>"
    )


def _cause(story: Story) -> str:
    if story.outcome is StoryOutcome.RECORDED and not story.confidence:
        return "not looked into: it was known too late, or was nobody's to be told about"
    if story.verdict == Cause.UNKNOWN.value:
        return f"{story.verdict}: {_meaning(story.verdict)}"
    sure = certainty(story.confidence)
    return f"{_safe(story.verdict, 60)}, {sure} sure: {_meaning(story.verdict)}"


def _job_link(name: str, *, whole: bool = True) -> str:
    try:
        job = JobName.parse(name)
    except InvalidInput:
        return _safe(name, 200)
    said = _safe(name if whole else job.id, 200)
    return f'<a rel="noreferrer" href="{escape(console_url(job), quote=True)}">{said}</a>'


def _spent(story: Story) -> str:
    if not story.attempts:
        return ""
    said = f", estimated {amount(story.estimated_usd)}" if story.estimated_usd else ""
    return f"{amount(story.spent_usd)}{said}"


def _proof(item: Json) -> str:
    where = _safe(read_at(str(item.get("where") or "")), 200)
    source = _safe(str(item.get("source") or ""), 40)
    says = _safe(str(item.get("says") or ""), 400)
    return f"{says} <small>[{source}{', ' + where if where not in {'', source} else ''}]</small>"


def _listed(heading: str, items: Sequence[str], tag: str = "ul") -> str:
    if not items:
        return ""
    return f"<h3>{heading}</h3><{tag}>{''.join(f'<li>{item}</li>' for item in items)}</{tag}>"


def _attempts(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return ""
    rows = [
        (
            str(made.number or number),
            _job_link(made.name, whole=False),
            escape(described(made.changes)) or "unchanged",
            _safe(made.policy, 63),
            "no machine came" if made.abandoned else made.state.value.lower().replace("_", " "),
            _hours(ran_seconds(made)) if made.end_time else "",
            amount(made.estimated_usd) if made.estimated_usd is not None else "not known",
        )
        for number, made in enumerate(attempts, start=1)
    ]
    columns = ("Attempt", "Job", "Change", "Policy", "State", "Ran", "Estimate")
    return html.table("Attempts", columns, rows, counts=False)


def _curves(curves: Sequence[Curve]) -> str:
    drawn = "".join(map(_curve, curves))
    return f"<h3>Utilisation of the failed run</h3>{drawn}" if drawn else ""


def _curve(curve: Curve) -> str:
    if not curve.points:
        return ""
    values = [min(max(share, 0.0), 1.0) for _, share in curve.points]
    mean, peak = sum(values) / len(values), max(values)
    label = f"{_safe(curve.label, 60)}: {mean:.0%} on average, {peak:.0%} at most"
    return f'<figure class="curve">{html.sparkline(values, label)}<figcaption>{label}</figcaption></figure>'
