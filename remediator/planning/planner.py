"""From a diagnosed case to a plan: match, step, exact request, cost, guards, one sentence.

Owns the decision. A plan is a value that can be printed, compared and stored; in mode observe it is
simply not carried out. Pure: the case says what time it is. Called by the workflow (before a claim,
and again when a wait or an approval ends), `plan`, `test` and `backtest`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    NO_PLACE,
    SILENT_GUARDS,
    Action,
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Guard,
    History,
    JobState,
    Mode,
    Plan,
)
from remediator.job import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_BOOT_DISK_GB,
    SWITCH_LABEL,
    Job,
    JobFacts,
)
from remediator.job.batch import is_resumed
from remediator.job.validation import require_shape
from remediator.planning import alert_routing
from remediator.planning.costs import Cost, estimate, usd_per_hour
from remediator.planning.draft import JobDraft, StepContext, StepImpossible
from remediator.planning.guard_report import guard_report
from remediator.planning.guards import (
    Asked,
    GuardRefusal,
    cancel_refusals,
    refusals,
    silent_refusals,
)
from remediator.planning.ladder import Ladder, Offer, RefusedStep
from remediator.planning.request import dressed
from remediator.planning.steps import apply
from remediator.policy import expressions
from remediator.policy.matching import why_not
from remediator.policy.model import Limits, Policies, Policy
from remediator.policy.selection import When
from remediator.policy.steps import Resubmit, Step

_LINES_ASKED = 200  # of a job's log for its exit code: the service writes it at the end
_NO_PLACE = frozenset(cause.value for cause in NO_PLACE)
_FIRST_BACKOFF = timedelta(minutes=10)
_LONGEST_BACKOFF = timedelta(hours=6)
_STRICTNESS = (Mode.ENFORCE, Mode.APPROVE, Mode.OBSERVE)


def plan(
    case: Case,
    diagnosis: Diagnosis,
    policies: Policies,
    history: History,
    catalog: Catalog,
    *,
    waited: bool = False,
    passed_over: frozenset[int] = frozenset(),
    ways_passed_over: frozenset[tuple[int, int]] = frozenset(),
) -> Plan:
    """What the policies would do about the case now.

    `waited`: the plan's wait is over, so that a step with a wait is taken at once. `passed_over`:
    numbers of steps that Vertex refused for want of quota or capacity; they count as taken, as do
    `ways_passed_over`, (step, way) of a `fallback`.
    Raises InvalidInput where the job has a shape that no job can have.
    """
    require_shape(case.job)
    planning = _Planning(
        case, diagnosis, policies, history, catalog, waited, passed_over, ways_passed_over
    )
    return planning.plan()


def plan_running(
    case: Case,
    diagnosis: Diagnosis,
    policies: Policies,
    entry: Policy,
    history: History,
    catalog: Catalog,
    *,
    resubmits: bool,
) -> Plan:
    """What may be done about a job that still runs, in the name of the entry: to end it, or that and
    to submit it again unchanged. The caller says why in `because`.

    `entry` stands for an entry of `watch`: its name, channels and mode. Raises InvalidInput where the job
    has a shape that no job can have.
    """
    require_shape(case.job)
    nothing: frozenset[Any] = frozenset()
    planning = _Planning(
        case, diagnosis, policies, history, catalog, waited=True, passed_over=nothing,
        ways_passed_over=nothing, is_running=True,
    )  # fmt: skip
    return planning.replacement(entry) if resubmits else planning.cancel(entry)


def variables_of(
    case: Case, diagnosis: Diagnosis, policies: Policies, history: History, catalog: Catalog
) -> Callable[[str | None], expressions.ExpressionValues]:
    """What a condition is asked about, by the time zone that `now` is told in."""
    nothing: frozenset[Any] = frozenset()
    planning = _Planning(case, diagnosis, policies, history, catalog, False, nothing, nothing)
    return planning.variables


class _Match:
    """Finds the policy that decides; collects why each one did or did not match."""

    def __init__(self, planning: _Planning) -> None:
        self._planning = planning
        self.explanation: list[str] = []

    def first(self, policies: tuple[Policy, ...]) -> Policy | None:
        for policy in policies:
            why_not = self._why_not(policy)
            if why_not:
                self.explanation.append(f"{policy.name}: does not match: {why_not}")
            else:
                self.explanation.append(f"{policy.name}: matches")
                return policy
        return None

    def _why_not(self, policy: Policy) -> str:
        if not policy.enabled:
            return "it is switched off (`enabled: false`)"
        return self._wrong_verdict(policy.when) or self._wrong_job(policy.when)

    def _wrong_verdict(self, when: When) -> str:
        diagnosis = self._planning.diagnosis
        verdict, confidence = diagnosis.verdict, diagnosis.confidence
        if when.cause is not None and verdict not in when.cause:
            return f"the verdict {verdict.value} is not among {_values_in_words(when.cause)}"
        if verdict is not Cause.UNKNOWN and confidence < when.needed_confidence:
            return f"confidence {confidence:.2f} is under {when.needed_confidence:g}"
        if verdict is Cause.UNKNOWN and "min_confidence" in when.model_fields_set:
            return f"the verdict is unknown, and confidence {when.min_confidence:g} is asked for"
        return ""

    def _wrong_job(self, when: When) -> str:
        return why_not(when, self._planning.facts, self._planning.variables)


def _values_in_words(values: tuple[Any, ...]) -> str:
    return ", ".join(value.value for value in values)


@dataclass(frozen=True)  # without slots, for the cached properties
class _Planning:
    case: Case
    diagnosis: Diagnosis
    policies: Policies
    history: History
    catalog: Catalog
    waited: bool
    passed_over: frozenset[int]
    ways_passed_over: frozenset[tuple[int, int]]
    is_running: bool = False

    # --- facts ----------------------------------------------------------------------------------

    @cached_property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those so far, oldest first; each that ended for want of a machine is marked so."""
        made = self.history.attempts or self.case.attempts
        ended_by = [*(one.verdict for one in made[1:]), self.diagnosis.verdict.value]
        return tuple(
            replace(one, unplaced=True) if cause in _NO_PLACE and not one.abandoned else one
            for one, cause in zip(made, ended_by, strict=False)
        )

    @cached_property
    def number(self) -> int:
        """Of the attempt that would be made: 1 for the first."""
        return max([len(self.attempts), *(attempt.number for attempt in self.attempts)]) + 1

    @cached_property
    def retries(self) -> int:
        return sum(attempt.is_retry for attempt in self.attempts)

    @cached_property
    def root(self) -> str:
        """Id of the first job of the chain. Labels alone put no job in a chain."""
        known = self.history.root.rpartition("/")[2]
        labelled = self.case.job.labels.get("remediator-root", "") if self.attempts else ""
        return known or labelled or self.case.job.name.id

    @cached_property
    def facts(self) -> JobFacts:
        return self.case.job.facts(self.catalog, self.case.model)

    @cached_property
    def exit_code(self) -> int | None:
        """What the program ended with, by the job's error, else by the last line that tells it."""
        lines = [line.text for line in reversed(self.case.log_lines[-_LINES_ASKED:])]
        return self.case.job.exit_code(*lines)

    def variables(self, zone: str | None = None) -> expressions.ExpressionValues:
        """What a condition is asked about; `now` in the zone, else in UTC."""
        now = self.case.now.astimezone(ZoneInfo(zone)) if zone else self.case.now
        return expressions.expression_values(
            {**self.known_values, "now": {"hour": now.hour, "weekday": now.isoweekday()}}
        )

    @cached_property
    def known_values(self) -> dict[str, Any]:
        job, before = self.case.job, self.attempts[-1].verdict if self.attempts else None
        return {
            "job": {
                **self.facts.variables(),
                "exit_code": self.exit_code,
                "usd_per_hour": usd_per_hour(job, job.name.location, self.catalog),
            },
            "diagnosis": {
                "cause": self.diagnosis.verdict.value,
                "confidence": self.diagnosis.confidence,
            },
            "attempt": {
                "number": len(self.attempts),
                "retries": self.retries,
                "cause": before,
            },
        }

    # --- the decision ---------------------------------------------------------------------------

    def plan(self) -> Plan:
        job = self.case.job
        if not self.case.is_failure and not job.cancelled_by_person:
            return self._nothing("", (), f"the job is {job.state.value}: it has not failed")
        match = _Match(self)
        policy = match.first(self.policies.policies)
        explained = tuple(match.explanation)
        if policy is None:
            return self._nothing("", explained, "no policy matches")
        limits = self.policies.limits_for(policy)
        resumable = any(step.resubmit.rows == "remaining" for step in policy.do)
        if job.state is JobState.SUCCEEDED and not resumable:
            rows = self.case.rows
            failed = job.failed_instances or (sum(rows.failed.values()) if rows else 0)
            some = f"{failed} instance{'s' * (failed != 1)}"
            because = f"the job succeeded, but {some} failed: it is not run again"
            return self._nothing(policy.name, explained, because, policy, limits)
        return self._decided(policy, limits, explained)

    def _decided(self, policy: Policy, limits: Limits, explained: tuple[str, ...]) -> Plan:
        situation = StepContext(
            self.case,
            self.diagnosis,
            self.history,
            self.catalog,
            limits,
            self.number,
            root=self.root,
        )
        ladder = Ladder(
            tuple(one for one in self.attempts if one.policy == policy.name),
            self.ways_passed_over,
            lambda draft: self._priced(policy, limits, draft),
            lambda draft, cost: refusals(self._asked(limits, policy, draft=draft, cost=cost)),
        )
        found, skipped = ladder.climb(self._steps_left(policy), situation)
        if isinstance(found, Offer):
            explained = (
                *explained,
                *skipped,
                f"step {found.number} is next: {_change_words(found.draft)}",
            )
            return self._resubmission(policy, limits, explained, found, skipped)
        if isinstance(found, RefusedStep):
            cannot = f"step {found.number} cannot be taken: {found.impossible}"
            explained = (*explained, *(skipped or (cannot,)))
            return self._refused(policy, limits, explained, found.number, found.impossible)
        taken = bool(policy.do)
        because = "every step of the policy is taken" if taken else self._will_not_help()
        text = "; ".join([*skipped, because])
        return self._nothing(policy.name, explained, text, policy, limits)

    # --- a job that still runs --------------------------------------------------------------------

    def replacement(self, entry: Policy) -> Plan:
        """To cancel the job and submit it again, unchanged; an alert where a guard refuses that."""
        limits = self.policies.limits
        situation = StepContext(
            self.case, self.diagnosis, self.history, self.catalog, limits, self.number
        )
        try:
            draft = apply(Resubmit(), situation)
        except StepImpossible as impossible:
            return self._refused(entry, limits, (), 1, impossible)
        request, cost = self._priced(entry, limits, draft)
        offer = Offer(1, Resubmit(), draft, request, cost)
        made = self._resubmission(entry, limits, (), offer, [])
        if made.refused_by:  # also by the breaker: a job that runs waits for nothing
            return replace(made, action=Action.ALERT, request=None, not_before=None)
        asks = made.action is Action.APPROVE
        return made if asks else replace(made, action=Action.CANCEL_RESUBMIT)

    def cancel(self, entry: Policy) -> Plan:
        """To end the job; an alert where a guard refuses that."""
        refused = cancel_refusals(self._asked(self.policies.limits, entry))
        mode = self._mode(entry, reruns=False)
        acts = Action.APPROVE if mode is Mode.APPROVE else Action.CANCEL
        return Plan(
            job=str(self.case.job.name),
            verdict=self.diagnosis.verdict,
            policy=entry.name,
            step=0 if refused else 1,
            mode=mode,
            action=Action.ALERT if refused else acts,
            refused_by=tuple(refusal.guard for refusal in refused),
            alerts=self._alerts(entry, refused),
            notes=tuple(refusal.why for refusal in refused),
            explanation=_refusal_lines(refused),
            approval_reasons=() if refused else self._approval_reasons(entry, reruns=False),
        )

    def _steps_left(self, policy: Policy) -> list[tuple[int, Step]]:
        """Steps from the next one on, each once, with their numbers (the first is 1)."""
        slots = [n for n, step in enumerate(policy.do, 1) for _ in range(step.times)]
        made = [attempt for attempt in self.attempts if attempt.policy == policy.name]
        at = len(made)
        if made and made[-1].step in slots:
            # A step that was passed over leaves a gap that the count alone does not see.
            last = made[-1].step
            same = sum(1 for _ in itertools.takewhile(lambda a: a.step == last, reversed(made)))
            at = max(at, slots.index(last) + min(same, slots.count(last)))
        left = dict.fromkeys(n for n in slots[at:] if n not in self.passed_over)
        found = [(n, policy.do[n - 1]) for n in left]
        if self.case.job.state is JobState.SUCCEEDED:  # its good rows are never run again
            found = [(n, step) for n, step in found if step.resubmit.rows == "remaining"]
        return found

    # --- kinds of answer --------------------------------------------------------------------------

    def _asked(self, limits: Limits, policy: Policy | None = None, **more: Any) -> Asked:
        retried = (policy.retry_exit_codes if policy else None) or ()
        if self.exit_code is not None and self.exit_code in retried:
            more["retried_exit"] = self.exit_code
        more["places"] = lambda key: self.policies.place_of(policy, key)
        more["replaces_running"] = self.is_running
        return Asked(
            self.case,
            self.diagnosis,
            self.history,
            self.attempts,
            limits,
            self.catalog,
            **more,
        )

    def _nothing(
        self,
        name: str,
        explained: tuple[str, ...],
        because: str,
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> Plan:
        """An alert, or silence where a silent guard refuses even that."""
        refused = silent_refusals(self._asked(limits)) if limits is not None else ()
        why = "; ".join([because, *(refusal.why for refusal in refused)])
        return Plan(
            job=str(self.case.job.name),
            verdict=self.diagnosis.verdict,
            policy=name,
            step=0,
            mode=self._mode(policy),
            action=Action.ALERT,
            refused_by=tuple(refusal.guard for refusal in refused),
            alerts=self._alerts(policy, refused),
            because=self._sentence(why),
            notes=(why,),
            explanation=explained,
        )

    def _refused(
        self,
        policy: Policy,
        limits: Limits,
        explained: tuple[str, ...],
        number: int,
        impossible: StepImpossible,
    ) -> Plan:
        refused = refusals(self._asked(limits, policy, impossible=impossible))
        return Plan(
            job=str(self.case.job.name),
            verdict=self.diagnosis.verdict,
            policy=policy.name,
            step=number,
            mode=self._mode(policy),
            action=Action.ALERT,
            refused_by=tuple(refusal.guard for refusal in refused),
            alerts=self._alerts(policy, refused),
            because=self._sentence(_refusal_words(refused)),
            notes=tuple(refusal.why for refusal in refused),
            explanation=(*explained, *_refusal_lines(refused)),
        )

    def _priced(
        self, policy: Policy, limits: Limits, draft: JobDraft
    ) -> tuple[dict[str, Any], Cost]:
        """The request that the draft becomes, and what it would cost."""
        request = dressed(
            draft.job,
            original=self.case.job,
            root=self.root,
            number=self.number,
            policy=policy.name,
            catalog=self.catalog,
        )
        cost = estimate(
            self.case,
            self.diagnosis,
            self.history,
            self.catalog,
            limits,
            Job(draft.job.name, request),  # a tuning job is asked for the trials that are left
            draft.location,
            draft.changes,
            resume=draft.resume,
        )
        return request, cost

    def _resubmission(
        self,
        policy: Policy,
        limits: Limits,
        explained: tuple[str, ...],
        offer: Offer,
        skipped: list[str],
    ) -> Plan:
        draft, cost = offer.draft.note(*skipped), offer.cost
        if cost.saved_usd:
            draft = draft.note(f"about ${cost.saved_usd:.2f} less than running all rows again")
        asked = self._asked(limits, policy, draft=draft, cost=cost)
        refused = refusals(asked)
        wait = self._wait(offer.resubmit)
        paused = self._paused_until(refused)
        text = self._resubmission_words(draft, cost, wait)
        if refused:
            text = "; ".join([_refusal_words(refused), *skipped])
        return Plan(
            job=str(self.case.job.name),
            verdict=self.diagnosis.verdict,
            policy=policy.name,
            step=offer.number,
            entry=draft.entry,
            mode=self._mode(policy),
            action=_action_when_refused(paused) if refused else self._action(policy, wait),
            changes=draft.changes,
            request=None if refused and paused is None else offer.request,
            location=draft.location,
            not_before=paused if refused or wait is None else self.case.now + wait,
            estimated_usd=cost.usd,
            worst_case_usd=cost.worst_usd,
            max_run_seconds=cost.most_seconds if cost.is_bounded_by_us else None,
            longest_seconds=cost.most_seconds,
            refused_by=tuple(refusal.guard for refusal in refused),
            alerts=self._alerts(policy, refused),
            because=self._sentence(text),
            notes=tuple(refusal.why for refusal in refused) or draft.notes,
            cost_basis=_basis(cost),
            worst_case_basis=cost.worst_basis,
            explanation=(*explained, *guard_report(asked, refused), *self._approval_lines(policy)),
            approval_reasons=() if refused else self._approval_reasons(policy),
            resume=draft.resume,
        )

    def _paused_until(self, refused: tuple[GuardRefusal, ...]) -> datetime | None:
        """The end of the breaker's pause, where that alone refuses: the incident waits for it."""
        only = {refusal.guard for refusal in refused} == {Guard.BREAKER}
        return self.history.breaker_until if only else None

    def _approval_lines(self, policy: Policy) -> tuple[str, ...]:
        """For `--explain`: the mode that holds, and why a person is asked."""
        own = f", the policy {policy.mode.value}" if policy.mode is not None else ""
        most = self.history.max_mode
        bound = f", REMEDIATOR_MAX_MODE {most.value}" if most is not None else ""
        mode = (
            f"mode {self._mode(policy).value}: the file says {self.policies.mode.value}{own}{bound}"
        )
        reasons = self._approval_reasons(policy)
        return (mode, *(f"a person is asked, since {reason}" for reason in reasons))

    def _approval_reasons(self, policy: Policy, *, reruns: bool = True) -> tuple[str, ...]:
        """Why a person must say yes first, each with what would make that needless; none: nobody.

        `reruns`: whether the job is run again, and not only ended.
        """
        reasons: list[str] = []
        if reruns and not self._may_run_again():
            kind = self.case.job.kind.value
            reasons.append(
                f"`{kind}` is not in `rerun_safe`: with `rerun_safe: [{kind}]` in the policy file, or "
                f"the label {SWITCH_LABEL}=on on the job, nobody need be asked"
            )
        if self.policies.mode is Mode.APPROVE:
            reasons.append("the policy file says `mode: approve`; `enforce` asks nobody")
        if policy.mode is Mode.APPROVE:
            reasons.append(f"the policy {policy.name} says `mode: approve`; `enforce` asks nobody")
        if self.history.max_mode is Mode.APPROVE:
            reasons.append("REMEDIATOR_MAX_MODE is `approve`, whatever the policy file says")
        return tuple(reasons) if self._mode(policy, reruns=reruns) is not Mode.OBSERVE else ()

    def _mode(self, policy: Policy | None, *, reruns: bool = True) -> Mode:
        modes = [self.policies.mode]
        if policy is not None and policy.mode is not None:
            modes.append(policy.mode)
        if self.history.max_mode is not None:
            modes.append(self.history.max_mode)
        if reruns and not self._may_run_again():
            modes.append(Mode.APPROVE)
        return max(modes, key=_STRICTNESS.index)

    def _may_run_again(self) -> bool:
        """Whether nobody need say yes: the kind is safe to run again, or its author vouches."""
        vouched = self.case.job.labels.get(SWITCH_LABEL) == "on"
        return vouched or self.case.job.kind in self.policies.rerun_safe

    def _action(self, policy: Policy, wait: timedelta | None) -> Action:
        asked = self._mode(policy) is Mode.APPROVE or not self._may_run_again()
        if asked:
            return Action.APPROVE
        return Action.WAIT if wait is not None else Action.RESUBMIT

    def _wait(self, step: Resubmit) -> timedelta | None:
        if step.wait is None or self.waited:
            return None
        if isinstance(step.wait, timedelta):
            return step.wait
        backoff = _FIRST_BACKOFF.total_seconds() * 2.0 ** min(self.retries, 16)
        return timedelta(seconds=min(backoff, _LONGEST_BACKOFF.total_seconds()))

    def _alerts(self, policy: Policy | None, refused: tuple[GuardRefusal, ...]) -> tuple[str, ...]:
        """The policy's channels, with the job's owner in place of the word `owner`."""
        if policy is None or any(refusal.guard in SILENT_GUARDS for refusal in refused):
            return ()
        job = self.case.job
        account = job.service_account or ""
        return alert_routing.resolved_channels(self.policies, policy, job.labels, account)

    # --- words ----------------------------------------------------------------------------------

    def _sentence(self, text: str) -> str:
        verdict = self.diagnosis.verdict
        if verdict is Cause.UNKNOWN:
            return f"The evidence does not say why the job failed; {text}."
        sure = f"{self.diagnosis.confidence:.0%} sure"
        return f"{_sentence_head(verdict)} ({sure}): {text}."

    def _resubmission_words(self, draft: JobDraft, cost: Cost, wait: timedelta | None) -> str:
        parts = [_change_words(draft)]
        if wait is not None:
            parts[0] += f", not before {_moment(self.case.now + wait)}"
        if cost.usd is None:
            parts.append(f"what it costs in {draft.location} is not known")
        elif cost.usd_per_hour is None:
            parts.append(cost.basis)
        else:
            worst = "" if cost.worst_usd is None else f", at most ${cost.worst_usd:.2f}"
            sum_ = f"{'at most' if cost.at_most else 'about'} ${cost.usd:.2f}"
            parts.append(f"{sum_} ({_basis(cost)}){worst}")
        return "; ".join([*parts, *draft.notes])

    def _will_not_help(self) -> str:
        """For a policy without steps: why nothing is run again, and what that would have cost."""
        text = _NO_RESUBMISSION.get(self.diagnosis.verdict, "the policy only alerts")
        rate = usd_per_hour(self.case.job, self.case.job.name.location, self.catalog)
        ran = self.case.job.run_seconds
        usd = (rate or 0.0) * (ran or 0.0) / 3600
        if self.diagnosis.verdict in _NO_RESUBMISSION and usd >= _A_CENT:
            text += f"; a retry would have cost about ${usd:.2f} for nothing"
        return text


_NO_RESUBMISSION = {
    Cause.USER_CODE_ERROR: "the job's own code raised an error, which running it again repeats",
    Cause.BAD_INPUT: "the input cannot be read or is not there, which running it again repeats",
    Cause.PERMISSION: "a permission is missing, which running it again repeats",
    Cause.INVALID_CONFIG: "the job cannot run as configured, which running it again repeats",
    Cause.SLOW_CODE: "one section of the code takes the time, which a bigger machine does not fix",
    Cause.NETWORK_LATENCY: (
        "the time goes to fetching data, which a bigger machine does not shorten"
    ),
}


_A_CENT = 0.01


def _basis(cost: Cost) -> str:
    rate = cost.usd_per_hour
    if rate is None:
        return cost.basis
    bound = (
        ", bounded by the on-demand price: not all of its rates are known" if cost.at_most else ""
    )
    return f"{cost.basis}, at ${rate:.4g} an hour{bound}"


def _action_when_refused(paused: datetime | None) -> Action:
    return Action.ALERT if paused is None else Action.WAIT


def _refusal_words(refused: tuple[GuardRefusal, ...]) -> str:
    listed = "; ".join(f"{refusal.guard.value}: {refusal.why}" for refusal in refused)
    return f"nothing is resubmitted ({listed})"


def _refusal_lines(refused: tuple[GuardRefusal, ...]) -> tuple[str, ...]:
    return tuple(f"{refusal.guard.value} refuses: {refusal.why}" for refusal in refused)


def _change_words(draft: JobDraft) -> str:
    """Each change in words, once for all the worker pools it is made in."""
    if not draft.changes:
        return "the same job again, unchanged"
    after = {change.field: change.after for change in draft.changes}
    texts: list[str] = []
    if draft.resume.is_new:
        texts.append("only the rows that are left run again")
    for change in draft.changes:
        if draft.resume.is_new and is_resumed(change.field):
            continue  # told as what they are for
        holder, _, name = change.field.rpartition(".")
        if name.endswith(("eratorCount", "erator_count")) and any(
            f"{holder}.{key}" in after for key in ("acceleratorType", "accelerator_type")
        ):
            continue  # told with its type
        now = _shown(change.after)
        if name in {"acceleratorType", "accelerator_type"} and change.after:
            now = f"{draft.job.devices_beside(change.field)} {now}"
        before = change.before
        if before is None and name in _DEFAULTS:
            before = f"{_DEFAULTS[name]} (Vertex's default)"
        if name == "value":  # of an environment variable
            name = draft.job.variable_at(holder) or "variable"
        elif name.startswith("args["):
            name = _flag_before(draft.job, change) or name
        unit = " GB" if name in _GB_FIELDS else ""
        was = _shown(before) + (unit if change.before is not None else "")
        texts.append(f"{_word_of(name)} {was} becomes {now}{unit}")
    return ", ".join(dict.fromkeys(texts))


_DEFAULTS = {
    "batchSize": DEFAULT_BATCH_SIZE,
    "bootDiskSizeGb": f"{DEFAULT_BOOT_DISK_GB} GB",
    "boot_disk_size_gb": f"{DEFAULT_BOOT_DISK_GB} GB",
}


def _flag_before(job: Job, change: Change) -> str | None:
    """The flag whose value is changed, as in `--batch 32`; None where the item is a flag itself."""
    if str(change.before).startswith("-"):
        return None
    return job.flag_before(change.field) or None


_GB_FIELDS = {"bootDiskSizeGb", "boot_disk_size_gb"}


def _sentence_head(verdict: Cause) -> str:
    """The cause as a sentence begins with it: `GPU memory`, `Slow code`."""
    first, *others = verdict.value.split("_")
    return " ".join([first.upper() if first in {"cpu", "gpu"} else first.capitalize(), *others])


def _word_of(name: str) -> str:
    return _WORDS_OF.get(name.partition("[")[0], name)


_WORDS_OF = {
    "bootDiskSizeGb": "boot disk",
    "boot_disk_size_gb": "boot disk",
    "maxWaitDuration": "longest wait for machines",
    "max_wait_duration": "longest wait for machines",
    "args": "argument",
    "command": "command",
    "machineType": "machine type",
    "machine_type": "machine type",
    "acceleratorType": "accelerator",
    "accelerator_type": "accelerator",
    "acceleratorCount": "accelerator count",
    "accelerator_count": "accelerator count",
    "batchSize": "batch size",
    "startingReplicaCount": "starting replica count",
    "maxReplicaCount": "maximal replica count",
    "replicaCount": "replica count",
    "replica_count": "replica count",
    "timeout": "time-out",
    "strategy": "strategy",
    "generateExplanation": "explanations",
    "outputUriPrefix": "output",
    "enableCache": "caching",
}


def _shown(value: object) -> str:
    words = {None: "none", True: "on", False: "off"}
    return words.get(value, str(value)) if isinstance(value, bool | None) else str(value)


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
