"""Any interleaving of executions, killed anywhere: at most one job under a claim, and nothing lost.

Hypothesis drives the real story in `world`: deliveries of the same failures run side by side, one step
at a time, in any order; each may be killed at each step or lose the ledger's answer; creates are
answered, lost, never made, throttled or refused; the job list lags by up to the consistency wait.
Owners delete jobs that have ended; jobs of two teams run for days, told of by an entry or not, and
what runs costs more each time it is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remediator.domain import JobName, JobState
from remediator.ledger import Chain, Conclusion, Stage
from remediator.ledger.firestore import FirestoreStore
from remediator.workflow import reconcile
from tests.ledger.fake_firestore import FakeFirestore
from tests.ledger.world import ATTEMPTS, TEAMS, Execution, World

_HANDS_AT_ONCE = 4
_WAIT = timedelta(minutes=2)


class Interleavings(RuleBasedStateMachine):
    """Lease 10 m, consistency wait 2 m: the defaults."""

    lease = timedelta(minutes=10)

    @initialize(
        failures=st.integers(1, 2),
        moods=st.sampled_from(
            (
                ("answered", "lost"),
                ("answered", "lost", "never"),
                ("lost", "never"),
                ("answered", "throttled", "never"),
                ("answered", "lost", "never", "throttled", "refused"),
            )
        ),
        may_stop=st.sampled_from((False, False, False, True)),
        may_delete=st.booleans(),
        days=st.sampled_from((0, 0, 2)),
    )
    def failed_jobs(
        self, failures: int, moods: tuple[str, ...], may_stop: bool, may_delete: bool, days: int
    ) -> None:
        self.world = self.new_world()
        self.disturbed = 0
        self.refused = False
        self.stopped = False
        self.moods, self.may_stop = moods, may_stop
        self.may_delete, self.days_left = may_delete, days
        self.longs_left = 1
        for _ in range(failures):
            self.world.cloud.add()

    def new_world(self) -> World:
        return World(lease=self.lease, wait=_WAIT)

    def documents(self) -> dict[tuple[str, str], Any]:
        """Every document of the ledger."""
        return {at: json.loads(row[0]) for at, row in self.world.store.rows.items()}

    # --- what may happen ---------------------------------------------------------------------------

    @precondition(lambda self: len(self.world.executions) < _HANDS_AT_ONCE)
    @rule(data=st.data())
    def an_event_is_delivered(self, data: st.DataObject) -> None:
        """Of any job: entries come while one still runs, or after it is gone, and can be forged."""
        known = sorted(self.world.cloud.ever())
        execution = self.world.deliver(data.draw(st.sampled_from(known), label="job"))
        for _ in range(data.draw(st.integers(0, 20), label="steps")):
            if not execution.done:
                execution.step()

    @precondition(
        lambda self: (
            len(self.world.executions) < _HANDS_AT_ONCE
            and self.world.ledger.due(self.world.time, 1)
        )
    )
    @rule()
    def reconcile_takes_one_up(self) -> None:
        self.world.take_up()

    @precondition(lambda self: self.world.executions)
    @rule(which=st.integers(0, _HANDS_AT_ONCE - 1), steps=st.sampled_from((1, 1, 1, 2, 3, 8, 50)))
    def a_hand_goes_on(self, which: int, steps: int) -> None:
        execution = self.world.executions[which % len(self.world.executions)]
        for _ in range(steps):
            if not execution.done:
                execution.step()
        if execution.done:
            self.world.executions.remove(execution)
            if execution.fault is not None:
                raise execution.fault

    @precondition(lambda self: self.world.executions)
    @rule(which=st.integers(0, _HANDS_AT_ONCE - 1))
    def a_hand_is_killed(self, which: int) -> None:
        execution = self.world.executions.pop(which % len(self.world.executions))
        self.disturbed += 1
        execution.kill()

    @precondition(lambda self: self.world.executions)
    @rule(which=st.integers(0, _HANDS_AT_ONCE - 1))
    def a_hand_loses_the_ledgers_next_answer(self, which: int) -> None:
        self.disturbed += 1
        self.world.executions[which % len(self.world.executions)].loses_next_answer = True

    @rule(minutes=st.sampled_from((0.1, 1, 1.9, 2, 3, 5, 9, 10, 13)))
    def time_passes(self, minutes: float) -> None:
        self.world.time += timedelta(minutes=minutes)

    @precondition(lambda self: self.days_left)
    @rule(days=st.sampled_from((1.1, 3)))
    def days_pass(self, days: float) -> None:
        self.days_left -= 1
        self.world.time += timedelta(days=days)

    @precondition(lambda self: self.longs_left)
    @rule()
    def somebody_starts_a_job(self) -> None:
        self.longs_left -= 1
        self.world.cloud.add("JOB_STATE_RUNNING")

    @precondition(lambda self: self.may_delete and self._ended())
    @rule(which=st.integers(0, 9))
    def an_owner_deletes_a_job(self, which: int) -> None:
        ended = self._ended()
        self.world.cloud.delete(ended[which % len(ended)])

    def _ended(self) -> list[str]:
        jobs = self.world.cloud.jobs.items()
        return sorted(name for name, body in jobs if body["state"] != "JOB_STATE_RUNNING")

    @rule(
        mood=st.integers(0, 4),
        lag=st.sampled_from((0, 30, 119, 120)),
    )
    def the_cloud_changes_its_mood(self, mood: int, lag: int) -> None:
        outcome = self.moods[mood % len(self.moods)]
        self.world.cloud.next_outcome = outcome
        self.world.cloud.lag = timedelta(seconds=lag)
        self.refused = self.refused or outcome == "refused"

    @precondition(
        lambda self: any(b["state"] == "JOB_STATE_RUNNING" for b in self.world.cloud.jobs.values())
    )
    @rule(
        state=st.sampled_from(("JOB_STATE_FAILED", "JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED")),
        which=st.integers(0, 3),
    )
    def a_running_job_ends(self, state: str, which: int) -> None:
        jobs = self.world.cloud.jobs.items()
        running = [name for name, body in jobs if body["state"] == "JOB_STATE_RUNNING"]
        self.world.cloud.end(running[which % len(running)], state)

    @precondition(lambda self: self.may_stop)
    @rule(on=st.booleans())
    def somebody_turns_the_stop_switch(self, on: bool) -> None:
        self.stopped = self.stopped or on
        self.world.ledger.switch_stop(on=on, by="me", now=self.world.time)

    # --- what must hold at every moment ------------------------------------------------------------

    @invariant()
    def no_claim_has_two_jobs(self) -> None:
        for token, names in self.world.made().items():
            assert len(names) == 1, f"{token} was made into {names}"

    @invariant()
    def every_job_made_belongs_to_its_chain_and_each_attempt_is_counted_once(self) -> None:
        recorded = [one for chain in self.world.ledger.chains() for one in chain.attempts]
        standing = {c.claim.token for c in self.world.ledger.chains() if c.claim is not None}
        assert len({one.claim for one in recorded}) == len(recorded)
        made = self.world.made()
        for one in recorded:
            assert made[one.claim] == [one.name]
        # Made by a hand that was then killed, and deleted by its owner before anybody looked: nobody
        # can know of it.
        unseen = {one for one, names in made.items() if set(names) <= set(self.world.cloud.deleted)}
        assert set(made) - unseen <= {one.claim for one in recorded} | standing
        for chain in self.world.ledger.chains():
            numbers = [one.number for one in chain.attempts]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) + (chain.claim is not None) <= ATTEMPTS
            assert chain.root not in {name for names in made.values() for name in names}

    @invariant()
    def what_is_set_aside_and_spent_is_what_is_counted(self) -> None:
        """Over all days together; of everybody, and of each team apart."""
        counted: dict[str, float] = dict.fromkeys(("", *TEAMS), 0.0)
        for (kind, key), body in self.documents().items():
            if kind == "counters":
                _, _, _, team = (*key.split(":", 3), "", "")[:4]
                counted[team] += body.get("total", 0.0)
        held = dict.fromkeys(counted, 0.0)
        for chain in self.world.ledger.chains():
            team = self.world.cloud.ever()[chain.root]["jobSpec"]["serviceAccount"]
            for whose in ("", team):
                held[whose] += chain.spent_usd + chain.reserved_usd
        assert counted == pytest.approx(held, abs=1e-6)

    @invariant()
    def what_still_runs_is_never_concluded(self) -> None:
        for name, body in self.world.cloud.jobs.items():
            found = self.world.ledger.incident(JobName.parse(name).key)
            assert (
                body["state"] != "JOB_STATE_RUNNING" or not found or found.stage is not Stage.DONE
            )

    @invariant()
    def only_a_resubmission_that_was_recorded_is_told(self) -> None:
        attempts = sum(len(one.attempts) for one in self.world.ledger.chains())
        told = [one for one, outcome in self.world.outcomes if not outcome["final"]]
        assert len(set(told)) <= attempts
        assert len(told) <= attempts + self.disturbed

    # --- and in the end ------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.settle_down()
        self.no_claim_has_two_jobs()
        self.every_job_made_belongs_to_its_chain_and_each_attempt_is_counted_once()
        self.what_is_set_aside_and_spent_is_what_is_counted()
        ledger = self.world.ledger
        chains = {chain.key: chain for chain in ledger.chains()}
        assert all(one.stage is Stage.DONE for one in ledger.incidents())
        assert all(one.claim is None for one in chains.values())
        assert all(a.state.is_terminal for c in chains.values() for a in c.attempts)
        for name, body in self.world.cloud.jobs.items():
            known = ledger.incident(JobName.parse(name).key)
            assert known or body["state"] == "JOB_STATE_SUCCEEDED", f"{name} was missed"
        for name in self.world.cloud.jobs:
            self._ended_well(name, chains.get(JobName.parse(name).key))
        self.each_state_was_told_once_and_again_only_after_a_crash()

    def _ended_well(self, name: str, chain: Chain | None) -> None:
        """A job of somebody's that failed was fixed, or tried as often as it may be."""
        body = self.world.cloud.jobs[name]
        incident = self.world.ledger.incident(JobName.parse(name).key)
        if body.get("labels") or body["state"] == "JOB_STATE_SUCCEEDED":
            return
        assert incident is not None
        if incident.conclusion is Conclusion.TOO_OLD:  # nobody told of it for hours
            return
        attempts = chain.attempts if chain else ()
        gone = any(one.name in self.world.cloud.deleted for one in attempts)
        recovered = bool(attempts) and attempts[-1].state is JobState.SUCCEEDED
        well = recovered or len(attempts) == ATTEMPTS
        assert well or gone or self.refused or self.stopped, f"{name} was given up"

    def each_state_was_told_once_and_again_only_after_a_crash(self) -> None:
        later = self.world.time + timedelta(days=30)
        assert not self.world.ledger.messages_due(later, 10)
        outbox_messages = [at for at in self.documents() if at[0] == "debts"]
        alerts = [key for _, key in outbox_messages if key.endswith("|people")]
        told = self.world.told.messages
        grouped = [one for one in told if "grouped" in one.thread_key]
        if not grouped:
            assert len(alerts) <= len(told) <= len(alerts) + self.disturbed + _HANDS_AT_ONCE


