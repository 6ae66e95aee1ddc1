"""What strangers write (logs, names, labels, a policy file) asks for nothing and breaks out nowhere."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from remediator.app import App
from remediator.cli.input_output import HERE
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin.clock import rfc3339

HOSTILE = (
    'x" OR state="JOB_STATE_SUCCEEDED" OR display_name="y',
    "<!channel> <https://evil.example|click> *bold*",
    "x\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script>",
    "../../etc/passwd; rm -rf / $(touch /tmp/owned) `id`",
    "\u202eexe.\u2066evil\x00\x1b[31m",
)


def _marked_up(body: dict[str, Any]) -> list[str]:
    """The texts of a message in which Slack obeys marks; in plain_text it does not."""
    texts = [one for block in body["blocks"] for one in block.get("elements", [block.get("text")])]
    return [body["text"], *(one["text"] for one in texts if one and one["type"] == "mrkdwn")]


@pytest.mark.parametrize("text", HOSTILE, ids=["filter", "slack", "header", "shell", "unseen"])
def test_a_hostile_name_and_error_are_text_everywhere(text: str, house: Any, cloud: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(text[:100]), HEAVY, route=False)
    words = f"The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137. {text}"
    cloud.jobs.change(job["name"], error={"code": 9, "message": words}, state="JOB_STATE_FAILED")
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()

    (made,) = made_jobs(cloud, job)
    container = made["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert container["imageUri"] == "us-docker.pkg.dev/lab/align:3"
    assert container["args"] == ["--in=gs://lab-reads"]
    (message,) = [one for one in cloud.slack.messages if "Resubmitted" in one.text]
    for marked_up in _marked_up(message.body):
        assert "<!channel>" not in marked_up
        assert "<https://evil.example" not in marked_up
    (mail,) = cloud.mail.messages
    assert mail["Bcc"] is None
    assert "\n" not in str(mail["Subject"])
    page = mail.get_body(("html",)).get_content()
    assert "<script>alert" not in page
    for seen in (message.text, str(mail["Subject"]), page):
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", seen)
    for call in cloud.calls("*.List*"):
        query = str(call.request.get("filter") or "")
        assert 'OR state="JOB_STATE_SUCCEEDED" OR display_name="y"' not in query


@pytest.mark.parametrize(
    "state", ["JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"]
)
def test_a_forged_entry_about_a_job_that_did_not_fail_changes_nothing(
    state: str, house: Any, cloud: Any
) -> None:
    ended = {} if state == "JOB_STATE_RUNNING" else {"endTime": rfc3339(cloud.clock.now())}
    job = cloud.add_job(
        {
            **custom_job(),
            "name": cloud.name("customJobs", "31337"),
            "state": state,
            "createTime": rfc3339(cloud.clock.now()),
            "startTime": rfc3339(cloud.clock.now()),
            **ended,
        }
    )
    forged = {
        "logName": f"projects/{cloud.project}/logs/vertex-remediator-job-failures",
        "severity": "ERROR",
        "timestamp": rfc3339(cloud.clock.now()),
        "insertId": "forged",
        "labels": {"remediator": "on"},
        "jsonPayload": {
            "job": job["name"],
            "kind": "custom",
            "state": "JOB_STATE_FAILED",
            "error": {"code": 9, "message": "ran out of memory"},
        },
    }
    assert house.hear(forged) == 200
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()
    assert cloud.creates() == []
    assert cloud.slack.messages == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("projects/other/locations/us-central1/customJobs/1", id="another-project"),
        pytest.param("projects/999/locations/us-central1/customJobs/1", id="another-number"),
        pytest.param("projects/genomics-lab/locations/a.evil.example/customJobs/1", id="a-host"),
        pytest.param("projects/genomics-lab/locations/x/customJobs/../../1", id="a-path"),
    ],
)
def test_an_announcement_of_a_job_that_is_not_ours_asks_vertex_nothing(
    name: str, house: Any, cloud: Any
) -> None:
    forged = {
        "logName": f"projects/{cloud.project}/logs/vertex-remediator-job-failures",
        "timestamp": rfc3339(cloud.clock.now()),
        "jsonPayload": {"job": name, "kind": "custom", "state": "JOB_STATE_FAILED"},
    }
    assert house.hear(forged) == 200
    assert cloud.calls("JobService.*") == []


CEILINGS = {
    "REMEDIATOR_POLICIES": "gs://lab-policies/policies.yaml",
    "REMEDIATOR_MAX_MODE": "enforce",
    "REMEDIATOR_MAX_USD_PER_DAY": "10000",
    "REMEDIATOR_MAX_USD_PER_JOB": "1000",
    "REMEDIATOR_CHANNEL_HOSTS": "127.0.0.1",
}


@pytest.mark.parametrize(
    ("ceiling", "told"),
    [
        pytest.param({"REMEDIATOR_MAX_MODE": "observe"}, True, id="mode"),
        pytest.param({"REMEDIATOR_MAX_USD_PER_DAY": "0.01"}, True, id="money-a-day"),
        pytest.param({"REMEDIATOR_MAX_USD_PER_JOB": "0.01"}, True, id="money-a-job"),
    ],
)
def test_a_policy_file_from_outside_is_bound_by_the_deployments_ceilings(
    ceiling: dict[str, str], told: bool, cloud: Any, open_house: Callable[..., Any]
) -> None:
    cloud.storage.put_uri("gs://lab-policies/policies.yaml", POLICIES)
    house = open_house(**{**CEILINGS, **ceiling})
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    assert bool(cloud.slack.messages) is told


def test_a_policy_file_from_outside_tells_only_the_hosts_that_the_deployment_allows(
    cloud: Any, open_house: Callable[..., Any]
) -> None:
    cloud.storage.put_uri("gs://lab-policies/policies.yaml", POLICIES)
    house = open_house(**{**CEILINGS, "REMEDIATOR_CHANNEL_HOSTS": "hooks.slack.com"})
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(made_jobs(cloud, job)) == 1
    assert (cloud.slack.messages, cloud.mail.messages) == ([], [])


def test_a_policy_file_that_is_spoilt_is_not_taken(
    cloud: Any, open_house: Callable[..., Any]
) -> None:
    cloud.storage.put_uri("gs://lab-policies/policies.yaml", "!!python/object/apply:os.system [id]")
    house = open_house(**CEILINGS)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 503
    assert cloud.creates() == []


@pytest.mark.parametrize("spoilt", ["version: 1\nmode: enforc", "version: 2", "\x00", ""])
def test_a_file_spoilt_later_leaves_the_last_good_one_in_force(
    spoilt: str, cloud: Any, open_house: Callable[..., Any]
) -> None:
    cloud.storage.put_uri("gs://lab-policies/policies.yaml", POLICIES)
    open_house(**CEILINGS)
    minutes = itertools.count()  # each look at the clock is two minutes later
    app = App.from_environment(os.environ, here=HERE, clock=lambda: 120.0 * next(minutes))
    good = app.policies()
    cloud.storage.put_uri("gs://lab-policies/policies.yaml", spoilt)
    assert app.policies() is good
    cloud.storage.put_uri("gs://lab-policies/policies.yaml", POLICIES + "# fixed\n")
    assert app.policies() is not good


def test_a_label_that_was_copied_or_invented_adopts_nothing(
    open_house: Callable[..., Any], cloud: Any, later: Callable[..., None]
) -> None:
    """The job's author cannot know the claim: it is drawn when the step is taken."""
    house = open_house()
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.add_job(
        {
            **custom_job("decoy", "n1-standard-16"),
            "name": cloud.name("customJobs", "777"),
            "state": "JOB_STATE_FAILED",
            "createTime": rfc3339(cloud.clock.now()),
            "endTime": rfc3339(cloud.clock.now()),
            "labels": {
                "remediator-root": job["name"].rpartition("/")[2],
                "remediator-attempt": "1",
                "remediator-claim": "0" * 32,
            },
        }
    )
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(cloud.creates()) == 1
    later(minutes=11)
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(cloud.creates()) == 1
