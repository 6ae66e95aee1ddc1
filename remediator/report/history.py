"""From the ledger's records to stories and figures. Pure.

Owns what is counted: which chains recovered, what was lost, saved and spent, which actions were
wrong. Called by the report's page and by whoever wants the figures alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter

from msgspec import Struct

from remediator.alerts.wording import asked, described
from remediator.domain import NEVER_RETRIED, Attempt, Cause, InvalidInput, JobName, JobState, Json
from remediator.ledger import Chain, Conclusion, Incident, Stage
from remediator.ledger.approvals import PendingApproval, pending_approvals


class StoryOutcome(StrEnum):
    """How a chain stands, as the page's filter names it."""

    WAITING = "waits for a yes"
    RECOVERED = "recovered"
    GIVEN_UP = "given up"
    ALERTED = "person told"
    OBSERVED = "observed"
    OPEN = "in progress"
    RECORDED = "recorded only"


_OUTCOMES: Mapping[Conclusion, StoryOutcome] = {
    Conclusion.RECOVERED: StoryOutcome.RECOVERED,
    Conclusion.GIVEN_UP: StoryOutcome.GIVEN_UP,
    Conclusion.ALERTED: StoryOutcome.ALERTED,
    Conclusion.OBSERVED: StoryOutcome.OBSERVED,
    Conclusion.TOO_OLD: StoryOutcome.RECORDED,
    Conclusion.IGNORED: StoryOutcome.RECORDED,
    Conclusion.RESUBMITTED: StoryOutcome.OPEN,
    Conclusion.NONE: StoryOutcome.OPEN,
}


class Event(Struct, frozen=True):
    """One thing that happened in a chain."""

    at: datetime
    what: str


class Curve(Struct, frozen=True):
    """A measured share of a machine over a run: `points` oldest first, each 0 to 1."""

    label: str
    points: tuple[tuple[datetime, float], ...]


