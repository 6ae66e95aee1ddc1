"""What an alert says: from what is known of a chain to a Message. Pure.

Owns the words a person reads: titles that stand alone in a notification line, the five answers
(what failed, why, what was done, what it may cost, what you must do), links and commands. A Message
is already redacted, stripped of control characters and cut, so that it can be stored as owed and
sent later as it is. Must not do I/O or read a clock; how a Message looks on a channel is
`channels`' business. Called by the stories, `alert preview` and the demo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from remediator.alerts.links import console_url, logs_url
from remediator.alerts.message import (
    SUMMARIES,
    WHY,
    AlertKind,
    Button,
    Fact,
    Link,
    Message,
    Severity,
)
from remediator.alerts.wording import (
    ADVICE,
    CUT,
    GUARD_ADVICE,
    GUARDS,
    MEANINGS,
    MOST_CHANGES,
    STATES,
    amount,
    described,
    field_name,
    moment_words,
    plural,
    shown,
    span,
)
from remediator.case import Gap
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Diagnosis,
    Evidence,
    Guard,
    JobKind,
    JobName,
    JobState,
    Plan,
    RankedCause,
    Unusable,
)

TITLE_LIMIT = 150
"""Characters; Slack's header block takes no more, https://docs.slack.dev/reference/block-kit/blocks/header-block"""
VALUE_LIMIT = 1500
LINE_LIMIT = 300
NAME_LIMIT = 60
EVIDENCE_LINES = 6
SUMMARY_LIMIT = 2900
EXTRA_LINES = 41
MOST_NOTES = 6
APPROVAL_HOURS = 12
"""How long an approval may be given; the approval's room enforces it, this only says so."""


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What is known when an alert falls due. Everything may be raw: composing redacts and cuts.

    `root` names the chain (the first job); `attempt` is the number of the attempt the alert is
    about, 0 for the root job itself. `result` is what it left behind all the same. `plan` is the plan just decided or carried out, `created` the
    name of the job it made. `spent_usd` is what the chain's resubmissions have cost so far,
    `estimated_usd` what their plans had said; `time_lost_seconds` runs from the first failure to
    the recovery. `count` and `extra` serve the summaries: how many, and a line for each. `grant` is
    the command that would let the remediator act as the job's account, where that was refused.
    """

    kind: AlertKind
    job: JobName | None = None
    display_name: str = ""
    root: str = ""
    attempt: int = 0
    state: JobState = JobState.UNSPECIFIED
    error: str = ""
    result: str = ""
    machine: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    diagnosis: Diagnosis | None = None
    plan: Plan | None = None
    created: str = ""
    attempts: tuple[Attempt, ...] = ()
    gaps: tuple[Gap, ...] = ()
    spent_usd: float | None = None
    estimated_usd: float | None = None
    time_lost_seconds: float | None = None
    approval_id: str = ""
    count: int = 0
    extra: tuple[str, ...] = ()
    grant: str = ""

    @property
    def verdict(self) -> Cause:
        """The diagnosis' own; else the plan's; else unknown."""
        if self.diagnosis is not None:
            return self.diagnosis.verdict
        return self.plan.verdict if self.plan is not None else Cause.UNKNOWN

    @property
    def name(self) -> str:
        """What people call the job, without the ` (attempt N)` of a resubmission."""
        bare = re.sub(r" \(attempt \d+\)$", "", self.display_name.strip())
        return shown(bare, NAME_LIMIT) or (self.job.id if self.job else "a job")


def compose(facts: AlertFacts) -> Message:
    """The alert for these facts. Whatever the facts hold, the Message is fit to be shown."""
    about_a_chain = facts.kind not in SUMMARIES
    title = shown(_TITLES[facts.kind](facts), TITLE_LIMIT)
    answers = (
        (
            "What failed" if facts.kind in _EXPLAINED else "Which job",
            _what_failed(facts) if about_a_chain else "",
        ),
        (WHY, _why(facts) if facts.kind in _EXPLAINED else ""),
        ("What happened" if not about_a_chain else "What was done", _what_was_done(facts)),
        ("Attempts so far", _attempts(facts) if about_a_chain else ""),
        (_cost_label(facts.kind), _cost(facts) if about_a_chain else ""),
        ("What you must do", _to_do(facts)),
    )
    asks = facts.kind is AlertKind.APPROVAL and facts.approval_id != ""
    approval = shown(facts.approval_id, 100)
    return Message(
        kind=facts.kind,
        title=title,
        severity=_severity(facts),
        thread_key=shown(facts.root, LINE_LIMIT) if about_a_chain else facts.kind.value,
        facts=tuple(
            Fact(label, shown(value, VALUE_LIMIT if about_a_chain else SUMMARY_LIMIT, lines=True))
            for label, value in answers
            if value
        ),
        evidence=_evidence(facts) if facts.kind in _EXPLAINED else (),
        links=_links(facts),
        subject=_subject(facts) if about_a_chain else "",
        commands=tuple(f"python -m remediator {verb} {approval}" for verb in ("approve", "decline"))
        if asks
        else _COMMANDS.get(facts.kind, ()) + ((shown(facts.grant, 400),) if facts.grant else ()),
        buttons=(Button("approve", "Approve", approval), Button("decline", "Decline", approval))
        if asks
        else (),
    )


_KIND_WORDS: Mapping[JobKind, str] = {
    JobKind.BATCH_PREDICTION: "Batch prediction",
    JobKind.CUSTOM: "Custom job",
    JobKind.HYPERPARAMETER_TUNING: "Tuning job",
    JobKind.TRAINING_PIPELINE: "Training pipeline",
    JobKind.PIPELINE: "Pipeline run",
}

_EXPLAINED = frozenset(
    {
        AlertKind.ACTED,
        AlertKind.WAITING,
        AlertKind.APPROVAL,
        AlertKind.OBSERVED,
        AlertKind.ALERT,
        AlertKind.NEXT_ATTEMPT,
        AlertKind.GIVEN_UP,
    }
)
"""Alerts that tell of a failure, and so of its cause and the evidence."""
_LOUD = frozenset(
    {
        AlertKind.APPROVAL,
        AlertKind.ALERT,
        AlertKind.GIVEN_UP,
        AlertKind.SINK_SILENT,
        AlertKind.OVERRUN,
    }
)
_COMMANDS: Mapping[AlertKind, tuple[str, ...]] = {
    AlertKind.OLD_FAILURES: ("python -m remediator report -o report.html",),
    AlertKind.SINK_SILENT: ("python -m remediator doctor",),
}


def _severity(facts: AlertFacts) -> Severity:
    elsewhere = facts.plan is not None and Guard.ALREADY_RERUN in facts.plan.refused_by
    return Severity.LOUD if facts.kind in _LOUD and not elsewhere else Severity.QUIET


def _subject(facts: AlertFacts) -> str:
    """One for a whole chain: it names the first job, so that two chains of one name stay apart."""
    first = _last_part(facts.root)
    apart = f" ({first})" if first else ""
    return shown(f"[vertex] {facts.name} failed{apart}", TITLE_LIMIT)


def _last_part(root: str) -> str:
    """The job's id, of a name or of the ledger's key for one: what follows the last slash."""
    return shown(root.rpartition("/")[2], 40)


# --- titles ------------------------------------------------------------------------------------


def _failed(facts: AlertFacts) -> str:
    """`genomic-prep failed of cpu_saturation`."""
    verb = STATES.get(facts.state, "failed")
    if facts.verdict is Cause.UNKNOWN:
        return f"{facts.name} {verb}, cause unknown"
    if facts.state in {JobState.FAILED, JobState.UNSPECIFIED}:
        return f"{facts.name} {verb} of {facts.verdict.value}"
    return f"{facts.name} {verb} ({facts.verdict.value})"


def _change(facts: AlertFacts) -> str:
    """`on n1-standard-16 with 1 NVIDIA_TESLA_T4`; empty where nothing changes."""
    return described(facts.plan.changes) if facts.plan else ""


def _acted_title(facts: AlertFacts) -> str:
    change = _change(facts)
    if not change:
        return f"Resubmitted unchanged: {_failed(facts)}"
    return f"Resubmitted: {_failed(facts)}, now {change}"


def _waiting_title(facts: AlertFacts) -> str:
    until = facts.plan.not_before if facts.plan else None
    when = f" until {moment_words(until)}" if until else ""
    return f"Waiting{when}: {_failed(facts)}, a resubmission will follow"


def _approval_title(facts: AlertFacts) -> str:
    price = facts.plan.estimated_usd if facts.plan else None
    cost = f" for about {amount(price)}" if price is not None else ""
    return f"Approval needed: {_failed(facts)}, resubmit {_change(facts) or 'unchanged'}{cost}?"


def _observed_title(facts: AlertFacts) -> str:
    would = {
        Action.RESUBMIT: f"would resubmit {_change(facts) or 'unchanged'}",
        Action.WAIT: f"would wait, then resubmit {_change(facts) or 'unchanged'}",
        Action.APPROVE: f"would ask to resubmit {_change(facts) or 'unchanged'}",
    }
    action = facts.plan.action if facts.plan else Action.ALERT
    return f"Observed: {_failed(facts)}, {would.get(action, 'would only alert')}"


def _alert_title(facts: AlertFacts) -> str:
    if facts.plan is not None and Guard.ALREADY_RERUN in facts.plan.refused_by:
        return f"Left alone: {_failed(facts)}, already rerun by somebody else"
    return f"Not resubmitted: {_failed(facts)}"


def _next_title(facts: AlertFacts) -> str:
    number = _number(facts)
    change = f", now {_change(facts)}" if _change(facts) else ", unchanged"
    return (
        f"Attempt {number} started: {_failed(facts).replace(' failed ', ' failed again ')}{change}"
    )


def _recovered_title(facts: AlertFacts) -> str:
    made = facts.attempts[-1].changes if facts.attempts else ()
    change = f" {described(made)}" if described(made) else ""
    return f"Recovered: {facts.name} succeeded{change} after {plural(_made(facts), 'resubmission')}"


def _given_up_title(facts: AlertFacts) -> str:
    return f"Given up: {_failed(facts)} after {plural(_made(facts), 'resubmission')}"


def _old_title(facts: AlertFacts) -> str:
    return f"{plural(facts.count, 'failure')} older than the look-back recorded, none acted on"


def _silent_title(facts: AlertFacts) -> str:
    tail = f": {facts.name} was handled from the ledger" if facts.job else ""
    return f"The sink does not deliver{tail}"


def _overrun_title(facts: AlertFacts) -> str:
    spent = f" at {amount(facts.spent_usd)}" if facts.spent_usd is not None else ""
    return f"Over budget: attempt {facts.attempt} of {facts.name} has passed its limit{spent}"


def _policy_title(facts: AlertFacts) -> str:
    if facts.count:
        return f"The new policy file is not taken: {plural(facts.count, 'mistake')}"
    return "The policy file changed"


def _grouped_title(facts: AlertFacts) -> str:
    return f"{plural(facts.count or len(facts.extra), 'alert')} grouped into one"


_TITLES = {
    AlertKind.ACTED: _acted_title,
    AlertKind.WAITING: _waiting_title,
    AlertKind.APPROVAL: _approval_title,
    AlertKind.OBSERVED: _observed_title,
    AlertKind.ALERT: _alert_title,
    AlertKind.NEXT_ATTEMPT: _next_title,
    AlertKind.RECOVERED: _recovered_title,
    AlertKind.GIVEN_UP: _given_up_title,
    AlertKind.OLD_FAILURES: _old_title,
    AlertKind.SINK_SILENT: _silent_title,
    AlertKind.OVERRUN: _overrun_title,
    AlertKind.POLICY_CHANGED: _policy_title,
    AlertKind.GROUPED: _grouped_title,
}


# --- the answers -------------------------------------------------------------------------------


def _made(facts: AlertFacts) -> int:
    return len(facts.attempts) or facts.attempt


def _number(facts: AlertFacts) -> int:
    """Of the attempt that was just made; the attempts may or may not list it already."""
    last = facts.attempts[-1] if facts.attempts else None
    if last is not None and (not facts.created or _short(last.name) == _short(facts.created)):
        return last.number or len(facts.attempts)
    return max(len(facts.attempts), facts.attempt) + 1


def _what_failed(facts: AlertFacts) -> str:
    job = facts.job
    kind = _KIND_WORDS[job.kind] if job else "Job"
    place = f" ({job.id}) in {job.location}" if job else ""
    attempt = f", attempt {facts.attempt}" if facts.attempt else ""
    machine = f", {shown(facts.machine, LINE_LIMIT)}" if facts.machine else ""
    lines = [f"{kind} {facts.name}{place}{attempt}{machine}"]
    if facts.started and facts.ended:
        ran = span((facts.ended - facts.started).total_seconds())
        lines.append(f"{facts.state.value} after {ran}, ended {moment_words(facts.ended)}")
    elif facts.state is not JobState.UNSPECIFIED:
        ended = f", ended {moment_words(facts.ended)}" if facts.ended else ""
        lines.append(f"{facts.state.value}{ended}")
    lines += [shown(text, 600) for text in (facts.error, facts.result) if text]
    return "\n".join(lines)


def _top(facts: AlertFacts) -> RankedCause | None:
    return facts.diagnosis.causes[0] if facts.diagnosis and facts.diagnosis.causes else None


def _why(facts: AlertFacts) -> str:
    diagnosis = facts.diagnosis
    if diagnosis is None:
        return f"{facts.verdict.value}: {MEANINGS[facts.verdict]}." if facts.plan else ""
    lines = []
    if diagnosis.verdict is Cause.UNKNOWN:
        lines.append("Unknown: the evidence does not carry a verdict.")
        suspects = diagnosis.causes
    else:
        sure = f"{diagnosis.confidence:.0%} sure"
        lines.append(f"{diagnosis.verdict.value} ({sure}): {MEANINGS[diagnosis.verdict]}.")
        suspects = diagnosis.causes[1:]
    if diagnosis.sections:
        longest = max(diagnosis.sections, key=lambda section: section.share)
        took = f"{longest.share:.0%} of the run ({span(longest.seconds)})"
        lines.append(f"Longest section: {shown(longest.name, 100)}, {took}.")
    if suspects and suspects[0].cause is not Cause.UNKNOWN:
        order = "Most likely" if diagnosis.verdict is Cause.UNKNOWN else "Next most likely"
        lines.append(f"{order}: {suspects[0].cause.value} ({suspects[0].confidence:.0%}).")
    lines += [f"Speaks against it: {shown(e.says, LINE_LIMIT)}" for e in _against(facts)]
    wanted = [what for what in diagnosis.missing if not any(g.why in what for g in facts.gaps)]
    lines += [f"Would settle it: {shown(what, LINE_LIMIT)}" for what in wanted[:3]]
    lines += [
        f"Not read: {gap.source.value}, {shown(_CALLED.sub('', gap.why), LINE_LIMIT)}"
        for gap in facts.gaps[:4]
    ]
    return "\n".join(lines)


_CALLED = re.compile(r"\b(?:GET|POST|PUT|DELETE) https?://\S{1,2000}: ")
"""Google's clients begin an error's words with the call; the words alone are for people."""


def _against(facts: AlertFacts) -> tuple[Evidence, ...]:
    top = _top(facts)
    return top.against[:2] if top else ()


def _evidence(facts: AlertFacts) -> tuple[Evidence, ...]:
    top = _top(facts)
    told: dict[str, Evidence] = {}
    for item in top.evidence if top else ():
        says = shown(item.says, LINE_LIMIT)
        if _tells(says):
            told.setdefault(says, Evidence(item.source, shown(item.where, 160), says))
    return tuple(told.values())[:EVIDENCE_LINES]


def _tells(says: str) -> bool:
    """Whether anything is left of a line beside placeholders such as `<*>`."""
    return any(char.isalnum() for char in re.sub(r"<[^<>]{0,20}>", "", says))


def _changes(plan: Plan) -> str:
    if not plan.changes:
        return "the same job again"
    return "; ".join(
        f"{field_name(c.field)} {_value(c.before)} -> {_value(c.after)}"
        for c in plan.changes[:MOST_CHANGES]
    )


def _value(value: object) -> str:
    return "not set" if value is None else shown(str(value), 80)


def _rule(plan: Plan) -> str:
    return f" Policy {shown(plan.policy, 63)}, step {plan.step}." if plan.policy else ""


def _what_was_done(facts: AlertFacts) -> str:
    extra = [shown(line, 160) for line in facts.extra[:EXTRA_LINES]]
    if len(facts.extra) > EXTRA_LINES:
        extra.append(f"and {len(facts.extra) - EXTRA_LINES} more")
    plan = facts.plan
    lines = [] if plan is None or facts.kind not in _EXPLAINED else _done(facts, plan)
    if facts.kind is AlertKind.RECOVERED:
        lines.append(_recovery(facts))
    if facts.kind is AlertKind.OVERRUN and not extra:
        lines.append("Nothing: it still runs.")
    if facts.kind is AlertKind.OLD_FAILURES:
        lines.append("They are in the report. Nothing was resubmitted for them.")
    if facts.kind is AlertKind.SINK_SILENT:
        lines.append(
            "A failure entry was written to Cloud Logging and did not come back within 15 minutes."
        )
    return "\n".join(lines + extra)


def _recovery(facts: AlertFacts) -> str:
    made = described(facts.attempts[-1].changes) if facts.attempts else ""
    lost = facts.time_lost_seconds
    when = f", {span(lost)} after the first failure" if lost is not None else ""
    return f"Resubmitted {made or 'unchanged'}; that succeeded{when}."


def _done(facts: AlertFacts, plan: Plan) -> list[str]:
    because = _notes(plan)
    changes = _changes(plan)
    if facts.kind in {AlertKind.ACTED, AlertKind.NEXT_ATTEMPT}:
        number = _number(facts)
        new = f" as {_short(facts.created)}" if facts.created else ""
        return [f"Resubmitted{new}, attempt {number}: {changes}.{_rule(plan)}", *because]
    if facts.kind is AlertKind.WAITING:
        until = f" not before {moment_words(plan.not_before)}" if plan.not_before else " later"
        return [f"Nothing yet. It will be resubmitted{until}: {changes}.{_rule(plan)}", *because]
    if facts.kind is AlertKind.APPROVAL:
        return [f"Nothing yet. Proposed: {changes}.{_rule(plan)}", *because]
    if facts.kind is AlertKind.OBSERVED:
        would = "nothing" if plan.action is Action.ALERT else changes
        return [f"Nothing: the mode is observe. Planned: {would}.{_rule(plan)}", *because]
    refused = [f"Refused by {guard.value}: {GUARDS[guard]}." for guard in plan.refused_by]
    return ["Nothing more." if _made(facts) else "Nothing.", *refused, *because]


def _notes(plan: Plan) -> list[str]:
    """What the plan says beyond verdict, changes and cost, which have their own places."""
    if plan.notes or plan.cost_basis:
        return [_sentence(shown(note, 500)) for note in plan.notes[:MOST_NOTES]]
    return [shown(plan.because, 500)] if plan.because else []


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", CUT)) else ".")


def _short(name: str) -> str:
    try:
        return JobName.parse(name).id
    except Unusable:
        return shown(name, 160)


def _attempts(facts: AlertFacts) -> str:
    told = [
        f"{number}. {described(a.changes) or 'unchanged'}: "
        f"{a.state.value.lower().replace('_', ' ')} (after {shown(a.verdict, 40)})"
        for number, a in enumerate(facts.attempts, start=1)
    ]
    fresh = facts.kind is AlertKind.ACTED  # the only attempt is the one just told
    return "" if fresh and len(told) == 1 else "\n".join(told[-10:])


def _cost_label(kind: AlertKind) -> str:
    return (
        "What it cost" if kind in {AlertKind.RECOVERED, AlertKind.GIVEN_UP} else "What it may cost"
    )


def _cost(facts: AlertFacts) -> str:
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
    if facts.spent_usd is not None:
        estimated = _estimated_so_far(facts)
        against = f", estimated {amount(estimated)}" if estimated is not None else ""
        lines.append(f"Resubmissions so far: {amount(facts.spent_usd)}{against}.")
    if facts.kind is AlertKind.GIVEN_UP:
        last = facts.attempts[-1].estimated_usd if facts.attempts else None
        if plan is not None and plan.estimated_usd is not None:
            lines.append(_estimate(plan, "another attempt"))
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
    worst = f", {amount(plan.worst_case_usd)} at most" if plan.worst_case_usd is not None else ""
    basis = f" ({shown(plan.cost_basis, 200)})" if plan.cost_basis else ""
    return f"About {amount(plan.estimated_usd)} for {what}{worst}{basis}."


def _to_do(facts: AlertFacts) -> str:
    if facts.kind in {AlertKind.ALERT, AlertKind.GIVEN_UP}:
        if facts.plan is not None and Guard.ALREADY_RERUN in facts.plan.refused_by:
            return "Nothing."
        if facts.grant:
            return _GRANT_ADVICE
        for guard in facts.plan.refused_by if facts.plan is not None else ():
            if guard in GUARD_ADVICE:
                return GUARD_ADVICE[guard]
        top = _top(facts)
        known = top is not None and facts.verdict is not Cause.UNKNOWN
        if facts.result and not known:
            return (
                "Read the error files beside the results: they say which instances failed, and why."
            )
        return shown(top.advice, 600) if known and top and top.advice else ADVICE[facts.verdict]
    if facts.kind is AlertKind.OBSERVED:
        return (
            "Resubmit it yourself if you agree; with mode: enforce this would have been done."
            if facts.plan is not None and facts.plan.action is not Action.ALERT
            else ADVICE[facts.verdict]
        )
    if facts.kind is AlertKind.POLICY_CHANGED and facts.count:
        return (
            "Mend the file and put it there again: `python -m remediator validate FILE` says how."
        )
    return _TO_DO[facts.kind]


_GRANT_ADVICE = (
    "Resubmit it yourself. To have such jobs resubmitted, add the account to `act_as` where the "
    "remediator is deployed; the command below is the grant that this makes."
)
_TO_DO: Mapping[AlertKind, str] = {
    AlertKind.ACTED: "Nothing. You will hear whether it recovered.",
    AlertKind.NEXT_ATTEMPT: "Nothing. You will hear whether it recovered.",
    AlertKind.WAITING: "Nothing. You will hear when it is resubmitted.",
    AlertKind.APPROVAL: f"Approve or decline within {APPROVAL_HOURS} hours; after that nothing is done.",
    AlertKind.RECOVERED: "Nothing.",
    AlertKind.OLD_FAILURES: "Nothing, unless one of them still matters: the report lists them.",
    AlertKind.SINK_SILENT: "Check the log sink, its topic and the trigger: the command below says what is missing.",
    AlertKind.OVERRUN: "Look at the running attempt; cancel it in the console if it is not worth it.",
    AlertKind.POLICY_CHANGED: "Nothing, if you or your team changed it. Otherwise find out who did.",
    AlertKind.GROUPED: "Look through the list; each chain keeps its own entry in the report.",
}


# --- links -------------------------------------------------------------------------------------


def _links(facts: AlertFacts) -> tuple[Link, ...]:
    found: dict[str, Link] = {}
    names = (("Job", facts.job), ("New job", facts.created), ("First job", facts.root))
    for label, name in names:
        job = _job(name)
        if job is not None:
            url = console_url(job)
            found.setdefault(url, Link(label, url))
    if facts.job is not None:
        found["logs"] = Link("Logs", logs_url(facts.job, facts.started, facts.ended))
    top = _top(facts)
    if top is not None and facts.kind in _EXPLAINED and _SAFE_URL.fullmatch(top.advice_url):
        found["advice"] = Link("Advice", top.advice_url)
    return tuple(found.values())


_SAFE_URL = re.compile(r"https://[A-Za-z0-9._/~%#?&=+:@,;-]{1,500}")


def _job(name: JobName | str | None) -> JobName | None:
    if not isinstance(name, str):
        return name
    try:
        return JobName.parse(name)
    except Unusable:
        return None
