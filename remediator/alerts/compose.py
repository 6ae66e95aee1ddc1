"""What an alert says: from what is known of a chain to a Message. Pure.

Owns which answers an alert gives and in which order, how loud it is, its commands and its mail's
subject. What each answer says stands in `titles` (the first line), `next_step`, `explanation` (why,
and its proof), `rows`, `actions` (the job, and what was done), `costs`, `links`, and `running` for a
job that still runs. A Message is redacted, without control characters and cut, so that it can be
stored and sent later as it is. Must not do I/O or read a clock; how a Message looks is `render`'s and
`channels`' business. Called by the workflow, `alert preview` and the demo.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.alerts import running
from remediator.alerts.actions import attempts_so_far, what_was_done, which_job
from remediator.alerts.costs import cost, cost_label
from remediator.alerts.explanation import evidence, last_lines, why
from remediator.alerts.facts import AlertFacts
from remediator.alerts.grouping import grouped
from remediator.alerts.links import links_of
from remediator.alerts.message import (
    LAST_LINES,
    SUMMARIES,
    WHY,
    AlertKind,
    Button,
    Fact,
    Message,
    Severity,
)
from remediator.alerts.next_step import next_step
from remediator.alerts.rows import ROWS, rows_lines
from remediator.alerts.running import Trouble
from remediator.alerts.titles import TITLE_LIMIT, title_of
from remediator.alerts.wording import KIND_WORDS, LINE_LIMIT, described, shell_command, shown
from remediator.domain import Guard

# Chosen: characters of one answer, of an alert about a chain and of a summary; Slack takes 3,000.
VALUE_LIMIT = 1500
SUMMARY_LIMIT = 2900


def compose(facts: AlertFacts) -> Message:
    """The alert for these facts. Whatever the facts hold, the Message is fit to be shown."""
    if facts.kind is AlertKind.GROUPED:
        return grouped(facts.together)
    about_a_chain = facts.kind not in SUMMARIES
    explained = facts.is_explained
    trouble = facts.trouble
    answers = (
        _of_a_running_job(facts, trouble)
        if trouble is not None
        else (
            (WHY, why(facts) if explained else ""),
            (LAST_LINES, last_lines(facts) if explained else ""),
            (ROWS, "\n".join(rows_lines(facts)) if explained else ""),
            ("What happened" if not about_a_chain else "What was done", what_was_done(facts)),
            ("Attempts so far", attempts_so_far(facts) if about_a_chain else ""),
            (cost_label(facts.kind), cost(facts) if about_a_chain else ""),
            ("The job", which_job(facts) if about_a_chain else ""),
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
        links=links_of(facts),
        subject=_subject(facts) if about_a_chain else "",
        topic=_topic(facts) if about_a_chain else "",
        next_step=shown(next_step(facts), LINE_LIMIT * 2),
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
        ("Attempts so far", attempts_so_far(facts)),
        ("What it costs", running.costs(trouble)),
        ("The job", which_job(facts)),
    )


def command(facts: AlertFacts, words: str) -> str:
    """One of our commands as it works in an empty shell: the project, the region and the ledger said."""
    place = facts.job.location if facts.job is not None else ""
    return shell_command(words, project=facts.project, region=place, ledger=facts.ledger)


def _what(facts: AlertFacts) -> str:
    """`custom job`: what the job is, for a line that stands for several."""
    return KIND_WORDS[facts.job.kind].lower() if facts.job is not None else "job"


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
