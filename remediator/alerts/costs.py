"""What an alert says of money: what a step may cost, what the chain has cost so far. Pure.

Owns that answer and its label. Called by `compose`; of a job that still runs, `running` says it.
"""

from __future__ import annotations

from remediator.alerts.facts import AlertFacts
from remediator.alerts.message import AlertKind
from remediator.alerts.wording import amount, shown
from remediator.domain import Action, Plan
from remediator.domain.time_words import span_words


def cost_label(kind: AlertKind) -> str:
    ended = {AlertKind.RECOVERED, AlertKind.GIVEN_UP, AlertKind.OVERRUN}
    return "What it cost" if kind in ended else "What it may cost"


def cost(facts: AlertFacts) -> str:
    lines = []
    plan = facts.plan
    spends = facts.kind in {
        AlertKind.ACTED,
        AlertKind.NEXT_ATTEMPT,
        AlertKind.WAITING,
        AlertKind.APPROVAL,
        AlertKind.OBSERVED,
    } and (plan is not None and plan.action is not Action.ALERT)
    if plan is not None and spends:
        lines.append(_estimate(plan, "this attempt"))
        if facts.kind is AlertKind.APPROVAL and plan.longest_seconds is not None:
            lines.append(f"It may run for {span_words(plan.longest_seconds)}.")
    if facts.spent_usd is not None:
        estimated = _estimated_so_far(facts)
        against = f", estimated {amount(estimated)}" if estimated is not None else ""
        lines.append(f"Resubmissions so far: {amount(facts.spent_usd)}{against}.")
    if facts.kind is AlertKind.GIVEN_UP:
        last = facts.attempts[-1].estimated_usd if facts.attempts else None
        if plan is not None and plan.estimated_usd is not None:
            lines.append(
                _estimate(plan, "another attempt")
                if facts.made
                else f"Nothing. {_estimate(plan, 'the attempt that was not made')}"
            )
        elif last is not None:
            lines.append(f"Another attempt like the last would cost about {amount(last)}.")
    return "\n".join(lines)


def _estimated_so_far(facts: AlertFacts) -> float | None:
    """Of the attempts that have ended, as what was spent is; as it was told where they say nothing."""
    known = [a.estimated_usd for a in facts.attempts if a.state.is_terminal]
    if any(usd is not None for usd in known):
        return sum(usd or 0.0 for usd in known)
    return facts.estimated_usd


def _estimate(plan: Plan, what: str) -> str:
    if plan.estimated_usd is None:
        return f"The price of {what} is not known."
    about, worst = amount(plan.estimated_usd), plan.worst_case_usd
    basis = f" ({shown(plan.cost_basis, 200)})" if plan.cost_basis else ""
    if worst is not None and amount(worst) == about:
        return f"At most {about} for {what}{basis}."
    most = amount(worst) if worst is not None else ""
    far = worst is not None and worst >= plan.estimated_usd * FAR_ABOVE
    if far and plan.worst_case_basis:
        return (
            f"About {about} for {what}{basis}. At most {most}: {shown(plan.worst_case_basis, 200)}."
        )
    return f"About {about} for {what}{f', {most} at most' if most else ''}{basis}."


FAR_ABOVE = 3
"""Chosen: a worst case that is so many times the estimate is explained."""
