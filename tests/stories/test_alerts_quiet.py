"""Quiet hours and digests: what needs a person comes through, the rest arrives later, and once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_alerts_delivery import OWNED, odd_failure, texts
from tests.stories.test_loop import HEAVY, custom_job, failure_line
from twin import faults

pytestmark = pytest.mark.usefixtures("noon")  # no digest's hour and no midnight passes meanwhile


def with_rules(rules: str) -> str:
    """The stories' policies, with a rule for the Slack channel."""
    slack = '{slack: {webhook: "env:SLACK_WEBHOOK_URL"}'
    return POLICIES.replace(slack, f"{slack}, {rules}")


def hours_around(moment: datetime) -> str:
    """Quiet hours that hold this moment, an hour to each side."""
    begin, end = moment - timedelta(hours=1), moment + timedelta(hours=1)
    return f'quiet_hours: {{from: "{begin:%H:%M}", to: "{end:%H:%M}", zone: UTC}}'


def resubmitted(cloud: Any, house: Any, number: int) -> None:
    """A failure that is resubmitted, which nobody needs to do anything about."""
    job = cloud.past_job(
        "customJobs",
        {**custom_job(), "displayName": f"align-{number}"},
        HEAVY,
        route=False,
        ended_ago=timedelta(hours=4),
    )
    assert house.hear(failure_line(cloud, job)) == 200


def test_in_quiet_hours_only_what_needs_a_person_is_sent(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(with_rules(hours_around(datetime.now(UTC))))
    for number in range(3):
        resubmitted(cloud, house, number)
    assert house.hear(odd_failure(cloud, 1)) == 200
    house.reconcile()
    assert [text[:28] for text in texts(cloud)] == ["Not resubmitted: odd-1 faile"]
    assert len(cloud.mail.messages) == 4  # the other channel has no such hours


def test_after_the_hours_the_rest_arrives_as_one(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    now = datetime.now(UTC)
    house = open_house(with_rules(hours_around(now)))
    for number in range(3):
        resubmitted(cloud, house, number)
    assert texts(cloud) == []
    # Time passes: the product reads the world's clock, so that the hours move instead of it.
    house = open_house(with_rules(hours_around(now - timedelta(hours=2, minutes=5))))
    later(hours=2, minutes=5)
    house.reconcile()
    (told,) = texts(cloud)
    assert told.startswith("3 alerts grouped into one: none needs a person")
    assert all(f"align-{number} failed" in cloud.slack.messages[0].text for number in range(3))
    house.reconcile()
    assert len(texts(cloud)) == 1


def test_a_digest_takes_the_place_of_what_needs_nobody(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(with_rules("digest: daily"))
    for number in range(2):
        resubmitted(cloud, house, number)
    assert house.hear(odd_failure(cloud, 7)) == 200
    assert len(texts(cloud)) == 1  # the one that needs a person, at once
    cloud.clock.advance(3 * 3600)
    house.reconcile()
    assert len(texts(cloud)) == 1  # the recoveries wait for the digest
    later(days=1)
    for _ in range(3):
        house.reconcile()
    digest = cloud.slack.messages[-1].text
    assert len(texts(cloud)) == 2
    assert re.match(r"Daily digest to \d{4}-\d\d-\d\d: 3 failed, 2 recovered", digest)
    for line in (
        "Failed: 3 jobs (2 CPUs full, 1 cause unknown).",
        "Recovered: 2 of 2 that were resubmitted and have ended",
        "Left to a person: 1 (odd-7).",
        "Cost: resubmissions of these jobs so far $",
    ):
        assert line in digest
    later(days=1)
    house = open_house(with_rules("digest: daily"))  # a restart makes none twice
    house.reconcile()
    assert len(texts(cloud)) == 2  # nothing failed since, so there is nothing to tell
    assert house.reconcile()["still_owed"] == 0


def test_a_digest_that_could_not_be_sent_is_sent_later_and_once(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(with_rules("digest: weekly"))
    resubmitted(cloud, house, 1)
    later(days=7)
    cloud.fail("slack.webhook", faults.status("503"), times=2)
    for _ in range(4):
        house.reconcile()
    assert [text.partition(" to ")[0] for text in texts(cloud)] == ["Weekly digest"]


def test_without_the_word_what_waited_for_a_digest_is_sent_all_the_same(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    resubmitted(cloud, open_house(with_rules("digest: daily")), 1)
    house = open_house()
    later(days=1)
    house.reconcile()
    assert [text.startswith("Resubmitted: align-1") for text in texts(cloud)] == [True]


def test_an_owners_address_has_no_digest(open_house: Callable[..., Any], cloud: Any) -> None:
    post = OWNED.replace('to: ["ml@example.com"]}}', 'to: ["ml@example.com"]}, digest: daily}')
    house = open_house(post.replace("do: []", "do: [{resubmit: {machine_type: bigger}}]"))
    resubmitted(cloud, house, 1)
    (mail,) = cloud.mail.messages
    assert mail["To"] == "pipelines@example.com"
