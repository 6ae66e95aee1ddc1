"""Jobs that never fail, by Google's real clients: a hung one is ended and takes up its checkpoint, a slow one
is left alone.

The twin's clock begins hours behind the world's, so that a job has run for hours when it is first looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.ledger import Ledger
from remediator.ledger.sqlite import SqliteStore
from tests.stories.conftest import POLICIES, on_both_ledgers
from twin import faults
from twin.clock import rfc3339
from twin.physics import Needs, Section
from twin.running import points, training_series, write_line

WATCH = """\
watch:
  - name: hung-training
    when: {running: [stalled, spinning], job: custom, if: "job.usd_per_hour > 1"}
    do: {cancel_resubmit: {checkpoint: required}}
    alert: [oncall]
"""
TELL = WATCH.replace("do: {cancel_resubmit: {checkpoint: required}}", "do: alert")
ASK = WATCH.replace("    alert: [oncall]", "    mode: approve\n    alert: [oncall]")
CANCEL = WATCH.replace("{cancel_resubmit: {checkpoint: required}}", "cancel")
HOURS = 5
A100 = {
    "machineType": "a2-highgpu-1g",
    "acceleratorType": "NVIDIA_TESLA_A100",
    "acceleratorCount": 1,
}
old = pytest.mark.parametrize("cloud", [HOURS], indirect=True, ids=["five-hours-old"])
Level = Callable[[int], float]


def running_job(cloud: Any, *, hangs_at: int | None, ident: str = "4711") -> dict[str, Any]:
    """Four workers that have run for hours; with `hangs_at`, a collective that never ends since then."""
    start = cloud.clock.now()
    pool = {
        "machineSpec": A100,
        "replicaCount": "1",
        "containerSpec": {"imageUri": "us-docker.pkg.dev/lab/train:1", "args": ["--epochs=9"]},
    }
    job = cloud.add_job(
        {
            "name": cloud.name("customJobs", ident),
            "displayName": "pretrain",
            "state": "JOB_STATE_RUNNING",
            "createTime": rfc3339(start - timedelta(minutes=2)),
            "startTime": rfc3339(start),
            "labels": {"team": "nlp"},
            "jobSpec": {
                "workerPoolSpecs": [pool, {**pool, "replicaCount": "3"}],
                "serviceAccount": "pipeline@genomics-lab.iam.gserviceaccount.com",
                "baseOutputDirectory": {"outputUriPrefix": "gs://lab-out/pretrain"},
            },
        }
    )
    cloud.storage.bucket("lab-out")
    cloud.clock.advance(2 * 3600)
    cloud.storage.put_uri("gs://lab-out/pretrain/ckpt-100/state.pt", "0" * 10)
    cloud.clock.advance((HOURS - 2) * 3600)
    curves_and_lines(cloud, ident, start, hangs_at=hangs_at)
    return dict(job)


def curves_and_lines(cloud: Any, ident: str, start: datetime, *, hangs_at: int | None) -> None:
    """What a job of four workers shows of itself until now."""
    minutes = HOURS * 60
    hangs = minutes + 1 if hangs_at is None else hangs_at
    _series(cloud, ident, start, "accelerator/utilization", minutes, lambda _: 0.99)
    _series(cloud, ident, start, "cpu/utilization", minutes, lambda _: 0.2)
    _series(
        cloud, ident, start, "network/received_bytes_count", minutes,
        lambda m: 9e9 if m < hangs else 2e3,
    )  # fmt: skip
    for minute in range(5, min(hangs, minutes), 7):
        write_line(
            cloud,
            ident,
            start + timedelta(minutes=minute),
            f"step {minute * 10} loss {9 / minute:.4f}",
        )


def _series(cloud: Any, ident: str, start: datetime, name: str, minutes: int, level: Level) -> None:
    shown = points((start + timedelta(minutes=m), level(m)) for m in range(3, minutes - 3))
    for task in ("workerpool0-0", "workerpool1-0", "workerpool1-1", "workerpool1-2"):
        cloud.metrics.add(training_series(ident, name, shown, task))


def resubmissions(cloud: Any) -> list[Mapping[str, Any]]:
    return [
        job for job in cloud.jobs.all("customJobs") if "remediator-claim" in job.get("labels", {})
    ]


def titles(cloud: Any) -> list[str]:
    return [message.text.splitlines()[0] for message in cloud.slack.messages]


def alerts(cloud: Any) -> list[str]:
    """What kind each message is of, by the first words of its title."""
    return [title.partition(":")[0] for title in titles(cloud)]


def look_twice(house: Any, later: Any) -> None:
    """Two looks: the first suspects, the second says the same."""
    house.reconcile()
    later(minutes=3)
    house.reconcile()


def go_on(house: Any, later: Any, *, rounds: int) -> None:
    for _ in range(rounds):
        house.reconcile()
        later(minutes=3)


@old
@on_both_ledgers
def test_a_hung_job_of_four_workers_is_ended_and_submitted_again_once(
    open_house: Any, cloud: Any, later: Any
) -> None:
    house = open_house(POLICIES + WATCH)
    job = running_job(cloud, hangs_at=150)
    house.reconcile()
    assert cloud.calls("*.Cancel*Job") == []
    later(minutes=3)
    house.reconcile()
    assert len(cloud.calls("*.CancelCustomJob")) == 1
    (told,) = titles(cloud)
    assert told.startswith(
        "Running: pretrain has stood still (its workers wait for each other) since "
    )
    assert "being cancelled and submitted again" in told
    text = cloud.slack.messages[0].text
    assert "accelerator at least 9" in text
    assert "no line that says anything new for 2 h" in text
    assert "step 1450" in text

    cloud.clock.advance(60)
    later(minutes=2)
    house.reconcile()
    (made,) = resubmissions(cloud)
    labels = made["labels"]
    assert (labels["remediator-policy"], labels["remediator-attempt"]) == ("hung-training", "1")
    assert labels["remediator-root"] == "4711"
    assert made["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": "gs://lab-out/pretrain"}
    assert made["jobSpec"]["workerPoolSpecs"][1]["replicaCount"] == "3"
    assert titles(cloud)[1].startswith("Resubmitted unchanged: pretrain stood still")

    for _ in range(4):
        later(minutes=7)
        house.reconcile()
    assert len(resubmissions(cloud)) == 1
    assert len(cloud.calls("*.CancelCustomJob")) == 1
    assert cloud.jobs.all("customJobs")[0]["name"] == job["name"]
    assert not any("person" in message.text for message in cloud.slack.messages)


@old
def test_a_slow_but_healthy_job_is_left_alone(open_house: Any, cloud: Any, later: Any) -> None:
    house = open_house(POLICIES + WATCH)
    running_job(cloud, hangs_at=None)
    look_twice(house, later)
    later(minutes=5)
    house.reconcile()
    assert cloud.calls("*.Cancel*Job") == []
    assert titles(cloud) == []


@old
@on_both_ledgers
def test_an_entry_that_only_tells_tells_a_spell_once(
    open_house: Any, cloud: Any, later: Any
) -> None:
    house = open_house(POLICIES + TELL)
    running_job(cloud, hangs_at=150)
    look_twice(house, later)
    for _ in range(3):
        later(minutes=5)
        house.reconcile()
    assert cloud.calls("*.Cancel*Job") == []
    (told,) = titles(cloud)
    assert "an hour" in told
    assert "Nothing: it still runs." in cloud.slack.messages[0].text


@old
@pytest.mark.parametrize(
    ("policies", "switch", "why"),
    [
        (POLICIES.replace("mode: enforce", "mode: observe"), "", "the mode is observe"),
        (POLICIES, "1", "Refused by stop_switch"),
        (POLICIES.replace("usd_per_job: 1000", "usd_per_job: 1"), "", "Refused by usd_per_job"),
    ],
    ids=["observe", "stop-switch", "budget"],
)
def test_what_keeps_a_hung_job_running_is_told(
    open_house: Any, cloud: Any, later: Any, policies: str, switch: str, why: str
) -> None:
    house = open_house(policies + WATCH, REMEDIATOR_STOP=switch)
    running_job(cloud, hangs_at=150)
    look_twice(house, later)
    assert cloud.calls("*.Cancel*Job") == []
    assert why in cloud.slack.messages[0].text


@old
@on_both_ledgers
def test_a_question_is_asked_and_a_yes_ends_the_job(
    open_house: Any, cloud: Any, later: Any, run: Callable[..., tuple[int, str, str]]
) -> None:
    house = open_house(POLICIES + ASK)
    running_job(cloud, hangs_at=150)
    look_twice(house, later)
    assert cloud.calls("*.Cancel*Job") == []
    assert "cancel and submit it again?" in titles(cloud)[0]
    (pending,) = json.loads(run("approvals", "--json")[1])
    assert pending["question"] == "cancel it and submit it again, unchanged?"
    assert run("approve", pending["id"])[0] == 0
    house.reconcile()
    assert len(cloud.calls("*.CancelCustomJob")) == 1
    cloud.clock.advance(60)
    later(minutes=3)
    house.reconcile()
    assert len(resubmissions(cloud)) == 1


@old
def test_a_cancel_of_ours_is_told_as_ours(open_house: Any, cloud: Any, later: Any) -> None:
    house = open_house(POLICIES + CANCEL)
    running_job(cloud, hangs_at=150)
    look_twice(house, later)
    cloud.clock.advance(60)
    later(minutes=3)
    house.reconcile()
    assert resubmissions(cloud) == []
    assert titles(cloud)[1].startswith("Given up: the remediator cancelled pretrain")
    assert cloud.mail.messages == []  # the entry names one channel


@old
def test_a_no_leaves_the_job_running_and_is_not_asked_again(
    open_house: Any, cloud: Any, later: Any, run: Callable[..., tuple[int, str, str]]
) -> None:
    house = open_house(POLICIES + ASK)
    running_job(cloud, hangs_at=150)
    look_twice(house, later)
    (pending,) = json.loads(run("approvals", "--json")[1])
    assert run("decline", pending["id"])[0] == 0
    for _ in range(3):
        later(minutes=6)
        house.reconcile()
    assert cloud.calls("*.Cancel*Job") == []
    assert len(titles(cloud)) == 1
    assert json.loads(run("approvals", "--json")[1]) == []


@old
@on_both_ledgers
def test_a_cancel_that_was_not_answered_is_sent_again(
    open_house: Any, cloud: Any, later: Any
) -> None:
    house = open_house(POLICIES + WATCH)
    running_job(cloud, hangs_at=150)
    house.reconcile()
    later(minutes=3)
    cloud.fail("*.CancelCustomJob", faults.status("PERMISSION_DENIED"), times=1)
    house.reconcile()
    assert cloud.jobs.all("customJobs")[0]["state"] == "JOB_STATE_RUNNING"
    later(minutes=6)
    house.reconcile()
    assert cloud.jobs.all("customJobs")[0]["state"] == "JOB_STATE_CANCELLING"
    cloud.clock.advance(60)
    later(minutes=3)
    house.reconcile()
    assert len(resubmissions(cloud)) == 1
    assert len([one for one in titles(cloud) if one.startswith("Running")]) == 1


@old
def test_a_part_of_a_pipeline_run_is_that_ones_affair(
    open_house: Any, cloud: Any, later: Any
) -> None:
    house = open_house(POLICIES + WATCH)
    job = running_job(cloud, hangs_at=150)
    labels = {**job["labels"], "vertex-ai-pipelines-run-billing-id": "991"}
    cloud.jobs.change(job["name"], labels=labels)
    look_twice(house, later)
    assert (cloud.calls("*.Cancel*Job"), titles(cloud)) == ([], [])


@old
def test_what_stood_still_is_in_the_report_once_the_job_has_ended(
    open_house: Any, cloud: Any, later: Any, run: Callable[..., tuple[int, str, str]]
) -> None:
    house = open_house(POLICIES + TELL)
    job = running_job(cloud, hangs_at=150)
    look_twice(house, later)
    cloud.jobs.change(job["name"], state="JOB_STATE_SUCCEEDED", endTime=cloud.now_text())
    later(minutes=5)
    house.reconcile()
    found = json.loads(run("report", "--json")[1])["stood_still"]
    assert 20 < found["usd"] < 60  # four A100 machines, two hours and a half
    assert (found["jobs"][0]["spells"], found["jobs"][0]["still"]) == (1, None)


@old
@on_both_ledgers
def test_an_attempt_that_hangs_too_is_ended_and_counted_in_its_chain(
    open_house: Any, cloud: Any, later: Any
) -> None:
    house = open_house(POLICIES.replace("attempts: 3", "attempts: 2") + WATCH)
    began = cloud.clock.now()
    job = running_job(cloud, hangs_at=150)
    cloud.jobs.needs("customJobs", job, Needs(sections=(Section("train", cpu_seconds=1e9),)))
    for number in (1, 2):
        go_on(house, later, rounds=4)
        cloud.clock.advance(60)
        go_on(house, later, rounds=1)
        made = resubmissions(cloud)[-1]
        assert made["labels"]["remediator-attempt"] == str(number)
        ident = str(made["name"]).rpartition("/")[2]
        cloud.jobs.change(made["name"], state="JOB_STATE_RUNNING", startTime=rfc3339(began))
        curves_and_lines(cloud, ident, began, hangs_at=150)
    go_on(house, later, rounds=4)
    assert len(resubmissions(cloud)) == 2
    assert len(cloud.calls("*.CancelCustomJob")) == 2
    assert "Refused by attempts: 2 of 2" in " ".join(cloud.slack.messages[-1].text.split())


@old
@on_both_ledgers
@pytest.mark.parametrize("call", ["*.CancelCustomJob", "*.CreateCustomJob"])
def test_a_call_whose_answer_is_lost_is_not_repeated_in_its_effect(
    open_house: Any, cloud: Any, later: Any, call: str
) -> None:
    """As after a crash between the call and what is written down of it."""
    house = open_house(POLICIES + WATCH)
    running_job(cloud, hangs_at=150)
    cloud.fail(call, faults.lost_answer(), times=1)
    for _ in range(6):
        go_on(house, later, rounds=1)
        cloud.clock.advance(60)
    assert cloud.jobs.all("customJobs")[0]["state"] == "JOB_STATE_CANCELLED"
    assert len(resubmissions(cloud)) == 1
    assert alerts(cloud) == ["Running", "Resubmitted unchanged", "Recovered"]


@old
@on_both_ledgers
def test_two_rounds_at_once_tell_and_end_a_job_once(
    open_house: Any, cloud: Any, later: Any
) -> None:
    rounds = [open_house(POLICIES + WATCH) for _ in range(2)]
    running_job(cloud, hangs_at=150)
    for _ in range(4):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: one.reconcile(), rounds))
        cloud.clock.advance(60)
        later(minutes=3)
    assert len(resubmissions(cloud)) == 1
    assert alerts(cloud) == ["Running", "Resubmitted unchanged"]


@old
def test_a_time_out_to_come_is_told_once_and_stays_told(
    open_house: Any, cloud: Any, later: Any
) -> None:
    """The log alone says it, so it is read again at each look for as long as that is thought."""
    house = open_house(POLICIES + TELL.replace("[stalled, spinning]", "will_time_out"))
    job = running_job(cloud, hangs_at=None)
    spec = {**job["jobSpec"], "scheduling": {"timeout": f"{(HOURS + 2) * 3600}s"}}
    cloud.jobs.change(job["name"], jobSpec=spec)
    for minute in range(5, HOURS * 60, 5):
        moment = cloud.clock.now() - timedelta(minutes=HOURS * 60 - minute)
        write_line(cloud, "4711", moment, f"epoch {minute}/900")
    go_on(house, later, rounds=8)
    (alert,) = titles(cloud)
    assert alert.startswith("Running: pretrain will run into its time-out")


@old
def test_a_job_whose_log_must_wait_a_minute_stays_what_it_was(
    open_house: Any, cloud: Any, later: Any, tmp_path: Path
) -> None:
    """Ten looks a minute may read a log: what rests on one is looked at again, not called healthy."""
    house = open_house(POLICIES + TELL)
    running_job(cloud, hangs_at=150)
    house.reconcile()
    later(minutes=3)
    ledger = Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))
    taken = ledger.take_tokens(
        "watch-log-looks", 10, most=10, window_seconds=60, now=datetime.now(UTC)
    )
    assert taken == 10
    house.reconcile()
    assert titles(cloud) == []
    (kept,) = ledger.watched.all()
    assert (kept.verdict, kept.looks) == ("spinning", 1)
    ledger.close()
    later(minutes=3)
    house.reconcile()
    assert len(titles(cloud)) == 1


@old
def test_many_jobs_that_are_due_are_listed_and_not_read_one_by_one(
    open_house: Any, cloud: Any, later: Any
) -> None:
    house = open_house(POLICIES + TELL)
    for ident in range(25):
        running_job(cloud, hangs_at=None, ident=str(5000 + ident))
        cloud.clock.advance(-HOURS * 3600)
    cloud.clock.advance(HOURS * 3600)
    looks = 0
    for _ in range(3):
        looks += house.reconcile()["looked_at"]
        later(minutes=2)
    assert looks == 75
    assert cloud.calls("*.GetCustomJob") == []


@old
def test_a_tuning_job_is_told_of_once_and_its_trials_are_its_own_affair(
    open_house: Any, cloud: Any, later: Any
) -> None:
    """The trial's job is listed beside it, and stands still as it does."""
    entry = TELL.replace("job: custom, ", "").replace('if: "job.usd_per_hour > 1"', "labels: {}")
    house = open_house(POLICIES + entry)
    began = cloud.clock.now()
    trial = running_job(cloud, hangs_at=150)
    cloud.add_job(
        {
            "name": cloud.name("hyperparameterTuningJobs", "88"),
            "displayName": "search",
            "state": "JOB_STATE_RUNNING",
            "createTime": rfc3339(began),
            "startTime": rfc3339(began),
            "studySpec": {"metrics": [{"metricId": "loss", "goal": "MINIMIZE"}]},
            "maxTrialCount": 4,
            "parallelTrialCount": 1,
            "trialJobSpec": trial["jobSpec"],
            "trials": [{"id": "1", "state": "ACTIVE", "customJob": trial["name"]}],
        }
    )
    go_on(house, later, rounds=5)
    (alert,) = titles(cloud)
    assert alert.startswith("Running: search has stood still")
