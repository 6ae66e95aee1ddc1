"""What the entries of `watch` would have told of past jobs: figures and text, and where two files differ.

Pure: replayed jobs in, figures and text out. Called by the command `backtest`, beside the backtest of
failures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from remediator.alerts.running import STOOD
from remediator.alerts.wording import amount, plural, table
from remediator.domain import Action, JobState, rfc3339
from remediator.domain.time_words import moment_words
from remediator.watch.replay import PastSpell, ReplayedJob
from remediator.watch.signals import minutes

_MOST_SHOWN = 20  # spells that the text lists, the dearest first
_CANCELS = (Action.CANCEL, Action.CANCEL_RESUBMIT)


class SpellOutcome(Struct, frozen=True):
    """One spell, of which job, and what followed. Money in US dollars.

    `usd_after` is what the job cost from then on; `saved_usd` as much of it as a cancel would have saved,
    0 where nothing was cancelled or the job succeeded in the end.
    """

    job: ReplayedJob
    spell: PastSpell

    @property
    def went_on(self) -> bool:
        """Whether the job worked again by itself, or succeeded after a cancel's time."""
        if self.spell.acts:
            return self.job.case.job.state is JobState.SUCCEEDED
        return self.spell.over is not None

    @property
    def usd_after(self) -> float | None:
        return self.job.usd_after(self.spell)

    @property
    def saved_usd(self) -> float:
        return (self.usd_after or 0.0) if self.spell.acts and not self.went_on else 0.0

    @property
    def open_usd(self) -> float:
        """What somebody who cancelled it at the alert would have saved."""
        saves = self.spell.was_for_nothing and not self.spell.acts
        return (self.usd_after or 0.0) if saves and not self.went_on else 0.0

    def to_json(self) -> dict[str, Any]:
        made, plan = self.spell.made, self.spell.made.plan
        usd = self.usd_after
        return {
            "job": plan.job,
            "display_name": self.job.case.job.display_name,
            "alerted": rfc3339(self.spell.alerted),
            "since": rfc3339(made.since) if made.since else None,
            "verdict": made.reason,
            "policy": plan.policy,
            "action": plan.action.value,
            "mode": plan.mode.value,
            "refused_by": [guard.value for guard in plan.refused_by],
            "alerts": list(plan.alerts),
            "because": plan.because,
            "usd_per_hour": self.spell.usd_per_hour,
            "ended": rfc3339(self.spell.over) if self.spell.over else None,
            "went_on": self.went_on,
            "usd_after": None if usd is None else round(usd, 2),
            "saved_usd": round(self.saved_usd, 2),
            "resubmission_usd": plan.estimated_usd if self.spell.acts else None,
        }


class WatchedPast(Struct, frozen=True):
    """Everything that one policy file's entries would have told."""

    name: str
    jobs: tuple[ReplayedJob, ...]

    @property
    def spells(self) -> tuple[SpellOutcome, ...]:
        """Every spell in the order of time."""
        found = [SpellOutcome(job, spell) for job in self.jobs for spell in job.spells]
        return tuple(sorted(found, key=lambda one: one.spell.alerted))

    def by_entry(self) -> list[dict[str, Any]]:
        """A row for each entry that would have told something, the busiest first."""
        spells = self.spells
        rows = []
        for name in dict.fromkeys(one.spell.made.plan.policy for one in spells):
            group = [one for one in spells if one.spell.made.plan.policy == name]
            rows.append({"policy": name, **_figures(group)})
        return sorted(rows, key=lambda row: (-row["spells"], row["policy"]))

    def to_json(self) -> dict[str, Any]:
        return {"file": self.name, **_figures(self.spells), "by_policy": self.by_entry()}


def _figures(spells: Sequence[SpellOutcome]) -> dict[str, Any]:
    return {
        "spells": len(spells),
        **{action.value: sum(_does(one, action) for one in spells) for action in _CANCELS},
        "approve": sum(one.spell.made.plan.action is Action.APPROVE for one in spells),
        "went_on": sum(one.went_on for one in spells),
        "saved_usd": round(sum(one.saved_usd for one in spells), 2),
        "open_usd": round(sum(one.open_usd for one in spells), 2),
    }


def _does(one: SpellOutcome, action: Action) -> bool:
    return one.spell.acts and one.spell.made.plan.action is action


def differences(
    before: WatchedPast, after: WatchedPast
) -> list[tuple[list[SpellOutcome], list[SpellOutcome]]]:
    """The jobs of which two files would have told otherwise: the spells by each."""
    both: dict[int, tuple[list[SpellOutcome], list[SpellOutcome]]] = {}
    for index, past in enumerate((before, after)):
        for one in past.spells:
            both.setdefault(id(one.job.case), ([], []))[index].append(one)
    return [
        (old, new) for old, new in both.values() if [*map(_essence, old)] != [*map(_essence, new)]
    ]


