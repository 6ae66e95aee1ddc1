"""Outcomes for programs that wait: published on Google's own Pub/Sub emulator, and waited for by the
examples as they stand in the documentation."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from remediator.cli.main import main
from remediator.report.chain_status import ChainStatus
from tests.reliability import test_dead_letters
from tests.stories.conftest import ROOT
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from tests.waiting import HANG_SECONDS
from twin import faults

emulator = test_dead_letters.emulator
TOPIC = "projects/genomics-lab/topics/outcomes"
SUBSCRIPTION = "projects/genomics-lab/subscriptions/my-pipeline"
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def subscriber(emulator: str) -> Iterator[SubscriberClient]:
    """The emulator with the outcomes' topic and a subscription to it, ordered."""
    with grpc.insecure_channel(emulator) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        publisher.create_topic(name=TOPIC)
        client.create_subscription(
            request={
                "name": SUBSCRIPTION,
                "topic": TOPIC,
                "enable_message_ordering": True,
                "ack_deadline_seconds": 60,
            }
        )
        yield client
        client.delete_subscription(subscription=SUBSCRIPTION)
        publisher.delete_topic(topic=TOPIC)


@pytest.fixture
def house(open_house: Callable[..., Any], emulator: str) -> Any:
    return open_house(
        PUBSUB_EMULATOR_HOST=emulator,
        REMEDIATOR_OUTCOMES_TOPIC="outcomes",
        REMEDIATOR_LOOKBACK="48h",
    )


def pulled(subscriber: SubscriberClient, most: int = 10) -> list[tuple[str, dict[str, Any]]]:
    """(ordering key, outcome) of what waits, in the order of delivery."""
    answer = subscriber.pull(subscription=SUBSCRIPTION, max_messages=most, timeout=60)
    letters = list(answer.received_messages)
    if letters:  # a pull may come back with nothing, though something waits
        subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[one.ack_id for one in letters])
    return [(one.message.ordering_key, json.loads(one.message.data)) for one in letters]


def recover(house: Any, cloud: Any, name: str = "align-reads") -> Any:
    """A chain that recovers at its first attempt; its first job."""
    job = cloud.past_job(
        "customJobs", custom_job(name), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)
    house.reconcile()
    return job


def test_each_change_of_a_chain_is_published_in_order_as_follow_says_it(
    house: Any, cloud: Any, subscriber: SubscriberClient, capsys: pytest.CaptureFixture[str]
) -> None:
    job = recover(house, cloud)
    (made,) = made_jobs(cloud, job)
    told: list[tuple[str, dict[str, Any]]] = []
    while len(told) < 2:
        told += pulled(subscriber)
    assert {key for key, _ in told} == {job["name"]}
    first, last = (outcome for _, outcome in told)
    assert first == {
        "root": job["name"],
        "current": made["name"],
        "attempt": 1,
        "state": "JOB_STATE_PENDING",
        "output": None,
        "final": False,
        "reason": first["reason"],
        "advice": "Nothing. You will hear whether it recovered.",
        "url": first["url"],
        "outputs": [],
        "waits_for": None,
        "previous": job["name"],
        "verdict": "cpu_saturation",
        "action": "resubmit",
        "time": first["time"],
    }
    assert first["reason"].startswith("Resubmitted: align-reads failed (CPUs full), now on ")
    assert first["url"].startswith("https://console.cloud.google.com/")
    assert last["reason"].startswith("Recovered: align-reads succeeded on n1-standard-16")
    capsys.readouterr()
    assert main(["follow", job["name"], "--json"]) == 0
    followed = json.loads(capsys.readouterr().out)
    assert {name: last[name] for name in followed} == followed
    assert main(["follow", job["name"].rpartition("/")[2], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == followed


def test_an_outcome_is_owed_until_the_topic_takes_it(
    house: Any, cloud: Any, subscriber: SubscriberClient, later: Any
) -> None:
    """The log took the entry, the topic did not: both are tried again, and the log keeps one."""
    cloud.fail("LoggingServiceV2.WriteLogEntries", faults.lost_answer("INTERNAL"), times=9)
    job = recover(house, cloud)
    for _ in range(4):
        later(hours=2)
        house.reconcile()
    told: list[tuple[str, dict[str, Any]]] = []
    while len(told) < 2:
        told += pulled(subscriber)
    assert [outcome["final"] for _, outcome in told][-1] is True
    assert {outcome["root"] for _, outcome in told} == {job["name"]}


def waited(job: str, emulator: str) -> subprocess.CompletedProcess[str]:
    """The plain script, waiting for one job's chain."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "wait_for_chain.py"), job, "--subscription", SUBSCRIPTION],
        env={**os.environ, "PUBSUB_EMULATOR_HOST": emulator},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("JOB_STATE_SUCCEEDED", 0),
        ("PIPELINE_STATE_SUCCEEDED", 0),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", 1),
        ("JOB_STATE_FAILED", 1),
    ],
)
def test_the_plain_script_takes_results_in_part_for_no_success(
    subscriber: SubscriberClient, emulator: str, state: str, code: int
) -> None:
    assert subscriber
    root = "projects/genomics-lab/locations/us-central1/batchPredictionJobs/7"
    outcome = {"root": root, "attempt": 1, "state": state, "final": True, "output": "gs://out/7"}
    with grpc.insecure_channel(emulator) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        letter = {"data": json.dumps(outcome).encode(), "ordering_key": root}
        publisher.publish(request={"topic": TOPIC, "messages": [letter]})
    done = waited(root, emulator)
    assert (done.returncode, done.stdout) == (code, "gs://out/7\n")


def test_the_plain_script_waits_for_its_own_chain(
    house: Any, cloud: Any, subscriber: SubscriberClient, emulator: str
) -> None:
    other = recover(house, cloud, "another-teams")
    job = recover(house, cloud)
    named_by_id = job["name"].replace(cloud.number, cloud.project)
    done = waited(named_by_id, emulator)
    acted, recovered = done.stderr.splitlines()
    assert acted.startswith("attempt 1: Resubmitted: align-reads failed (CPUs full), now on ")
    assert recovered.startswith("attempt 1: Recovered: align-reads succeeded on n1-standard-16")
    assert done.returncode == 0
    left: list[tuple[str, dict[str, Any]]] = []
    while len(left) < 2:
        left += pulled(subscriber)
    assert {outcome["root"] for _, outcome in left} == {other["name"]}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_compiles_and_asks_for_commands_that_exist(file: Path) -> None:
    """Airflow is not installed here, so its example is read, not run."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    compile(tree, str(file), "exec")
    words = [
        [item.value for item in node.elts if isinstance(item, ast.Constant)]
        for node in ast.walk(tree)
        if isinstance(node, ast.List)
    ]
    for command in (one for one in words if "remediator" in one):
        verb = command[command.index("remediator") + 1]
        with pytest.raises(SystemExit) as asked:
            main([verb, "--help"])
        assert asked.value.code == 0
    answers = ChainStatus("r", "c", 0, "s", None, final=None).to_json()
    read = {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "standing"
        and isinstance(node.slice, ast.Constant)
    }
    assert read <= answers.keys()
    if file.name == "airflow_dag.py":  # a task that fails says why, and what to do
        assert {"reason", "advice", "url", "waits_for"} <= read
