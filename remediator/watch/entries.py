"""Which entry of `watch` decides about a running job: the first whose every key holds.

Owns the judging of a job by an entry's own numbers, and the words for why an entry does not match.
Pure; called by `planning`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    NOTHING_WRONG,
    STANDSTILL,
    Cause,
    Diagnosis,
    History,
    JobKind,
    JobState,
    WatchVerdict,
)
from remediator.job import SWITCH_LABEL, JobFacts
from remediator.planning.costs import usd_per_hour
from remediator.planning.planner import variables_of
from remediator.policy import Policies, expressions
from remediator.policy.matching import why_not
from remediator.policy.watch_entries import WatchEntry
from remediator.watch.log_rule import MissingLine, matcher, missing_line
from remediator.watch.signals import Signals, minutes, read_signals
from remediator.watch.verdicts import (
    Watch,
    default_standstill,
    has_time_out,
    judge,
    silence_of,
    worked_until,
)

WATCHED = frozenset({JobState.QUEUED, JobState.PENDING, JobState.RUNNING})


def watch(case: Case, catalog: Catalog) -> Watch | None:
    """What is thought of a running job, judged at the case's `now`.

    None for a job that does not run, and under the label `remediator=off`.
    """
    if case.job.state not in WATCHED or case.job.labels.get(SWITCH_LABEL) == "off":
        return None
    return Judge(case, catalog).judged()


def is_selected(case: Case, policies: Policies, catalog: Catalog) -> bool:
    """Whether some entry is for such a job, whatever is thought of it: then it is worth a look.

    A part of another job is that one's affair.
    """
    job = case.job
    if job.state not in WATCHED or job.labels.get(SWITCH_LABEL) == "off" or job.parent:
        return False
    return bool(_selecting(case, policies, catalog))


def _selecting(case: Case, policies: Policies, catalog: Catalog) -> tuple[WatchEntry, ...]:
    ended = replace(case, job=case.job.as_of(case.now))
    unknown = Diagnosis(str(case.job.name), case.job.kind, Cause.UNKNOWN, ())
    variables = variables_of(ended, unknown, policies, History(), catalog)
    facts = Judge(case, catalog).facts
    entries = policies.enabled_watch()
    return tuple(entry for entry in entries if not why_not(entry.when, facts, variables))


def needs_log(case: Case, policies: Policies, catalog: Catalog, *, asks_progress: bool) -> bool:
    """Whether the job's log is worth reading: some rule rests on it, or its machines stand still.

    `case` is without its log. `asks_progress`: it is time to see how far the work is.
    """
    job = case.job
    entries = _selecting(case, policies, catalog) if job.state is JobState.RUNNING else ()
    if any(entry.log for entry in entries):
        return True
    wanted = frozenset(verdict for entry in entries for verdict in entry.verdicts)
    if asks_progress and has_time_out(job) and WatchVerdict.WILL_TIME_OUT in wanted:
        return True
    if not wanted & STANDSTILL:
        return False
    facts = job.facts(catalog, case.model)
    signals = read_signals(case, facts.vcpus, case.outputs)
    if not signals.is_measured:  # telemetry in the log may say what no metric does
        return job.kind is JobKind.BATCH_PREDICTION
    default = default_standstill(has_accelerator=_shows_accelerator(facts))
    shortest = min(e.when.longer_than or default for e in entries if e.verdicts & STANDSTILL)
    _, worked = worked_until(signals, facts.replicas or 1)
    return worked is not None and signals.newest is not None and signals.newest - worked >= shortest


def _shows_accelerator(facts: JobFacts) -> bool:
    """Whether Monitoring says what the job's accelerator does: of a TPU it has no such series."""
    return bool(facts.accelerator_count) and "TPU" not in (facts.accelerator_type or "").upper()


class Match(Struct, frozen=True):
    """The entry that decides, and what was found by its numbers. `missing` where its log rule was."""

    entry: WatchEntry
    watch: Watch
    missing: MissingLine | None


