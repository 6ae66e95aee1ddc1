"""A batch of which only the rows that are left run again, end to end against the twin."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.cli.main import main
from tests.stories.conftest import House
from tests.stories.test_loop import made_jobs
from tests.waiting import wait_until
from twin import faults

OURS = "gs://lab-resume/parts"
POLICIES = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction]
limits: {attempts: 3, usd_per_job: 1000}
channels:
  oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}
policies:
  - name: resume
    when: {job: batch_prediction}
    do: [{resubmit: {rows: remaining}, times: 2}]
    alert: [oncall]
"""
GEMINI = "publishers/google/models/gemini-2.5-flash"
DEADLINE = '{"code": 4, "message": "Deadline exceeded"}'
BAD = '{"code": 3, "message": "no such role"}'
FOLDER = "gs://lab-out/run/prediction-model-2026_11_23T18_00_00_000Z"


def requests_of(count: int, **more: object) -> list[dict[str, Any]]:
    return [
        {"request": {"contents": [{"role": "user", "parts": [{"text": f"read {n}"}]}]}, **more}
        for n in range(count)
    ]


def answered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "", "processed_time": "2026-11-23", **row, "response": {"text": "x"}}


def failed(row: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {"status": status, "processed_time": "2026-11-23", **row}


def lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


class Batches:
    """Batches that ended in the past, with the files that they took and left."""

    def __init__(self, cloud: Any) -> None:
        self._cloud = cloud
        cloud.storage.bucket("lab-resume")
        cloud.storage.bucket("lab-out")

    def ended(
        self,
        rows: Sequence[object],
        files: Mapping[str, Sequence[object] | str],
        *,
        model: str = GEMINI,
        state: str = "EXPIRED",
        **more: object,
    ) -> dict[str, Any]:
        """The batch, its input, and its output below FOLDER."""
        storage, now = self._cloud.storage, self._cloud.clock.now()
        storage.put_uri("gs://lab-in/rows.jsonl", lines(rows))
        for name, text in files.items():
            storage.put_uri(f"{FOLDER}/{name}", text if isinstance(text, str) else lines(text))
        own: dict[str, Any] = {} if "publishers" in model else {
            "dedicatedResources": {
                "machineSpec": {"machineType": "n1-standard-8"},
                "startingReplicaCount": 1,
                "maxReplicaCount": 10,
            }
        }  # fmt: skip
        ended = [f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (3, 2.9, 1)]
        body = {
            "name": f"projects/{self._cloud.project}/locations/us-central1/batchPredictionJobs/4711",
            "displayName": "score",
            "model": model,
            "state": f"JOB_STATE_{state}",
            "createTime": ended[0],
            "startTime": ended[1],
            "endTime": ended[2],
            "inputConfig": {
                "instancesFormat": "jsonl",
                "gcsSource": {"uris": ["gs://lab-in/rows.jsonl"]},
            },
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": "gs://lab-out/run"},
            },
            "outputInfo": {"gcsOutputDirectory": FOLDER},
            **own,
            **more,
        }
        return dict(self._cloud.jobs.add(body))


@pytest.fixture
def batches(cloud: Any) -> Batches:
    return Batches(cloud)


@pytest.fixture
def resuming(open_house: Callable[..., House]) -> House:
    return open_house(POLICIES, REMEDIATOR_RESUME_BUCKET=OURS)


def announced_and_heard(house: House, cloud: Any) -> list[int]:
    """The sweep finds the batch, and its entry comes back through the sink; the answers' statuses."""
    house.reconcile()
    entries = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    return [house.hear(entry) for entry in entries]


def input_of(cloud: Any, job: Mapping[str, Any]) -> list[Any]:
    (uri,) = job["inputConfig"]["gcsSource"]["uris"]
    return [json.loads(line) for line in cloud.storage.read_uri(uri).splitlines()]


def manifest_of(cloud: Any, job: Mapping[str, Any]) -> dict[str, Any]:
    place = job["outputConfig"]["gcsDestination"]["outputUriPrefix"]
    return dict(json.loads(cloud.storage.read_uri(f"{place}/remediator-manifest.json")))


def outcomes(cloud: Any) -> list[dict[str, Any]]:
    found = cloud.logs.find('logName:"vertex-remediator-outcomes"')
    return [dict(entry["jsonPayload"]) for entry in found]


