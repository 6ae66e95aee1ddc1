"""What an alert says: from what is known of a chain to a Message. Pure.

Owns the five answers (what failed, why, what was done, what it may cost, what you must do), links
and commands; the first line is `titles`' business, the why and its proof are `explanation`'s. A Message is already redacted, stripped of control characters and cut, so that it can be stored as enqueued and
sent later as it is. Must not do I/O or read a clock; how a Message looks on a channel is
`channels`' business. Called by the workflow, `alert preview` and the demo.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from remediator.alerts import running
from remediator.alerts.explanation import evidence, last_lines, why
from remediator.alerts.facts import AlertFacts, job_id, job_named
from remediator.alerts.grouping import grouped
from remediator.alerts.links import console_url, entry_links, logs_url
from remediator.alerts.message import (
    LAST_LINES,
    SUMMARIES,
    WHY,
    AlertKind,
    Button,
    Fact,
    Link,
    Message,
    Severity,
)
from remediator.alerts.rows import ROWS, rows_advice, rows_lines
from remediator.alerts.running import Trouble
from remediator.alerts.titles import TITLE_LIMIT, title_of
from remediator.alerts.wording import (
    ADVICE,
    CUT,
    GUARD_ADVICE,
    GUARDS,
    LINE_LIMIT,
    amount,
    cause_words,
    described,
    listed,
    moment_words,
    plain_error,
    shell_command,
    shown,
    span,
    spelled,
)
from remediator.domain import (
    Action,
    Cause,
    Guard,
    JobKind,
    JobState,
    Plan,
    Source,
)

VALUE_LIMIT = 1500
SUMMARY_LIMIT = 2900
MOST_NOTES = 6
APPROVAL_HOURS = 12
"""How long an approval may be given; the approval's room enforces it, this only says so."""


def compose(facts: AlertFacts) -> Message:
    """The alert for these facts. Whatever the facts hold, the Message is fit to be shown."""
    if facts.kind is AlertKind.GROUPED:
        return grouped(facts.together)
    about_a_chain = facts.kind not in SUMMARIES
    explained = facts.kind in _EXPLAINED
    trouble = facts.trouble
    answers = (
        _of_a_running_job(facts, trouble)
        if trouble is not None
        else (
            (WHY, why(facts) if explained else ""),
            (LAST_LINES, last_lines(facts) if explained else ""),
            (ROWS, "\n".join(rows_lines(facts)) if explained else ""),
            ("What happened" if not about_a_chain else "What was done", _what_was_done(facts)),
            ("Attempts so far", _attempts(facts) if about_a_chain else ""),
            (_cost_label(facts.kind), _cost(facts) if about_a_chain else ""),
            ("The job", _which_job(facts) if about_a_chain else ""),
        )
    )
    asks = facts.kind in {AlertKind.APPROVAL, AlertKind.RUNNING} and facts.approval_id != ""
    approval = shown(facts.approval_id, 100)
    return Message(
        kind=facts.kind,
        title=title_of(facts),
        severity=_severity(facts),
        thread_key=shown(facts.root, LINE_LIMIT) if about_a_chain else facts.kind.value,
        facts=tuple(
            Fact(label, shown(value, VALUE_LIMIT if about_a_chain else SUMMARY_LIMIT, lines=True))
            for label, value in answers
            if value
        ),
        evidence=running.evidence(trouble) if trouble else evidence(facts) if explained else (),
        links=_links(facts),
        subject=_subject(facts) if about_a_chain else "",
        topic=_topic(facts) if about_a_chain else "",
        next_step=shown(_to_do(facts), LINE_LIMIT * 2),
        what=_what(facts) if about_a_chain else "",
        question=_question(facts) if asks else "",
        commands=tuple(command(facts, f"{verb} {approval}") for verb in ("approve", "decline"))
        if asks
        else tuple(command(facts, words) for words in _COMMANDS.get(facts.kind, ()))
        + ((shown(facts.grant, 400),) if facts.grant else ()),
        buttons=(Button("approve", "Approve", approval), Button("decline", "Decline", approval))
        if asks
        else (),
    )