class Story(Struct, frozen=True):
    """One chain, told whole: the failure, what was found, what was done, what became of it.

    Money in USD, None where not known. `failed_seconds` is machine time in runs that failed,
    `wasted_usd` what failed resubmissions and, where its price is known, the first run cost.
    `failed_gpu_seconds` is `failed_seconds` times the accelerators of each run, None where the ledger
    of an earlier version did not keep them. `question` is what waits for a person's yes.
    """

    root: str
    job: str
    name: str
    outcome: StoryOutcome
    failed_at: datetime
    verdict: str = Cause.UNKNOWN.value
    confidence: float = 0.0
    policy: str = ""
    reason: str = ""
    model: str = ""
    machine: str = ""
    refused_by: tuple[str, ...] = ()
    evidence: tuple[Json, ...] = ()
    events: tuple[Event, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    curves: tuple[Curve, ...] = ()
    spent_usd: float = 0.0
    estimated_usd: float | None = None
    first_run_usd: float | None = None
    wasted_usd: float = 0.0
    failed_seconds: float = 0.0
    recovery_seconds: float | None = None
    kind: str = ""
    owner: str = ""
    team: str = ""
    account: str = ""
    image: str = ""
    model_title: str = ""
    failed_gpu_seconds: float | None = None
    question: PendingApproval | None = None

    @property
    def model_words(self) -> str:
        """What people call the model: its display name, or its own name where that is no number."""
        last = self.model.rpartition("/")[2]
        if self.model_title:
            return f"{self.model_title} ({last})" if last else self.model_title
        if last.partition("@")[0].isdigit():
            return f"model {last}, whose name is not known"
        return last


# --- from the ledger to stories ----------------------------------------------------------------


_ANY_TIME = datetime.min.replace(tzinfo=UTC)  # no question has expired by then


def stories(
    incidents: Iterable[Incident],
    chains: Iterable[Chain],
    *,
    first_run_usd: Callable[[Incident], float | None] = attrgetter("run_usd"),
    curves: Mapping[str, tuple[Curve, ...]] | None = None,
    now: datetime = _ANY_TIME,
) -> tuple[Story, ...]:
    """One Story for each chain: what waits for a yes in front, then the newest failure first.

    `now` is when questions are asked about: those that have expired by then wait for nobody.
    `first_run_usd` prices the run that failed first (as the ledger kept it, unless told otherwise);
    `curves` holds utilisation by a root's key.
    """
    by_root: dict[str, list[Incident]] = defaultdict(list)
    for incident in incidents:
        by_root[incident.root or incident.key].append(incident)
    known = {chain.key: chain for chain in chains}
    all_stories = [
        _story(
            root,
            sorted(found, key=lambda one: (one.attempt, one.first_known)),
            known.get(root),
            first_run_usd,
            (curves or {}).get(root, ()),
            now,
        )
        for root, found in by_root.items()
    ]
    newest = sorted(all_stories, key=lambda one: (one.failed_at, one.root), reverse=True)
    return tuple(sorted(newest, key=lambda one: one.outcome is not StoryOutcome.WAITING))


def _story(
    root: str,
    found: Sequence[Incident],
    chain: Chain | None,
    price: Callable[[Incident], float | None],
    curves: tuple[Curve, ...],
    now: datetime,
) -> Story:
    attempts = chain.attempts if chain else ()
    first, last = found[0], _deciding(found, attempts)
    failed_at = first.ended or first.first_known
    spent = chain.spent_usd if chain else 0.0
    first_usd = price(first)
    questions = pending_approvals(found, now, lambda one: asked(one.changes))
    outcome = _OUTCOMES[last.conclusion] if last.stage is Stage.DONE else StoryOutcome.OPEN
    outcome = StoryOutcome.WAITING if questions else outcome
    end = attempts[-1].end_time if attempts else None
    recovered = outcome is StoryOutcome.RECOVERED
    return Story(
        root=root,
        job=first.job,
        name=first.display_name or first.key,
        outcome=outcome,
        failed_at=failed_at,
        verdict=first.verdict or Cause.UNKNOWN.value,
        confidence=first.confidence,
        policy=first.policy,
        reason=last.reason,
        model=first.model,
        machine=first.machine,
        refused_by=last.refused_by,
        evidence=first.evidence,
        events=_events(found, attempts),
        attempts=attempts,
        curves=curves,
        spent_usd=spent,
        estimated_usd=sum(a.estimated_usd or 0.0 for a in attempts) if attempts else None,
        first_run_usd=first_usd,
        wasted_usd=spent * _failed_share(attempts) + (first_usd or 0.0),
        failed_seconds=(first.run_seconds or 0.0)
        + sum(map(ran_seconds, filter(has_failed, attempts))),
        recovery_seconds=(end - failed_at).total_seconds() if recovered and end else None,
        kind=_kind(first.job),
        owner=first.owner,
        team=first.team,
        account=first.account,
        image=first.image,
        model_title=first.model_title,
        failed_gpu_seconds=_gpu_seconds(found, attempts),
        question=questions[0] if questions else None,
    )


def _kind(job: str) -> str:
    try:
        return JobName.parse(job).kind.value
    except InvalidInput:
        return ""


def _gpu_seconds(found: Sequence[Incident], attempts: Sequence[Attempt]) -> float | None:
    """Of the first run and the attempts that failed; an attempt has its own incident."""
    first = found[0]
    if first.accelerators is None:
        return None
    had = {one.key.partition("@")[0]: one.accelerators for one in found}
    lost = (first.run_seconds or 0.0) * first.accelerators
    for made in filter(has_failed, attempts):
        devices = had.get(made.name.partition("/locations/")[2])
        lost += ran_seconds(made) * (first.accelerators if devices is None else devices)
    return lost


def _deciding(found: Sequence[Incident], attempts: Sequence[Attempt]) -> Incident:
    """The incident that says how the chain stands.

    Not that of an attempt that never got a machine: what it was made for is then asked again.
    """
    skipped = {one.name.partition("/locations/")[2] for one in attempts if one.abandoned}
    return next((one for one in reversed(found) if one.key not in skipped), found[-1])


def has_failed(attempt: Attempt) -> bool:
    """It ran and did not succeed; what never got a machine tried nothing."""
    ended = attempt.state.is_terminal and not attempt.abandoned
    return ended and attempt.state is not JobState.SUCCEEDED


def ran_seconds(attempt: Attempt) -> float:
    if attempt.create_time is None or attempt.end_time is None:
        return 0.0
    return max(0.0, (attempt.end_time - attempt.create_time).total_seconds())


def _failed_share(attempts: Sequence[Attempt]) -> float:
    """Of the money: by estimate, else by count; what an attempt cost singly is not kept."""
    if not attempts:
        return 0.0
    total = sum(a.estimated_usd or 0.0 for a in attempts)
    if total > 0:
        return sum(a.estimated_usd or 0.0 for a in attempts if has_failed(a)) / total
    return sum(map(has_failed, attempts)) / len(attempts)


def _events(found: Sequence[Incident], attempts: Sequence[Attempt]) -> tuple[Event, ...]:
    events: list[Event] = []
    for incident in found:
        ended = incident.ended
        if incident.attempt == 0:
            events += [Event(ended, "the job failed")] if ended else []
            if ended is None or incident.first_known >= ended:
                events.append(Event(incident.first_known, "the end of the job became known"))
        asked = incident.approval
        if asked is not None and asked.at is not None and asked.answer:
            events.append(Event(asked.at, f"{asked.answer} by {asked.by}"))
    for number, made in enumerate(attempts, start=1):
        run = f"attempt {made.number or number}"
        if made.create_time is not None:
            what = f"{run} was created {described(made.changes)}".strip()
            events.append(Event(made.create_time, what))
        if made.end_time is not None:
            events.append(Event(made.end_time, f"{run} {_end_of(made)}"))
    return tuple(sorted(events, key=lambda event: event.at))


def _end_of(attempt: Attempt) -> str:
    if attempt.abandoned:
        return "was cancelled, having waited for a machine in vain"
    return _ENDS.get(attempt.state, "failed")


_ENDS: Mapping[JobState, str] = {
    JobState.SUCCEEDED: "succeeded",
    JobState.CANCELLED: "was cancelled",
    JobState.PARTIALLY_SUCCEEDED: "succeeded in part",
}


# --- what is counted ---------------------------------------------------------------------------


class Sums(Struct, frozen=True):
    """The figures at the top; None where there is nothing to divide or nothing known."""

    chains: int
    could_recover: int
    observed: int
    acted: int
    recovered: int
    wrong: int
    finished_attempts: int
    lost_seconds: float
    lost_gpu_seconds: float | None
    wasted_usd: float
    saved_seconds: float
    saved_usd: float | None
    spent_usd: float
    estimated_usd: float
    waiting: int
    needing_people: int
    in_progress: int
    only_recorded: int
    median_recovery_seconds: float | None

    @property
    def recovery_rate(self) -> float | None:
        """Of the failures that have ended and that a rerun may fix, the share that recovered."""
        return self.recovered / self.could_recover if self.could_recover else None

    @property
    def wrong_share(self) -> float | None:
        """Of the resubmissions that have ended, the share that did not succeed."""
        return self.wrong / self.finished_attempts if self.finished_attempts else None


_NO_RERUN_FIXES = NEVER_RETRIED | {Cause.SLOW_CODE}


def sums(all_stories: Sequence[Story]) -> Sums:
    """The figures over these stories; what was only recorded counts nowhere but in `chains`."""
    lived = [story for story in all_stories if story.outcome is not StoryOutcome.RECORDED]
    over = [s for s in lived if s.outcome not in {StoryOutcome.OPEN, StoryOutcome.WAITING}]
    ended = [s for s in over if s.attempts]
    fixable = [s for s in over if s.attempts or s.verdict not in _NO_RERUN_FIXES]
    on_devices = [s.failed_gpu_seconds for s in lived if s.failed_gpu_seconds is not None]
    tried = (a for s in lived for a in s.attempts if not a.abandoned)
    finished = [a for a in tried if a.state.is_terminal]
    spared = [s for s in lived if not s.attempts and s.verdict in _NO_RERUN_FIXES]
    priced = [s.first_run_usd for s in spared if s.first_run_usd is not None]
    recoveries = sorted(s.recovery_seconds for s in lived if s.recovery_seconds is not None)
    people = {StoryOutcome.ALERTED, StoryOutcome.GIVEN_UP}
    return Sums(
        chains=len(all_stories),
        could_recover=len(fixable),
        observed=sum(s.outcome is StoryOutcome.OBSERVED for s in fixable),
        acted=len(ended),
        recovered=sum(s.outcome is StoryOutcome.RECOVERED for s in ended),
        wrong=sum(map(has_failed, finished)),
        finished_attempts=len(finished),
        lost_seconds=sum(s.failed_seconds for s in lived),
        lost_gpu_seconds=sum(on_devices) if on_devices else None,
        wasted_usd=sum(s.wasted_usd for s in lived),
        saved_seconds=sum(s.failed_seconds for s in spared),
        saved_usd=sum(priced) if priced else None,
        spent_usd=sum(s.spent_usd for s in lived),
        estimated_usd=sum(s.estimated_usd or 0.0 for s in lived),
        waiting=sum(s.outcome is StoryOutcome.WAITING for s in lived),
        needing_people=sum(s.outcome in people for s in lived),
        in_progress=sum(s.outcome is StoryOutcome.OPEN for s in lived),
        only_recorded=len(all_stories) - len(lived),
        median_recovery_seconds=recoveries[len(recoveries) // 2] if recoveries else None,
    )
