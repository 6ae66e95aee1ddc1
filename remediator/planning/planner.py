"""From a diagnosed case to a plan: match, step, exact request, cost, guards, one sentence.

Owns the decision. A plan is a value that can be printed, compared and stored; in mode observe it is
simply not carried out. Pure: the case says what time it is. Called by the workflow (before a claim,
and again when a wait or an approval ends), `plan`, `test` and `backtest`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    SILENT_GUARDS,
    Action,
    Cause,
    Diagnosis,
    Guard,
    GuardRefusal,
    History,
    JobState,
    Mode,
    Plan,
)
from remediator.job import (
    Job,
)
from remediator.job.validation import require_shape
from remediator.planning import alert_routing, halving
from remediator.planning.approval_mode import (
    approval_lines,
    approval_reasons,
    may_run_again,
    mode_for,
)
from remediator.planning.costs import Cost, estimate
from remediator.planning.draft import JobDraft, StepContext, StepImpossible
from remediator.planning.guard_report import guard_report, unread_note
from remediator.planning.guards import (
    Asked,
    cancel_refusals,
    refusals,
    silent_refusals,
)
from remediator.planning.ladder import Ladder, Offer, RefusedStep
from remediator.planning.plan_inputs import PlanInputs
from remediator.planning.plan_words import (
    change_words,
    cost_words,
    refusal_lines,
    refusal_words,
    resubmission_words,
    sentence,
    will_not_help,
    without_refusals,
)
from remediator.planning.policy_match import PolicyMatch
from remediator.planning.request import dressed
from remediator.planning.steps import apply
from remediator.policy import expressions
from remediator.policy.model import Limits, Policies, Policy
from remediator.policy.steps import Resubmit, Step

_FIRST_BACKOFF = timedelta(minutes=10)
_LONGEST_BACKOFF = timedelta(hours=6)


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
    inputs = PlanInputs(case, diagnosis, policies, history, catalog)
    return _Planning(inputs, waited, passed_over, ways_passed_over).plan()


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
    inputs = PlanInputs(case, diagnosis, policies, history, catalog)
    planning = _Planning(inputs, waited=True, is_running=True)
    return planning.replacement(entry) if resubmits else planning.cancel(entry)


def variables_of(
    case: Case, diagnosis: Diagnosis, policies: Policies, history: History, catalog: Catalog
) -> Callable[[str | None], expressions.ExpressionValues]:
    """What a condition is asked about, by the time zone that `now` is told in."""
    return PlanInputs(case, diagnosis, policies, history, catalog).variables


class _Planning(Struct, frozen=True):
    """One decision; `is_running` where the job has not ended."""

    inputs: PlanInputs
    waited: bool = False
    passed_over: frozenset[int] = frozenset()
    ways_passed_over: frozenset[tuple[int, int]] = frozenset()
    is_running: bool = False

    # --- the decision ---------------------------------------------------------------------------

    def plan(self) -> Plan:
        job = self.inputs.case.job
        if not self.inputs.case.is_failure and not job.cancelled_by_person:
            return self._nothing("", (), f"the job is {job.state.value}: it has not failed")
        match = PolicyMatch(self.inputs)
        policy = match.first(self.inputs.policies.policies)
        explained = tuple(match.explanation)
        if policy is None:
            return self._nothing("", explained, "no policy matches")
        limits = self.inputs.policies.limits_for(policy)
        resumable = any(step.resubmit.rows == "remaining" for step in policy.do)
        if job.state is JobState.SUCCEEDED and not resumable:
            rows = self.inputs.case.rows
            failed = job.failed_instances or (sum(rows.failed.values()) if rows else 0)
            some = f"{failed} instance{'s' * (failed != 1)}"
            because = f"the job succeeded, but {some} failed: it is not run again"
            return self._nothing(policy.name, explained, because, policy, limits)
        return self._decided(policy, limits, explained)

    def _decided(self, policy: Policy, limits: Limits, explained: tuple[str, ...]) -> Plan:
        situation = self._step_context(limits, root=self.inputs.root)
        ladder = Ladder(
            tuple(one for one in self.inputs.attempts if one.policy == policy.name),
            self.ways_passed_over,
            lambda draft: self._priced(policy, limits, draft),
            lambda draft, cost: refusals(self._asked(limits, policy, draft=draft, cost=cost)),
        )
        found, skipped = ladder.climb(self._steps_left(policy), situation)
        if isinstance(found, Offer):
            explained = (
                *explained,
                *skipped,
                f"step {found.number} is next: {change_words(found.draft)}",
            )
            return self._resubmission(policy, limits, explained, found, skipped)
        if isinstance(found, RefusedStep):
            cannot = f"step {found.number} cannot be taken: {found.impossible}"
            explained = (*explained, *(skipped or (cannot,)))
            return self._refused(policy, limits, explained, found.number, found.impossible)
        text = "; ".join([*skipped, self._why_nothing(policy), *self._smaller_batch()])
        return self._nothing(policy.name, explained, text, policy, limits)

    def _why_nothing(self, policy: Policy) -> str:
        """Why the policy comes to nothing, besides what each of its steps says."""
        if any(one.policy == policy.name for one in self.inputs.attempts):
            return "every step of the policy is taken"
        left = "no step of the policy fits" if policy.do else "the policy only alerts"
        return will_not_help(self.inputs) or left

    def _smaller_batch(self) -> tuple[str, ...]:
        """The step that a policy may name where a device's memory ran out, and no other may be had."""
        job = self.inputs.case.job
        if self.inputs.diagnosis.verdict is not Cause.GPU_MEMORY:
            return ()
        step = halving.batch_step(job)
        return (f"a step may halve its batch: `{step}`",) if step else ()

    def _step_context(self, limits: Limits, root: str = "") -> StepContext:
        """What a step is applied to."""
        return StepContext(
            self.inputs.case,
            self.inputs.diagnosis,
            self.inputs.history,
            self.inputs.catalog,
            limits,
            self.inputs.number,
            root=root,
        )

    # --- a job that still runs --------------------------------------------------------------------

    def replacement(self, entry: Policy) -> Plan:
        """To cancel the job and submit it again, unchanged; an alert where a guard refuses that."""
        limits = self.inputs.policies.limits
        situation = self._step_context(limits)
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
        refused = cancel_refusals(self._asked(self.inputs.policies.limits, entry))
        mode = mode_for(self.inputs, entry, reruns=False)
        acts = Action.APPROVE if mode is Mode.APPROVE else Action.CANCEL
        return Plan(
            job=str(self.inputs.case.job.name),
            verdict=self.inputs.diagnosis.verdict,
            policy=entry.name,
            step=0 if refused else 1,
            mode=mode,
            action=Action.ALERT if refused else acts,
            refused_by=tuple(refusal.guard for refusal in refused),
            refusals=refused,
            alerts=self._alerts(entry, refused),
            explanation=refusal_lines(refused),
            approval_reasons=() if refused else approval_reasons(self.inputs, entry, reruns=False),
        )

    def _steps_left(self, policy: Policy) -> list[tuple[int, Step]]:
        """Steps from the next one on, each once, with their numbers (the first is 1)."""
        slots = [n for n, step in enumerate(policy.do, 1) for _ in range(step.times)]
        made = [attempt for attempt in self.inputs.attempts if attempt.policy == policy.name]
        at = len(made)
        if made and made[-1].step in slots:
            # A step that was passed over leaves a gap that the count alone does not see.
            last = made[-1].step
            same = sum(1 for _ in itertools.takewhile(lambda a: a.step == last, reversed(made)))
            at = max(at, slots.index(last) + min(same, slots.count(last)))
        left = dict.fromkeys(n for n in slots[at:] if n not in self.passed_over)
        found = [(n, policy.do[n - 1]) for n in left]
        if self.inputs.case.job.state is JobState.SUCCEEDED:  # its good rows are never run again
            found = [(n, step) for n, step in found if step.resubmit.rows == "remaining"]
        return found

    # --- kinds of answer --------------------------------------------------------------------------

    def _asked(self, limits: Limits, policy: Policy | None = None, **more: Any) -> Asked:
        retried = (policy.retry_exit_codes if policy else None) or ()
        if self.inputs.exit_code is not None and self.inputs.exit_code in retried:
            more["retried_exit"] = self.inputs.exit_code
        more["places"] = lambda key: self.inputs.policies.place_of(policy, key)
        more["replaces_running"] = self.is_running
        return Asked(
            self.inputs.case,
            self.inputs.diagnosis,
            self.inputs.history,
            self.inputs.attempts,
            limits,
            self.inputs.catalog,
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
            job=str(self.inputs.case.job.name),
            verdict=self.inputs.diagnosis.verdict,
            policy=name,
            step=0,
            mode=mode_for(self.inputs, policy),
            action=Action.ALERT,
            refused_by=tuple(refusal.guard for refusal in refused),
            refusals=refused,
            alerts=self._alerts(policy, refused),
            because=sentence(self.inputs.diagnosis, why),
            notes=(because,),
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
            job=str(self.inputs.case.job.name),
            verdict=self.inputs.diagnosis.verdict,
            policy=policy.name,
            step=number,
            mode=mode_for(self.inputs, policy),
            action=Action.ALERT,
            refused_by=tuple(refusal.guard for refusal in refused),
            refusals=refused,
            alerts=self._alerts(policy, refused),
            because=sentence(
                self.inputs.diagnosis, "; ".join([refusal_words(refused), *self._smaller_batch()])
            ),
            explanation=(*explained, *refusal_lines(refused)),
        )

    def _priced(
        self, policy: Policy, limits: Limits, draft: JobDraft
    ) -> tuple[dict[str, Any], Cost]:
        """The request that the draft becomes, and what it would cost."""
        request = dressed(
            draft.job,
            original=self.inputs.case.job,
            root=self.inputs.root,
            number=self.inputs.number,
            policy=policy.name,
            catalog=self.inputs.catalog,
        )
        cost = estimate(
            self.inputs.case,
            self.inputs.diagnosis,
            self.inputs.history,
            self.inputs.catalog,
            limits,
            Job(draft.job.name, request),  # a tuning job is asked for the trials that are left
            draft.location,
            draft.changes,
            resume=draft.resume,
        )
        return request, cost.with_queries(draft.resume.query_usd)

    def _resubmission(
        self,
        policy: Policy,
        limits: Limits,
        explained: tuple[str, ...],
        offer: Offer,
        skipped: list[str],
    ) -> Plan:
        draft, cost = offer.draft.note(*skipped), offer.cost
        if cost.saved_usd is not None:
            draft = draft.note(f"about ${cost.saved_usd:.2f} less than running all rows again")
        elif draft.resume.is_new and self.inputs.case.job.is_gemini_batch:
            draft = draft.note("what that saves in dollars is not known: the price is not")
        asked = self._asked(limits, policy, draft=draft, cost=cost)
        refused = refusals(asked)
        wait = self._wait(offer.resubmit)
        paused = self._paused_until(refused)
        not_before = None if wait is None else self.inputs.case.now + wait
        text = resubmission_words(draft, cost, not_before)
        if refused:
            text = "; ".join(
                [
                    refusal_words(refused),
                    *without_refusals(skipped, refused),
                    *self._smaller_batch(),
                ]
            )
        return Plan(
            job=str(self.inputs.case.job.name),
            verdict=self.inputs.diagnosis.verdict,
            policy=policy.name,
            step=offer.number,
            entry=draft.entry,
            mode=mode_for(self.inputs, policy),
            action=_action_when_refused(paused) if refused else self._action(policy, wait),
            changes=draft.changes,
            request=None if refused and paused is None else offer.request,
            location=draft.location,
            not_before=paused if refused else not_before,
            estimated_usd=cost.usd,
            worst_case_usd=cost.worst_usd,
            max_run_seconds=cost.most_seconds if cost.is_bounded_by_us else None,
            longest_seconds=cost.most_seconds,
            refused_by=tuple(refusal.guard for refusal in refused),
            refusals=refused,
            alerts=self._alerts(policy, refused),
            because=sentence(self.inputs.diagnosis, text),
            notes=() if refused else draft.notes,
            cost_basis=cost_words(cost),
            worst_case_basis=cost.worst_basis,
            explanation=(
                *explained,
                *guard_report(asked, refused),
                *approval_lines(self.inputs, policy),
                *unread_note(asked),
            ),
            approval_reasons=() if refused else approval_reasons(self.inputs, policy),
            resume=draft.resume,
        )

    def _paused_until(self, refused: tuple[GuardRefusal, ...]) -> datetime | None:
        """The end of the breaker's pause, where that alone refuses: the incident waits for it."""
        only = {refusal.guard for refusal in refused} == {Guard.BREAKER}
        return self.inputs.history.breaker_until if only else None

    def _action(self, policy: Policy, wait: timedelta | None) -> Action:
        asked = mode_for(self.inputs, policy) is Mode.APPROVE or not may_run_again(self.inputs)
        if asked:
            return Action.APPROVE
        return Action.WAIT if wait is not None else Action.RESUBMIT

    def _wait(self, step: Resubmit) -> timedelta | None:
        if step.wait is None or self.waited:
            return None
        if isinstance(step.wait, timedelta):
            return step.wait
        backoff = _FIRST_BACKOFF.total_seconds() * 2.0 ** min(self.inputs.retries, 16)
        return timedelta(seconds=min(backoff, _LONGEST_BACKOFF.total_seconds()))

    def _alerts(self, policy: Policy | None, refused: tuple[GuardRefusal, ...]) -> tuple[str, ...]:
        """The policy's channels, with the job's owner in place of the word `owner`."""
        if policy is None or any(refusal.guard in SILENT_GUARDS for refusal in refused):
            return ()
        job = self.inputs.case.job
        account = job.service_account or ""
        return alert_routing.resolved_channels(self.inputs.policies, policy, job.labels, account)


def _action_when_refused(paused: datetime | None) -> Action:
    return Action.ALERT if paused is None else Action.WAIT