class Judge(Struct, frozen=True, dict=True):
    """One running job, judged by whatever numbers are asked for; each judgement is made once."""

    case: Case
    catalog: Catalog

    @cached_property
    def _signals(self) -> dict[str | None, Signals]:
        return {}

    @cached_property
    def _judged(self) -> dict[tuple[timedelta | None, str | None], Watch]:
        return {}

    @property
    def facts(self) -> JobFacts:
        """What policies may ask of the job, as if it had ended now."""
        return self.case.job.as_of(self.case.now).facts(self.catalog, self.case.model)

    def judged(self, longer_than: timedelta | None = None, pattern: str | None = None) -> Watch:
        """The verdict; `longer_than` and `pattern` are an entry's own, None the defaults."""
        asked = (longer_than, pattern)
        if asked not in self._judged:
            self._judged[asked] = self._judge(longer_than, pattern)
        return self._judged[asked]

    def _judge(self, longer_than: timedelta | None, pattern: str | None) -> Watch:
        case, job = self.case, self.case.job
        facts = job.facts(self.catalog, case.model)
        if pattern not in self._signals:
            is_progress = matcher(pattern) if pattern is not None else None
            self._signals[pattern] = read_signals(
                case, facts.vcpus, case.outputs, is_progress=is_progress
            )
        found = judge(
            case,
            self._signals[pattern],
            has_accelerator=_shows_accelerator(facts),
            workers=facts.replicas or 1,
            longer_than=longer_than,
        )
        is_allocated = job.state is JobState.RUNNING
        price = usd_per_hour(job, job.name.location, self.catalog) if is_allocated else 0.0
        return Watch(found.verdict, found.since, found.confidence, price, found.evidence)

    def first_match(
        self,
        entries: tuple[WatchEntry, ...],
        variables: Callable[[str | None], expressions.ExpressionValues],
    ) -> tuple[Match | None, tuple[str, ...]]:
        """The entry that decides, and why each one that was looked at did or did not match."""
        explained: list[str] = []
        facts = self.facts
        for entry in entries:
            why = "" if entry.enabled else "it is switched off (`enabled: false`)"
            why = why or why_not(entry.when, facts, variables)
            found: Match | str = why or self._held_against(entry)
            if isinstance(found, Match):
                return found, (*explained, f"{entry.name}: matches")
            explained.append(f"{entry.name}: does not match: {found}")
        return None, tuple(explained)

    def _held_against(self, entry: WatchEntry) -> Match | str:
        """The match, or why there is none."""
        silence = silence_of(self.case.job)
        missing = missing_line(self.case, entry.log, silence) if entry.log else None
        if entry.log is not None and missing is None:
            return "its log rule asks for nothing now"
        pattern = entry.log.pattern if entry.log and entry.when.running else None
        found = self.judged(entry.when.longer_than, pattern)
        if missing is not None:
            others = tuple(item for item in found.evidence if item != missing.evidence)
            found = replace(found, evidence=(*others, missing.evidence))
        if entry.needs_log_rule_alone:
            return Match(entry, found, missing)
        return next(self._against(entry, found), None) or Match(entry, found, missing)

    def _against(self, entry: WatchEntry, found: Watch) -> Iterator[str]:
        """Why the verdict is not one that the entry is for."""
        wanted, said = entry.when.running, found.verdict.value
        if found.verdict in NOTHING_WRONG or (wanted is not None and found.verdict not in wanted):
            named = ", ".join(one.value for one in wanted or ()) or "what is wrong with a job"
            yield f"the verdict {said} is not among {named}"
        if found.confidence < entry.when.least_confidence:
            yield f"confidence {found.confidence:.2f} is under {entry.when.least_confidence:g}"
        longer_than = entry.when.longer_than or timedelta(0)
        since = found.since or self.case.job.start_time
        if since is not None and self.case.now - since < longer_than:
            so_far = minutes(self.case.now - since)
            yield f"{said.replace('_', ' ')} for {so_far} only, not for {minutes(longer_than)}"