def _of_a_running_job(facts: AlertFacts, trouble: Trouble) -> tuple[tuple[str, str], ...]:
    return (
        (WHY, running.why(trouble)),
        ("Last lines so far", running.last_lines(trouble)),
        ("What was done", running.done(trouble)),
        ("Attempts so far", _attempts(facts)),
        ("What it costs", running.costs(trouble)),
        ("The job", _which_job(facts)),
    )


def command(facts: AlertFacts, words: str) -> str:
    """One of our commands as it works in an empty shell: the project, the region and the ledger said."""
    place = facts.job.location if facts.job is not None else ""
    return shell_command(words, project=facts.project, region=place, ledger=facts.ledger)


def _what(facts: AlertFacts) -> str:
    """`custom job`: what the job is, for a line that stands for several."""
    return _KIND_WORDS[facts.job.kind].lower() if facts.job is not None else "job"


def _question(facts: AlertFacts) -> str:
    """The same for questions that one answer could settle: the same step, the same change."""
    plan = facts.plan
    if plan is None:
        return ""
    kind = facts.job.kind.value if facts.job is not None else ""
    if facts.trouble is not None:
        what = "cancel and resubmit" if facts.trouble.resubmits else "cancel"
        return shown(f"{plan.policy}/{plan.step}/{kind}: {what}?", LINE_LIMIT)
    change = described(plan.changes) or "unchanged"
    return shown(f"{plan.policy}/{plan.step}/{kind}: resubmit {change}?", LINE_LIMIT)


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
        AlertKind.REFUSED_CREATION,
    }
)
"""Alerts that tell of a failure, and so of its cause and the evidence."""
_LOUD = frozenset(
    {
        AlertKind.APPROVAL,
        AlertKind.ALERT,
        AlertKind.GIVEN_UP,
        AlertKind.SINK_SILENT,
        AlertKind.NO_PERMISSION,
        AlertKind.LEDGER_DAMAGED,
        AlertKind.REFUSED_CREATION,
        AlertKind.OVERRUN,
        AlertKind.RUNNING,
    }
)
_COMMANDS: Mapping[AlertKind, tuple[str, ...]] = {
    AlertKind.OLD_FAILURES: ("report -o report.html",),
    AlertKind.SINK_SILENT: ("doctor",),
    AlertKind.NO_PERMISSION: ("doctor",),
    AlertKind.DIGEST: ("approvals", "report -o report.html"),
}


def _severity(facts: AlertFacts) -> Severity:
    elsewhere = facts.plan is not None and Guard.ALREADY_RERUN in facts.plan.refused_by
    acts = facts.trouble is not None and running.acts(facts.trouble)
    others = elsewhere or facts.cancels or acts  # somebody else is at it, or the remediator itself
    return Severity.LOUD if facts.kind in _LOUD and not others else Severity.QUIET


def _subject(facts: AlertFacts) -> str:
    """Of the mail: it differs for failure, question and recovery, and names the chain's first job."""
    if facts.kind is AlertKind.REFUSED_CREATION:  # no job, no chain: the title says it
        return ""
    said = _SUBJECTS.get(facts.kind, "{name} failed").format(name=facts.name)
    return shown(f"[vertex] {said}{_apart(facts)}", TITLE_LIMIT)


def _topic(facts: AlertFacts) -> str:
    """What all mails of a chain have in common; two chains of one name stay apart."""
    if facts.kind is AlertKind.REFUSED_CREATION:
        return ""
    return shown(f"[vertex] {facts.name}{_apart(facts)}", TITLE_LIMIT)


def _apart(facts: AlertFacts) -> str:
    first = _last_part(facts.root)
    return f" ({first})" if first else ""


_SUBJECTS: Mapping[AlertKind, str] = {
    AlertKind.APPROVAL: "Approval needed for {name}",
    AlertKind.RECOVERED: "{name} recovered",
    AlertKind.GIVEN_UP: "{name} given up",
    AlertKind.OVERRUN: "{name} is over its limit",
    AlertKind.WAITING: "{name} failed, and waits",
    AlertKind.RUNNING: "{name} is in trouble while it runs",
}


