"""What earlier chains of the same work tried in vain: what is kept of it, and which step would repeat it.

Owns when an attempt was in vain, when a step asks for no more than one that was, and the words for
both. Which work is the same is known to `job.likeness`; a success since is looked for by the workflow.
Must not decide what is done instead (see `ladder`). Pure; called by the ladder and by the workflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct

from remediator.case import Case
from remediator.catalog import growth
from remediator.catalog.catalog import Catalog, Hardware
from remediator.domain import (
    NEVER_RETRIED,
    PASSING,
    WATCH_REASONS,
    Attempt,
    Cause,
    Change,
    JobName,
    Json,
    VainAttempt,
)
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import moment_words
from remediator.job import (
    DEFAULT_BOOT_DISK_GB,
    DEFAULT_TIMEOUT_SECONDS,
    SWITCH_LABEL,
    Job,
    Pool,
)
from remediator.planning.draft import (
    LOCATION,
    JobDraft,
    StepContext,
    merged_changes,
    undone,
)

REPEATED_AFTER = timedelta(days=14)
"""How long a step that was tried in vain is not repeated. Chosen: a nightly job pays for one ladder in
fourteen, and what changes unseen (a tag that is pushed again, data under one name) is tried anew within
two weeks. The ledger keeps such ends for 400 days, so it sets no bound."""
_OTHER_INPUT = (
    1.25  # times as many rows, or as few, are another input; chosen, the headroom of `sizing`
)
_CLOCKS = timedelta(hours=1)  # two clocks differ by less: what ended later did not; chosen
_UNKNOWN_ENDS = 2  # chains: one end that nobody could explain may have been chance; chosen

# --- what is kept ---------------------------------------------------------------------------------


def attempts_in_vain(
    case: Case, attempts: Sequence[Attempt], verdict: Cause, *, root: str, usd: float
) -> tuple[VainAttempt, ...]:
    """Of a chain that is given up, the attempts that were for nothing, oldest first.

    The case is of its last attempt, `verdict` what that ended by, `usd` what all of them cost.
    """
    job = case.job
    ran = [one for one in attempts if not one.abandoned]
    if not ran or job.end_time is None or JobName.parse(ran[-1].name).key != job.name.key:
        return ()
    ends = [*(one.verdict for one in ran[1:]), verdict.value if job.is_failure else ""]
    place, kept = job.name.location, list[VainAttempt]()
    # A resume's job has the rows that were left: how many the attempts before it had is not known.
    rows = None if any(one.resume.parts for one in ran) else _rows(case)
    for index in range(len(ran) - 1, -1, -1):
        one = ran[index]
        if _is_in_vain(one, ends[index]):
            kept.append(
                VainAttempt(
                    root=root,
                    display_name=_ATTEMPT.sub("", case.job.display_name) or case.job.name.id,
                    number=one.number,
                    at=one.end_time or job.end_time,
                    verdict=one.verdict,
                    ended_by=ends[index],
                    size=_size(job, place),
                    changes=merged_changes(*(before.changes for before in ran[: index + 1])),
                    chain_usd=usd,
                    chain_attempts=len(ran),
                    rows=rows,
                    vouched=_is_vouched(case.job),
                )
            )
        for change in reversed(one.changes):
            place = str(change.before) if change.field == LOCATION else place
            job = undone(job, change)
    return tuple(reversed(kept))


_ATTEMPT = late_pattern(r"\s*\(attempt \d+\)\s*$")
_NOT_OF_A_STEP = frozenset({cause.value for cause in (*PASSING, Cause.UNKNOWN)}) | WATCH_REASONS
"""What an attempt was made for, where its end says nothing of the step."""
_SAYS_NOTHING = frozenset({"", *(cause.value for cause in (*PASSING, *NEVER_RETRIED))})
"""What an attempt ended by, where it may have helped: it got past the failure, or what ended it goes by
itself, or is put right where nobody sees it (data, a permission)."""


def _is_in_vain(made: Attempt, ended_by: str) -> bool:
    asked = bool(made.changes) and not made.resume.parts
    return asked and made.verdict not in _NOT_OF_A_STEP and ended_by not in _SAYS_NOTHING


def _is_vouched(job: Job) -> bool:
    return job.labels.get(SWITCH_LABEL) == "on"


def _rows(case: Case) -> int | None:
    """How many rows the job's input has, where somebody counted them."""
    if case.rows is not None and case.rows.rows:
        return case.rows.rows
    counted = case.job.instance_counts
    return sum(counted) or None if min(counted) >= 0 else None


def _size(job: Job, place: str) -> dict[str, Any]:
    """All that makes one attempt stronger than another, but for what else its changes name."""
    return {
        "location": place,
        "pools": [_pool_size(pool) for pool in job.pools],
        "batchSize": job.batch_size,
        "timeoutSeconds": job.timeout_seconds or DEFAULT_TIMEOUT_SECONDS,
    }


