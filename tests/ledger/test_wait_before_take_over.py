"""The wait before a claim is taken again, second by second: no chance, no shorter wait survives.

A create went unanswered, or its sender was killed, and the list shows the job late. The event comes
again at every moment that matters, as Pub/Sub would bring it: never does a second job bear the claim,
and as soon as the wait is over the job is found, or made where there is none.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from remediator.domain import JobName, JobState
from remediator.ledger import Chain, Stage
from remediator.policy import load
from remediator.workflow.incident import consider
from tests.ledger.world import Execution, World

_WAIT = timedelta(minutes=2)
_LEASE = timedelta(minutes=10)
_STEPS = 80  # more than a delivery has

_LAGS = (0, 30, 60, 119, 120)  # seconds until the list shows a job; the wait is 120
_AGAIN = (0, 1, 5, 10, 30, 59, 60, 61, 90, 118, 119, 119.9, 120, 121, 180)


def _world(*, lease: timedelta = _LEASE, lag: float = 0) -> tuple[World, str]:
    world = World(lease=lease, wait=_WAIT)
    world.cloud.lag = timedelta(seconds=lag)
    return world, world.cloud.add()


def _run(execution: Execution | None) -> None:
    assert execution is not None
    for _ in range(_STEPS):
        if not execution.done:
            execution.step()
    assert execution.done
    assert execution.fault is None


def _deliver(world: World, name: str) -> None:
    _run(world.deliver(name))


def _chain(world: World) -> Chain:
    (chain,) = world.ledger.chains()
    return chain


def _jobs_made(world: World) -> int:
    return sum(len(names) for names in world.made().values())


def _ends_with_one_job(world: World) -> None:
    assert _jobs_made(world) == 1
    world.settle_down()
    assert _jobs_made(world) == 1
    chain = _chain(world)
    assert (chain.claim, [one.state for one in chain.attempts]) == (None, [JobState.SUCCEEDED])
    assert [[one.name] for one in chain.attempts] == list(world.made().values())
    assert all(one.stage is Stage.DONE for one in world.ledger.incidents())


# --- the sender lives: it heard no answer and said so ---------------------------------------------


@pytest.mark.parametrize("lag", _LAGS)
def test_an_unanswered_create_is_not_repeated_whenever_the_event_comes_again(lag: float) -> None:
    for seconds in _AGAIN:
        world, name = _world(lag=lag)
        world.cloud.next_outcome = "lost"
        _deliver(world, name)
        world.cloud.next_outcome = "answered"
        world.time += timedelta(seconds=seconds)
        _deliver(world, name)
        assert _jobs_made(world) == 1, f"again after {seconds} s"
        assert bool(_chain(world).attempts) == (seconds >= lag), f"again after {seconds} s"
    _ends_with_one_job(world)


@pytest.mark.parametrize("lag", _LAGS)
@pytest.mark.parametrize("outcome", ["lost", "answered"])
def test_an_unanswered_create_is_not_repeated_by_an_event_every_five_seconds(
    lag: float, outcome: str
) -> None:
    """As Pub/Sub delivers, `reconcile` doing its rounds beside it; `outcome` of a second create."""
    world, name = _world(lag=lag)
    world.cloud.next_outcome = "lost"
    _deliver(world, name)
    world.cloud.next_outcome = outcome
    for _ in range(40):
        world.time += timedelta(seconds=5)
        _deliver(world, name)
        if world.ledger.due(world.time, 1):
            _run(world.take_up())
        assert _jobs_made(world) == 1
    _ends_with_one_job(world)


def test_a_create_that_never_arrived_is_made_when_the_wait_is_over_and_not_before() -> None:
    for seconds in _AGAIN:
        world, name = _world()
        world.cloud.next_outcome = "never"
        _deliver(world, name)
        world.cloud.next_outcome = "answered"
        world.time += timedelta(seconds=seconds)
        _deliver(world, name)
        assert _jobs_made(world) == (seconds >= 120), f"again after {seconds} s"


def test_each_unanswered_create_is_waited_for_anew() -> None:
    """The first never arrived; the second, sent when the wait was over, did and is listed late."""
    world, name = _world(lag=119)
    world.cloud.next_outcome = "never"
    _deliver(world, name)
    world.time += _WAIT
    world.cloud.next_outcome = "lost"
    _deliver(world, name)
    assert _jobs_made(world) == 1
    world.cloud.next_outcome = "answered"
    for earlier, later in pairwise(_AGAIN):
        world.time += timedelta(seconds=later - earlier)
        _deliver(world, name)
        assert _jobs_made(world) == 1, f"again after {later} s"
    _ends_with_one_job(world)


def test_a_create_that_was_answered_with_not_now_is_sent_again_without_a_wait() -> None:
    world, name = _world()
    world.cloud.next_outcome = "throttled"
    _deliver(world, name)
    world.cloud.next_outcome = "answered"
    _deliver(world, name)
    _ends_with_one_job(world)


# --- the sender is killed: nobody knows what it sent ----------------------------------------------

_SENT_LAST = {  # seconds after the claim at which a holder sends at the latest, by its lease
    timedelta(minutes=10): 480,
    timedelta(minutes=2): 60,
    timedelta(minutes=1): 30,
    timedelta(seconds=1): 1,
}


def _claims(world: World, name: str) -> Execution:
    """An execution that holds the claim and has not sent: it stands before its last look at the clock."""
    execution = world.deliver(name)
    while not world.ledger.chains():
        execution.step()
    return execution


@pytest.mark.parametrize(("lease", "last"), _SENT_LAST.items(), ids=str)
@pytest.mark.parametrize("lag", [0, 119, 120])
def test_what_a_killed_sender_sent_at_the_last_moment_is_not_repeated(
    lease: timedelta, last: float, lag: float
) -> None:
    listed = timedelta(seconds=last - 0.001 + lag)
    after = sorted({lease, listed, timedelta(seconds=last), _WAIT + timedelta(seconds=last)})
    moments = [at + timedelta(seconds=shift) for at in after for shift in (-1, 0, 1)]
    for moment in moments:
        world, name = _world(lease=lease, lag=lag)
        sender = _claims(world, name)
        claimed = world.time
        world.time = claimed + timedelta(seconds=last - 0.001)
        while not sender.done and not world.made():
            sender.step()
        assert _jobs_made(world) == 1
        sender.kill()
        world.executions.remove(sender)
        world.time = max(world.time, claimed + moment)
        _deliver(world, name)
        assert _jobs_made(world) == 1, f"again {moment} after the claim"
    _ends_with_one_job(world)


@pytest.mark.parametrize(("lease", "last"), _SENT_LAST.items(), ids=str)
def test_a_holder_that_comes_to_its_create_too_late_sends_nothing(
    lease: timedelta, last: float
) -> None:
    for late in (0, 0.001, 1, 1000):
        world, name = _world(lease=lease)
        sender = _claims(world, name)
        world.time += timedelta(seconds=last + late)
        _run(sender)
        assert not world.made(), f"{late} s too late"


@pytest.mark.parametrize(("lease", "last"), _SENT_LAST.items(), ids=str)
def test_the_claim_of_a_killed_holder_is_taken_over_as_soon_as_what_it_sent_would_be_listed(
    lease: timedelta, last: float
) -> None:
    safe = max(lease, timedelta(seconds=last) + _WAIT)
    for moment, made in ((safe - timedelta(seconds=1), 0), (safe, 1)):
        world, name = _world(lease=lease)
        holder = _claims(world, name)
        claimed = world.time
        holder.kill()
        world.executions.remove(holder)
        world.time = claimed + moment
        _deliver(world, name)
        assert _jobs_made(world) == made, f"{moment} after the claim"


# --- the claim is no longer wanted ----------------------------------------------------------------

_OBSERVES = """\
version: 1
mode: observe
channels:
  people: {slack: {webhook: "env:HOOK"}}
