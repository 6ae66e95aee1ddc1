"""The loop, end to end: a failed job is found, diagnosed, resubmitted once and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from twin import faults
from twin.clock import rfc3339
from twin.physics import Needs, Section, Serving

HEAVY = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))


def custom_job(
    name: str = "align-reads", machine: str = "n1-standard-8", **more: Any
) -> dict[str, Any]:
    return {
        "displayName": name,
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": machine},
                    "replicaCount": "1",
                    "containerSpec": {
                        "imageUri": "us-docker.pkg.dev/lab/align:3",
                        "args": ["--in=gs://lab-reads"],
                        "env": [{"name": "API_TOKEN", "value": "hunter2-hunter2"}],
                    },
                }
            ],
            "scheduling": {"timeout": "7200s"},
            "serviceAccount": "pipeline@genomics-lab.iam.gserviceaccount.com",
        },
        **more,
    }


def batch_job(
    cloud: Any, name: str = "score", source: str = "gs://lab-in/rows.jsonl"
) -> dict[str, Any]:
    model = cloud.add_model(
        "777", displayName="scorer", containerSpec={"imageUri": "us-docker.pkg.dev/lab/trees:1"}
    )
    cloud.storage.put_uri("gs://lab-in/rows.jsonl", "{}\n")
    cloud.storage.bucket("lab-out")
    return {
        "displayName": name,
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://lab-out/run"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-8"},
            "startingReplicaCount": 1,
            "maxReplicaCount": 10,
        },
    }


TOO_MUCH = Needs(memory_gib=3, serving=Serving(instances=2000, cpu_seconds=70))


def failure_line(cloud: Any, job: Mapping[str, Any], **labels: str) -> dict[str, Any]:
    """The service's own line about a failed custom job."""
    ident = str(job["name"]).rpartition("/")[2]
    return {
        "logName": f"projects/{cloud.project}/logs/ml.googleapis.com%2F{ident}",
        "resource": {
            "type": "ml_job",
            "labels": {
                "job_id": ident,
                "task_name": "service",
                "project_id": cloud.project,
                **labels,
            },
        },
        "severity": "ERROR",
        "timestamp": job.get("endTime") or job["createTime"],
        "insertId": f"line-{ident}",
        "textPayload": "Job failed.",
    }


def ident(job: Mapping[str, Any]) -> str:
    return str(job["name"]).rpartition("/")[2]