def _last_part(root: str) -> str:
    """The job's id, of a name or of the ledger's key for one: what follows the last slash."""
    return shown(root.rpartition("/")[2].partition("@")[0], 40)


# --- the answers -------------------------------------------------------------------------------


def _which_job(facts: AlertFacts) -> str:
    job = facts.job
    if facts.kind is AlertKind.REFUSED_CREATION:
        said = [shown(line, LINE_LIMIT) for line in facts.extra[:1]]
        return "\n".join([facts.name, *said, shown(plain_error(facts.error), 600)])
    kind = _KIND_WORDS[job.kind] if job else "Job"
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
        lines.append(line[:1].upper() + line[1:])
    if facts.started and facts.ended:
        ran = span((facts.ended - facts.started).total_seconds())
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


def _changes(plan: Plan) -> str:
    return spelled(plan.changes) or "the same job again"


def _rule(plan: Plan) -> str:
    return f" Policy {shown(plan.policy, 63)}, step {plan.step}." if plan.policy else ""


def _what_was_done(facts: AlertFacts) -> str:
    plan = facts.plan
    if facts.kind is AlertKind.REFUSED_CREATION:
        more = [shown(line, LINE_LIMIT) for line in facts.extra[1:]]
        return "\n".join(["Nothing: there is no job that could be resubmitted.", *more])
    extra = listed([shown(line, LINE_LIMIT) for line in facts.extra])
    lines = [] if plan is None or facts.kind not in _EXPLAINED else _done(facts, plan)
    if facts.kind is AlertKind.RECOVERED:
        lines.append(_recovery(facts))
    if facts.was_cancelled and not extra:
        lines.append("Nothing more: what a person cancels is not resubmitted.")
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


def _recovery(facts: AlertFacts) -> str:
    made = described(facts.attempts[-1].changes) if facts.attempts else ""
    lost = facts.time_lost_seconds
    when = f", {span(lost)} after the first failure" if lost is not None else ""
    sentence = f"Resubmitted {made or 'unchanged'}; that succeeded{when}."
    return f"{sentence}\nResults: {shown(facts.output, LINE_LIMIT)}" if facts.output else sentence


def _done(facts: AlertFacts, plan: Plan) -> list[str]:
    because = _notes(plan)
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
    if plan.refused_by and len(plan.notes) == len(plan.refused_by):  # each guard says why itself
        whys = [_sentence(_brief(shown(note, 500))) for note in plan.notes]
        because = []
    else:
        whys = [f"{GUARDS[guard]}." for guard in plan.refused_by]
    pairs = zip(plan.refused_by, whys, strict=True)
    refused = [f"Refused by {guard.value}: {why}" for guard, why in pairs]
    return [nothing, *refused, *because]


def _notes(plan: Plan) -> list[str]:
    """What the plan says beyond verdict, changes and cost, which have their own places."""
    if plan.notes or plan.cost_basis:
        return [_sentence(_brief(shown(note, 500))) for note in plan.notes[:MOST_NOTES]]
    return [_brief(shown(plan.because, 500))] if plan.because else []


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", CUT)) else ".")


def _brief(text: str) -> str:
    """Jobs by what they are and their id: `custom job 42`, not the whole resource name."""

    def said(match: re.Match[str]) -> str:
        job = job_named(match[0])
        return f"{_KIND_WORDS[job.kind].lower()} {job.id}" if job else match[0]

    return _JOB_NAMES.sub(said, text)


_JOB_NAMES = re.compile(r"projects/[\w.:-]{1,100}/locations/[\w-]{1,40}/\w{1,40}/[\w-]{1,128}")