policies:
  - name: again
    when: {}
    do: [{resubmit: {machine_type: more_memory}}]
    alert: [people]
"""


@pytest.mark.parametrize("seconds", [0, 5, 60, 118, 119, 120, 180])
def test_a_claim_that_is_no_longer_wanted_stands_while_its_job_may_be_unlisted(
    seconds: float,
) -> None:
    """The file says observe since: until the job is found, dropping the claim would lose it."""
    world, name = _world(lag=119)
    world.cloud.next_outcome = "lost"
    _deliver(world, name)
    world.time += timedelta(seconds=seconds)
    policies = load(_OBSERVES).policies
    assert policies is not None
    config = replace(world.story.config, policies=lambda: policies)
    observing = replace(world.story, config=config)
    job = world.cloud.get(JobName.parse(name))
    _run(Execution(lambda: consider(job, observing, known_since=world.time)))
    chain = _chain(world)
    assert (chain.claim is not None, len(chain.attempts)) == (seconds < 119, int(seconds >= 119))
    _ends_with_one_job(world)


def test_a_claim_that_is_no_longer_wanted_and_made_nothing_is_dropped_with_its_money() -> None:
    world, name = _world()
    world.cloud.next_outcome = "never"
    _deliver(world, name)
    assert _chain(world).reserved_usd > 0
    world.time += _WAIT
    policies = load(_OBSERVES).policies
    assert policies is not None
    config = replace(world.story.config, policies=lambda: policies)
    observing = replace(world.story, config=config)
    job = world.cloud.get(JobName.parse(name))
    _run(Execution(lambda: consider(job, observing, known_since=world.time)))
    chain = _chain(world)
    assert (chain.claim, chain.reserved_usd, chain.attempts) == (None, 0.0, ())
    assert not world.made()