class ShortLease(Interleavings):
    """A lease shorter than the list's lag: slower to take over, and no less safe."""

    lease = timedelta(minutes=1)


class TwoInstances(Interleavings):
    """Two processes on one Firestore, each with what it keeps of what it saw."""

    def new_world(self) -> World:
        self.firestore = FakeFirestore()
        return World(lease=self.lease, wait=_WAIT, stores=_instances(self.firestore))

    def documents(self) -> dict[tuple[str, str], Any]:
        return {at: json.loads(body) for at, body in self.firestore.rows.items()}


def _instances(firestore: Any) -> tuple[FirestoreStore, ...]:
    return tuple(FirestoreStore("p", "d", "c", open_client=lambda _: firestore) for _ in range(2))


_CHECKED = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = _CHECKED
TestShortLease = ShortLease.TestCase
TestShortLease.settings = settings(_CHECKED, max_examples=30)
TestTwoInstances = TwoInstances.TestCase
TestTwoInstances.settings = settings(_CHECKED, max_examples=40)


# --- and without chance: each step in turn ---------------------------------------------------------

_STEPS = 60  # more than a delivery has


def _two_instances() -> tuple[FirestoreStore, ...]:
    return _instances(FakeFirestore())


def _world(outcome: str, stores: Sequence[Any] = ()) -> tuple[World, str]:
    world = World(lease=timedelta(minutes=10), wait=_WAIT, stores=stores)
    world.cloud.next_outcome = outcome
    return world, world.cloud.add()