def followed(job: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> Any:
    """`follow --json` of the root job."""
    main(["follow", str(job["name"]), "--json"])
    return json.loads(capsys.readouterr().out)


def to_the_end(house: House, cloud: Any) -> None:
    """The new job ends; rounds until its chain is over: how soon one is due hangs on how old it is."""
    cloud.clock.advance(3 * 3600)

    def is_over() -> bool:
        house.reconcile()
        return bool(outcomes(cloud)[-1]["final"])

    wait_until(is_over)


def test_a_gemini_batch_that_expired_after_60_percent_is_resumed_once_and_followed(
    resuming: House, cloud: Any, batches: Batches, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = requests_of(50)
    done = [n for n in range(50) if n % 5 < 3]
    job = batches.ended(rows, {"predictions.jsonl": [answered(rows[n]) for n in reversed(done)]})
    before = {name: cloud.storage.read_uri(f"gs://lab-in/{name}") for name in ("rows.jsonl",)}

    assert announced_and_heard(resuming, cloud) == [200]
    assert announced_and_heard(resuming, cloud) == [200]

    (made,) = made_jobs(cloud, job)
    claim = made["labels"]["remediator-claim"]
    assert made["inputConfig"]["gcsSource"]["uris"] == [f"{OURS}/inputs/4711-1-{claim}.jsonl"]
    assert made["outputConfig"]["gcsDestination"]["outputUriPrefix"] == (
        f"{OURS}/outputs/4711-1-{claim}"
    )
    assert input_of(cloud, made) == [rows[n] for n in range(50) if n % 5 > 2]
    assert made["model"] == GEMINI
    assert "20 rows are left, and 30 of 50 need not run again" in cloud.slack.messages[0].text
    assert manifest_of(cloud, made)["parts"] == [
        {"job": job["name"], "attempt": 0, "rows": 30, "output": FOLDER},
        {
            "job": made["name"],
            "attempt": 1,
            "rows": 20,
            "output": f"{OURS}/outputs/4711-1-{claim}",
        },
    ]

    to_the_end(resuming, cloud)
    (made,) = made_jobs(cloud, job)
    parts = [FOLDER, made["outputInfo"]["gcsOutputDirectory"]]
    last = outcomes(cloud)[-1]
    assert (last["state"], last["final"], last["outputs"]) == ("JOB_STATE_SUCCEEDED", True, parts)
    assert followed(job, capsys)["outputs"] == parts
    found = manifest_of(cloud, made)
    assert found["root"] == job["name"]
    assert [part["output"] for part in found["parts"]] == parts
    told = cloud.slack.messages[-1].text
    assert "Recovered" in told
    assert all(part in told for part in parts)
    answers = [
        json.loads(line)["request"]
        for part, name in zip(parts, ("predictions.jsonl",) * 2, strict=True)
        for line in cloud.storage.read_uri(f"{part}/{name}").splitlines()
    ]
    assert sorted(map(json.dumps, answers)) == sorted(json.dumps(r["request"]) for r in rows)
    assert {name: cloud.storage.read_uri(f"gs://lab-in/{name}") for name in before} == before


def test_a_batch_that_succeeded_with_passing_failures_sends_those_and_no_others(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    rows = requests_of(100)
    texts = [answered(row) for row in rows]
    texts[3], texts[70] = failed(rows[3], DEADLINE), failed(rows[70], BAD)
    job = batches.ended(
        rows,
        {"predictions.jsonl-00000-of-00002": texts[:50], "predictions.jsonl-00001-of-00002": texts[50:]},
        state="SUCCEEDED",
        completionStats={"successfulCount": "98", "failedCount": "2", "incompleteCount": "0"},
    )  # fmt: skip
    assert announced_and_heard(resuming, cloud) == [200]
    (made,) = made_jobs(cloud, job)
    assert input_of(cloud, made) == [rows[3]]
    to_the_end(resuming, cloud)
    assert len(outcomes(cloud)[-1]["outputs"]) == 2


def succeeded(batches: Batches, texts: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """A Gemini batch that Vertex calls SUCCEEDED and of which it counted no row."""
    return batches.ended(
        requests_of(len(texts)), {"predictions.jsonl": texts}, state="SUCCEEDED", **more
    )


def found_and_looked_at(house: House) -> None:
    """One round finds the batch in the list, the next reads its rows."""
    house.reconcile()
    house.reconcile()


def test_a_success_that_counts_no_failure_is_read_and_its_failed_rows_run_again(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    rows = requests_of(50)
    texts = [failed(row, DEADLINE) if n % 10 == 3 else answered(row) for n, row in enumerate(rows)]
    job = succeeded(batches, texts)
    found_and_looked_at(resuming)
    (made,) = made_jobs(cloud, job)
    assert input_of(cloud, made) == rows[3::10]
    told = cloud.slack.messages[0].text
    assert "5 rows are left" in told
    assert "50 rows: 45 done, 5 failed" in told
    to_the_end(resuming, cloud)
    assert len(made_jobs(cloud, job)) == 1


def test_a_success_whose_rows_are_all_done_is_read_once_and_nobody_is_told(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    job = succeeded(batches, [answered(row) for row in requests_of(20)])
    found_and_looked_at(resuming)
    reads = len(cloud.calls("storage.objects.get"))
    assert reads > 0
    resuming.reconcile()
    resuming.reconcile()
    assert len(cloud.calls("storage.objects.get")) == reads
    assert made_jobs(cloud, job) == []
    assert cloud.slack.messages == []
    assert cloud.logs.find('logName:"vertex-remediator-job-failures"') == []


def test_a_success_all_of_whose_rows_failed_is_told(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    job = succeeded(batches, [failed(row, BAD) for row in requests_of(20)])
    found_and_looked_at(resuming)
    assert made_jobs(cloud, job) == []
    (told,) = cloud.slack.messages
    assert "no row is left that may come back" in told.text


@pytest.mark.parametrize(
    ("policies", "settings"),
    [(POLICIES, {}), (POLICIES.replace("rows: remaining", ""), {"REMEDIATOR_RESUME_BUCKET": OURS})],
    ids=["no-bucket", "no-step"],
)
def test_without_anything_to_do_about_it_a_success_is_not_read(
    open_house: Callable[..., House], cloud: Any, batches: Batches, policies: str, settings: Any
) -> None:
    house = open_house(policies, **settings)
    succeeded(batches, [failed(row, DEADLINE) for row in requests_of(20)])
    found_and_looked_at(house)
    assert cloud.calls("storage.objects.get") == []
    assert cloud.slack.messages == []


def test_a_custom_batch_with_a_key_field_dead_at_70_percent(
    resuming: House, cloud: Any, batches: Batches, capsys: pytest.CaptureFixture[str]
) -> None:
    model = cloud.add_model("777", displayName="scorer")
    rows = [{"sample": f"s{n}", "x": n % 3} for n in range(40)]
    back = [{"key": f"s{n}", "prediction": [0.5]} for n in range(39, 11, -1)]
    job = batches.ended(
        rows,
        {"prediction.results-00000-of-00002": back[:10], "prediction.results-00001-of-00002": back[10:]},
        model=model,
        state="FAILED",
        error={"code": 13, "message": "INTERNAL"},
        modelVersionId="1",
        instanceConfig={"keyField": "sample"},
    )  # fmt: skip
    assert announced_and_heard(resuming, cloud) == [200]
    (made,) = made_jobs(cloud, job)
    assert made["model"].endswith("/models/777@1")
    assert input_of(cloud, made) == rows[:12]
    assert made["instanceConfig"] == {"keyField": "sample"}
    to_the_end(resuming, cloud)
    assert followed(job, capsys)["final"] is True
    assert len(followed(job, capsys)["outputs"]) == 2


def test_a_custom_batch_without_any_key_is_matched_by_its_content(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    model = cloud.add_model("777", displayName="scorer")
    rows = [{"x": n // 2, "y": 1.0} for n in range(20)]  # each twice
    back = [{"instance": {"y": 1, "x": n // 2}, "prediction": [0.5]} for n in range(14)]
    job = batches.ended(
        rows,
        {"prediction.results-00000-of-00001": back},
        model=model,
        state="FAILED",
        error={"code": 13, "message": "INTERNAL"},
    )
    assert announced_and_heard(resuming, cloud) == [200]
    (made,) = made_jobs(cloud, job)
    assert input_of(cloud, made) == rows[14:]


def test_counts_that_do_not_add_up_are_refused_and_nothing_is_written(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    rows = requests_of(10)
    stranger = answered(requests_of(12)[11])
    job = batches.ended(
        rows, {"predictions.jsonl": [answered(row) for row in rows[:6]] + [stranger]}
    )
    assert announced_and_heard(resuming, cloud) == [200]
    assert made_jobs(cloud, job) == []
    assert cloud.storage.names("lab-resume") == []
    assert "1 line of the output match no row of the input" in cloud.slack.messages[0].text


def test_without_the_setting_the_alert_says_what_would_have_been_saved(
    open_house: Callable[..., House], cloud: Any, batches: Batches
) -> None:
    house = open_house(POLICIES)
    rows = requests_of(10)
    job = batches.ended(
        rows,
        {"predictions.jsonl": [answered(row) for row in rows[:6]]},
        completionStats={"successfulCount": "6", "failedCount": "0", "incompleteCount": "4"},
    )
    assert announced_and_heard(house, cloud) == [200]
    assert made_jobs(cloud, job) == []
    told = cloud.slack.messages[0].text
    assert "not set up (REMEDIATOR_RESUME_BUCKET)" in told
    assert "6 of 10 rows would not have to run again" in told


def test_a_resume_that_dies_itself_is_resumed_and_all_three_parts_are_named(
    open_house: Callable[..., House], cloud: Any, batches: Batches, later: Callable[..., None]
) -> None:
    resuming = open_house(POLICIES, REMEDIATOR_RESUME_BUCKET=OURS, REMEDIATOR_SETTLE="0s")
    rows = requests_of(40)
    job = batches.ended(rows, {"predictions.jsonl": [answered(row) for row in rows[:20]]})
    announced_and_heard(resuming, cloud)
    (first,) = made_jobs(cloud, job)
    folder = f"{first['outputConfig']['gcsDestination']['outputUriPrefix']}/prediction-model-x"
    cloud.storage.put_uri(f"{folder}/predictions.jsonl", lines([answered(r) for r in rows[20:32]]))
    ended = cloud.now_text()
    cloud.jobs.change(
        first["name"],
        state="JOB_STATE_EXPIRED",
        startTime=first["createTime"],
        endTime=ended,
        outputInfo={"gcsOutputDirectory": folder},
    )
    resuming.reconcile()
    later(minutes=20)
    resuming.reconcile()
    second = made_jobs(cloud, job)[-1]
    assert second["labels"]["remediator-attempt"] == "2"
    assert input_of(cloud, second) == rows[32:]
    later(minutes=6)  # in which an attempt that still runs is looked at again, however old it is
    to_the_end(resuming, cloud)
    later(minutes=20)
    resuming.reconcile()
    second = made_jobs(cloud, job)[-1]
    parts = [FOLDER, folder, second["outputInfo"]["gcsOutputDirectory"]]
    assert outcomes(cloud)[-1]["outputs"] == parts
    assert [part["rows"] for part in manifest_of(cloud, second)["parts"]] == [20, 12, 8]


def half_done(batches: Batches, **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A batch that expired with half of its 20 rows done, and its rows."""
    rows = requests_of(20)
    return batches.ended(
        rows, {"predictions.jsonl": [answered(r) for r in rows[:10]]}, **more
    ), rows


def writes(cloud: Any) -> int:
    """How many objects were written below `inputs/`."""
    return sum("/inputs/" in f"/{name}" for name in cloud.storage.names("lab-resume"))


@pytest.mark.parametrize(
    "fault",
    [faults.lost_answer("UNAVAILABLE"), faults.status("UNAVAILABLE")],
    ids=["job-made", "no-job"],
)
def test_between_the_input_and_the_job_a_failure_makes_neither_twice(
    open_house: Callable[..., House], cloud: Any, batches: Batches, fault: faults.Fault, later: Any
) -> None:
    settings = {"REMEDIATOR_RESUME_BUCKET": OURS, "REMEDIATOR_CONSISTENCY_WAIT": "1s"}
    house = open_house(POLICIES, **settings)
    job, rows = half_done(batches)
    cloud.fail("JobService.CreateBatchPredictionJob", fault, times=1)
    announced_and_heard(house, cloud)
    house = open_house(POLICIES, **settings)  # another process
    later(minutes=20)
    announced_and_heard(house, cloud)
    house.reconcile()
    (made,) = made_jobs(cloud, job)
    assert writes(cloud) == 1
    assert input_of(cloud, made) == rows[10:]
    assert len(manifest_of(cloud, made)["parts"]) == 2


def test_of_eight_hands_at_once_one_writes_the_input_and_creates_the_job(
    open_house: Callable[..., House], cloud: Any, batches: Batches, later: Any
) -> None:
    """Two processes, the same entry delivered four times to each; the slower ones come back to it."""
    settings = {"REMEDIATOR_RESUME_BUCKET": OURS, "REMEDIATOR_SETTLE": "0s"}
    houses = [open_house(POLICIES, **settings) for _ in range(2)]
    job, rows = half_done(batches)
    houses[0].reconcile()
    (entry,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda house: house.hear(entry), houses * 4))
    assert set(answers) <= {200, 503}
    later(minutes=20)
    for house in houses:
        house.hear(entry)
        house.reconcile()
    (made,) = made_jobs(cloud, job)
    assert writes(cloud) == 1
    assert input_of(cloud, made) == rows[10:]
    assert len(manifest_of(cloud, made)["parts"]) == 2


def test_an_input_that_was_written_before_the_hand_died_is_used_by_the_next(
    open_house: Callable[..., House], cloud: Any, batches: Batches, later: Any
) -> None:
    """The next one may write nothing at all, and creates the job over what is there."""
    settings = {"REMEDIATOR_RESUME_BUCKET": OURS, "REMEDIATOR_CONSISTENCY_WAIT": "1s"}
    house = open_house(POLICIES, **settings)
    job, rows = half_done(batches)
    cloud.fail("JobService.CreateBatchPredictionJob", faults.status("UNAVAILABLE"), times=1)
    announced_and_heard(house, cloud)
    assert (writes(cloud), made_jobs(cloud, job)) == (1, [])
    cloud.fail("storage.objects.create", faults.status("403", "denied"), times=99)
    house = open_house(POLICIES, **settings)  # another process
    later(minutes=20)
    announced_and_heard(house, cloud)
    house.reconcile()
    (made,) = made_jobs(cloud, job)
    assert input_of(cloud, made) == rows[10:]


def test_an_upload_that_is_refused_is_told_and_leaves_nothing_half(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    job, _ = half_done(batches)
    cloud.fail("storage.objects.create", faults.status("400", "no"), times=1)
    announced_and_heard(resuming, cloud)
    assert made_jobs(cloud, job) == []
    assert writes(cloud) == 0
    assert "the rows that are left were not written" in cloud.slack.messages[0].text


def test_a_bucket_that_may_not_be_written_to_is_told_with_the_permission(
    open_house: Callable[..., House], cloud: Any, batches: Batches
) -> None:
    house = open_house(POLICIES, REMEDIATOR_RESUME_BUCKET=OURS)
    job, _ = half_done(batches)
    cloud.fail("storage.objects.create", faults.status("403", "denied"), times=99)
    assert announced_and_heard(house, cloud) == [200]
    assert made_jobs(cloud, job) == []
    told = cloud.slack.messages[0].text
    assert "the rows that are left were not written" in told
    assert "storage.objects.create" in told


def test_an_input_that_may_not_be_read_passes_the_step_over(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    job, _ = half_done(batches)
    cloud.fail("storage.objects.get", faults.status("403", "denied"), times=99)
    assert announced_and_heard(resuming, cloud) == [200]
    assert made_jobs(cloud, job) == []
    assert "its rows cannot be told apart" in cloud.slack.messages[0].text
    assert "storage.objects.get" in cloud.slack.messages[0].text


def test_without_permission_for_the_manifest_the_batch_is_resumed_all_the_same(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    """The outcomes name the parts in any case."""
    job, _ = half_done(batches)
    announced_and_heard(resuming, cloud)
    cloud.fail("storage.objects.create", faults.status("403", "denied"), times=99)
    to_the_end(resuming, cloud)
    assert len(made_jobs(cloud, job)) == 1
    assert len(outcomes(cloud)[-1]["outputs"]) == 2


def test_observed_only_nothing_is_written(
    open_house: Callable[..., House], cloud: Any, batches: Batches
) -> None:
    observing = POLICIES.replace("mode: enforce", "mode: observe")
    house = open_house(observing, REMEDIATOR_RESUME_BUCKET=OURS)
    job, _ = half_done(batches)
    announced_and_heard(house, cloud)
    assert made_jobs(cloud, job) == []
    assert cloud.storage.names("lab-resume") == []
    assert "10 rows are left" in cloud.slack.messages[0].text


def test_a_batch_whose_output_folder_nobody_named_is_found_by_its_time(
    resuming: House, cloud: Any, batches: Batches
) -> None:
    job, rows = half_done(batches, outputInfo={})
    made_at = str(job["createTime"]).replace("-", "_").replace(":", "_")
    cloud.storage.put_uri(
        f"gs://lab-out/run/prediction-model-{made_at}/predictions.jsonl",
        lines([answered(row) for row in rows[:15]]),
    )
    announced_and_heard(resuming, cloud)
    (made,) = made_jobs(cloud, job)
    assert input_of(cloud, made) == rows[15:]


@pytest.mark.usefixtures("resuming")
def test_rows_of_a_job_are_read_from_its_project(
    batches: Batches,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    job, rows = half_done(batches)
    target = tmp_path / "again.jsonl"
    assert main(["rows", str(job["name"]), "-o", str(target), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["done"], found["missing"]) == (20, 10, 10)
    assert target.read_text() == lines(rows[10:])
    assert main(["rows", f"{job['name']}0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
