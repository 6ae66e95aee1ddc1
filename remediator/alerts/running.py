"""The alert of a job that still runs: what stands still since when, what it costs, what is done when. Pure.

Owns `Trouble`, the facts of one spell, and the words for them. Called by `titles` and `compose`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from remediator.alerts.wording import LINE_LIMIT, amount, certainty, shown
from remediator.domain import LOG_RULE, Action, Evidence, Guard, Mode, WatchVerdict
from remediator.domain.time_words import moment_words, span_words


class Trouble(Struct, frozen=True):
    """One spell of a running job. `reason` is the verdict, or that a log rule decided; `usd` what it has cost
    since `since`. `action` is what the entry says, `mode` how far it may go, `refused_by` what keeps it from
    being done and `why_not` says why; `entry` names it in the policy file. `spell`
    counts the earlier ones of the job."""

    reason: str
    since: datetime | None
    now: datetime
    confidence: float
    usd_per_hour: float | None
    usd: float | None
    evidence: tuple[Evidence, ...]
    entry: str
    action: Action
    mode: Mode
    resubmits: bool = False
    refused_by: tuple[Guard, ...] = ()
    why_not: str = ""
    last_lines: tuple[str, ...] = ()
    spell: int = 0


_SAID: Mapping[str, str] = {
    WatchVerdict.STALLED: "stands still",
    WatchVerdict.SPINNING: "stands still (its workers wait for each other)",
    WatchVerdict.ACCELERATOR_UNUSED: "does not use its accelerator",
    WatchVerdict.WAITING_FOR_CAPACITY: "waits for machines",
    WatchVerdict.WAITING_FOR_QUOTA: "waits for quota",
    WatchVerdict.WILL_TIME_OUT: "will run into its time-out",
    WatchVerdict.MEMORY_CLIMBING: "will run out of memory",
    LOG_RULE: "writes no line of progress",
}
_HAS_SAID: Mapping[str, str] = {
    WatchVerdict.STALLED: "has stood still",
    WatchVerdict.SPINNING: "has stood still (its workers wait for each other)",
    WatchVerdict.ACCELERATOR_UNUSED: "has not used its accelerator",
    WatchVerdict.WAITING_FOR_CAPACITY: "has waited for machines",
    WatchVerdict.WAITING_FOR_QUOTA: "has waited for quota",
    LOG_RULE: "has written no line of progress",
}
"""The same where it is said since when; the verdicts that foretell something have no such moment."""
STOOD: Mapping[str, str] = {
    WatchVerdict.STALLED: "stood still",
    WatchVerdict.SPINNING: "stood still, its workers waiting for each other",
    WatchVerdict.ACCELERATOR_UNUSED: "did not use its accelerator",
    WatchVerdict.WAITING_FOR_CAPACITY: "waited for machines",
    WatchVerdict.WAITING_FOR_QUOTA: "waited for quota",
    WatchVerdict.WILL_TIME_OUT: "would have run into its time-out",
    WatchVerdict.MEMORY_CLIMBING: "would have run out of memory",
    LOG_RULE: "wrote no line of progress",
}
"""Why a job was cancelled while it ran, of a job that has ended since."""
PAID_FOR_NOTHING = frozenset(
    {
        WatchVerdict.STALLED.value,
        WatchVerdict.SPINNING.value,
        WatchVerdict.ACCELERATOR_UNUSED.value,
        LOG_RULE,
    }
)
"""Reasons for which what it has cost since then was for nothing; the others say what is to come, or cost
nothing."""
_ADVICE: Mapping[str, str] = {
    WatchVerdict.STALLED: "Look where it hangs (the stacks, if telemetry gave them); cancel it if it does not go on.",
    WatchVerdict.SPINNING: "Look which worker left the others; cancel it, and start it again from its checkpoint.",
    WatchVerdict.ACCELERATOR_UNUSED: "Look whether the program finds its accelerator; else run it on a machine without one.",
    WatchVerdict.WAITING_FOR_CAPACITY: "Wait on, or cancel it and ask for another region, machine or FLEX_START.",
    WatchVerdict.WAITING_FOR_QUOTA: "Ask for more quota, or end what holds it.",
    WatchVerdict.WILL_TIME_OUT: "Let it save what it has before then; ask for a longer time-out the next time.",
    WatchVerdict.MEMORY_CLIMBING: "Look for what it keeps; a bigger machine only puts the end off.",
    LOG_RULE: "Look at its log and its last values; cancel it if they are worth nothing.",
}


def title(name: str, trouble: Trouble) -> str:
    """`Running: train has stood still since 2026-11-28 09:29 UTC, $3.67 an hour, being cancelled`."""
    said = _SAID[trouble.reason]
    if trouble.since is not None and trouble.reason in _HAS_SAID:
        said = f"{_HAS_SAID[trouble.reason]} since {moment_words(trouble.since)}"
    costs = f", {amount(trouble.usd_per_hour)} an hour" if trouble.usd_per_hour else ""
    end = ""
    if acts(trouble):
        end = ", being cancelled and submitted again" if trouble.resubmits else ", being cancelled"
    elif trouble.action is Action.APPROVE:
        end = ", cancel and submit it again?" if trouble.resubmits else ", cancel it?"
    return f"Running: {name} {said}{costs}{end}"


def acts(trouble: Trouble) -> bool:
    """Whether the job is being ended now."""
    cancels = trouble.action in {Action.CANCEL, Action.CANCEL_RESUBMIT}
    return cancels and trouble.mode is Mode.ENFORCE


def why(trouble: Trouble) -> str:
    """What is thought of it, since when."""
    sure = f" ({certainty(trouble.confidence)} sure)" if trouble.confidence else ""
    lines = [f"The job {_SAID[trouble.reason]}{sure}."]
    if trouble.since is not None and trouble.reason in PAID_FOR_NOTHING:
        lasted = span_words((trouble.now - trouble.since).total_seconds())
        lines.append(f"Its last sign of work: {moment_words(trouble.since)}, {lasted} ago.")
    return "\n".join(lines)


def costs(trouble: Trouble) -> str:
    """What it costs an hour and has cost since."""
    if trouble.usd_per_hour is None:
        return "What it costs is not known."
    if not trouble.usd_per_hour:
        return "Nothing while it waits: no machine is allocated."
    is_lost = trouble.usd is not None and trouble.reason in PAID_FOR_NOTHING
    since = f" {amount(trouble.usd)} since then." if is_lost and trouble.usd is not None else ""
    return f"{amount(trouble.usd_per_hour)} an hour.{since}"


def done(trouble: Trouble) -> str:
    """What is done, and when; or why nothing is."""
    rule = f" Entry {shown(trouble.entry, 63)} of `watch`." if trouble.entry else ""
    what = "cancel it and submit it again, unchanged" if trouble.resubmits else "cancel it"
    if trouble.refused_by or trouble.why_not:
        names = ", ".join(guard.value for guard in trouble.refused_by)
        by = f"Refused by {names}: " if names else "Left running: "
        return f"{by}{shown(trouble.why_not, LINE_LIMIT)}.{rule}"
    if acts(trouble):
        now = "It is being cancelled now"
        if trouble.resubmits:
            now += "; as soon as Vertex has ended it, it is submitted again, unchanged"
        return f"{now}. Its last lines and curves are kept.{rule}"
    if trouble.action is Action.APPROVE:
        return f"Nothing yet. Proposed: {what}.{rule}"
    if trouble.mode is Mode.OBSERVE and trouble.action is not Action.ALERT:
        return f"Nothing: the mode is observe. Planned: {what}.{rule}"
    return f"Nothing: it still runs.{rule}"


def asked(*, resubmits: bool) -> str:
    """The question about it in a list of questions."""
    return "cancel it and submit it again, unchanged?" if resubmits else "cancel it?"


def next_step(trouble: Trouble, until: datetime | None) -> str:
    """What a person does now."""
    if acts(trouble):
        return "Nothing now. You will hear what becomes of it."
    if trouble.action is Action.APPROVE:
        by = f" by {moment_words(until)}" if until else ""
        return f"Approve or decline{by}; after that nothing is done. {_ADVICE[trouble.reason]}"
    return _ADVICE[trouble.reason]


def last_lines(trouble: Trouble) -> str:
    """What its workers wrote last."""
    return "\n".join(shown(line, LINE_LIMIT) for line in trouble.last_lines[-5:])


def evidence(trouble: Trouble) -> tuple[Evidence, ...]:
    """What was seen, fit to be shown."""
    return tuple(
        Evidence(one.source, shown(one.where, LINE_LIMIT), shown(one.says, LINE_LIMIT * 2))
        for one in trouble.evidence[:6]
    )


def stood_still_usd(
    usd_per_hour: float | None, since: datetime | None, now: datetime
) -> float | None:
    """What a standstill has cost, US dollars; None where the price or its beginning is not known."""
    if usd_per_hour is None or since is None:
        return None
    return usd_per_hour * max(timedelta(0), now - since).total_seconds() / 3600
