"""Past jobs looked at as `reconcile` would have: what would have been told, when, and what then.

Owns the looks of one file's entries at a list of jobs in the order of time, so that budgets fill up as
they would have, and the spells that they find. Pure; called by `backtest`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator.alerts.running import PAID_FOR_NOTHING
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Mode, WatchVerdict
from remediator.planning.past_budgets import PastBudgets
from remediator.policy import Policies
from remediator.watch.entries import is_selected, needs_log
from remediator.watch.past_view import PastView
from remediator.watch.planning import WatchPlan, plan_watch
from remediator.watch.schedule import asks_progress, is_confirmed, look_every, wait_after

_FOUND_AFTER = timedelta(minutes=2)  # `reconcile` lists what runs every two minutes


class PastSpell(Struct, frozen=True):
    """One spell that would have been told at `alerted`, and when it was over; None: it lasted to the end.

    `over` is when the job worked again, or when another reason took its place.
    """

    alerted: datetime
    made: WatchPlan
    over: datetime | None = None

    @property
    def acts(self) -> bool:
        """Whether the job would have been cancelled."""
        plan = self.made.plan
        cancels = plan.action in {Action.CANCEL, Action.CANCEL_RESUBMIT}
        return cancels and plan.mode is Mode.ENFORCE

    @property
    def usd_per_hour(self) -> float | None:
        """What the job cost an hour; None: not known."""
        return self.made.watch.usd_per_hour if self.made.watch else None

    @property
    def was_for_nothing(self) -> bool:
        """Whether what the job cost in the spell bought nothing, as far as its reason says."""
        return self.made.reason in PAID_FOR_NOTHING


class ReplayedJob(Struct, frozen=True):
    """One job's life under a file's entries.

    `looks` counts how often it was looked at, `unseen` how often nothing could be seen of it, `log_reads`
    how often its log was wanted; `until` is when it ended, or its case was read.
    """

    case: Case
    until: datetime
    spells: tuple[PastSpell, ...]
    looks: int
    unseen: int
    log_reads: int

    def usd_after(self, spell: PastSpell) -> float | None:
        """US dollars that the job cost from when the spell was told to its end, or to the job's own where
        it would have been cancelled; None: the price is not known."""
        if spell.usd_per_hour is None:
            return None
        end = self.until if spell.acts or spell.over is None else spell.over
        return spell.usd_per_hour * max(0.0, (end - spell.alerted).total_seconds()) / 3600


def replay(
    policies: Policies,
    cases: Sequence[Case],
    catalog: Catalog,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> tuple[ReplayedJob, ...]:
    """Every job that some entry selects, looked at from its creation to its end or its case's `now`.

    `progress` is told how many of how many jobs are done.
    """
    used = PastBudgets()
    begun = [_Replay(case, policies, catalog, used) for case in cases]
    selected = [one for one in begun if one.is_selected()]
    due = [(one.first_look, number) for number, one in enumerate(selected)]
    heapq.heapify(due)
    while due:
        moment, number = heapq.heappop(due)
        following = selected[number].look(moment)
        if following is not None:
            heapq.heappush(due, (following, number))
        else:
            progress(len(selected) - len(due), len(selected))
    return tuple(one.replayed() for one in selected)


class _Replay:
    """One job between two looks, as the ledger keeps it live."""

    def __init__(self, case: Case, policies: Policies, catalog: Catalog, used: PastBudgets) -> None:
        self._case, self._view = case, PastView(case)
        self._policies, self._catalog, self._used = policies, catalog, used
        self._until = self._view.ended
        self._spells: list[PastSpell] = []
        self._looks = self._unseen = self._log_reads = self._in_a_row = 0
        self._suspected = self._alerted = ""
        self._asked: datetime | None = None

    @property
    def first_look(self) -> datetime:
        begun = self._view.begun or self._until
        return min(begun + _FOUND_AFTER, self._until)

    def is_selected(self) -> bool:
        """Whether its life is known and some entry is for such a job."""
        if self._view.begun is None or self._view.begun >= self._until:
            return False
        bare = replace(self._view.at(self.first_look, with_log=False), series=(), outputs=())
        return is_selected(bare, self._policies, self._catalog)

    def look(self, moment: datetime) -> datetime | None:
        """One look; when the next is due, None once the job has ended or would have been ended."""
        is_last = moment >= self._until
        if is_last and self._view.has_ended:
            return None
        case = self._case if is_last else self._seen_at(moment)
        history = self._used.history(case, self._policies, self._catalog)
        made = plan_watch(case, self._policies, history, self._catalog)
        self._looks += 1
        if made is None:
            return None
        price = made.watch.usd_per_hour if made.watch else None
        has_accelerator = bool(case.job.facts(self._catalog, None).accelerator_count)
        pause = look_every(price, has_accelerator=has_accelerator)
        is_unseen = made.watch is not None and made.watch.verdict is WatchVerdict.UNKNOWN
        self._unseen += is_unseen
        if made.entry is not None:
            self._suspect(moment, made, is_last=is_last)
            pause = wait_after(self._in_a_row, pause)
        elif not (self._alerted and is_unseen):  # it may stand still yet
            self._end_spell(moment)
        if self._spells and self._spells[-1].acts:
            if made.plan.action is Action.CANCEL_RESUBMIT:
                self._used.add(case, self._policies, made.plan.estimated_usd or 0.0)
            return None
        return None if is_last else min(moment + pause, self._until)

    def _seen_at(self, moment: datetime) -> Case:
        """What a look reads at the moment: the log only where something rests on it."""
        case = self._view.at(moment, with_log=False)
        asks = asks_progress(self._asked, self._suspected, moment)
        if not needs_log(case, self._policies, self._catalog, asks_progress=asks):
            return case
        self._log_reads += 1
        self._asked = moment if asks else self._asked
        return self._view.at(moment)

    def _suspect(self, moment: datetime, made: WatchPlan, *, is_last: bool) -> None:
        """Something is wrong: told once two looks in a row say so, or the case ends with it."""
        self._in_a_row = self._in_a_row + 1 if self._suspected == made.reason else 1
        self._suspected = made.reason
        if self._alerted == made.reason or not (is_last or is_confirmed(self._in_a_row)):
            return
        if self._alerted:
            self._spells[-1] = replace(self._spells[-1], over=moment)
        self._alerted = made.reason
        self._spells.append(PastSpell(moment, made))

    def _end_spell(self, moment: datetime) -> None:
        if self._alerted:
            self._spells[-1] = replace(self._spells[-1], over=moment)
        self._suspected = self._alerted = ""
        self._in_a_row = 0

    def replayed(self) -> ReplayedJob:
        return ReplayedJob(
            self._case,
            self._until,
            tuple(self._spells),
            self._looks,
            self._unseen,
            self._log_reads,
        )
