"""The first line of an alert, which stands alone in a notification. Pure.

Owns one title for each kind of alert: what broke, why, and what was done. Called by `compose`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediator.alerts import running
from remediator.alerts.facts import NAME_LIMIT, AlertFacts
from remediator.alerts.message import AlertKind
from remediator.alerts.wording import CAUSES, LINE_LIMIT, STATES, amount, described, plural, shown
from remediator.domain import PERMISSION_NAME, Action, Cause, Guard, JobState, Source
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import moment_words

TITLE_LIMIT = 150
"""Characters; Slack's header block takes no more, https://docs.slack.dev/reference/block-kit/blocks/header-block"""


def title_of(facts: AlertFacts) -> str:
    """One line, fit to be shown: what happened to which job, and whose it is where there is room."""
    title = shown(_TITLES[facts.kind](facts), TITLE_LIMIT)
    for mark in (facts.owner, facts.project, facts.account.partition("@")[0]):
        longer = f"{title} · {shown(mark, NAME_LIMIT)}" if mark else title
        title = longer if len(longer) <= TITLE_LIMIT else title
    return title


def _failed(facts: AlertFacts, again: str = "") -> str:
    """`genomic-prep failed (CPUs full)`."""
    if facts.watch_reason:
        return f"{facts.name} {running.STOOD[facts.watch_reason]}{again}"
    verb = STATES.get(facts.state, "failed")
    counts = facts.result.partition(";")[0]
    partly = facts.state in {JobState.PARTIALLY_SUCCEEDED, JobState.SUCCEEDED} and counts != ""
    if facts.verdict is Cause.UNKNOWN:
        counts_part = f" ({shown(counts, NAME_LIMIT)})" if partly else ""
        return f"{facts.name} {verb}{again}{counts_part}, cause unknown"
    cause = _cause(facts)
    if partly:
        cause += f"; {shown(counts, NAME_LIMIT)}"
    return f"{facts.name} {verb}{again} ({cause})"


def _cause(facts: AlertFacts) -> str:
    """`error in the code: KeyError: 'chrom'`: the cause, and what it is about where that is told."""
    detail = shown(_detail(facts), NAME_LIMIT)
    return CAUSES[facts.verdict] + (f": {detail}" if detail else "")


def _detail(facts: AlertFacts) -> str:
    longest = facts.longest
    if facts.verdict is Cause.SLOW_CODE and longest is not None:
        return f"{longest.share:.0%} of the run in {longest.name}"
    proof = facts.top.evidence if facts.top is not None else ()
    if facts.verdict is Cause.NETWORK_LATENCY:
        places = (e.says for e in proof if e.source in {Source.STORAGE, Source.PROBE})
        return next(places, "").partition(", ")[0]
    pattern = _ABOUT.get(facts.verdict)
    # Redacted first: of half a secret no redactor knows that it is one.
    texts = (shown(facts.error, _READ), *(shown(e.says, _READ) for e in proof))
    found = [match[1] for text in texts if pattern for match in pattern.finditer(text)]
    return found[-1 if facts.verdict is Cause.USER_CODE_ERROR else 0] if found else ""


_READ = 1500
"""Characters of an error that are looked at for a title."""
_RAISED = r"[A-Z]\w{0,40}(?:Error|Exception)"
_ABOUT: Mapping[Cause, re.Pattern[str]] = {
    Cause.USER_CODE_ERROR: late_pattern(
        rf"\b({_RAISED}(?:: (?:(?!{_RAISED}\b)[^\"\n]){{1,60}})?)"  # the next one is its own
    ),
    Cause.BAD_INPUT: late_pattern(r"((?:gs|bq)://[^\s\"',]{0,200}[^\s\"',.:;)])"),
    Cause.PERMISSION: late_pattern(rf"(?<![\w./@-])({PERMISSION_NAME})\b(?![.-])"),
    Cause.QUOTA: late_pattern(
        r"\b((?<=googleapis\.com/)[a-z0-9]{1,40}_[a-z0-9_]{3,80}|[A-Z]\w{0,60}PerProject\w{0,40}|(?<=nsufficient ')[A-Z0-9_]{3,60}(?=' quota)|(?<=uota ')[A-Z0-9_]{3,60}(?='))"
    ),
}
"""What a cause is about, in the words of the error or of the proof: each with one group."""


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
    refused = facts.plan.refused_by if facts.plan is not None else ()
    named = [guard.value for guard in refused if guard is not Guard.CAUSE]  # the cause is told
    by = f", limit {', '.join(named[:2])}" if named else ""
    if Guard.NO_MACHINE in refused:
        by = ", no machine would help"
    if Guard.TRIED_IN_VAIN in refused:
        by = ", tried in vain before"
    return f"Not resubmitted: {_failed(facts)}{by}"


