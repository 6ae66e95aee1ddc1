"""What an alert says of the job and of what was done about it. Pure.

Owns those answers: which job it is, what was done or would be, by which policy and because of what,
and the attempts so far. Called by `compose`.
"""

from __future__ import annotations

import re

from remediator.alerts.facts import AlertFacts, job_id, job_named
from remediator.alerts.message import AlertKind
from remediator.alerts.wording import (
    CUT,
    GUARDS,
    JOB_NAMES,
    KIND_WORDS,
    LINE_LIMIT,
    cause_words,
    described,
    listed,
    plain_error,
    sentence_start,
    shown,
    spelled,
)
from remediator.domain import Action, Guard, JobState, Plan
from remediator.domain.time_words import moment_words, span_words


def which_job(facts: AlertFacts) -> str:
    job = facts.job
    if facts.kind is AlertKind.REFUSED_CREATION:
        said = [shown(line, LINE_LIMIT) for line in facts.extra[:1]]
        return "\n".join([facts.name, *said, shown(plain_error(facts.error), 600)])
    kind = KIND_WORDS[job.kind] if job else "Job"
    place = f" ({job.id}) in {job.location}" if job else ""
    attempt = f", attempt {facts.attempt}" if facts.attempt else ""
    machine = f", {shown(facts.machine, LINE_LIMIT)}" if facts.machine else ""
    lines = [f"{kind} {facts.name}{place}{attempt}{machine}"]
    project = facts.project or (job.project if job else "")
    whose = (
        f"project {shown(project, 100)}" if project else "",
        f"owner {shown(facts.owner, 100)}" if facts.owner else "",
        f"account {shown(facts.account, 160)}" if facts.account else "",
    )
    if any(whose):
        line = ", ".join(one for one in whose if one)
        lines.append(sentence_start(line))
    if facts.started and facts.ended:
        ran = span_words((facts.ended - facts.started).total_seconds())
        lines.append(f"{_state(facts)} after {ran}, ended {moment_words(facts.ended)}")
    elif facts.state is not JobState.UNSPECIFIED:
        since = f" since {moment_words(facts.started)}" if facts.started else ""
        ended = f", ended {moment_words(facts.ended)}" if facts.ended else since
        lines.append(f"{_state(facts)}{ended}")
    result = "" if facts.rows is not None else facts.result  # else told row by row
    lines += [shown(text, 600) for text in (plain_error(facts.error), result) if text]
    return "\n".join(lines)


def _state(facts: AlertFacts) -> str:
    return facts.state.value.replace("_", " ").capitalize()


def what_was_done(facts: AlertFacts) -> str:
    plan = facts.plan
    if facts.kind is AlertKind.REFUSED_CREATION:
        more = [shown(line, LINE_LIMIT) for line in facts.extra[1:]]
        return "\n".join(["Nothing: there is no job that could be resubmitted.", *more])
    extra = listed([shown(line, LINE_LIMIT) for line in facts.extra])
    lines = [] if plan is None or not facts.is_explained else _done(facts, plan)
    if facts.kind is AlertKind.RECOVERED:
        lines.append(_recovery(facts))
    if facts.was_cancelled:
        lines.append(_cancelled(facts))
    if facts.kind is AlertKind.NO_PERMISSION:
        lines.append(shown(facts.error, 600))
    if facts.kind is AlertKind.OVERRUN and not extra:
        lines.append("Nothing: it still runs.")
    if facts.kind is AlertKind.OLD_FAILURES:
        lines.append("They are in the report. Nothing was resubmitted for them.")
    if facts.kind is AlertKind.SINK_SILENT:
        lines.append(
            "A failure entry was written to Cloud Logging and did not come back within 15 minutes."
        )
    return "\n".join(lines + extra)


def _cancelled(facts: AlertFacts) -> str:
    if facts.deleted:
        return "Nothing more: the job was deleted."
    if facts.cancelled_why:
        return f"The remediator cancelled it: {shown(facts.cancelled_why, LINE_LIMIT)}."
    return "Nothing more: what a person cancels is not resubmitted."


def _done(facts: AlertFacts, plan: Plan) -> list[str]:
    because = _notes(plan, plan.reasons)
    changes = _changes(plan)
    if facts.kind in {AlertKind.ACTED, AlertKind.NEXT_ATTEMPT}:
        number = facts.number
        new = f" as {job_id(facts.created)}" if facts.created else ""
        return [f"Resubmitted{new}, attempt {number}: {changes}.{_rule(plan)}", *because]
    if facts.kind is AlertKind.WAITING:
        until = f" not before {moment_words(plan.not_before)}" if plan.not_before else " later"
        return [f"Nothing yet. It will be resubmitted{until}: {changes}.{_rule(plan)}", *because]
    if facts.kind is AlertKind.APPROVAL:
        return [f"Nothing yet. Proposed: {changes}.{_rule(plan)}", *because]
    if facts.kind is AlertKind.OBSERVED:
        would = "nothing" if plan.action is Action.ALERT else changes
        return [f"Nothing: the mode is observe. Planned: {would}.{_rule(plan)}", *because]
    nothing = "Nothing more." if facts.made else "Nothing."
    refused = [f"Refused by {guard.value}: {_why(plan, guard)}" for guard in plan.refused_by]
    return [nothing, *refused, *_notes(plan, plan.notes)]


def _why(plan: Plan, guard: Guard) -> str:
    why = plan.why_refused(guard)
    return _sentence(_brief(shown(why, 500))) if why else f"{GUARDS[guard]}."


def _recovery(facts: AlertFacts) -> str:
    made = described(facts.attempts[-1].changes) if facts.attempts else ""
    lost = facts.time_lost_seconds
    when = f", {span_words(lost)} after the first failure" if lost is not None else ""
    sentence = f"Resubmitted {made or 'unchanged'}; that succeeded{when}."
    return f"{sentence}\nResults: {shown(facts.output, LINE_LIMIT)}" if facts.output else sentence


def _changes(plan: Plan) -> str:
    return spelled(plan.changes) or "the same job again"


def _rule(plan: Plan) -> str:
    return f" Policy {shown(plan.policy, 63)}, step {plan.step}." if plan.policy else ""


def _notes(plan: Plan, notes: tuple[str, ...]) -> list[str]:
    """What the plan says beyond verdict, changes and cost, which have their own places."""
    if plan.reasons or plan.cost_basis:
        return [_sentence(_brief(shown(note, 500))) for note in notes[:MOST_NOTES]]
    return [_brief(shown(plan.because, 500))] if plan.because else []


def _sentence(text: str) -> str:
    return sentence_start(text) + ("" if text.endswith((".", "!", "?", CUT)) else ".")


def _brief(text: str) -> str:
    """Jobs by what they are and their id: `custom job 42`, not the whole resource name."""

    def said(match: re.Match[str]) -> str:
        job = job_named(match[0])
        return f"{KIND_WORDS[job.kind].lower()} {job.id}" if job else match[0]

    return JOB_NAMES.sub(said, text)


def attempts_so_far(facts: AlertFacts) -> str:
    lines = [
        f"{number}. {described(a.changes) or 'unchanged'}: "
        f"{a.state.value.lower().replace('_', ' ')} (after: {shown(cause_words(a.verdict), 40)})"
        for number, a in enumerate(facts.attempts, start=1)
    ]
    fresh = facts.kind is AlertKind.ACTED  # the only attempt is the one just told
    return "" if fresh and len(lines) == 1 else "\n".join(lines[-10:])


MOST_NOTES = 6