def _attempts(facts: AlertFacts) -> str:
    lines = [
        f"{number}. {described(a.changes) or 'unchanged'}: "
        f"{a.state.value.lower().replace('_', ' ')} (after: {shown(cause_words(a.verdict), 40)})"
        for number, a in enumerate(facts.attempts, start=1)
    ]
    fresh = facts.kind is AlertKind.ACTED  # the only attempt is the one just told
    return "" if fresh and len(lines) == 1 else "\n".join(lines[-10:])


def _cost_label(kind: AlertKind) -> str:
    ended = {AlertKind.RECOVERED, AlertKind.GIVEN_UP, AlertKind.OVERRUN}
    return "What it cost" if kind in ended else "What it may cost"


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
        if facts.kind is AlertKind.APPROVAL and plan.longest_seconds is not None:
            lines.append(f"It may run for {span(plan.longest_seconds)}.")
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


def _to_do(facts: AlertFacts) -> str:
    return _ASKED[facts.kind](facts) if facts.kind in _ASKED else _TO_DO[facts.kind]


def _after_a_failure(facts: AlertFacts) -> str:
    refused_by = facts.plan.refused_by if facts.plan is not None else ()
    if Guard.ALREADY_RERUN in refused_by:
        return "Nothing."
    if facts.watch_reason and not refused_by:
        return "Look why it hung, and start it again from its checkpoint if it is still wanted."
    if facts.unanswered == NOBODY_ANSWERED or (facts.was_cancelled and facts.extra):
        return "Resubmit it yourself if it is still wanted."
    if facts.unanswered or facts.was_cancelled:
        return "Nothing, if that was meant; otherwise resubmit it yourself."
    if facts.grant:
        return _GRANT_ADVICE
    for guard in refused_by:
        if guard in GUARD_ADVICE:
            return GUARD_ADVICE[guard]
    known = _advice(facts)
    if facts.result and not known:
        return rows_advice(facts)
    return known or ADVICE[facts.verdict]


def _advice(facts: AlertFacts) -> str:
    """The diagnosis' own; empty where there is no verdict."""
    is_known = facts.top is not None and facts.verdict is not Cause.UNKNOWN
    return shown(facts.top.advice, 600) if is_known and facts.top is not None else ""


def _after_observing(facts: AlertFacts) -> str:
    if facts.plan is None or facts.plan.action is Action.ALERT:
        return ADVICE[facts.verdict]
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
NOBODY_ANSWERED = "nobody answered"
"""What becomes of a question that expired, as the report says."""
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


# --- links -------------------------------------------------------------------------------------


def _links(facts: AlertFacts) -> tuple[Link, ...]:
    found: dict[str, Link] = {}
    others = _JOB_NAMES.findall(" ".join(facts.plan.notes)) if facts.plan is not None else ()
    names = (
        ("Job", facts.job),
        ("New job", facts.created),
        ("First job", _root_name(facts)),
        *(("Other run", name) for name in others[:1]),
    )
    for label, name in names:
        job = job_named(name)
        if job is not None:
            url = console_url(job)
            found.setdefault(url, Link(label, url))
    proof = evidence(facts) if facts.kind in _EXPLAINED else ()
    if facts.job is not None:
        found["logs"] = Link("Logs", logs_url(facts.job, facts.started, facts.ended))
        line = next((e.where for e in proof if e.source is Source.LOG), "")
        project, started, ended = facts.job.project, facts.started, facts.ended
        found.update((x.url, x) for x in entry_links("Log line", project, line, started, ended))
    found.update((link.url, link) for link in facts.places)
    top = facts.top
    if top is not None and facts.kind in _EXPLAINED and _SAFE_URL.fullmatch(top.advice_url):
        found["advice"] = Link("Advice", top.advice_url)
    return tuple(found.values())


def _root_name(facts: AlertFacts) -> str:
    """The first job by its whole name; the ledger's key lacks the project."""
    if facts.job is None or job_named(facts.root) is not None:
        return facts.root
    return f"projects/{facts.job.project}/locations/{facts.root.partition('@')[0]}"


_SAFE_URL = re.compile(r"https://[A-Za-z0-9._/~%#?&=+:@,;-]{1,500}")
