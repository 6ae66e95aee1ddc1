"""A policy file outside the deployment: taken, changed, spoilt and lost, told each time it matters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from remediator.deadline import deadline
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line
from twin import faults

CEILINGS = {
    "REMEDIATOR_MAX_MODE": "approve",
    "REMEDIATOR_MAX_USD_PER_DAY": "500",
    "REMEDIATOR_MAX_USD_PER_JOB": "50",
    "REMEDIATOR_CHANNEL_HOSTS": "127.0.0.1",
}
OBJECT = "gs://ops/policies.yaml"
CHANGED = POLICIES.replace("attempts: 3, retries: 5", "attempts: 2, retries: 5").replace(
    "    alert: [oncall, owners]\n  - name: wants-a-gpu",
    "    alert: [oncall]\n  - name: wants-a-gpu",
)
BAD = POLICIES.replace("mode: enforce", "mode: always").replace("attempts: 3", "atempts: 3")


@pytest.fixture(params=["gs", "secret"])
def keep(request: pytest.FixtureRequest, cloud: Any) -> Callable[[str], None]:
    """Puts a text where the policy file lies: an object, or a secret's new version."""

    def put(text: str) -> None:
        if request.param == "gs":
            cloud.storage.put_uri(OBJECT, text)
        else:
            cloud.secrets["policies"] = text

    put.where = OBJECT if request.param == "gs" else "secret:policies"  # type: ignore[attr-defined]
    return put