def _essence(one: SpellOutcome) -> tuple[Any, ...]:
    plan = one.spell.made.plan
    return (
        one.spell.alerted, one.spell.made.reason, plan.policy, plan.action, plan.mode, plan.refused_by, plan.alerts,
    )  # fmt: skip


# --- as JSON and as text ---------------------------------------------------------------------------


def as_json(now: WatchedPast, before: WatchedPast | None = None) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "jobs": len(now.jobs),
        "job_hours": _job_hours(now),
        "policies": now.to_json(),
        "against": before.to_json() if before else None,
        "differences": [
            {
                "job": (new or old)[0].spell.made.plan.job,
                "before": [one.to_json() for one in old],
                "after": [one.to_json() for one in new],
            }
            for old, new in (differences(before, now) if before else ())
        ],
        "spells": [one.to_json() for one in now.spells],
    }


def _job_hours(past: WatchedPast) -> float:
    begun = [(one.case.job.create_time or one.until, one.until) for one in past.jobs]
    return round(sum((end - start).total_seconds() for start, end in begun) / 3600, 1)


def as_text(now: WatchedPast, before: WatchedPast | None = None) -> str:
    """Markdown that also reads well in a terminal."""
    looks = sum(one.looks for one in now.jobs)
    unseen = sum(one.unseen for one in now.jobs)
    head = f"## {plural(len(now.jobs), 'job')} watched, {_job_hours(now):,g} hours in all"
    lines = [head, "", f"Looked at {looks:,} times; {unseen:,} of the looks saw nothing.", ""]
    lines += _summary(now)
    shown = sorted(now.spells, key=lambda one: -(one.usd_after or 0.0))[:_MOST_SHOWN]
    if shown:
        lines.append("")
    lines += [f"- {_spell_words(one)}" for one in shown]
    if len(now.spells) > len(shown):
        lines.append(f"- and {len(now.spells) - len(shown)} more, in `--json`")
    if before is None:
        return "\n".join(lines)
    lines += ["", *_summary(before), ""]
    found = differences(before, now)
    lines.append(f"### {plural(len(found), 'difference')} in what is watched")
    for old, new in found:
        lines += ["", f"- {_name((new or old)[0])}"]
        for file, spells in ((before.name, old), (now.name, new)):
            said = "; ".join(_words_of(one) for one in spells) or "nothing is told"
            lines.append(f"  - {file}: {said}")
    return "\n".join(lines)


def _summary(past: WatchedPast) -> list[str]:
    total = _figures(past.spells)
    said = f"### {past.name}: {plural(total['spells'], 'alert')}"
    if not past.spells:
        return [f"{said} of running jobs"]
    said += f", {amount(total['saved_usd'])} saved by cancels"
    said += f", {amount(total['open_usd'])} open to whoever read the alerts"
    head = [
        "entry", "alerts", "cancel", "cancel_resubmit", "approve", "went on", "saved USD", "open USD",
    ]  # fmt: skip
    keys = ("spells", "cancel", "cancel_resubmit", "approve", "went_on")
    rows = [
        [
            row["policy"],
            *(str(row[key]) for key in keys),
            f"{row['saved_usd']:,.2f}",
            f"{row['open_usd']:,.2f}",
        ]
        for row in past.by_entry()
    ]
    return [said, "", *table(head, rows)]


def _name(one: SpellOutcome) -> str:
    plan = one.spell.made.plan
    return f"`{one.job.case.job.display_name or '(no name)'}` {plan.job}"


def _spell_words(one: SpellOutcome) -> str:
    return f"{_name(one)}: {_words_of(one)}"


def _words_of(one: SpellOutcome) -> str:
    spell, made = one.spell, one.spell.made
    since = f" since {moment_words(made.since)}" if made.since else ""
    delay = minutes(spell.alerted - made.since) if made.since else ""
    said = f"{STOOD[made.reason]}{since}; told {moment_words(spell.alerted)}"
    said += f" ({delay} later)" if delay else ""
    return f"{said}, {_action_words(one)}"


def _action_words(one: SpellOutcome) -> str:
    plan = one.spell.made.plan
    usd = one.usd_after
    costs = "a price that is not known" if usd is None else amount(usd)
    if one.spell.acts:
        what = (
            "cancelled and submitted again"
            if plan.action is Action.CANCEL_RESUBMIT
            else "cancelled"
        )
        if one.went_on:
            return f"{what}, though it succeeded in the end"
        return f"{what}: {costs} saved"
    refused = f" (refused by {', '.join(plan.refused_by)})" if plan.refused_by else ""
    if plan.action in {*_CANCELS, Action.APPROVE}:
        refused = f" (mode {plan.mode.value}: {plan.action.value})"
    if one.spell.over is not None:
        return f"alert{refused}; it went on after {minutes(one.spell.over - one.spell.alerted)}"
    return f"alert{refused}; {costs} until its end"
