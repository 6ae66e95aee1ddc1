"""Eight ways to treat a failed job. Each is told what its users would know, and nothing more.

A strategy answers the next request and after how many hours it is made, or None: it leaves it at
that. Only the engineer is told the cause, and only the oracle the needs.
"""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from msgspec.structs import replace

from bench.remediation.fleet import REGION, Body, Job
from bench.remediation.fleets import PLACE, Fleet
from bench.remediation.world import BATCH, CATALOGUE, Ran, first_at, run
from remediator.case import Case
from remediator.catalog.catalog import Hardware
from remediator.diagnosis import diagnose
from remediator.domain import Action, Attempt, Cause, Change, History, VainAttempt
from remediator.job import Job as VertexJob
from remediator.job.likeness import alike, vain_track
from remediator.ledger import PastOutcome
from remediator.planning import draft, plan, similar_sizes, vain
from remediator.policy import Policies
from remediator.workflow.similar_jobs import recoveries, successes

Next = tuple[Body, float]
RETRIES = 3
ENGINEER_HOURS = 0.5
SETTLE_HOURS = 7 / 60
SOON_HOURS = 1 / 60
SIZES = (4, 8, 16, 32, 64, 96)


class Strategy(ABC):
    """One way to treat failures."""

    name = ""
    fleet: Fleet

    def over(self, fleet: Fleet) -> Self:
        """This strategy, over the jobs of a fleet."""
        self.fleet = fleet
        return self

    @abstractmethod
    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        """Asked after each failure of a job, with all its runs so far."""

    def ended(self, job: Job, runs: list[Ran]) -> None:  # noqa: B027  # most learn nothing
        """The chain is over; a strategy that learns does so here."""


# --- requests --------------------------------------------------------------------------------------