def _pool_size(pool: Pool) -> dict[str, Any]:
    return {
        "machineType": pool.hardware.machine,
        "acceleratorType": pool.hardware.accelerator,
        "acceleratorCount": pool.hardware.count,
        "replicas": pool.replicas,
        "diskGb": pool.disk_gb or DEFAULT_BOOT_DISK_GB,
        "topology": pool.topology,
        "partition": pool.partition,
    }


# --- whether a step repeats it ----------------------------------------------------------------------


class VainStep(Struct, frozen=True):
    """Why a step is not taken: what was tried at least as far, for the same failure, and for nothing."""

    tried: tuple[VainAttempt, ...]

    def __str__(self) -> str:
        last = self.tried[-1]
        return (
            f"{_size_words(last)} was tried in vain for {last.display_name}, which ended "
            f"{moment_words(last.at)}"
        )


def vain_step(draft: JobDraft, now: StepContext) -> VainStep | None:
    """The attempts that make the draft a repetition of what did not help; None: it is none."""
    verdict = now.diagnosis.verdict
    if verdict in PASSING or verdict is Cause.UNKNOWN or not draft.changes or draft.resume.parts:
        return None
    asked = _Asked(draft, now)
    found = tuple(
        one
        for one in now.history.vain
        if one.verdict == verdict and asked.is_recent(one) and asked.goes_no_further_than(one)
    )
    if any(one.ended_by != Cause.UNKNOWN for one in found):
        return VainStep(found)
    chains = {one.root for one in found}
    return VainStep(found) if len(chains) >= _UNKNOWN_ENDS else None


class _Asked(Struct, frozen=True):
    """What a step asks for, beside what was tried."""

    draft: JobDraft
    now: StepContext

    def is_recent(self, one: VainAttempt) -> bool:
        """Whether it was not long ago, of as large an input, and nobody vouched for the job since."""
        case = self.now.case
        vouched = _is_vouched(case.job) and not one.vouched
        rows = _rows(case)
        alike = not rows or not one.rows or 1 / _OTHER_INPUT <= rows / one.rows <= _OTHER_INPUT
        return -_CLOCKS < case.now - one.at < REPEATED_AFTER and alike and not vouched

    def goes_no_further_than(self, one: VainAttempt) -> bool:
        cause = self.now.diagnosis.verdict
        mine, theirs = _size(self.draft.job, self.draft.location), one.size
        if cause not in _SAME_ANYWHERE and theirs.get("location") != mine["location"]:
            return False
        held, tried = self.draft.job.pools, theirs.get("pools") or ()
        if len(held) != len(tried):
            return False
        pools = zip(mine["pools"], tried, strict=True)
        if not all(_pool_covers(before, pool, cause, self.now.catalog) for pool, before in pools):
            return False
        if not self._batch_is_no_smaller(mine["batchSize"], theirs.get("batchSize")):
            return False
        if mine["timeoutSeconds"] > (theirs.get("timeoutSeconds") or 0):
            return False
        return all(_reached(change, one) for change in self._other_changes())

    def _batch_is_no_smaller(self, mine: int | None, tried: int | None) -> bool:
        """A step that makes the batch larger asks for something else than a smaller one."""
        if mine is None or tried is None:
            return mine is tried
        grows = mine > (self.now.job.batch_size or mine)
        return mine == tried if grows else tried <= mine

    def _other_changes(self) -> tuple[Change, ...]:
        """Of all that the chain has changed, what no size tells."""
        history = self.now.history.attempts
        changes = merged_changes(*(one.changes for one in history), self.draft.changes)
        job = self.draft.job
        in_size = {
            LOCATION,
            job.base_output_path,
            job.batch_size_path,
            job.most_replicas_path,
            job.timeout_path,
        }
        in_size |= {path for pool in job.pools for path in _paths(pool)}
        return tuple(
            one
            for one in changes
            if one.field not in in_size and not one.field.endswith(".enableCache")
        )


_SAME_ANYWHERE = frozenset(
    {
        Cause.MEMORY_PRESSURE,
        Cause.GPU_MEMORY,
        Cause.ACCELERATOR_MISSING,
        Cause.DISK_FULL,
    }
)
"""Causes that the same hardware has in every region; the others may lie in how far the data are."""


def _paths(pool: Pool) -> tuple[str, ...]:
    return (
        pool.machine_path,
        pool.accelerator_path,
        pool.count_path,
        pool.replicas_path,
        pool.disk_path,
        pool.topology_path,
        pool.partition_path,
    )


def _hardware(size: Json) -> Hardware:
    return Hardware(
        str(size.get("machineType") or ""),
        str(size.get("acceleratorType") or ""),
        int(size.get("acceleratorCount") or 0),
    )