def _ends_well(world: World) -> None:
    """Everybody is killed, reconcile runs: one job was made, it was told once or twice."""
    world.settle_down()
    assert [len(names) for names in world.made().values()] == [1]
    (chain,) = world.ledger.chains()
    assert (chain.claim, [one.state for one in chain.attempts]) == (None, [JobState.SUCCEEDED])
    assert all(one.stage is Stage.DONE for one in world.ledger.incidents())
    assert len({one for one, _ in world.outcomes}) == 2  # resubmitted, recovered
    resubmitted = [one for one in world.told.messages if one.title.startswith("Resubmitted")]
    assert 1 <= len(resubmitted) <= 2


@pytest.mark.parametrize("outcome", ["answered", "lost", "never", "throttled"])
def test_a_hand_killed_at_each_step_leaves_one_job(outcome: str) -> None:
    for step in range(_STEPS):
        world, name = _world(outcome)
        execution = world.deliver(name)
        for _ in range(step):
            if not execution.done:
                execution.step()
        was_done = execution.done
        _ends_well(world)
        if was_done:
            break
    assert 10 < step < _STEPS - 1


@pytest.mark.parametrize("outcome", ["answered", "never"])
@pytest.mark.parametrize(
    "stores", [tuple, _two_instances], ids=["one-ledger", "two-instances-on-firestore"]
)
def test_two_hands_each_killed_at_each_step_leave_one_job(
    stores: Callable[[], Sequence[Any]], outcome: str
) -> None:
    """The first stops, and lives on; the second runs up to its step; then the first goes on."""
    for first_step in range(0, _STEPS, 3):
        for second_step in range(0, _STEPS, 5):
            world, name = _world(outcome, stores())
            first, second = world.deliver(name), world.deliver(name)
            _go_on(first, first_step)
            first_was_done = first.done
            _go_on(second, second_step)
            _go_on(first, _STEPS)
            both_done = first.done and second.done
            _ends_well(world)
            if both_done:
                break
        if first_was_done:  # with more steps to its stop it would go the same ways again
            break
    assert 10 < first_step < _STEPS - 3