def machine(body: Body) -> Body:
    """Empty for a batch of a publisher's model, which has no machine of its own."""
    if "dedicatedResources" in body:
        found: Body = body["dedicatedResources"]["machineSpec"]
    elif "jobSpec" not in body:
        found = {}
    else:
        found = body["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    return found


def hardware_of(body: Body) -> Hardware:
    """What the first pool of a request runs on."""
    held = machine(body)
    count = int(held.get("acceleratorCount") or 0)
    kind = held.get("acceleratorType") or "" if count else ""
    return Hardware(held.get("machineType", ""), kind, count)


def changed(body: Body, *, batch: int | None = None, **spec: Any) -> Body:
    copied = copy.deepcopy(body)
    held = machine(copied)
    for key, value in spec.items():
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value
    if batch is not None and held:
        copied["manualBatchTuningParameters"] = {"batchSize": batch}
    return copied


def bigger(body: Body) -> Body | None:
    match = re.fullmatch(r"(n1-[a-z]+)-(\d+)", machine(body).get("machineType", ""))
    if not match or int(match[2]) not in SIZES[:-1]:
        return None
    return changed(body, machineType=f"{match[1]}-{SIZES[SIZES.index(int(match[2])) + 1]}")


def batch_of(body: Body) -> int:
    return int((body.get("manualBatchTuningParameters") or {}).get("batchSize") or 64)


def with_gpu(body: Body, kind: str, count: int = 1) -> Body:
    if kind == "NVIDIA_L4":
        vcpus = int(machine(body)["machineType"].rpartition("-")[2])
        size = {4: "g2-standard-4", 8: "g2-standard-8", 16: "g2-standard-16"}.get(
            vcpus, "g2-standard-16"
        )
        return changed(body, machineType=size, acceleratorType=kind, acceleratorCount=1)
    return changed(body, acceleratorType=kind, acceleratorCount=count)


# --- what people use -------------------------------------------------------------------------------


class Nothing(Strategy):
    name = "no action"

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        return None


class Blind(Strategy):
    name = "blind retry, three times"

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        return (job.body, SOON_HOURS) if len(runs) <= RETRIES else None


class TransientOnly(Strategy):
    name = "retry transient codes"
    codes = frozenset({8, 10, 13, 14})  # RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        passes = runs[-1].run.error is not None and runs[-1].run.error[0] in self.codes
        return (job.body, SOON_HOURS) if passes and len(runs) <= RETRIES else None


class Doubling(Strategy):
    name = "double everything"

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        """As `memory = 8.GB * task.attempt` and its kin: CPUs and memory of the next size each time."""
        if len(runs) > RETRIES:
            return None
        body: Body | None = job.body
        for _ in runs:
            body = bigger(body) if body else None
        return (body, SOON_HOURS) if body else None


class Ladder(Strategy):
    name = "fixed ladder: n1-standard-8, -16, + T4"

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        steps = [
            changed(job.body, machineType="n1-standard-8"),
            changed(job.body, machineType="n1-standard-16"),
            with_gpu(changed(job.body, machineType="n1-standard-16"), "NVIDIA_TESLA_T4"),
        ]
        return (steps[len(runs) - 1], SOON_HOURS) if len(runs) <= len(steps) else None


# --- this product ----------------------------------------------------------------------------------


@dataclass
class Product(Strategy):
    """The policies in enforce over the pure core, with a ledger's memory of what worked."""

    policies: Policies
    name: str = "vertex-remediator"
    remembers: bool = True
    repeats: bool = False  # also what the same work tried in vain, as it was before that was kept
    ends: dict[str, list[PastOutcome]] = field(default_factory=dict)
    vain: dict[str, list[VainAttempt]] = field(default_factory=dict)
    spent: list[tuple[datetime, float]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    decided: list[tuple[Change, ...]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        if len(runs) == 1:
            self.attempts, self.decided, self.verdicts = [], [], []
        last = runs[-1]
        self._settle(runs)
        case = self._case(last, minutes=1)
        found = diagnose(case)
        delay = SOON_HOURS
        if not found.settled_by_error:
            delay = SETTLE_HOURS
            case = self._case(last, minutes=7)
            found = diagnose(case)
        self.verdicts.append(found.verdict.value)
        history = self._history(job, runs, case.now)
        made = plan(case, found, self.policies, history, CATALOGUE)
        if made.action is Action.WAIT and made.not_before is not None:
            delay += (made.not_before - case.now).total_seconds() / 3600
            made = plan(case, found, self.policies, history, CATALOGUE, waited=True)
        if made.action is not Action.RESUBMIT or made.request is None:
            return None
        self.attempts.append(
            Attempt(
                name=f"attempt/{job.index}/{len(runs)}",
                state=last.document.state,
                create_time=case.now,
                policy=made.policy,
                step=made.step,
                verdict=made.verdict.value,
                changes=made.changes,
                number=len(runs),
                estimated_usd=made.estimated_usd,
                entry=made.entry,
            )
        )
        self.decided.append(made.changes)
        self.spent.append((case.now, made.estimated_usd or 0.0))
        place = {PLACE: made.location} if made.location != case.job.name.location else {}
        held = {PLACE: case.job.name.location} if case.job.name.location != _home(job) else {}
        return {**made.request, **(place or held)}, delay

    def _case(self, last: Ran, *, minutes: float) -> Case:
        case = self.fleet.case_of(last, last.ended + timedelta(minutes=minutes))
        mended = recoveries(last.document, self._tracks(last.document), CATALOGUE)
        return replace(case, attempts=tuple(self.attempts), recoveries=mended)

    def _tracks(self, job: VertexJob) -> dict[str, list[PastOutcome]]:
        kept = self.ends if self.remembers else {}
        return {key: kept.get(key, []) for key in filter(None, (alike(job),))}

    def _settle(self, runs: list[Ran]) -> None:
        if len(runs) > 1 and self.spent:
            self.spent[-1] = (self.spent[-1][0], runs[-1].usd)

    def _history(self, job: Job, runs: list[Ran], now: datetime) -> History:
        tracks = self._tracks(runs[0].document)
        similar = successes(tracks)
        succeeded = max((one.at for one in similar), default=None)
        known = (
            self.vain.get(vain_track(runs[0].document), [])
            if self.remembers and not self.repeats
            else []
        )
        hour = now - timedelta(hours=1)
        account = runs[0].document.service_account or ""
        group = ("service_account", account)
        return History(
            attempts=tuple(self.attempts),
            root=str(runs[0].document.name),
            usd_this_job=sum(one.usd for one in runs[1:]),
            usd_today=sum(usd for at, usd in self.spent if at.date() == now.date()),
            resubmissions_last_hour=sum(at > hour for at, _ in self.spent),
            spent_by={group: 0.0},
            resubmitted_by={group: 0},
            sizes_that_worked=tuple(one.size for one in similar),
            longest_similar_seconds=max((one.seconds or 0.0 for one in similar), default=None),
            vain=tuple(one for one in known if succeeded is None or one.at > succeeded),
        )

    def ended(self, job: Job, runs: list[Ran]) -> None:
        self._settle(runs)
        if runs[-1].succeeded and len(runs) > 1:
            document = runs[-1].document
            last = self.attempts[-1]
            size = similar_sizes.size_of(document)
            end = PastOutcome(
                runs[-1].ended, last.policy, True, size, document.run_seconds, last.verdict
            )
            for key in filter(None, (alike(document),)):
                self.ends.setdefault(key, []).append(end)
        elif len(runs) > 1:
            self._keep_what_was_in_vain(runs)

    def _keep_what_was_in_vain(self, runs: list[Ran]) -> None:
        made = tuple(
            replace(one, name=str(ran.document.name), end_time=ran.ended, state=ran.document.state)
            for one, ran in zip(self.attempts, runs[1:], strict=False)
        )
        found = vain.attempts_in_vain(
            self._case(runs[-1], minutes=7),
            made,
            Cause(self.verdicts[-1]),
            root=str(runs[0].document.name),
            usd=sum(one.usd for one in runs[1:]),
        )
        if key := vain_track(draft.origin(runs[-1].document, made)):
            self.vain.setdefault(key, []).extend(found)


def _home(job: Any) -> str:
    """The region of a job's first run."""
    return str(getattr(job, "region", "") or REGION)


class Failover(Strategy):
    """SkyPilot's managed jobs: the next place at once where there is no machine, again where one was
    taken back, and nothing where the program itself failed."""

    name = "failover of places, as SkyPilot's"
    places = ("us-central1", "us-east1", "us-east4", "us-west1", "us-west4", "europe-west1",
              "europe-west4", "asia-southeast1", "asia-northeast1")  # fmt: skip

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        last = runs[-1]
        code, words = last.run.error or (0, "")
        if len(runs) > len(self.places) + 3:
            return None
        if "preempt" in words.lower() or "STOCKOUT" in words:
            return self._held(job, last), SOON_HOURS
        if last.run.started or code != 8:  # RESOURCE_EXHAUSTED
            return None
        here = _home(job).partition("-")[0]
        near = sorted(self.places, key=lambda one: one.partition("-")[0] != here)
        tried = {one.document.name.location for one in runs}
        left = [one for one in near if one not in tried]
        return ({**self._held(job, last), PLACE: left[0]}, SOON_HOURS) if left else None

    def _held(self, job: Job, last: Ran) -> Body:
        return {**job.body, PLACE: last.document.name.location}


# --- people who know more --------------------------------------------------------------------------


@dataclass
class Engineer(Strategy):
    """`allowed`: lists that bind the engineer too, who gives up where the usual remedy is outside them."""

    allowed: Callable[[Hardware], bool] = lambda _: True
    name: str = "a good engineer told the cause"
    _last: Body = field(default_factory=dict)

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        """Half an hour after each failure, the usual remedy for the true cause, six times at most."""
        if len(runs) > 6:
            return None
        body = dict(job.body) if len(runs) == 1 else self._last
        made = self.fleet.remedy(job, body, len(runs))
        if made is None or not self.allowed(hardware_of(made)):
            return None
        self._last = made
        return made, ENGINEER_HOURS


def _give_up(body: Body, job: Job, made: int) -> Body | None:
    return None


def _again(body: Body, job: Job, made: int) -> Body | None:
    return body


def _for_memory(body: Body, job: Job, made: int) -> Body | None:
    if job.kind == BATCH and made == 1:
        return changed(body, batch=max(1, batch_of(body) // 4))
    held = machine(body)["machineType"]
    if "standard" in held:
        vcpus = int(held.rpartition("-")[2])
        return changed(body, machineType=f"n1-highmem-{vcpus * 2 if vcpus < 96 else vcpus}")
    return bigger(body)


def _for_cpu(body: Body, job: Job, made: int) -> Body | None:
    return bigger(body)


def _for_too_large(body: Body, job: Job, made: int) -> Body | None:
    size = batch_of(body)
    return changed(body, batch=max(1, size // 4)) if size > 1 else bigger(body)


def _for_gpu(body: Body, job: Job, made: int) -> Body | None:
    if "acceleratorType" not in machine(body):
        return with_gpu(body, "NVIDIA_TESLA_T4")
    return with_gpu(body, "NVIDIA_L4")


def _for_gpu_memory(body: Body, job: Job, made: int) -> Body | None:
    if job.kind == BATCH and made == 1:
        return changed(body, batch=max(1, batch_of(body) // 4))
    return with_gpu(body, "NVIDIA_L4")


def _on_demand(body: Body, job: Job, made: int) -> Body | None:
    copied = copy.deepcopy(body)
    copied["jobSpec"]["scheduling"].pop("strategy", None)
    return copied


_REMEDIES: dict[str, Callable[[Body, Job, int], Body | None]] = {
    "memory_pressure": _for_memory,
    "cpu_saturation": _for_cpu,
    "request_too_large": _for_too_large,
    "accelerator_missing": _for_gpu,
    "gpu_memory": _for_gpu_memory,
    "slow_startup": _for_cpu,
    "transient_backend": _again,
    "capacity_stockout": _again,
    "preemption": _on_demand,
}


def remedy(job: Job, body: Body, made: int) -> Body | None:
    """What the engineer does about a job of the first fleet."""
    return _REMEDIES.get(job.cause, _give_up)(body, job, made)


class Oracle(Strategy):
    name = "an oracle"

    def decide(self, job: Job, runs: list[Ran]) -> Next | None:
        """The cheapest request that succeeds, made once, when luck allows it."""
        if len(runs) > 1:
            return None
        best = self.fleet.cheapest(job)
        waits = job.passes_hours if job.says or job.passes_hours else 0.0
        return (best, max(ENGINEER_HOURS, waits)) if best is not None else None


def cheapest(job: Job, allowed: Callable[[Hardware], bool] = lambda _: True) -> Body | None:
    """Of every size that is searched, the cheapest on which the job succeeds."""
    found: list[tuple[float, Body]] = []
    for body in _candidates(job):
        ran = run(job, body, 2, first_at(job) + timedelta(hours=job.passes_hours))
        if ran.succeeded:
            found.append((ran.usd, body))
    return min(found, key=lambda one: one[0])[1] if found else None


def _candidates(job: Job) -> Iterable[Body]:
    held = machine(job.body)
    gpus: list[Body] = [job.body]
    if job.needs.gpu != "none":
        gpus += [with_gpu(job.body, "NVIDIA_TESLA_T4"), with_gpu(job.body, "NVIDIA_L4")]
    yield job.body
    if job.cause == "preemption":
        yield _on_demand(job.body, job, 1)
    batches = (64, 32, 16, 8, 4, 2, 1) if job.kind == BATCH else (None,)
    for body in gpus:
        l4 = machine(body).get("acceleratorType") == "NVIDIA_L4"
        families = ("g2-standard",) if l4 else ("n1-standard", "n1-highmem")
        for family in families:
            for size in (4, 8, 12, 16, 24, 32) if l4 else SIZES:
                if size < int(held["machineType"].rpartition("-")[2]) // 2:
                    continue
                for batch in batches:
                    yield changed(body, machineType=f"{family}-{size}", batch=batch)


# --- what was right to do --------------------------------------------------------------------------

RIGHT: dict[str, frozenset[str]] = {
    "memory_pressure": frozenset({"machine", "batch"}),
    "cpu_saturation": frozenset({"machine", "accelerator", "timeout", "batch"}),
    "request_too_large": frozenset({"batch", "machine", "accelerator"}),
    "accelerator_missing": frozenset({"accelerator"}),
    "gpu_memory": frozenset({"batch", "accelerator"}),
    "slow_startup": frozenset({"machine"}),
    "transient_backend": frozenset({"same"}),
    "capacity_stockout": frozenset({"same", "machine", "spot"}),
    "preemption": frozenset({"same", "spot"}),
}


def is_right(job: Job, before: Body, after: Body) -> bool:
    """Whether a resubmission's change is a remedy for the true cause."""
    made = _kinds_of_change(before, after)
    return bool(made & RIGHT.get(job.cause, frozenset()))


def _kinds_of_change(before: Body, after: Body) -> frozenset[str]:
    found = set()
    old, new = machine(before), machine(after)
    if (old.get("acceleratorType"), old.get("acceleratorCount")) != (
        new.get("acceleratorType"),
        new.get("acceleratorCount"),
    ):
        found.add("accelerator")
    elif old["machineType"] != new["machineType"]:
        found.add("machine")
    if batch_of(before) != batch_of(after):
        found.add("batch")
    old_plan = (before.get("jobSpec") or {}).get("scheduling") or {}
    new_plan = (after.get("jobSpec") or {}).get("scheduling") or {}
    if old_plan.get("timeout") != new_plan.get("timeout"):
        found.add("timeout")
    if old_plan.get("strategy") != new_plan.get("strategy"):
        found.add("spot")
    return frozenset(found or {"same"})
