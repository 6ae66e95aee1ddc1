"""Google's own Pub/Sub emulator pushes to the served function; what fails for good is a dead letter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from bench import emulators
from remediator.cli.main import main
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from tests.waiting import wait_until

TOPIC = "projects/genomics-lab/topics/vertex-remediator-failures"
DEAD = "projects/genomics-lab/{}/vertex-remediator-dead-letters"
TRIES = 5  # the fewest that Pub/Sub takes


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """`host:port` of a Pub/Sub emulator."""
    with emulators.pubsub(emulators.FOR_TESTS) as address:
        if not address:
            pytest.skip("gcloud's Pub/Sub emulator or Java is not installed")
        yield address


class Broker:
    """Topics and subscriptions as deploy/terraform makes them."""

    def __init__(self, emulator: str) -> None:
        self._channel = grpc.insecure_channel(emulator)
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))
        self.publisher.create_topic(name=TOPIC)
        self.publisher.create_topic(name=DEAD.format("topics"))
        self.subscriber.create_subscription(
            name=DEAD.format("subscriptions"), topic=DEAD.format("topics")
        )

    def push_to(self, url: str) -> None:
        """Deliveries of the failures' topic go to this address from now on."""
        self.subscriber.create_subscription(
            request={
                "name": "projects/genomics-lab/subscriptions/remediate",
                "topic": TOPIC,
                "push_config": {"push_endpoint": f"{url}/{TOPIC}"},
                "ack_deadline_seconds": 60,
                "dead_letter_policy": {
                    "dead_letter_topic": DEAD.format("topics"),
                    "max_delivery_attempts": TRIES,
                },
                "retry_policy": {"minimum_backoff": "0.1s", "maximum_backoff": "0.2s"},
            }
        )

    def publish(self, entry: Any, *, times: int = 1, dead: bool = False) -> None:
        data = json.dumps(entry).encode()
        topic = DEAD.format("topics") if dead else TOPIC
        self.publisher.publish(topic=topic, messages=[{"data": data}] * times)

    def close(self) -> None:
        for name in ("remediate", "vertex-remediator-dead-letters"):
            full = f"projects/genomics-lab/subscriptions/{name}"
            if full in {
                one.name
                for one in self.subscriber.list_subscriptions(project="projects/genomics-lab")
            }:
                self.subscriber.delete_subscription(subscription=full)
        for topic in (TOPIC, DEAD.format("topics")):
            self.publisher.delete_topic(topic=topic)
        self._channel.close()


@pytest.fixture
def broker(emulator: str) -> Iterator[Broker]:
    started = Broker(emulator)
    yield started
    started.close()


@pytest.fixture
def run(
    emulator: str,
    house: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str]]:
    """The command line in the deployment's environment; exit code and standard output."""
    del house
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(arguments)
        return code, capsys.readouterr().out

    return call


@pytest.mark.emulator
def test_events_delivered_twice_by_the_emulator_make_one_job(
    broker: Broker, cloud: Any, serve: Callable[..., Any]
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    broker.push_to(serve().url)
    broker.publish(failure_line(cloud, job), times=3)
    wait_until(lambda: cloud.slack.messages and cloud.mail.messages)
    assert len(made_jobs(cloud, job)) == 1
    assert len(cloud.slack.messages) == 1


@pytest.mark.emulator
def test_what_fails_for_hours_is_a_dead_letter_and_a_replay_brings_it_back(
    broker: Broker, cloud: Any, serve: Callable[..., Any], run: Callable[..., tuple[int, str]]
) -> None:
    served = serve(
        REMEDIATOR_POLICIES="gs://lab-policies/policies.yaml",  # not there: 5xx while unreadable
        REMEDIATOR_MAX_MODE="enforce",
        REMEDIATOR_MAX_USD_PER_DAY="10000",
        REMEDIATOR_MAX_USD_PER_JOB="1000",
        REMEDIATOR_CHANNEL_HOSTS="127.0.0.1",
    )
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    broker.push_to(served.url)
    broker.publish(failure_line(cloud, job))

    def letters() -> list[dict[str, Any]]:
        return json.loads(run("dead-letters", "list", "--json")[1])

    wait_until(letters)
    (letter,) = letters()
    assert letter["about"].endswith(job["name"].rpartition("/")[2])
    assert served.output().count('"retryable error, message will be redelivered:') == TRIES
    assert made_jobs(cloud, job) == []

    cloud.storage.put_uri("gs://lab-policies/policies.yaml", POLICIES)
    code, said = run("dead-letters", "replay")
    assert (code, said) == (0, f"1 event published again to {TOPIC}\n")
    wait_until(lambda: cloud.slack.messages and cloud.mail.messages)
    assert len(made_jobs(cloud, job)) == 1
    assert letters() == []


@pytest.mark.emulator
def test_a_list_takes_nothing_and_tells_what_each_letter_is_about(
    broker: Broker, cloud: Any, run: Callable[..., tuple[int, str]]
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    for _ in range(2):
        broker.publish(failure_line(cloud, job), dead=True)
    broker.publish({"textPayload": "token=hunter2-hunter2"}, dead=True)
    for _ in range(2):
        code, said = run("dead-letters", "list")
        lines = said.splitlines()
        assert code == 0
        assert len(lines) == 4
        assert sum(job["name"].rpartition("/")[2] in line for line in lines) == 2
        assert lines[-1] == f"3 dead letters in {DEAD.format('subscriptions')}"
        assert "hunter2" not in said


@pytest.mark.emulator
def test_a_subscription_that_does_not_exist_is_one_clear_line(
    broker: Broker, run: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    del broker, run
    assert main(["dead-letters", "list", "--subscription", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