def _pool_covers(tried: Json, asked: Json, cause: Cause, catalog: Catalog) -> bool:
    """Whether what was tried had at least as much of all that the cause may want."""
    if any(tried.get(key) != asked[key] for key in ("topology", "partition")):
        return False
    if any((tried.get(key) or 0) < asked[key] for key in ("replicas", "diskGb")):
        return False
    mine, theirs = _hardware(asked), _hardware(tried)
    return mine == theirs or (
        _devices_cover(theirs, mine, cause, catalog)
        and _machine_covers(theirs, mine, cause, catalog)
    )


def _devices_cover(tried: Hardware, asked: Hardware, cause: Cause, catalog: Catalog) -> bool:
    name, count = growth.devices_of(catalog, tried)
    wanted, least = growth.devices_of(catalog, asked)
    if name == wanted:
        return count >= least
    before, after = (catalog.accelerators.get(one) for one in (name, wanted))
    more = before is not None and after is not None
    gib = ((before.memory_gib or 0) - (after.memory_gib or 0)) if before and after else 0
    return cause is Cause.GPU_MEMORY and more and count >= least and gib >= 0


def _machine_covers(tried: Hardware, asked: Hardware, cause: Cause, catalog: Catalog) -> bool:
    before, after = catalog.machine(tried.machine), catalog.machine(asked.machine)
    if before is None or after is None:
        return tried.machine == asked.machine
    if cause in {Cause.GPU_MEMORY, Cause.DISK_FULL}:  # the device or the disk ran out
        return True
    if cause is Cause.MEMORY_PRESSURE:
        return before.memory_gib >= after.memory_gib
    # A vCPU of another generation is another speed.
    return (
        before.generation == after.generation
        and before.vcpus >= after.vcpus
        and before.memory_gib >= after.memory_gib
    )


_NUMBER = late_pattern(r"(?P<before>.*?)(?P<number>\d+(?:\.\d+)?)(?P<after>\D*)", re.DOTALL)


def _reached(change: Change, one: VainAttempt) -> bool:
    """Whether the attempt had changed this field as far, or farther the same way."""
    values = (change.before, change.after)
    tried = next((c.after for c in one.changes if c.field == change.field), change.before)
    if tried == change.after:
        return True
    before, after, reached = (_number_in(value) for value in (*values, tried))
    if (
        before is None
        or after is None
        or reached is None
        or len({p for p, _ in (before, after, reached)}) > 1
    ):
        return False
    way = after[1] - before[1]
    return (reached[1] - after[1]) * way > 0


def _number_in(value: object) -> tuple[str, float] | None:
    """The number of `64`, `--batch=64` or `30G`, with the text around it."""
    found = _NUMBER.fullmatch(str(value)) if isinstance(value, int | float | str) else None
    return (f"{found['before']}*{found['after']}", float(found["number"])) if found else None


# --- in words -------------------------------------------------------------------------------------


def vain_words(steps: Iterable[VainStep], now: StepContext) -> str:
    """What was tried when, what it cost, and what would change the decision."""
    tried = {(one.root, one.number): one for step in steps for one in step.tried}
    chains: dict[str, list[VainAttempt]] = {}
    for one in sorted(tried.values(), key=lambda one: (one.at, one.number)):
        chains.setdefault(one.root, []).append(one)
    latest = list(chains.values())[-1]
    last = latest[-1]
    sizes = list(dict.fromkeys(map(_size_words, latest)))
    listed = " and ".join([", ".join(sizes[:-1]), sizes[-1]] if len(sizes) > 1 else sizes)
    many = last.chain_attempts
    attempts = f"its {many} attempts cost" if many > 1 else "its attempt cost"
    others = len(chains) - 1
    more = f"; {others} more of its runs ended alike" if others else ""
    switch = "" if _is_vouched(now.job) else f", or the label {SWITCH_LABEL}=on is put on it"
    return (
        f"{listed} did not help {last.display_name}, the same work, which was given up after "
        f"{moment_words(last.at)}; {attempts} ${last.chain_usd:.2f}{more}. It is tried again once its "
        f"image, arguments or input change{switch}, else after {moment_words(last.at + REPEATED_AFTER)}"
    )


def _size_words(one: VainAttempt) -> str:
    """`n1-highmem-16, a batch of 16` of what its chain had changed."""
    last = {change.field.rpartition(".")[2]: change.after for change in one.changes}
    pools: Sequence[Mapping[str, Any]] = one.size.get("pools") or ()
    named = list(dict.fromkeys(str(_hardware(pool)) for pool in pools))[:_MOST_NAMED]
    batch = one.size.get("batchSize") if "batchSize" in last else None
    changed = {field for field in last if field not in _IN_A_SIZE}
    others = [f"{field} {last[field]}" for field in sorted(changed)][:_MOST_NAMED]
    return ", ".join([*named, *([f"a batch of {batch}"] if batch else []), *others]) or "the same"


_MOST_NAMED = 2  # chosen: a sentence has room for two
_IN_A_SIZE = frozenset({"machineType", "acceleratorType", "acceleratorCount", "batchSize"})