def _refused_title(facts: AlertFacts) -> str:
    known = facts.verdict is not Cause.UNKNOWN
    why = f" ({_cause(facts)})" if known else ", cause unknown"
    return f"Not created: {facts.name} was refused{why}"


def _next_title(facts: AlertFacts) -> str:
    number = facts.number
    change = f", now {_change(facts)}" if _change(facts) else ", unchanged"
    return f"Attempt {number} started: {_failed(facts, ' again')}{change}"


def _recovered_title(facts: AlertFacts) -> str:
    made = facts.attempts[-1].changes if facts.attempts else ()
    change = f" {described(made)}" if described(made) else ""
    return f"Recovered: {facts.name} succeeded{change} after {plural(facts.made, 'resubmission')}"


def _given_up_title(facts: AlertFacts) -> str:
    if facts.deleted:
        what = f"attempt {facts.attempt} of {facts.name}" if facts.attempt else facts.name
        return f"Given up: {what} was deleted"
    if facts.was_cancelled:
        attempt = f"attempt {facts.attempt} of {facts.name}"
        if facts.cancelled_why:
            return f"Given up: the remediator cancelled {attempt}"
        return f"Given up: {attempt} was cancelled"
    if facts.watch_reason and facts.plan is not None and not facts.plan.refused_by:
        stood = running.STOOD[facts.watch_reason]
        return f"Given up: the remediator cancelled {facts.name}, which {stood}"
    after = f" after {plural(facts.made, 'resubmission')}" if facts.made else ""
    asked = f", {facts.question_end_words}" if facts.question_end is not None else ""
    return f"Given up: {_failed(facts)}{after}{asked}"


def _old_title(facts: AlertFacts) -> str:
    return f"{plural(facts.count, 'failure')} older than the look-back recorded, none acted on"


def _silent_title(facts: AlertFacts) -> str:
    tail = f": {facts.name} was handled from the ledger" if facts.job else ""
    return f"The log sink does not deliver{tail}"


def _permission_title(facts: AlertFacts) -> str:
    what = f": {shown(facts.display_name, LINE_LIMIT)}" if facts.display_name else ""
    return f"The remediator lacks a permission{what}"


def _damage_title(facts: AlertFacts) -> str:
    return f"A document of the ledger cannot be read: {shown(facts.display_name, LINE_LIMIT)}"


def _overrun_title(facts: AlertFacts) -> str:
    spent = f" at {amount(facts.spent_usd)}" if facts.spent_usd is not None else ""
    what = "Over time" if facts.over_time else "Over budget"
    end = ", being cancelled" if facts.cancels else ""
    return f"{what}: attempt {facts.attempt} of {facts.name} has passed its limit{spent}{end}"


def _policy_title(facts: AlertFacts) -> str:
    if facts.count:
        return f"The new policy file is not taken: {plural(facts.count, 'mistake')}"
    return "The policy file changed"


def _digest_title(facts: AlertFacts) -> str:
    return facts.display_name


def _running_title(facts: AlertFacts) -> str:
    return running.title(facts.name, facts.trouble) if facts.trouble else facts.name


_TITLES = {
    AlertKind.RUNNING: _running_title,
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
    AlertKind.NO_PERMISSION: _permission_title,
    AlertKind.LEDGER_DAMAGED: _damage_title,
    AlertKind.REFUSED_CREATION: _refused_title,
    AlertKind.DIGEST: _digest_title,
}