def made_jobs(cloud: Any, original: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs that now exist beside the original, as Vertex holds them, oldest first."""
    collection = str(original["name"]).split("/")[4]
    return [job for job in cloud.jobs.all(collection) if job["name"] != original["name"]]


def test_a_custom_job_starved_of_cpu_is_resubmitted_once_on_the_next_size(
    house: Any, cloud: Any
) -> None:
    job = cloud.past_job("customJobs", custom_job(labels={"team": "genomics"}), HEAVY, route=False)
    entry = failure_line(cloud, job)

    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert house.reconcile()["faults"] == []

    assert len(cloud.creates()) == 1
    (made,) = made_jobs(cloud, job)
    pool = made["jobSpec"]["workerPoolSpecs"][0]
    assert pool["machineSpec"]["machineType"] == "n1-standard-16"
    assert pool["containerSpec"]["args"] == ["--in=gs://lab-reads"]
    assert made["jobSpec"]["scheduling"]["timeout"] == "7200s"
    assert made["displayName"] == "align-reads (attempt 1)"
    claim = made["labels"].pop("remediator-claim")
    assert len(claim) == 32
    assert made["labels"] == {
        "team": "genomics",
        "remediator-root": ident(job),
        "remediator-attempt": "1",
        "remediator-policy": "starved-of-cpu",
    }
    assert len(cloud.slack.messages) == 1
    assert len(cloud.mail.messages) == 1
    assert "hunter2" not in cloud.slack.messages[0].text
    assert "n1-standard-16" in cloud.slack.messages[0].text


def test_the_pushed_form_of_a_message_is_handled_like_eventarcs(house: Any, cloud: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.push(failure_line(cloud, job)) == 200
    assert len(cloud.creates()) == 1


def test_a_recovered_job_is_told_once_and_costs_what_it_ran(house: Any, cloud: Any) -> None:
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)

    house.reconcile()
    house.reconcile()

    titles = [message.text.splitlines()[0] for message in cloud.slack.messages]
    assert [title.partition(":")[0] for title in titles] == ["Resubmitted", "Recovered"]
    outcomes = [e["jsonPayload"] for e in cloud.logs.find('logName:"vertex-remediator-outcomes"')]
    assert [(o["attempt"], o["state"], o["final"]) for o in outcomes] == [
        (1, "JOB_STATE_PENDING", False),
        (1, "JOB_STATE_SUCCEEDED", True),
    ]


@pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
def test_an_attempt_that_fails_again_takes_the_next_step_and_then_gives_up(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    hopeless = Needs(sections=(Section("align", cpu_seconds=900_000, parallel=0.999),))
    job = cloud.past_job("customJobs", custom_job(), hopeless, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    for _ in range(3):
        cloud.clock.advance(3 * 3600)
        house.reconcile()
    machines = [
        made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
        for made in made_jobs(cloud, job)
    ]
    assert machines == ["n1-standard-16", "n1-standard-32"]
    titles = [message.text.splitlines()[0].partition(":")[0] for message in cloud.slack.messages]
    assert titles[0] == "Resubmitted"
    assert titles[-1].startswith("Given up")
    assert len(titles) == 3


def test_a_failed_batch_prediction_is_announced_once_and_handled_from_its_own_entry(
    house: Any, cloud: Any
) -> None:
    job = cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)

    assert house.reconcile()["announced"] == 1
    assert house.reconcile()["announced"] == 0
    (entry,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert entry["jsonPayload"]["job"] == job["name"]

    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    (made,) = made_jobs(cloud, job)
    assert made["manualBatchTuningParameters"]["batchSize"] == 32
    assert made["model"].endswith("@1")
    assert "outputInfo" not in made


def test_an_announcement_that_never_comes_back_is_handled_from_the_ledger(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house()
    job = cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)
    house.reconcile()
    later(minutes=16)
    house.reconcile()
    assert len(made_jobs(cloud, job)) == 1
    assert any("sink" in message.text for message in cloud.slack.messages)


def test_a_first_sweep_over_old_failures_creates_nothing_and_sends_one_message(
    house: Any, cloud: Any
) -> None:
    body = batch_job(cloud)
    for number in range(250):
        ended = cloud.clock.now() - timedelta(hours=8, minutes=number)
        cloud.add_job(
            {
                **body,
                "name": cloud.name("batchPredictionJobs", str(1000 + number)),
                "state": "JOB_STATE_FAILED",
                "createTime": rfc3339(ended - timedelta(hours=1)),
                "endTime": rfc3339(ended),
                "error": {"code": 13, "message": "INTERNAL"},
            }
        )
    assert house.reconcile()["recorded_old"] == 250
    assert house.reconcile()["recorded_old"] == 0
    assert cloud.creates() == []
    assert len(cloud.slack.messages) == 1
    assert "250" in cloud.slack.messages[0].text


def test_a_job_still_running_is_followed_until_it_ends(house: Any, cloud: Any) -> None:
    job = cloud.submit("customJobs", custom_job(), HEAVY)
    cloud.clock.advance(300)
    assert house.hear(failure_line(cloud, job)) == 200
    assert house.reconcile()["handled"] == 1
    assert len(cloud.jobs.all("customJobs")) == 1


@pytest.mark.parametrize("days", [0.9, 2, 9])
@pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
def test_a_job_that_ran_on_for_days_after_an_entry_is_handled_when_it_fails(
    open_house: Callable[..., Any], cloud: Any, later: Any, days: float
) -> None:
    """Service lines come while Vertex restarts a job, and anybody can forge one."""
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    job = cloud.submit("customJobs", custom_job(), HEAVY)
    cloud.clock.advance(300)
    assert house.hear(failure_line(cloud, job)) == 200
    for _ in range(2):
        later(days=days / 2)
        house.reconcile()
    cloud.clock.advance(3 * 3600)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    assert made["labels"]["remediator-root"] == ident(job)
    assert cloud.slack.messages[-1].text.startswith("Resubmitted")


def test_an_unsettled_failure_waits_for_its_evidence(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house()
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False, ended_ago=60.0)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    later(minutes=8)
    open_house(REMEDIATOR_SETTLE="0s").reconcile()
    assert len(cloud.creates()) == 1


def test_a_missing_input_file_is_said_plainly_and_never_retried(house: Any, cloud: Any) -> None:
    body = batch_job(cloud, source="gs://lab-in/missing.jsonl")
    job = cloud.past_job("batchPredictionJobs", body, Needs())
    house.reconcile()
    for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
        assert house.hear(entry) == 200
    assert made_jobs(cloud, job) == []
    assert "gs://lab-in/missing.jsonl" in cloud.slack.messages[0].text


def test_somebody_elses_rerun_is_left_alone(house: Any, cloud: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False, ended_ago=1800.0)
    cloud.add_job(
        {
            **custom_job("again-by-airflow", "n1-standard-32"),
            "name": cloud.name("customJobs", "555"),
            "state": "JOB_STATE_RUNNING",
            "createTime": rfc3339(cloud.clock.now() - timedelta(minutes=20)),
        }
    )
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    assert len(cloud.slack.messages) == 1


@pytest.mark.parametrize(
    ("labels", "state"),
    [
        pytest.param({"remediator": "off"}, None, id="label-off"),
        pytest.param({"vertex-ai-pipelines-run-billing-id": "42"}, None, id="pipeline-child"),
        pytest.param({}, "JOB_STATE_CANCELLED", id="cancelled-by-a-person"),
        pytest.param({}, "JOB_STATE_SUCCEEDED", id="succeeded"),
    ],
)
def test_what_is_not_ours_to_mend_is_left_alone_in_silence(
    house: Any, cloud: Any, labels: dict[str, str], state: str | None
) -> None:
    job = cloud.past_job("customJobs", custom_job(labels=labels), HEAVY, route=False)
    if state:
        ended = rfc3339(cloud.clock.now() - timedelta(hours=1))
        job = cloud.add_job(
            {
                **custom_job(),
                "name": cloud.name("customJobs", "99"),
                "state": state,
                "createTime": rfc3339(cloud.clock.now() - timedelta(hours=2)),
                "startTime": rfc3339(cloud.clock.now() - timedelta(hours=2)),
                "endTime": ended,
            }
        )
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    assert cloud.slack.messages == []


def test_the_stop_switch_holds_in_the_claim(open_house: Callable[..., Any], cloud: Any) -> None:
    house = open_house(REMEDIATOR_STOP="1")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    assert "stop" in cloud.slack.messages[0].text


def test_jobs_of_other_accounts_are_not_resubmitted(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(REMEDIATOR_SERVICE_ACCOUNTS="*@other.iam.gserviceaccount.com")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []


@pytest.mark.parametrize("lease", ["0s", "100ms", "1s"])
def test_a_lease_however_short_lets_its_holder_create_and_nobody_else(
    open_house: Callable[..., Any], cloud: Any, lease: str
) -> None:
    house = open_house(REMEDIATOR_LEASE=lease, REMEDIATOR_CONSISTENCY_WAIT="0s")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail("MetricService.ListTimeSeries", faults.delay(0.3))  # the evidence takes its time
    entry = failure_line(cloud, job)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert len(made_jobs(cloud, job)) == 1


def test_a_create_without_an_answer_is_found_again_and_not_repeated(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(REMEDIATOR_CONSISTENCY_WAIT="0s")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail("JobService.CreateCustomJob", faults.lost_answer())
    entry = failure_line(cloud, job)
    assert house.hear(entry) == 200
    assert house.hear(entry) == 200
    assert len(made_jobs(cloud, job)) == 1
    assert len(cloud.slack.messages) == 1


def test_a_create_that_never_arrived_is_made_after_the_watch(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(REMEDIATOR_CONSISTENCY_WAIT="0s")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail("JobService.CreateCustomJob", faults.status("UNAVAILABLE"))
    entry = failure_line(cloud, job)
    assert house.hear(entry) == 503
    assert house.hear(entry) == 200
    assert len(made_jobs(cloud, job)) == 1


@pytest.mark.parametrize("limit", ["usd_per_job: 2", "usd_per_day: 2", "resubmissions_per_hour: 1"])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.status("RESOURCE_EXHAUSTED", retry_after=3600), id="throttled"),
        pytest.param(faults.status("UNAVAILABLE"), id="unanswered"),
    ],
)
def test_a_claim_that_could_not_be_used_does_not_count_against_itself(
    open_house: Callable[..., Any], cloud: Any, limit: str, fault: Any
) -> None:
    limits = f"limits: {{attempts: 3, retries: 5, {limit}}}"
    before = "limits: {attempts: 3, retries: 5, usd_per_job: 1000, usd_per_day: 10000}"
    house = open_house(POLICIES.replace(before, limits), REMEDIATOR_CONSISTENCY_WAIT="0s")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail("JobService.CreateCustomJob", fault)
    entry = failure_line(cloud, job)
    assert house.hear(entry) == 503
    assert house.hear(entry) == 200
    assert len(made_jobs(cloud, job)) == 1


def test_a_refused_create_is_told_in_vertexs_own_words(house: Any, cloud: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    words = "The model projects/1/locations/us-central1/models/5 does not exist."
    cloud.fail("JobService.CreateCustomJob", faults.status("INVALID_ARGUMENT", words), times=9)
    assert house.hear(failure_line(cloud, job)) == 200
    assert made_jobs(cloud, job) == []
    assert words in cloud.slack.messages[0].text.replace("\n", " ")


def test_a_dead_channel_never_repeats_a_resubmission_and_hears_of_it_later(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house()
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail("slack.webhook", faults.status("500"))
    entry = failure_line(cloud, job)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert len(cloud.creates()) == 1
    assert len(cloud.mail.messages) == 1
    assert cloud.slack.messages == []
    later(minutes=3)
    house.reconcile()
    assert len(cloud.slack.messages) == 1
    assert len(cloud.mail.messages) == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("%%%", id="not-base64"),
        pytest.param("bm90IGpzb24=", id="not-json"),
        pytest.param("e30=", id="not-a-log-entry"),
        pytest.param(None, id="no-data"),
        pytest.param(17, id="a-number"),
    ],
)
def test_a_malformed_event_is_acknowledged_and_creates_nothing(
    house: Any, cloud: Any, data: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert house.deliver(data) == 200
    said = capfd.readouterr().err
    assert '"severity": "ERROR"' in said
    assert "Traceback" not in said
    assert cloud.calls() == []


@pytest.mark.parametrize(
    ("labels", "log"),
    [
        pytest.param({"job_id": "12ab"}, "", id="job-id-is-no-number"),
        pytest.param({"project_id": "somebody-else"}, "", id="two-projects"),
        pytest.param({"project_id": "other"}, "projects/other/logs/x", id="another-project"),
        pytest.param({"job_id": "424242"}, "", id="job-is-gone"),
    ],
)
def test_an_entry_about_no_job_of_ours_changes_nothing(
    house: Any, cloud: Any, labels: dict[str, str], log: str
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    entry = failure_line(cloud, job, **labels)
    assert house.hear({**entry, "logName": log or entry["logName"]}) == 200
    assert cloud.creates() == []
    assert cloud.slack.messages == []


def test_googles_default_endpoints_are_reached_through_a_proxy_with_a_metadata_server(
    open_house: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = open_house(proxied=True)
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")  # gRPC reads it once in a process
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    batch = cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)
    entry = failure_line(cloud, job)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert [house.reconcile()["announced"], house.reconcile()["announced"]] == [1, 0]
    (made,) = made_jobs(cloud, job)
    assert made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"] == "n1-standard-16"
    (announced,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert announced["jsonPayload"]["job"] == batch["name"]