@pytest.fixture
def restart(
    open_house: Callable[..., Any], cloud: Any, keep: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A new instance, which has taken no file yet and shares only the ledger with earlier ones."""
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)  # read once in a process
    wanted = ("https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "GCE_METADATA_HOST")
    front = {key: value for key, value in cloud.proxied_env().items() if key in wanted}
    return lambda **ceilings: open_house(
        REMEDIATOR_POLICIES=keep.where, **{**CEILINGS, **ceilings}, **front
    )


def mails(cloud: Any) -> list[str]:
    """Bodies of the mails so far, with digests and generations by name."""
    found = []
    for mail in cloud.mail.messages:
        part = mail.get_body(("plain",))
        text = " ".join(part.get_content().split())
        text = re.sub(r"sha256 [0-9a-f]{16}", "sha256 DIGEST", text)
        found.append(re.sub(r"generation \d+", "generation N", text))
    return found


def test_a_change_is_taken_and_told_once_as_a_difference(
    keep: Any, restart: Callable[[], Any], cloud: Any
) -> None:
    keep(POLICIES)
    restart().reconcile()
    assert mails(cloud) == []  # the first file is no change
    keep(POLICIES)
    restart().reconcile()
    assert mails(cloud) == []  # nor is the same text put there again
    keep(CHANGED)
    restart().reconcile()
    restart().reconcile()
    (told,) = mails(cloud)
    where = keep.where
    assert "The policy file changed" in told
    assert (
        f"now: {where}, generation N, sha256 DIGEST before: {where}, generation N, sha256 DIGEST "
        "-4: limits: {attempts: 3, retries: 5, usd_per_job: 1000, usd_per_day: 10000} "
        "+4: limits: {attempts: 2, retries: 5, usd_per_job: 1000, usd_per_day: 10000} "
        "-12: alert: [oncall, owners] +12: alert: [oncall]"
    ) in told
    assert len(cloud.slack.messages) == 1


def test_a_bad_file_is_told_and_the_last_good_one_stays_even_for_a_new_instance(
    keep: Any, restart: Callable[[], Any], cloud: Any
) -> None:
    keep(POLICIES)
    restart().reconcile()
    keep(BAD)
    restart().reconcile()
    restart().reconcile()
    (told,) = mails(cloud)
    assert "The new policy file is not taken: 3 mistakes" in told
    assert f"not taken: {keep.where}, generation N, sha256 DIGEST" in told
    assert f"still in force: {keep.where}, generation N, sha256 DIGEST" in told
    assert "`mode`" in told or "always" in told
    assert "Correct the file" in told
    keep(CHANGED)
    restart().reconcile()
    assert "-4: limits:" in mails(cloud)[-1]  # against the last good one


def test_with_no_good_file_ever_an_event_is_to_come_again(
    keep: Any, restart: Callable[[], Any], cloud: Any
) -> None:
    keep(BAD)
    house = restart()
    cloud.add_job(
        {
            "name": cloud.name("customJobs", "77"),
            "state": "JOB_STATE_FAILED",
            "createTime": cloud.now_text(),
            "endTime": cloud.now_text(),
            "jobSpec": {"workerPoolSpecs": []},
        }
    )
    assert house.hear(service_line(cloud)) == 503


@pytest.fixture
def starved(cloud: Any) -> dict[str, Any]:
    """A failed job for which the file's first policy would buy a bigger machine."""
    return dict(cloud.past_job("customJobs", custom_job(), HEAVY, route=False))


UNREADABLE = {
    "forbidden": faults.status("403", "Permission 'storage.objects.get' denied."),
    "gone": faults.status("404", "not found"),
    "silent": faults.status("503", "later", retry_after=3600),
}
UNREADABLE_SECRET = {
    "forbidden": faults.status("PERMISSION_DENIED", "Permission denied."),
    "gone": faults.status("NOT_FOUND", "Secret not found."),
    "silent": faults.status("UNAVAILABLE", "later", retry_after=3600),
}


@pytest.mark.parametrize("why", list(UNREADABLE))
def test_a_file_out_of_reach_leaves_the_last_good_one(
    keep: Any,
    restart: Callable[[], Any],
    cloud: Any,
    starved: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    why: str,
) -> None:
    """A new instance, which has never read the file, decides by what the ledger remembers of it."""
    keep(CHANGED)
    restart().reconcile()
    method, fault = (
        ("storage.*", UNREADABLE[why])
        if keep.where == OBJECT
        else ("SecretManagerService.AccessSecretVersion", UNREADABLE_SECRET[why])
    )
    cloud.fail(method, fault, times=float("inf"))
    house = restart()
    with deadline(20.0):
        assert house.hear(failure_line(cloud, starved)) == 200
    assert "the last good policy file is in force" in capfd.readouterr().err
    # By this very edition: its first policy, bound by the ceiling, and told to Slack alone.
    (asked,) = cloud.slack.messages
    assert asked.body["text"].startswith("Approval needed: align-reads failed (CPUs full)")
    assert cloud.mail.messages == []
    assert cloud.creates() == []


@pytest.mark.parametrize(
    ("ceiling", "value", "titles"),
    [
        ("REMEDIATOR_MAX_MODE", "observe", ["Observed", "Observed"]),
        ("REMEDIATOR_MAX_MODE", "approve", ["Approval needed", "Approval needed"]),
        ("REMEDIATOR_MAX_USD_PER_JOB", "0.01", ["Not resubmitted", "Not resubmitted"]),
        ("REMEDIATOR_MAX_USD_PER_DAY", "0.01", ["Not resubmitted", "Not resubmitted"]),
        ("REMEDIATOR_CHANNEL_HOSTS", "hooks.slack.com", []),
    ],
)
def test_a_file_from_outside_is_bound_by_the_deployments_ceilings_also_when_it_changes(
    keep: Any,
    restart: Callable[..., Any],
    cloud: Any,
    ceiling: str,
    value: str,
    titles: list[str],
) -> None:
    """Whoever may write the file can loosen nothing that the deployment holds."""
    loose = {**CEILINGS, "REMEDIATOR_MAX_MODE": "enforce", ceiling: value}
    for policies in (POLICIES, POLICIES.replace("usd_per_job: 1000, usd_per_day: 10000", "")):
        keep(policies)
        house = restart(**loose)
        name = f"align-{len(policies)}"
        job = cloud.past_job("customJobs", custom_job(name), HEAVY, route=False)
        assert house.hear(failure_line(cloud, job)) == 200
    told = [message.body["text"].partition(":")[0] for message in cloud.slack.messages]
    assert told == titles
    held_back = ceiling != "REMEDIATOR_CHANNEL_HOSTS"
    assert (cloud.creates() == []) is held_back


def service_line(cloud: Any) -> dict[str, Any]:
    """What announces a failed custom job."""
    return {
        "insertId": "line-1",
        "logName": f"projects/{cloud.project}/logs/ml.googleapis.com%2F77",
        "severity": "ERROR",
        "timestamp": cloud.now_text(),
        "resource": {
            "type": "ml_job",
            "labels": {"job_id": "77", "project_id": cloud.project, "task_name": "service"},
        },
        "textPayload": "The replica workerpool0-0 exited with a non-zero status of 1.",
    }
