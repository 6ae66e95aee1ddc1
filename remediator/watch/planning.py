"""From a running job's case to a plan: alert, cancel, or cancel and submit again.

Owns the sentence that tells it and the checkpoint that a resubmission may ask for; guards, price and
request are the planner's, as for a failure. Pure. Called by the command line and by `reconcile`.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    LOG_RULE,
    NOTHING_WRONG,
    Action,
    Cause,
    Diagnosis,
    Guard,
    History,
    Json,
    Mode,
    Plan,
    parse_time,
)
from remediator.domain.time_words import moment_words
from remediator.job import SWITCH_LABEL
from remediator.planning.planner import plan_running, variables_of
from remediator.policy.model import Policies, Policy
from remediator.policy.watch_entries import WatchEntry
from remediator.watch.entries import WATCHED, Judge, Match
from remediator.watch.signals import minutes
from remediator.watch.verdicts import Watch


class WatchPlan(Struct, frozen=True):
    """What is thought of a running job and what is done about it.

    `watch` is None under the label `remediator=off`; `entry` None where none matches. `reason` is the
    verdict, or that a log rule decided: what a resubmission bears as its `verdict`.
    """

    plan: Plan
    watch: Watch | None
    entry: WatchEntry | None = None
    reason: str = ""
    since: datetime | None = None


def plan_watch(
    case: Case, policies: Policies, history: History, catalog: Catalog
) -> WatchPlan | None:
    """The plan for a job that still runs; None for any other.

    Raises InvalidInput where the job has a shape that no job can have.
    """
    job = case.job
    if job.state not in WATCHED:
        return None
    judge = Judge(case, catalog)
    ended = replace(case, job=job.as_of(case.now))
    unknown = Diagnosis(str(job.name), job.kind, Cause.UNKNOWN, ())
    variables = variables_of(ended, unknown, policies, history, catalog)
    match, explained = judge.first_match(policies.watch, variables)
    is_off = job.labels.get(SWITCH_LABEL) == "off"
    if match is None:
        return WatchPlan(_nothing(case, policies, is_off, explained, judge), _seen(judge, is_off))
    found, entry = match.watch, match.entry
    made = _planned(match, ended, policies, history, catalog)
    reason = found.verdict.value if found.verdict not in NOTHING_WRONG else LOG_RULE
    since = match.missing.since if reason == LOG_RULE and match.missing else found.since
    said = _sentence(match, made, case, since)
    made = replace(made, because=said, explanation=(*explained, *made.explanation))
    return WatchPlan(made, None if is_off else found, entry, reason, since)


def _seen(judge: Judge, is_off: bool) -> Watch | None:
    return None if is_off else judge.judged()


def _nothing(
    case: Case, policies: Policies, is_off: bool, explained: tuple[str, ...], judge: Judge
) -> Plan:
    """The plan where no entry matches: nobody is told."""
    job = case.job
    state = job.state.value
    if is_off:
        why = f"the job is {state}, and its label {SWITCH_LABEL}=off says never to touch it"
    else:
        verdict = judge.judged().verdict.value.replace("_", " ")
        why = f"the job is {state}: it has not failed; its watch verdict is {verdict}"
        why += ", and no entry of `watch` matches" if policies.watch else ""
    return Plan(
        job=str(job.name),
        verdict=Cause.UNKNOWN,
        policy="",
        step=0,
        mode=policies.mode,
        action=Action.ALERT,
        refused_by=(),
        because=f"{why[0].upper()}{why[1:]}.",
        explanation=explained,
    )


def _planned(
    match: Match, ended: Case, policies: Policies, history: History, catalog: Catalog
) -> Plan:
    entry = match.entry
    stand_in = Policy(name=entry.name, alert=entry.alert, mode=entry.mode)
    unknown = Diagnosis(str(ended.job.name), ended.job.kind, Cause.UNKNOWN, ())
    since = match.watch.since
    worked = replace(ended, job=ended.job.as_of(since)) if since and ended.job.start_time else ended
    cancels = plan_running(ended, unknown, policies, stand_in, history, catalog, resubmits=False)
    if not entry.cancels or cancels.refused_by:
        alert_only = not entry.cancels
        return replace(
            cancels,
            action=Action.ALERT,
            step=0,
            refused_by=_silent(cancels.refused_by) if alert_only else cancels.refused_by,
            approval_reasons=(),
        )
    asked = entry.resubmission
    if asked is None:
        return cancels
    if asked.checkpoint == "required" and checkpoint_of(ended) is None:
        return replace(
            cancels, action=Action.ALERT, step=0, notes=(_NO_CHECKPOINT,), approval_reasons=()
        )
    return plan_running(worked, unknown, policies, stand_in, history, catalog, resubmits=True)


def _silent(refused: tuple[Guard, ...]) -> tuple[Guard, ...]:
    """Of an entry that only tells, what keeps even that silent."""
    return tuple(guard for guard in refused if guard in {Guard.LABEL_OFF, Guard.HAS_PARENT})


_NO_CHECKPOINT = (
    "it is left running, since there is no checkpoint: no object below its base output directory is "
    "newer than its start, and the entry says `checkpoint: required`"
)


def checkpoint_of(case: Case) -> datetime | None:
    """When the newest object below the output directory was written, if after the job's start."""
    begun = case.job.start_time
    below = (one for one in case.outputs if _is_below_base_output(one, case))
    times = (parse_time(one.get("updated")) for one in below)
    newer = [at for at in times if at is not None and begun is not None and begun < at <= case.now]
    return max(newer, default=None)


def _is_below_base_output(output: Json, case: Case) -> bool:
    """False for an object of Cloud Storage that the name puts beside the job's output directory.

    A name without `gs://`, and any name where the job has no such directory, is taken as given.
    """
    name, base = str(output.get("name") or ""), case.job.base_output
    return not (base and name.startswith("gs://")) or name.startswith(base.rstrip("/") + "/")


# --- words ------------------------------------------------------------------------------------------


def _sentence(match: Match, made: Plan, case: Case, since: datetime | None) -> str:
    found = match.watch
    if found.verdict in NOTHING_WRONG and match.missing:
        sentence = match.missing.evidence.says
    else:
        sentence = f"{found.verdict.value.replace('_', ' ')} ({found.confidence:.0%} sure)"
        if since is not None:
            sentence += f", since {moment_words(since)} ({minutes(case.now - since)})"
    head = sentence[0].upper() + sentence[1:]
    if found.usd_per_hour:
        head += f", at ${found.usd_per_hour:,.2f} an hour"
    return f"{head}: {_done(match.entry, made, case)}."


def _done(entry: WatchEntry, made: Plan, case: Case) -> str:
    """What is done, or why it is not."""
    if made.refused_by:
        names = "; ".join(f"{one.value}: {made.why_refused(one)}" for one in made.refused_by)
        what = "nobody is told" if not entry.cancels else "the job is left running"
        return f"{what} ({names})"
    if made.action is Action.ALERT:
        return "; ".join(made.notes) or "the entry only tells it"
    what = "it is cancelled"
    if entry.resubmission is not None:
        newest = checkpoint_of(case)
        where = f", from its checkpoint of {moment_words(newest)}" if newest else ""
        costs = "" if made.estimated_usd is None else f", about ${made.estimated_usd:,.2f}"
        what = f"it is cancelled and submitted again, unchanged{where}{costs}"
    if made.action is Action.APPROVE:
        reasons = "; ".join(made.approval_reasons)
        what += (
            f", once a person says yes, since {reasons}" if reasons else ", once a person says yes"
        )
    return f"{what} (mode observe: nothing is done)" if made.mode is Mode.OBSERVE else what
