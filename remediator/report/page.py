"""The report's page: figures, causes over time, worst models, every incident. Pure.

Owns what a reader sees and in which order. Every text from outside passes `_safe`, which redacts,
cuts and escapes. Called through the report's front.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape

from remediator.alerts.links import console_url
from remediator.alerts.wording import (
    MEANINGS,
    amount,
    certainty,
    described,
    moment_words,
    plural,
    read_at,
    shown,
    span,
)
from remediator.domain import Attempt, Cause, JobName, Json, Unusable, rfc3339
from remediator.report import paper
from remediator.report.history import Curve, Outcome, Story, Sums, ran_seconds, sums

MOST_SHOWN = 2000
"""Incidents drawn one by one; a page with more of them is slow on a phone. All are counted."""
WORST_MODELS = 10
MOST_BARS = 60
_TENTH_OF_AN_HOUR = 360.0  # seconds; less would read as none


def render(told: Sequence[Story], *, title: str, made: datetime) -> str:
    """The paper. `title` says whose it is (the project), `made` when it was written."""
    heading = _safe(title, 200)
    counted = [story for story in told if story.outcome is not Outcome.RECORDED]
    since = f"; failures since {_time(told[-1].failed_at)}" if told else ""
    body = "".join(
        (
            f"<header><h1>{heading}</h1><p>Written {_time(made)}{since}.</p></header>",
            '<main id="main">',
            _figures(sums(told)),
            _over_time(counted),
            _models(counted),
            _incidents(told),
            "</main>",
        )
    )
    return paper.document(heading, body)


def _safe(text: str, limit: int, *, lines: bool = False) -> str:
    return escape(shown(text, limit, lines=lines), quote=True)


def _time(moment: datetime) -> str:
    return f'<time datetime="{rfc3339(moment)}">{moment_words(moment)}</time>'


def _share(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.0%}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= _TENTH_OF_AN_HOUR else span(seconds)


def _figures(total: Sums) -> str:
    recovery = total.median_recovery_seconds
    told = (
        (
            "Recovery rate",
            _share(total.recovery_rate),
            f"{total.recovered:,} of {plural(total.acted, 'resubmitted chain')} that ended"
            if total.acted
            else "no resubmitted chain has ended",
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
            span(recovery) if recovery is not None else "none yet",
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
            "machine time in failed runs; failed resubmissions and first runs of a known price",
        ),
        (
            "Saved",
            _both(total.saved_seconds, total.saved_usd),
            "one blind rerun of each job that no rerun mends (code, input, rights, configuration)",
        ),
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
        for label, value, basis in told
    )
    return _section("figures", "In figures", f'<dl class="tiles">{tiles}</dl>')


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


def _over_time(told: Sequence[Story]) -> str:
    if not told:
        return _section("causes", "Causes over time", "<p>Nothing yet.</p>")
    days = [story.failed_at.astimezone(UTC).date() for story in told]
    step = _step_days(min(days), max(days))
    heaps: dict[date, Counter[str]] = defaultdict(Counter)
    for story, day in zip(told, days, strict=True):
        start = min(days) + timedelta(days=(day - min(days)).days // step * step)
        heaps[start][_FAMILY_OF.get(story.verdict, "unknown")] += 1
    starts = [
        min(days) + timedelta(days=n * step)
        for n in range((max(days) - min(days)).days // step + 1)
    ]
    rows = [(start.isoformat(), [heaps[start][family] for family in _FAMILIES]) for start in starts]
    unit = "day" if step == 1 else f"{step} days"
    chart = paper.stacked_bars(rows, tuple(_FAMILIES), f"Failures by cause, for each {unit}")
    table = paper.table(
        f"Failures by cause, for each {unit}",
        ("From", *_FAMILIES),
        [(name, *(str(count) for count in counts)) for name, counts in rows],
    )
    inner = f"{chart}<details><summary>The same as a table</summary>{table}</details>"
    return _section("causes", "Causes over time", inner + _by_cause(told))


def _by_cause(told: Sequence[Story]) -> str:
    heaps: dict[str, list[Story]] = defaultdict(list)
    for story in told:
        heaps[story.verdict].append(story)
    rows = [
        (_named(cause), *_counts(found))
        for cause, found in sorted(heaps.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return paper.table("Failures by cause", ("Cause", *_COUNTED), rows)


def _named(cause: str) -> str:
    meaning = _meaning(cause)
    name = _safe(cause, 60).replace("_", "_<wbr/>")
    return name + (f"<small>{meaning}</small>" if meaning else "")


def _counts(found: Sequence[Story]) -> tuple[str, ...]:
    return (
        f"{len(found):,}",
        f"{sum(s.outcome is Outcome.RECOVERED for s in found):,}",
        _hours(sum(s.failed_seconds for s in found)),
        amount(sum(s.spent_usd for s in found)),
    )


_COUNTED = ("Failures", "Recovered", "Lost", "Spent")


def _step_days(first: date, last: date) -> int:
    """Days, weeks or longer, so that no more than MOST_BARS bars are drawn."""
    days = (last - first).days + 1
    return next((n for n in (1, 7, 30, 90) if days <= n * MOST_BARS), days // MOST_BARS + 1)


def _meaning(cause: str) -> str:
    return MEANINGS[Cause(cause)] if cause in _FAMILY_OF else ""


def _models(told: Sequence[Story]) -> str:
    by_model: dict[str, list[Story]] = defaultdict(list)
    for story in told:
        if story.model:
            by_model[story.model].append(story)
    worst = sorted(by_model.items(), key=lambda item: (-len(item[1]), item[0]))[:WORST_MODELS]
    rows = [
        (_model(name, Counter(s.verdict for s in found).most_common(1)[0][0]), *_counts(found))
        for name, found in worst
    ]
    if not rows:
        return _section("models", "Worst models", "<p>No failure of a model so far.</p>")
    table = paper.table("Models by failures", ("Model", *_COUNTED), rows)
    return _section("models", "Worst models", table)


def _model(name: str, cause: str) -> str:
    """By its last part, which is what people call it; the whole name is in each incident."""
    called = f'<span title="{_safe(name, 160)}">{_safe(name.rpartition("/")[2], 100)}</span>'
    return f"{called}<small>mostly {_safe(cause, 60)}</small>"


def _incidents(told: Sequence[Story]) -> str:
    drawn = told[:MOST_SHOWN]
    more = len(told) - len(drawn)
    rest = f"<p>{plural(more, 'older incident')} counted above, not drawn here.</p>" if more else ""
    if not drawn:
        return _section("incidents", "Incidents", "<p>Nothing yet.</p>")
    causes = sorted({_safe(story.verdict, 60) for story in drawn})
    outcomes = [o.value for o in Outcome if any(story.outcome is o for story in drawn)]
    inner = (
        paper.filters(causes, outcomes, len(drawn))
        + f'<div id="list">{"".join(_incident(story) for story in drawn)}</div>{rest}'
    )
    return _section("incidents", "Incidents", inner)


def _incident(story: Story) -> str:
    verdict = _safe(story.verdict, 60)
    facts = (
        ("Job", _job_link(story.job)),
        ("Model", _safe(story.model, 200)),
        ("Machine", _safe(story.machine, 120)),
        ("Cause", _cause(story)),
        ("Policy", _safe(story.policy, 63)),
        ("Reason", _safe(story.reason, 400)),
        ("Refused by", ", ".join(_safe(guard, 40) for guard in story.refused_by)),
        ("Lost", span(story.failed_seconds) if story.failed_seconds else ""),
        ("Recovered after", span(story.recovery_seconds) if story.recovery_seconds else ""),
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
        f"<b>{_safe(story.name, 120)}</b> <i>{verdict}</i> {_time(story.failed_at)}"
        f"</summary>{inner}</details>"
    )


def _cause(story: Story) -> str:
    if story.outcome is Outcome.RECORDED and not story.confidence:
        return "not looked into: it was known too late, or was nobody's to be told about"
    if story.verdict == Cause.UNKNOWN.value:
        return f"{story.verdict}: {_meaning(story.verdict)}"
    sure = certainty(story.confidence)
    return f"{_safe(story.verdict, 60)}, {sure} sure: {_meaning(story.verdict)}"


def _job_link(name: str, *, whole: bool = True) -> str:
    try:
        job = JobName.parse(name)
    except Unusable:
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
            span(ran_seconds(made)) if made.end_time else "",
            amount(made.estimated_usd) if made.estimated_usd is not None else "not known",
        )
        for number, made in enumerate(attempts, start=1)
    ]
    columns = ("Attempt", "Job", "Change", "Policy", "State", "Ran", "Estimate")
    return paper.table("Attempts", columns, rows, counts=False)


def _curves(curves: Sequence[Curve]) -> str:
    drawn = "".join(map(_curve, curves))
    return f"<h3>Utilisation of the failed run</h3>{drawn}" if drawn else ""


def _curve(curve: Curve) -> str:
    if not curve.points:
        return ""
    values = [min(max(share, 0.0), 1.0) for _, share in curve.points]
    mean, peak = sum(values) / len(values), max(values)
    label = f"{_safe(curve.label, 60)}: {mean:.0%} on average, {peak:.0%} at most"
    return f'<figure class="curve">{paper.sparkline(values, label)}<figcaption>{label}</figcaption></figure>'
