"""What a policy file would have done about failures of the past, and where two files differ.

Pure: cases in, figures and text out. Each failure is judged as it first stood, one chain's first step
each, in the order in which they happened, so that budgets fill up as they would have. Called by the
command `backtest`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.alerts.wording import amount, described, plural, table
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import Action, Diagnosis, JobState, Plan
from remediator.planning import costs, plan
from remediator.planning.past_budgets import PastBudgets
from remediator.policy import Policies
from remediator.report.past_rows import PastRows, past_rows

ACTIONS = (Action.RESUBMIT, Action.WAIT, Action.APPROVE, Action.ALERT)
_COSTS = (Action.RESUBMIT, Action.WAIT, Action.APPROVE)


class JudgedFailure(Struct, frozen=True):
    """One failure and what a policy file would have done about it."""

    case: Case
    diagnosis: Diagnosis
    plan: Plan

    def to_json(self) -> dict[str, Any]:
        plan = self.plan.to_json()
        del plan["request"]
        return {"display_name": self.case.job.display_name, **plan}


class Verdicts(Struct, frozen=True):
    """Everything that one policy file would have done, in order of time. Money in USD."""

    name: str
    judged: tuple[JudgedFailure, ...]

    @property
    def counts(self) -> Counter[Action]:
        return Counter(one.plan.action for one in self.judged)

    @property
    def estimated_usd(self) -> float:
        return sum(one.plan.estimated_usd or 0.0 for one in self.judged if _spends(one))

    @property
    def worst_usd(self) -> float:
        return sum(one.plan.worst_case_usd or 0.0 for one in self.judged if _spends(one))

    @property
    def unpriced(self) -> int:
        return sum(_spends(one) and one.plan.estimated_usd is None for one in self.judged)

    def by_policy(self) -> list[dict[str, Any]]:
        """A row for each policy that decided something, the busiest first."""
        groups: dict[str, list[JudgedFailure]] = defaultdict(list)
        for one in self.judged:
            groups[one.plan.policy].append(one)
        rows = [
            {
                "policy": name,
                "failures": len(group),
                **{a.value: sum(one.plan.action is a for one in group) for a in ACTIONS},
                "estimated_usd": round(
                    sum(one.plan.estimated_usd or 0.0 for one in group if _spends(one)), 2
                ),
            }
            for name, group in groups.items()
        ]
        return sorted(rows, key=lambda row: (-row["failures"], row["policy"]))

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.name,
            **{action.value: self.counts[action] for action in ACTIONS},
            "estimated_usd": round(self.estimated_usd, 2),
            "worst_case_usd": round(self.worst_usd, 2),
            "unpriced": self.unpriced,
            "by_policy": self.by_policy(),
        }


def _spends(one: JudgedFailure) -> bool:
    return one.plan.action in _COSTS


def judge(
    name: str,
    policies: Policies,
    cases: Sequence[Case],
    catalog: Catalog,
    *,
    resume: tuple[str, str] = ("", ""),
) -> Verdicts:
    """What these policies would have done about each case, the oldest first.

    `resume`: the bucket and the dataset for the rows that are left of a batch.
    """
    used = PastBudgets()
    judged = []
    threshold = policies.probes.threshold.total_seconds()
    for case in sorted(cases, key=lambda one: one.now):
        found = diagnose(case, probe_threshold_seconds=threshold)
        history = replace(
            used.history(case, policies, catalog),
            resume_bucket=resume[0],
            resume_dataset=resume[1],
        )
        made = plan(case, found, policies, history, catalog)
        if made.action in _COSTS:
            used.add(case, policies, made.estimated_usd or 0.0)
        judged.append(JudgedFailure(case, found, made))
    return Verdicts(name, tuple(judged))


def differences(before: Verdicts, after: Verdicts) -> list[tuple[JudgedFailure, JudgedFailure]]:
    """The failures about which two files differ in policy, action, changes or refusal."""
    return [
        (old, new)
        for old, new in zip(before.judged, after.judged, strict=True)
        if _essence(old.plan) != _essence(new.plan)
    ]


def _essence(made: Plan) -> tuple[Any, ...]:
    changes = tuple((c.field, c.before, c.after) for c in made.changes)
    return (made.policy, made.action, changes, made.refused_by, made.alerts)


def rows_of(
    cases: Sequence[Case], verdicts: Sequence[Verdicts], catalog: Catalog
) -> PastRows | None:
    """What running only the rows that were left would have saved; None where no case holds rows."""
    plans = [(one.name, [judged.plan for judged in one.judged]) for one in verdicts]
    return past_rows(cases, plans, catalog)


def wasted_usd(cases: Sequence[Case], catalog: Catalog) -> float:
    """What the failed runs themselves cost, as far as their price is known."""
    failed = (case.job for case in cases if case.job.state is not JobState.SUCCEEDED)
    return sum(costs.spent_usd(job, catalog) or 0.0 for job in failed)


# --- as JSON and as text ---------------------------------------------------------------------------


def as_json(
    source: str,
    now: Verdicts,
    before: Verdicts | None,
    *,
    failed_usd: float,
    left_out: Mapping[str, int],
    rows: PastRows | None = None,
) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "source": source,
        "judged": len(now.judged),
        "left_out": dict(left_out),
        "failed_runs_usd": round(failed_usd, 2),
        **({"rows": rows.to_json()} if rows else {}),
        "policies": now.to_json(),
        "against": before.to_json() if before else None,
        "differences": [
            {
                "job": new.plan.job,
                "verdict": new.plan.verdict.value,
                "before": old.to_json(),
                "after": new.to_json(),
            }
            for old, new in (differences(before, now) if before else ())
        ],
        "failures": [one.to_json() for one in now.judged],
    }


def as_text(
    source: str,
    now: Verdicts,
    before: Verdicts | None,
    *,
    failed_usd: float,
    left_out: Mapping[str, int],
    rows: PastRows | None = None,
) -> str:
    """Markdown that also reads well in a terminal."""
    lines = [f"## {plural(len(now.judged), 'failure')} of {source}", ""]
    lines += [f"Left out: {number:,} ({what})." for what, number in left_out.items() if number]
    if not now.judged:
        return "\n".join([*lines, "Nothing to judge."])
    lines.append(f"The failed runs themselves cost about {amount(failed_usd)}.")
    lines += [*([rows.as_text()] if rows else []), ""]
    lines += _summary(now)
    if before is None:
        return "\n".join(lines)
    lines += ["", *_summary(before), ""]
    found = differences(before, now)
    lines.append(f"### {plural(len(found), 'difference')}")
    for old, new in found:
        verdict = f"{new.diagnosis.verdict.value} ({new.diagnosis.confidence:.0%})"
        lines += [
            "",
            f"- `{new.case.job.display_name or '(no name)'}` {new.plan.job}: {verdict}",
            f"  - {before.name}: {_plan_words(old.plan)}",
            f"  - {now.name}: {_plan_words(new.plan)}",
        ]
    return "\n".join(lines)


def _summary(verdicts: Verdicts) -> list[str]:
    modes = sorted({one.plan.mode.value for one in verdicts.judged})
    counts = ", ".join(f"{verdicts.counts[a]} {a.value}" for a in ACTIONS)
    money = f"about {amount(verdicts.estimated_usd)}, {amount(verdicts.worst_usd)} at most"
    if verdicts.unpriced:
        money += f" ({verdicts.unpriced} without a known price)"
    head = ["policy", "failures", *(a.value for a in ACTIONS), "USD"]
    rows = [
        [
            row["policy"] or "(none matches)",
            str(row["failures"]),
            *(str(row[a.value]) for a in ACTIONS),
            f"{row['estimated_usd']:,.2f}",
        ]
        for row in verdicts.by_policy()
    ]
    return [
        f"### {verdicts.name} (mode {', '.join(modes)}): {counts}; {money}",
        "",
        *table(head, rows),
    ]


def _plan_words(made: Plan) -> str:
    changes = described(made.changes) or "the same job again"
    policy = made.policy or "no policy matches"
    money = "price unknown" if made.estimated_usd is None else f"about {amount(made.estimated_usd)}"
    if made.action is Action.ALERT:
        refused = f", refused by {', '.join(made.refused_by)}" if made.refused_by else ""
        return f"{made.action.value} ({policy}{refused})"
    return f"{made.action.value}, {changes} ({policy}, step {made.step}), {money}"
