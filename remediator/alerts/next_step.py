"""What the reader of an alert must do, also when it is nothing. Pure.

Owns that sentence: by kind of alert, by what a guard refused, by how a question ended, else the
diagnosis' own advice. Called by `compose`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from remediator.alerts import running
from remediator.alerts.facts import AlertFacts, QuestionEnd
from remediator.alerts.message import AlertKind
from remediator.alerts.rows import rows_advice
from remediator.alerts.wording import GUARD_ADVICE, shown
from remediator.domain import Action, Cause, Guard, Lack
from remediator.domain.cause_advice import ADVICE
from remediator.domain.time_words import moment_words


def next_step(facts: AlertFacts) -> str:
    return _ASKED[facts.kind](facts) if facts.kind in _ASKED else _TO_DO[facts.kind]


def _after_a_failure(facts: AlertFacts) -> str:
    refused_by = facts.plan.refused_by if facts.plan is not None else ()
    if Guard.ALREADY_RERUN in refused_by:
        return "Nothing."
    if facts.watch_reason and not refused_by:
        return "Look why it hung, and start it again from its checkpoint if it is still wanted."
    if facts.question_end is QuestionEnd.EXPIRED or facts.cancelled_why or facts.deleted:
        return "Resubmit it yourself if it is still wanted."
    if facts.question_end is not None or facts.was_cancelled:
        return "Nothing, if that was meant; otherwise resubmit it yourself."
    if facts.grant:
        return _GRANT_ADVICE
    for guard in refused_by:
        if guard in GUARD_ADVICE:
            return _after_a_guard(guard, facts)
    known = _advice(facts)
    if facts.result and not known:
        return rows_advice(facts)
    return known or ADVICE[facts.verdict].next_step


def _after_a_guard(guard: Guard, facts: AlertFacts) -> str:
    """What helps where the guard refused: every list that stands in the way at once, with the price."""
    plan = facts.plan
    if plan is None:
        return GUARD_ADVICE[guard]
    if guard in _LISTS:
        listed = [noun for one, noun in _LISTS.items() if one in plan.refused_by]
        price = f"about ${plan.estimated_usd:.2f}" if plan.estimated_usd else "it"
        return (
            f"Allow {' and '.join(listed)} in the policy file if {price} is worth it (the lines to add "
            "stand below), or resubmit the job yourself."
        )
    lack = next((one.lack for one in plan.refusals if one.guard is guard), None)
    return GUARD_ADVICE[guard] if lack is None else _SUPPLIED[lack]


_LISTS: Mapping[Guard, str] = {
    Guard.MACHINE_TYPES: "the machine type",
    Guard.ACCELERATORS: "the accelerator",
    Guard.LOCATIONS: "the region",
}
_SUPPLIED: Mapping[Lack, str] = {
    Lack.RESUME_BUCKET: (
        "Set REMEDIATOR_RESUME_BUCKET, so that only the rows that are left run again (deploy.sh: "
        "`--var resume_bucket=gs://BUCKET/PREFIX`), or write them with `rows --remaining FILE` and "
        "submit them yourself."
    ),
    Lack.RESUME_DATASET: (
        "Set REMEDIATOR_RESUME_DATASET, so that only the rows that are left run again (deploy.sh: "
        "`--var resume_dataset=PROJECT.DATASET`), or submit those that are left yourself."
    ),
    Lack.LARGER_MACHINE: (
        "Make the job need less on one machine (a smaller batch, fewer workers, data in pieces, more "
        "replicas), or name in the policy's step the machine that the refusal below names, if it names one."
    ),
}
"""What a person does about each thing that a refused step lacks."""


def _advice(facts: AlertFacts) -> str:
    """The diagnosis' own; empty where there is no verdict."""
    is_known = facts.top is not None and facts.verdict is not Cause.UNKNOWN
    return shown(facts.top.advice, 600) if is_known and facts.top is not None else ""


def _after_observing(facts: AlertFacts) -> str:
    if facts.plan is None or facts.plan.action is Action.ALERT:
        return ADVICE[facts.verdict].next_step
    asked = facts.plan.action is Action.APPROVE
    would = "you would have been asked" if asked else "this would have been done"
    return f"Resubmit it yourself if you agree; with mode: enforce {would}."


def _after_a_question(facts: AlertFacts) -> str:
    until = f"within {APPROVAL_HOURS} hours"
    if facts.approve_until is not None:
        until = f"by {moment_words(facts.approve_until)}"
    reasons = facts.plan.approval_reasons if facts.plan is not None else ()
    asked = f" Asked because {'; '.join(reasons)}." if reasons else ""
    return f"Approve or decline {until}; after that nothing is done.{asked}"


def _after_a_refusal(facts: AlertFacts) -> str:
    again = "Read the refusal above, put right what it names, and create the job again."
    return _advice(facts) or again


def _after_a_policy_change(facts: AlertFacts) -> str:
    if facts.count:
        return "Correct the file and put it there again: `python -m remediator validate FILE` says how."
    return "Nothing, if you or your team changed it. Otherwise find out who did."


def _after_a_digest(facts: AlertFacts) -> str:
    if facts.count:
        return "Answer what waits for a yes; the first command lists it."
    return "Nothing."


def _while_it_runs(facts: AlertFacts) -> str:
    if facts.trouble is None:
        return "Look at the job."
    return running.next_step(facts.trouble, facts.approve_until)


def _after_an_overrun(facts: AlertFacts) -> str:
    if facts.cancels:
        return "Nothing now. You will hear when it has ended."
    if facts.state.is_terminal:
        return "Nothing now: it has ended. A time-out, or on_overrun: cancel, bounds the next one."
    return "Look at the running attempt; cancel it in the console if it is not worth it."


_ASKED: Mapping[AlertKind, Callable[[AlertFacts], str]] = {
    AlertKind.ALERT: _after_a_failure,
    AlertKind.GIVEN_UP: _after_a_failure,
    AlertKind.OBSERVED: _after_observing,
    AlertKind.APPROVAL: _after_a_question,
    AlertKind.REFUSED_CREATION: _after_a_refusal,
    AlertKind.POLICY_CHANGED: _after_a_policy_change,
    AlertKind.OVERRUN: _after_an_overrun,
    AlertKind.DIGEST: _after_a_digest,
    AlertKind.RUNNING: _while_it_runs,
}

_GRANT_ADVICE = (
    "Resubmit it yourself. To have such jobs resubmitted, add the account to `act_as` where the "
    "remediator is deployed; the command below is the grant that this makes."
)

_TO_DO: Mapping[AlertKind, str] = {
    AlertKind.ACTED: "Nothing. You will hear whether it recovered.",
    AlertKind.NEXT_ATTEMPT: "Nothing. You will hear whether it recovered.",
    AlertKind.WAITING: "Nothing. You will hear when it is resubmitted.",
    AlertKind.RECOVERED: "Nothing.",
    AlertKind.OLD_FAILURES: "Nothing, unless one of them still matters: the report lists them.",
    AlertKind.SINK_SILENT: "Check the log sink, its topic and the trigger: the command below says what is missing.",
    AlertKind.LEDGER_DAMAGED: "Look at the job or the alert that it names: nothing more is done for it. "
    "Then find out what wrote it; only the remediator should.",
    AlertKind.NO_PERMISSION: "Grant it to the function's service account; the command below says what is missing.",
}

APPROVAL_HOURS = 12
"""How long an approval may be given; the approval's room enforces it, this only says so."""