def _go_on(execution: Execution, steps: int) -> None:
    for _ in range(steps):
        if not execution.done:
            execution.step()


@pytest.mark.parametrize("outcome", ["answered", "lost", "never", "throttled"])
@pytest.mark.parametrize("lag", [0, 120], ids=["listed-at-once", "listed-late"])
def test_a_failed_job_deleted_at_each_step_leaves_nothing_unwatched(outcome: str, lag: int) -> None:
    """The owner deletes it, the execution goes on; then everybody is killed and reconcile runs."""
    for step in range(_STEPS):
        world, name = _world(outcome)
        world.cloud.lag = timedelta(seconds=lag)
        execution = world.deliver(name)
        for _ in range(step):
            if not execution.done:
                execution.step()
        was_done = execution.done
        world.cloud.delete(name)
        for _ in range(_STEPS):
            if not execution.done:
                execution.step()
        world.settle_down()
        assert execution.fault is None
        made = [name for names in world.made().values() for name in names]
        recorded = [one for chain in world.ledger.chains() for one in chain.attempts]
        assert [one.name for one in recorded] == made
        assert len(made) <= 1
        assert all(one.state is JobState.SUCCEEDED for one in recorded)
        assert all(chain.claim is None for chain in world.ledger.chains())
        assert all(one.stage is Stage.DONE for one in world.ledger.incidents())
        assert len({one for one, _ in world.outcomes}) == 2 * len(made)
        if was_done:
            break
    assert 10 < step < _STEPS - 1


@pytest.mark.parametrize("days", [0.5, 3, 30])
def test_a_job_that_runs_for_days_is_handled_when_it_fails(days: float) -> None:
    world = World(lease=timedelta(minutes=10), wait=_WAIT)
    name = world.cloud.add("JOB_STATE_RUNNING")
    for _ in range(3):
        execution = world.deliver(name)
        while not execution.done:
            execution.step()
        world.time += timedelta(days=days / 3)
        incident = world.ledger.incident(JobName.parse(name).key)
        assert incident is not None
        assert incident.stage is Stage.FOLLOWED
    world.cloud.end(name, "JOB_STATE_FAILED")
    _ends_well(world)


def test_an_attempt_counts_more_each_time_it_is_looked_at_and_in_the_days_it_ran() -> None:
    world, name = _world("answered")
    execution = world.deliver(name)
    while not execution.done:
        execution.step()
    (chain,) = world.ledger.chains()
    before = chain.reserved_usd
    for _ in range(3):
        world.time += timedelta(hours=20)
        for incident in world.ledger.due(world.time, 9):
            world.executions.append(
                Execution(lambda one=incident: reconcile._take_up(one, world.story))
            )
            while not world.executions[-1].done:
                world.executions[-1].step()
        (chain,) = world.ledger.chains()
        assert chain.reserved_usd > before
        before = chain.reserved_usd
    days = {key for kind, key in world.store.rows if kind == "counters" and key.startswith("usd:")}
    assert {key.split(":")[1] for key in days} == {"2026-11-23", "2026-11-24", "2026-11-25"}
    world.settle_down()
    (chain,) = world.ledger.chains()
    assert (chain.reserved_usd, chain.spent_usd > before) == (0.0, True)
