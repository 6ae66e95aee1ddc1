"""A round goes on: past a place that does not answer, past a document that cannot be read."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from remediator.alerts import AlertFacts, AlertKind, compose
from remediator.domain import JobName, TransientError
from remediator.job import Job
from remediator.ledger import Ledger, OutboxMessage, Stage
from remediator.ledger.records import doc_id
from remediator.workflow import reconcile, sweep
from tests.ledger.world import START, Cloud, World

FAR = "projects/1/locations/us-east1/customJobs/{}"


class FarAway(Cloud):
    """Of two places one does not answer."""

    def __init__(self, *more: Any, **named: Any) -> None:
        super().__init__(*more, **named)
        self.asked: Counter[str] = Counter()

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> Job:
        self.asked[name.location] += 1
        if name.location == "us-east1":
            msg = "504 deadline exceeded"
            raise TransientError(msg)
        return super().get(name, timeout_seconds=timeout_seconds)


def world_of(cloud: type[Cloud] = Cloud) -> World:
    return World(lease=timedelta(minutes=10), wait=timedelta(minutes=2), cloud=cloud)


def round_of(world: World) -> reconcile.Round:
    return reconcile.run(world.story, lambda *_: None, budget_seconds=60.0)


def test_a_place_that_does_not_answer_is_left_for_the_round_and_the_others_go_on() -> None:
    world = world_of(FarAway)
    for number in range(300):  # due before all others, and more of them than one look takes
        name = FAR.format(number)
        incident = world.incident(name, due=START - timedelta(hours=1))
        world.ledger.open(incident)
    near = [world.cloud.add() for _ in range(5)]
    for name in near:
        world.ledger.open(world.incident(name, due=START))
    done = round_of(world)
    assert world.cloud.asked["us-east1"] < 20  # eight at once, and what they had in hand
    assert done.postponed >= 300
    for name in near:
        found = world.ledger.incident(JobName.parse(name).key)
        assert found is not None
        assert found.stage is Stage.DONE


def test_a_job_that_cannot_be_read_is_no_place_that_hangs() -> None:
    places = sweep.LocationFailures()
    for answers in (False, True, False, True, False):
        (places.answered if answers else places.failed)("us-central1")
        assert not places.is_left("us-central1")
    places.failed("us-central1")
    assert places.is_left("us-central1")
    assert not places.is_left("us-east1")


# --- documents that cannot be read -----------------------------------------------------------------

TORN = '{"key": "us-central1/customJobs/77", "stage": "unset'
ODD = json.dumps({"key": "us-central1/customJobs/77", "job": 7, "first_known": "never"})
KEY = doc_id("us-central1/customJobs/77")


@pytest.mark.parametrize("text", [TORN, ODD, "[]", "null", '"text"', "{}", ""])
@pytest.mark.parametrize("collection", ["incidents", "debts"])
def test_an_unreadable_document_is_set_aside_and_told_once_and_the_round_goes_on(
    collection: str, text: str
) -> None:
    world = world_of()
    world.store.rows[collection, KEY] = (text, START - timedelta(hours=2), None)
    name = world.cloud.add()
    world.ledger.open(world.incident(name, due=START))
    for _ in range(3):
        round_of(world)
        world.time += timedelta(minutes=5)
    found = world.ledger.incident(JobName.parse(name).key)
    assert found is not None
    assert found.stage is Stage.DONE
    told = [one.title for one in world.told.messages if one.title.startswith("A document")]
    assert told == [f"A document of the ledger cannot be read: {collection}:{KEY}"]
    kept = world.store.get("damaged", doc_id(f"{collection}|{KEY}"))
    assert kept is not None
    assert kept["text"] == (text if text in {TORN, "[]", "null", '"text"', ""} else kept["text"])


@pytest.mark.parametrize("collection", ["incidents", "chains", "counters", "created"])
def test_a_failure_whose_documents_cannot_be_read_is_told_and_nothing_is_made(
    collection: str,
) -> None:
    world = world_of()
    name = world.cloud.add()
    key = JobName.parse(name).key
    at = {"counters": "usd:2026-11-23"}.get(collection, key)
    if collection != "incidents":
        world.ledger.open(world.incident(name, due=START))
    world.store.rows[collection, doc_id(at)] = (TORN, None, None)
    before = len(world.cloud.jobs)
    for _ in range(2):
        execution = world.deliver(name)
        while not execution.done:
            execution.step()
        assert execution.fault is None
    assert len(world.cloud.jobs) == before
    titles = [one.title for one in world.told.messages]
    assert titles[0] == f"A document of the ledger cannot be read: {collection}:{doc_id(at)}"
    if collection != "incidents":
        assert titles[1].startswith("Not resubmitted: training 1")
    assert len(titles) == (1 if collection == "incidents" else 2)


def test_an_unreadable_incident_is_known_and_not_announced_again() -> None:
    world = world_of()
    name = world.cloud.add()
    world.store.rows["incidents", doc_id(JobName.parse(name).key)] = (TORN, None, None)
    assert round_of(world).announced == 0


def test_an_unreadable_stop_switch_stops() -> None:
    ledger = Ledger((world := world_of()).store)
    world.store.rows["switches", "stop"] = (TORN, None, None)
    assert ledger.stopped()


def test_reports_leave_out_what_cannot_be_read() -> None:
    world = world_of()
    for collection in ("incidents", "chains"):
        world.store.rows[collection, KEY] = (TORN, None, None)
    world.ledger.open(world.incident(world.cloud.add(), due=START))
    assert len(world.ledger.incidents()) == 1
    assert world.ledger.chains() == ()


def test_an_attempt_whose_documents_cannot_be_read_is_asked_again_in_an_hour() -> None:
    world = world_of()
    name = world.cloud.add()
    execution = world.deliver(name)
    while not execution.done:
        execution.step()
    (made,) = (one for names in world.made().values() for one in names)
    world.store.rows["created", doc_id(JobName.parse(made).key)] = (TORN, None, None)
    world.cloud.end(made, "JOB_STATE_FAILED")
    for _ in range(3):
        world.time += timedelta(minutes=5)
        round_of(world)
    titles = [one.title for one in world.told.messages if one.title.startswith("A document")]
    assert len(titles) == 1
    found = world.ledger.incident(JobName.parse(made).key)
    assert found is not None
    assert found.due is not None
    assert found.due > world.time + timedelta(minutes=30)


class Unlisted(Cloud):
    """A Vertex whose lists end in a fault of ours."""

    def page(self, *_: Any, **__: Any) -> Any:
        msg = "a shape that nobody expected"
        raise LookupError(msg)


def test_what_is_owed_is_delivered_though_the_round_fails() -> None:
    world = world_of(Unlisted)
    world.ledger.enqueue((OutboxMessage("d", "people", MESSAGE, START, START),))
    with pytest.raises(LookupError):
        round_of(world)
    assert [one.title for one in world.told.messages] == ["Resubmitted: training"]


MESSAGE = compose(AlertFacts(AlertKind.OLD_FAILURES, root="old/1", count=1)).to_json() | {
    "title": "Resubmitted: training"
}
