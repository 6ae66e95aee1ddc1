"""Climbing a policy's ladder: of the steps that are left, the first that can be taken.

Owns when a step is passed over (nothing left to give, nothing changed, too dear for its `max_usd`, a
quota that can never hold it, tried in vain for the same work before, no hardware of its kind where a
later `fallback` names another), how the ways of a `fallback` are tried in turn, and the other family
that is taken where waiting for a quota is for nothing. Must not look at the ledger's limits itself:
it is handed what asks the guards and what prices. Called by the planner alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.catalog import growth
from remediator.catalog.catalog import Hardware
from remediator.domain import NO_PLACE, Attempt, Cause, Change, Guard, GuardRefusal, Lack
from remediator.job import Job
from remediator.job.quota import Shortage
from remediator.planning.costs import Cost
from remediator.planning.draft import (
    JobDraft,
    StepContext,
    StepHasNoEffect,
    StepImpossible,
    merged_changes,
)
from remediator.planning.expected_time import got_no_machine
from remediator.planning.fallback import apply_at_home, apply_way, way_words, ways_left
from remediator.planning.hardware import ground, set_hardware
from remediator.planning.quota_readings import known_shortage, room_once_free
from remediator.planning.steps import apply
from remediator.planning.vain import VainStep, vain_step, vain_words
from remediator.policy.steps import Resubmit, Step

_CENT = 0.01
_OF_A_WAY = frozenset(
    {
        Guard.USD_PER_JOB,
        Guard.USD_PER_DAY,
        Guard.UNKNOWN_PRICE,
        Guard.MACHINE_TYPES,
        Guard.ACCELERATORS,
        Guard.LOCATIONS,
        Guard.INCOMPATIBLE,
        Guard.PINNED,
        Guard.NO_MACHINE,
    }
)
"""Guards whose answer another way of the same fallback may change."""
_LISTS = frozenset({Guard.MACHINE_TYPES, Guard.ACCELERATORS})
_OF_HARDWARE = _LISTS | {Guard.UNKNOWN_PRICE}
"""Guards whose answer other hardware, or the same in another region, may change."""


class Offer(Struct, frozen=True):
    """A step that can be taken: what it does, the request that comes of it, and its price."""

    number: int
    resubmit: Resubmit
    draft: JobDraft
    request: dict[str, Any]
    cost: Cost


class RefusedStep(Struct, frozen=True):
    """A step that ends the ladder: it cannot be taken, and nobody said to go on without it."""

    number: int
    impossible: StepImpossible


class Ladder(Struct, frozen=True):
    """What climbing needs. `made` are this policy's attempts, oldest first; `ways_passed_over` are
    (step, way) that Vertex refused for want of quota or machines."""

    made: tuple[Attempt, ...]
    ways_passed_over: frozenset[tuple[int, int]]
    priced: Callable[[JobDraft], tuple[dict[str, Any], Cost]]
    refusals: Callable[[JobDraft, Cost], tuple[GuardRefusal, ...]]

    def climb(  # noqa: C901, PLR0912  # a branch for each way in which a step can end
        self, steps: Sequence[tuple[int, Step]], now: StepContext
    ) -> tuple[Offer | RefusedStep | None, list[str]]:
        """The step to take, the one that ends the ladder, or None; and what was passed over."""
        passed: list[str] = []
        refusing: RefusedStep | None = None
        unlisted: Offer | None = None
        tried_after = 0
        hopeless: tuple[int, Resubmit, Shortage] | None = None
        vain: list[_TriedInVain] = []
        ended: set[int] = set()
        for number, step in self._slots(steps):
            if number in ended:
                continue
            later = tuple(one.resubmit for n, one in steps if n > number)
            here = replace(now, later=later)
            try:
                return self._taken_or_passed(number, step.resubmit, here), passed
            except _TriedInVain as tried:
                vain.append(tried)
                passed.append(f"step {number} is passed over: {tried}")
                now = tried.after(now)
                continue
            except _Unlisted as without:
                unlisted = unlisted or without.offer
                tried_after = tried_after or (len(passed) + 1 if without.has_fallback else 0)
                passed.append(f"step {number} is passed over: {without}")
            except _QuotaTooSmall as small:
                hopeless = hopeless or (number, step.resubmit, small.shortage)
                passed.append(f"step {number} is passed over: {small}")
            except StepHasNoEffect as exhausted:
                passed.append(f"step {number} is passed over: {exhausted}")
                if exhausted.guard is not None:
                    none_left = StepImpossible("; ".join(passed), exhausted.guard, exhausted.lack)
                    refusing = RefusedStep(number, none_left)
            except StepImpossible as impossible:
                if not vain:
                    return RefusedStep(number, impossible), passed
                passed.append(f"step {number} cannot be taken: {impossible}")
                break
            ended.add(number)
        if unlisted is not None:
            return unlisted, passed[tried_after:] if tried_after else []
        if hopeless is not None:
            number, resubmit, short = hopeless
            offer = self._other_family(number, resubmit, short, now)
            if offer is not None:
                return offer, []
        if vain:
            return self._none_but_vain(vain, now), passed
        return refusing, passed

    def _slots(self, steps: Sequence[tuple[int, Step]]) -> Iterator[tuple[int, Step]]:
        """Each step as often as it may still be taken; it is taken again only where that was tried in vain."""
        for number, step in steps:
            made = sum(one.step == number for one in self.made)
            times = 1 if step.resubmit.fallback else max(1, step.times - made)
            yield from itertools.repeat((number, step), times)

    def _none_but_vain(self, vain: Sequence[_TriedInVain], now: StepContext) -> RefusedStep:
        """What to say where nothing is left but what was tried in vain."""
        said = vain_words([step for one in vain for step in one.steps], now)
        return RefusedStep(vain[0].number, StepImpossible(said, Guard.TRIED_IN_VAIN))

    # --- one step -------------------------------------------------------------------------------

    def _taken_or_passed(self, number: int, resubmit: Resubmit, now: StepContext) -> Offer:
        """The step's offer; one that finds no hardware leaves the turn to a later `fallback`, whose ways
        name other devices or another place. What no machine holds at all ends the ladder."""
        try:
            return self._taken(number, resubmit, now)
        except StepImpossible as impossible:
            moves = resubmit.machine_type is not None or resubmit.accelerator is not None
            has_fallback = any(one.fallback for one in now.later)
            if moves and has_fallback and impossible.guard is Guard.INCOMPATIBLE:
                raise StepHasNoEffect(str(impossible), impossible.guard, impossible.lack) from None
            raise

    def _taken(self, number: int, resubmit: Resubmit, now: StepContext) -> Offer:
        if resubmit.fallback:
            return self._next_way(number, resubmit, now)
        draft = self._waited_for_at_home(resubmit, now) or apply(resubmit, now)
        if resubmit.asks_for_change and not draft.goes_beyond(now):
            raise StepHasNoEffect("; ".join([*draft.notes, "it would change nothing"]))
        offer = self._worth_trying(number, resubmit, draft, now)
        moves = resubmit.machine_type is not None or resubmit.accelerator is not None
        has_fallback = moves and any(one.fallback for one in now.later)
        if has_fallback or (now.later and not resubmit.asks_for_change):
            guards = _OF_HARDWARE if has_fallback else _LISTS
            against = self.refusals(offer.draft, offer.cost)
            if why := next((one.why for one in against if one.guard in guards), ""):
                raise _Unlisted(offer, why, has_fallback=has_fallback)
        return offer

    def _waited_for_at_home(self, resubmit: Resubmit, now: StepContext) -> JobDraft | None:
        """The job as it was before other ways were tried in vain, where a step only waits; None: as it is.

        A quota is waited for so only where it was before: else it may be one that can never hold the job,
        which the refusal of another quota no longer says. Where the job left for want of machines, its own
        hardware was refused by no quota.
        """
        verdict = now.diagnosis.verdict
        if resubmit.asks_for_change or verdict not in NO_PLACE:
            return None
        ways = _last_of([one for one in self.made if one.entry], now)
        waited = any(not (one.changes or one.entry) for one in self.made)
        if verdict is Cause.QUOTA and not waited:
            ways = _left_for_want_of_machines(now)
        draft = apply_at_home(resubmit, ways, now) if ways else None
        if draft is None or known_shortage(draft, now):
            return None
        # It is a retry like the wait where the job stands, though it changes the job back.
        retries = any(one.guard is Guard.RETRIES for one in self._against(apply(resubmit, now)))
        return None if retries or self._against(draft) else draft

    def _against(self, draft: JobDraft) -> tuple[GuardRefusal, ...]:
        _, cost = self.priced(draft)
        return self.refusals(draft, cost)

    def _worth_trying(
        self, number: int, resubmit: Resubmit, draft: JobDraft, now: StepContext
    ) -> Offer:
        """The offer of a draft; raises Exhausted where it was tried in vain, or no quota can hold it."""
        if vain := vain_step(draft, now):
            raise _TriedInVain(number, draft, (vain,))
        if short := known_shortage(draft, now):
            raise _QuotaTooSmall(short)
        return self._offer(number, resubmit, draft)

    def _offer(self, number: int, resubmit: Resubmit, draft: JobDraft) -> Offer:
        request, cost = self.priced(draft)
        if too_dear := _too_dear(resubmit.max_usd, cost):
            raise StepHasNoEffect(too_dear)
        return Offer(number, resubmit, draft, request, cost)

    def _next_way(self, number: int, resubmit: Resubmit, now: StepContext) -> Offer:
        """The next way that fits; raises Exhausted with why none of those left does."""
        if waits := self._better_waited_for(now):
            raise StepHasNoEffect(waits)
        ways = resubmit.fallback or ()
        of_step = [one for one in self.made if one.step == number]
        skipped = frozenset(way for step, way in self.ways_passed_over if step == number)
        left = ways_left(ways, of_step, skipped)
        tail = _last_of(of_step, now)
        reasons: dict[str, list[str]] = {}  # each with the ways that it holds for
        guard: Guard | None = None
        lack: Lack | None = None
        vain: list[VainStep] = []
        for index, way in left:
            try:
                draft = replace(apply_way(resubmit, way, tail, now), entry=index)
                offer = self._worth_trying(number, resubmit, draft, now)
            except _TriedInVain as tried:
                vain += tried.steps
                reasons.setdefault(str(tried), []).append(f"way {index} ({way_words(way)})")
                continue
            except (StepHasNoEffect, StepImpossible) as why:
                guard, lack = (guard, lack) if guard else (why.guard, why.lack)
                reasons.setdefault(str(why), []).append(f"way {index} ({way_words(way)})")
                continue
            against = [r for r in self.refusals(offer.draft, offer.cost) if r.guard in _OF_A_WAY]
            if not against:
                named = f"way {index} of {len(ways)}: {way_words(way)}"
                return replace(offer, draft=offer.draft.note(named, *_reason_words(reasons)))
            guard = guard or against[0].guard
            reasons.setdefault(against[0].why, []).append(f"way {index} ({way_words(way)})")
        if not left:
            msg = "every way of its fallback is tried"
            raise StepHasNoEffect(msg)
        said = "; ".join(["no way of its fallback fits", *_reason_words(reasons)])
        if vain:
            raise _TriedInVain(number, None, tuple(vain), said)
        raise StepHasNoEffect(said, guard, lack)

    def _better_waited_for(self, now: StepContext) -> str:
        """Why the job goes on waiting for a quota rather than to other hardware; empty: it does not.

        A job that had its machines was refused by another service, of whose quota no hardware has more. Else
        only between two waits of the policy, whose author puts waiting first, and where the quota is known
        to hold the job: a wait costs nothing, other hardware costs more or is asked of another quota.
        """
        named = any(quota.is_of_machines for quota in now.quotas)
        if now.diagnosis.verdict is Cause.QUOTA and not named and not got_no_machine(now.job):
            return "the job had its machines, so what is used up is no quota of machines"
        waited = bool(self.made) and self.made[-1].is_retry
        waits = any(one.wait is not None and not one.asks_for_change for one in now.later)
        return room_once_free(now) if waited and waits else ""

    # --- a quota that can never hold it -----------------------------------------------------------

    def _other_family(
        self, number: int, resubmit: Resubmit, short: Shortage, now: StepContext
    ) -> Offer | None:
        """The same job on the cheapest machine whose quota is another; None: there is none."""
        if resubmit.asks_for_change or not short.quota.families:
            return None
        try:
            draft = apply(resubmit, now)
        except (StepHasNoEffect, StepImpossible):
            return None
        for pool in draft.job.pools:
            kind = now.catalog.machine(pool.hardware.machine)
            if kind is None or kind.generation not in short.quota.families:
                continue
            chosen = _elsewhere(pool.hardware, short, now, draft.location)
            if chosen is None:
                return None
            within = ground(pool.hardware, now, draft.location)
            try:
                moved = set_hardware(draft, pool, chosen, now.catalog)
            except StepImpossible:
                return None
            draft = moved.note(*growth.crossing(within, chosen))
        if not draft.asked:
            return None
        unwaited = resubmit.changed(wait=None)
        try:
            offer = self._offer(number, unwaited, draft.note(f"waiting is for nothing: {short}"))
        except StepHasNoEffect:
            return None
        against = self.refusals(offer.draft, offer.cost)
        return offer if not any(r.guard in _OF_A_WAY for r in against) else None


def _reason_words(reasons: Mapping[str, Sequence[str]]) -> list[str]:
    """`way 1 (location next) and way 2 (location next): …`, one for each reason."""
    return [f"{' and '.join(ways)}: {why}" for why, ways in reasons.items()]


class _Unlisted(StepHasNoEffect):  # never leaves this module
    """The step leads to hardware that a list forbids or that has no price. After the same job again any
    step that changes it can help; after one that names hardware a later `fallback` (`has_fallback`)."""

    def __init__(self, offer: Offer, why: str, *, has_fallback: bool) -> None:
        super().__init__(why)
        self.offer = offer
        self.has_fallback = has_fallback


class _TriedInVain(StepHasNoEffect):  # never leaves this module
    """The same work tried the step, or more, in vain. `draft` is where it would have led: a later step
    goes on from there, as it would in a chain; None for a fallback, whose ways are alternatives."""

    def __init__(
        self, number: int, draft: JobDraft | None, steps: tuple[VainStep, ...], said: str = ""
    ) -> None:
        super().__init__(said or str(steps[0]), Guard.TRIED_IN_VAIN)
        self.number = number
        self.draft = draft
        self.steps = steps

    def after(self, now: StepContext) -> StepContext:
        """What a later step is applied to."""
        if self.draft is None:
            return now
        failed, draft = now.job, self.draft
        made = Attempt(
            name="",
            state=failed.state,
            create_time=None,
            policy="",
            step=self.number,
            verdict=now.diagnosis.verdict.value,
            changes=merged_changes(_taken_back(now.head_start), draft.changes),
        )
        job = Job(
            replace(failed.name, location=draft.location),
            {**failed.to_json(), **draft.job.to_json()},
        )
        attempts = now.history.attempts or now.case.attempts
        return replace(
            now,
            case=replace(now.case, job=job),
            history=replace(now.history, attempts=(*attempts, made)),
            head_start=draft.changes,
        )


def _taken_back(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(replace(one, before=one.after, after=one.before) for one in changes)


class _QuotaTooSmall(StepHasNoEffect):  # never leaves this module
    """A quota can never hold what the step asks for: it is not waited for."""

    def __init__(self, short: Shortage) -> None:
        super().__init__(f"what can never fit is not waited for: {short}")
        self.shortage = short


def _elsewhere(held: Hardware, short: Shortage, now: StepContext, region: str) -> Hardware | None:
    within = ground(held, now, region)
    kind = within.kind
    enough = [
        one
        for one in within.candidates()
        if within.machine(one).generation not in short.quota.families
        and within.machine(one).vcpus >= kind.vcpus
        and within.machine(one).memory_gib >= kind.memory_gib
        and within.allowed(one)
    ]
    return within.cheapest(enough)


def _last_of(of_step: Sequence[Attempt], now: StepContext) -> list[Attempt]:
    """The step's attempts that are the chain's last: the job that failed carries their changes."""
    known = {(one.number, one.name) for one in of_step if not one.abandoned}
    every = [one for one in now.history.attempts or now.case.attempts if not one.abandoned]
    last = list(itertools.takewhile(lambda one: (one.number, one.name) in known, reversed(every)))
    return last[::-1]


def _left_for_want_of_machines(now: StepContext) -> list[Attempt]:
    """The chain's last attempts that are ways of any policy, where the first was for want of machines."""
    every = [one for one in now.history.attempts or now.case.attempts if not one.abandoned]
    ways = list(itertools.takewhile(lambda one: bool(one.entry), reversed(every)))[::-1]
    left = bool(ways) and ways[0].verdict == Cause.CAPACITY_STOCKOUT.value
    return ways if left else []


def _too_dear(max_usd: float | None, cost: Cost) -> str:
    """Why a step with `max_usd` is passed over; empty: it is not."""
    if max_usd is None:
        return ""
    if cost.usd is None:
        return f"what it costs is not known, and at most ${max_usd:.2f} is allowed for it"
    if cost.usd > max_usd + _CENT / 2:
        return f"it would cost about ${cost.usd:.2f}, more than its max_usd of ${max_usd:.2f}"
    return ""
