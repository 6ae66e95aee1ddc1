"""What the entries of `watch` mean to each other and to the rest of the file: warnings.

Owns the checks that need more than one key of an entry; names, channels and conditions are checked
with those of the policies (`checks`). Called by `language.load`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from remediator.domain import STANDSTILL, WAITING, JobKind
from remediator.policy.checks import is_narrower, takes_all
from remediator.policy.draft import PolicyDraft
from remediator.policy.expressions import variables_in
from remediator.policy.loaded import Mistake
from remediator.policy.suggestions import shown
from remediator.policy.watch_entries import WatchEntry

SHORTEST_STANDSTILL = timedelta(minutes=10)
"""Chosen: metrics come a sample a minute and up to six minutes late (documented by Cloud Monitoring),
and one missing sample is no standstill."""


_AFTER_THE_END = frozenset({"diagnosis.cause", "diagnosis.confidence", "job.exit_code"})


def watch_mistakes(draft: PolicyDraft) -> Iterator[Mistake]:
    """Every warning about the entries of `watch`."""
    yield from _unreachable(draft)
    for index, entry in draft.watch:
        if index not in draft.unclear_watch:
            yield from _never(draft, index, entry)
        yield from _forbidden(draft, index, entry)


def _unreachable(draft: PolicyDraft) -> Iterator[Mistake]:
    """An entry whose every job and verdict one earlier entry takes."""
    before: list[WatchEntry] = []
    for index, entry in draft.watch:
        if index in draft.unclear_watch or not entry.enabled:
            continue
        takers = dict.fromkeys(
            taker.name
            for verdict in sorted(entry.verdicts)
            for taker in before[:]
            if verdict in taker.verdicts and _takes(taker, entry)
        )
        covered = {
            verdict
            for verdict in entry.verdicts
            if any(verdict in one.verdicts and _takes(one, entry) for one in before)
        }
        same_rule = [one.name for one in before if _is_same_rule(one, entry)]
        if (entry.verdicts and covered == entry.verdicts) or same_rule:
            named = ", ".join(shown(name) for name in (list(takers) or same_rule)[:3])
            yield draft.value("watch", index, "name").warning(
                f"unreachable entry: all it could match is taken before it by {named}"
            )
            continue
        before.append(entry)


def _takes(earlier: WatchEntry, later: WatchEntry) -> bool:
    """Whether every job that the later entry matches with a verdict, the earlier does with it too."""
    first, then = earlier.when, later.when
    as_long = first.longer_than == then.longer_than or (
        first.longer_than is not None
        and then.longer_than is not None
        and first.longer_than <= then.longer_than
    )
    return (
        as_long
        and earlier.log in {None, later.log}
        and is_narrower(then.machine, first.machine)
        and first.least_confidence <= then.least_confidence
        and (first.job is None or (then.job is not None and set(then.job) <= set(first.job)))
        and takes_all(first, then)
    )


def _is_same_rule(earlier: WatchEntry, later: WatchEntry) -> bool:
    alone = earlier.needs_log_rule_alone and later.needs_log_rule_alone
    return alone and earlier.log == later.log and _takes(earlier, later)


def _never(draft: PolicyDraft, index: int, entry: WatchEntry) -> Iterator[Mistake]:
    """What can never hold, or not so soon."""
    found = entry.verdicts
    if entry.log is not None and found and found <= WAITING:
        yield draft.root.follow(("watch", index, "log"))[0].warning(
            "a job that waits for its machines writes no log: this entry never matches"
        )
    resubmission = entry.resubmission
    if resubmission is None or resubmission.checkpoint != "required":
        pass
    elif found and found <= WAITING:
        yield draft.value("watch", index, "do").warning(
            "a job that waits for its machines has no checkpoint: with `checkpoint: required` it is "
            "never submitted again"
        )
    elif entry.when.job == (JobKind.BATCH_PREDICTION,):
        yield draft.value("watch", index, "do").warning(
            "a batch prediction has no checkpoint: with `checkpoint: required` it is never submitted "
            "again"
        )
    for name in sorted(variables_in(entry.when.condition or "") & _AFTER_THE_END):
        yield draft.value("watch", index, "when", "if").warning(
            f"`{name}` is only known once a job has ended: of one that still runs it says nothing"
        )
    longer_than = entry.when.longer_than
    if longer_than is not None and longer_than < SHORTEST_STANDSTILL and found & STANDSTILL:
        yield draft.value("watch", index, "when", "for").warning(
            "a standstill cannot be told so soon: metrics come once a minute and up to 6 minutes late; "
            "write 10m or more"
        )


def _forbidden(draft: PolicyDraft, index: int, entry: WatchEntry) -> Iterator[Mistake]:
    """Limits that leave no room for the resubmission."""
    limits = draft.general.limits
    if entry.resubmission is None:
        return
    for name in ("attempts", "usd_per_job", "usd_per_day", "resubmissions_per_hour"):
        if getattr(limits, name) == 0:
            yield draft.value("watch", index, "do").warning(
                f"`{name}: 0` forbids `cancel_resubmit`: the job is left alone"
            )
            return
