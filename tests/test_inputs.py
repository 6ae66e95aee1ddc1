"""What people have in hand when a job has failed: files of every kind, and what is made of them.

In one file, though it is long: each test joins pieces of the same few jobs and logs that stand at its head, and any
kind of file may be given beside any other.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.case import LogLine
from remediator.cli.subject import subject_of
from remediator.domain import InvalidInput, JobKind
from remediator.inputs import assemble, parse_reference, read_document, wishes
from remediator.inputs.text_log import has_sign_of_death, last_exit, read_lines
from tests.jobs import CUSTOM

ROOT = Path(__file__).resolve().parents[1]

KILLED = "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137."
FAILED_JOB = copy.deepcopy(CUSTOM) | {"error": {"code": 3, "message": KILLED}}
POLICIES = """\
version: 1
mode: enforce
rerun_safe: [custom]
channels: {ml: {slack: {webhook: "env:W"}}}
policies:
  - name: memory
    when: {cause: memory_pressure}
    do: [{resubmit: {machine_type: more_memory}}]
    alert: [ml]
"""
ENTRY = {
    "insertId": "a1",
    "logName": "projects/p/logs/workerpool0-0",
    "timestamp": "2026-11-28T10:00:00Z",
    "resource": {"type": "ml_job", "labels": {"job_id": "4242424242", "project_id": "p"}},
    "severity": "ERROR",
    "textPayload": "ValueError: could not convert string to float: 'N/A'",
}
PLAIN = """\
2026-11-28 10:00:00,123 INFO trainer: epoch 0
Traceback (most recent call last):
  File "/app/train.py", line 12, in <module>
    main()
  File "/app/train.py", line 8, in main
    raise KeyError("label")
KeyError: 'label'
command terminated with exit code 1
"""


@pytest.fixture
def run(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Where `policies.yaml` stands in the folder that commands run in."""
    (tmp_path / "policies.yaml").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    return run


def diagnosed(run: Any, *inputs: str) -> dict[str, Any]:
    code, out, _ = run("diagnose", *inputs, "--json")
    assert code == 0
    answer: dict[str, Any] = json.loads(out)
    return answer


# --- jobs and log entries, as gcloud and REST give them ------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FAILED_JOB),
        json.dumps([FAILED_JOB]),
        json.dumps({"customJobs": [FAILED_JOB], "nextPageToken": "x"}),
        json.dumps({"job": FAILED_JOB}),
        yaml.safe_dump(FAILED_JOB),
        "---\n" + yaml.safe_dump(FAILED_JOB),
        yaml.safe_dump([FAILED_JOB]),
        f"Using endpoint [https://us-central1-aiplatform.googleapis.com/]\n{yaml.safe_dump(FAILED_JOB)}",
        "\ufeff" + json.dumps(FAILED_JOB),
    ],
    ids=["bare", "list", "rest-answer", "case", "yaml", "yaml-mark", "yaml-list", "chatter", "bom"],
)
def test_a_job_is_read_in_every_form_it_comes_in(run: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "it").write_text(text)
    answer = diagnosed(run, "it")
    assert answer["job"] == CUSTOM["name"]
    assert answer["verdict"] == "memory_pressure"
    assert answer["subject"] == {
        "kind": "custom",
        "state": "FAILED",
        "machine": "n1-standard-8",
        "run_seconds": answer["subject"]["run_seconds"],
        "error": KILLED,
    }


@pytest.mark.parametrize("form", ["to_json", "to_dict"])
def test_a_job_as_the_sdk_prints_it_is_the_job_that_rest_gives(form: str) -> None:
    from google.cloud.aiplatform_v1.types import CustomJob

    job = CustomJob(
        name="projects/1/locations/us-central1/customJobs/77777",
        display_name="nightly",
        state=5,
        labels={"my_label": "x"},
        job_spec={
            "worker_pool_specs": [
                {
                    "machine_spec": {
                        "machine_type": "n1-standard-8",
                        "accelerator_type": "NVIDIA_TESLA_T4",
                        "accelerator_count": 1,
                    },
                    "replica_count": 1,
                    "container_spec": {"image_uri": "a", "env": [{"name": "A_B", "value": "c_d"}]},
                }
            ],
            "scheduling": {"timeout": "3600s", "strategy": "SPOT"},
        },
    )
    printed = CustomJob.to_json(job) if form == "to_json" else json.dumps(CustomJob.to_dict(job))
    (read,) = read_document(printed.encode(), "job").jobs
    assert read["state"] == "JOB_STATE_FAILED"
    assert read["displayName"] == "nightly"
    assert read["labels"] == {"my_label": "x"}
    spec = read["jobSpec"]
    assert spec["scheduling"]["strategy"] == "SPOT"
    assert spec["scheduling"]["timeout"] == "3600s"
    pool = spec["workerPoolSpecs"][0]
    assert pool["machineSpec"] == {
        "machineType": "n1-standard-8",
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 1,
    }
    assert pool["containerSpec"]["env"] == [{"name": "A_B", "value": "c_d"}]
    assert subject_of(assemble([read_document(printed.encode(), "job")])).machine == (
        "n1-standard-8 + 1 NVIDIA_TESLA_T4"
    )


def test_times_of_a_yaml_job_are_read_as_those_of_a_json_job() -> None:
    unquoted = "\n".join(
        f"{key}: {value}" if key.endswith("Time") else yaml.safe_dump({key: value}).rstrip()
        for key, value in FAILED_JOB.items()
    )
    from_yaml = assemble([read_document(unquoted.encode(), "y")]).case.job
    from_json = assemble([read_document(json.dumps(FAILED_JOB).encode(), "j")]).case.job
    assert from_yaml.run_seconds == from_json.run_seconds
    assert from_yaml.run_seconds


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([ENTRY]),
        json.dumps(ENTRY),
        json.dumps(ENTRY) + "\n\n" + json.dumps(ENTRY | {"insertId": "a2"}) + "\n",
        json.dumps({"entries": [ENTRY]}),
        yaml.safe_dump(ENTRY) + "---\n" + yaml.safe_dump(ENTRY | {"insertId": "a2"}),
    ],
    ids=["array", "one", "jsonl", "rest-answer", "yaml"],
)
def test_log_entries_are_read_in_every_form_and_merged_with_the_job(
    run: Any, tmp_path: Path, text: str
) -> None:
    (tmp_path / "entries").write_text(text)
    (tmp_path / "job.json").write_text(json.dumps(CUSTOM | {"error": {"code": 3, "message": "x"}}))
    for order in (("entries", "job.json"), ("job.json", "entries")):
        answer = diagnosed(run, *order)
        assert (answer["job"], answer["kind"]) == (CUSTOM["name"], "custom")
        assert answer["verdict"] in {"bad_input", "user_code_error"}


def test_of_one_log_entry_alone_no_length_is_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "it").write_text(json.dumps([ENTRY]))
    assert set(diagnosed(run, "it")["subject"].values()) == {None}


def test_of_a_list_the_newest_that_failed_is_taken_and_told(run: Any, tmp_path: Path) -> None:
    older = FAILED_JOB | {"name": CUSTOM["name"] + "1", "endTime": "2026-11-20T00:00:00Z"}
    fine = FAILED_JOB | {"name": CUSTOM["name"] + "2", "state": "JOB_STATE_SUCCEEDED"}
    (tmp_path / "list").write_text(json.dumps([older, FAILED_JOB, fine]))
    code, out, err = run("diagnose", "list", "--json")
    assert (code, json.loads(out)["job"]) == (0, CUSTOM["name"])
    assert err == f"note: list: 3 jobs; the newest that failed is taken: {CUSTOM['name']}\n"


def test_two_different_jobs_are_refused_in_one_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(json.dumps(FAILED_JOB))
    (tmp_path / "b").write_text(json.dumps(FAILED_JOB | {"name": CUSTOM["name"] + "1"}))
    code, out, err = run("diagnose", "a", "b")
    assert (code, out) == (2, "")
    assert "different jobs" in err
    assert err.count("\n") == 1


# --- plain logs ----------------------------------------------------------------------------------


def test_a_plain_log_with_a_traceback_and_an_exit_line_is_enough(run: Any, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(PLAIN)
    answer = diagnosed(run, "train.log")
    assert (answer["job"], answer["kind"], answer["verdict"]) == (None, None, "user_code_error")
    code, out, err = run("plan", "train.log", "--policies", "policies.yaml", "--json")
    plan = json.loads(out)
    assert (code, err) == (0, "")
    assert (plan["action"], plan["request"], plan["job"]) == ("alert", None, None)
    code, out, _ = run("diagnose", "train.log")
    assert "exit status 1" in out
    assert "in code: /app/train.py, line 8, in main" in out
    assert "  KeyError: 'label'" in out
    assert answer["frame"] == {"file": "/app/train.py", "line": 8, "function": "main"}
    assert "gcloud ai custom-jobs describe" in out


def test_without_a_job_nothing_is_resubmitted_whatever_the_cause(run: Any, tmp_path: Path) -> None:
    (tmp_path / "l").write_text("loading\n./run.sh: line 4:    12 Killed     python3 x.py\n")
    assert diagnosed(run, "l")["verdict"] == "memory_pressure"
    plan = json.loads(run("plan", "l", "--policies", "policies.yaml", "--json")[1])
    assert (plan["action"], plan["request"], plan["changes"]) == ("alert", None, [])
    assert plan["refused_by"] == []  # what a job that nobody gave could not do refuses nothing
    assert plan["because"].endswith("with one, policy memory would decide its next step.")
    explained = json.loads(
        run("plan", "l", "--policies", "policies.yaml", "--json", "--explain")[1]
    )
    # Neither the price of the stand-in's machine nor whether it may run again.
    assert explained["explanation"][-1] == "memory: matches"


def test_without_a_job_what_the_cause_itself_refuses_is_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "l").write_text(PLAIN)
    (tmp_path / "p.yaml").write_text(POLICIES.replace("memory_pressure", "user_code_error"))
    plan = json.loads(run("plan", "l", "--policies", "p.yaml", "--json")[1])
    assert plan["refused_by"] == ["cause"]
    assert "With one the policies would say: User code error" in plan["because"]


def test_a_plain_log_names_no_worker_that_nobody_named(run: Any, tmp_path: Path) -> None:
    (tmp_path / "l").write_text(PLAIN)
    (cause, *_) = diagnosed(run, "l")["causes"]
    assert cause["evidence"][0]["says"].startswith('the log: "')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("working\nexit status 137\n", ['the log: "exit status 137"']),
        ("loading\n12 Killed  python3 x.py\n", ['the log: "12 Killed python3 x.py"']),
    ],
)
def test_a_log_alone_is_not_said_to_have_a_job_with_an_error(
    run: Any, tmp_path: Path, text: str, says: list[str]
) -> None:
    (tmp_path / "l").write_text(text)
    (cause, *_) = diagnosed(run, "l")["causes"]
    assert [item["says"] for item in cause["evidence"]] == says
    shown = run("alert", "preview", "l", "--policies", "policies.yaml", "--channel", "ml")[1]
    assert says[0] in " ".join(shown.split())
    assert "The replica" not in shown


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"error": "x"}, "the job's `error` must be an object"),
        ({"labels": ["x"]}, "the job's `labels` must be an object"),
        (
            {"jobSpec": {"workerPoolSpecs": [None]}},
            "the job's `jobSpec.workerPoolSpecs` must be a list of objects",
        ),
    ],
)
@pytest.mark.parametrize("command", ["diagnose", "plan"])
def test_a_job_of_a_shape_that_no_job_has_is_one_line_whoever_reads_it(
    run: Any, tmp_path: Path, command: str, odd: dict[str, Any], said: str
) -> None:
    (tmp_path / "log").write_text("All is well.\n")
    (tmp_path / "odd").write_text(json.dumps(FAILED_JOB | odd))
    flags = () if command == "diagnose" else ("--policies", "policies.yaml")
    assert run(command, "log", "odd", *flags) == (2, "", f"{command}: odd: {said}\n")


@pytest.mark.parametrize("state", ["RUNNING", "SUCCEEDED"])
def test_no_alert_is_shown_of_a_job_that_has_not_failed(
    run: Any, tmp_path: Path, state: str
) -> None:
    job = {key: value for key, value in FAILED_JOB.items() if key != "error"}
    (tmp_path / "job").write_text(json.dumps(job | {"state": f"JOB_STATE_{state}"}))
    (tmp_path / "quiet.yaml").write_text(
        POLICIES.replace("mode: enforce\nrerun_safe: [custom]\n", "")
    )
    given = ("job", "--policies", "quiet.yaml")
    said = f"no alert is sent: the job is {state}: it has not failed\n"
    assert run("alert", "preview", *given, "--channel", "ml") == (0, said, "")
    assert run("alert", "preview", *given, "--html") == (0, said, "")
    assert run("alert", "preview", *given, "--channel", "ml", "--json") == (0, "null\n", said)
    plan = json.loads(run("plan", *given, "--json")[1])
    seen = "; its watch verdict is unknown" if state == "RUNNING" else ""  # no metrics
    assert plan["because"] == f"The job is {state}: it has not failed{seen}."
    assert (plan["action"], plan["alerts"], plan["request"]) == ("alert", [], None)


def test_a_log_by_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "piped").write_text(PLAIN)
    with (tmp_path / "piped").open() as piped:
        monkeypatch.setitem(__import__("sys").__dict__, "stdin", piped)
        assert diagnosed(run, "-")["verdict"] == "user_code_error"


@pytest.mark.parametrize(
    "line",
    [
        {"log": "Killed\n", "stream": "stderr", "time": "2026-11-23T19:59:00Z"},
        {"event": "Killed", "level": "error"},
    ],
    ids=["docker-json-file", "structlog"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_lines_of_loggers_and_container_runtimes_are_a_log(
    run: Any, tmp_path: Path, line: dict[str, Any], count: int
) -> None:
    (tmp_path / "l").write_text(f"{json.dumps(line)}\n" * count)
    assert diagnosed(run, "l")["verdict"] == "memory_pressure"


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        ("exit code 0", "unknown"),
        ("Process exited with code 0", "unknown"),
        ("exit status 1", "user_code_error"),
        ("exit status 1\nexit status 0", "user_code_error"),
        ("rsync exited with code 0", "user_code_error"),
    ],
)
def test_a_process_that_ended_with_status_0_has_not_failed(
    run: Any, tmp_path: Path, last: str, verdict: str
) -> None:
    raised = PLAIN.removesuffix("command terminated with exit code 1\n")
    (tmp_path / "l").write_text(f"{raised}{last}\n")
    assert diagnosed(run, "l")["verdict"] == verdict


@pytest.mark.parametrize(
    "text",
    ["All is well.\n", "epoch 1\nepoch 2\ntraining complete\n", "3 rows, 0 errors\n", '"quoted"\n'],
)
def test_a_text_without_a_sign_of_death_is_unknown_and_no_error(
    run: Any, tmp_path: Path, text: str
) -> None:
    (tmp_path / "t").write_text(text)
    answer = diagnosed(run, "t")
    assert (answer["verdict"], answer["causes"]) == ("unknown", [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n\t\n",
        b"42",
        b"-4.2e3\n",
        b'{"job": ',
        b"[1, 2",
        b"[1, 2]",
        b"[]",
        b"{'loss': 0.5}\n",
        b'{"foo": 1}',
        b'[{"foo": 1}]',
        b"text with\0a NUL",
        b"[nonsense]",
        b'{"job": 3}',
        b"\xff\xfe",
    ],
    ids=repr,
)
def test_what_nothing_can_be_made_of_is_one_line_and_exit_2(
    run: Any, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "odd").write_bytes(data)
    for command in (("diagnose", "odd"), ("plan", "odd", "--policies", "policies.yaml")):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert err.startswith(f"{command[0]}: odd: ")
        assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(run: Any) -> None:
    assert run("diagnose", "no/such.log") == (
        2,
        "",
        "diagnose: no/such.log: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        ("2026-11-28 10:00:01,123 INFO x", "2026-11-28T10:00:01.123000Z"),
        ("2026-11-28T10:00:01Z x", "2026-11-28T10:00:01Z"),
        ("2026-11-28T10:00:01.5+02:00 x", "2026-11-28T08:00:01.500000Z"),
        ("[2026-11-28 10:00:01 +0000] [7] [INFO] Starting gunicorn 27.0.1", "2026-11-28T10:00:01Z"),
        ("[2026-11-28 10:00:01,123] {taskinstance.py:1} ERROR x", "2026-11-28T10:00:01.123000Z"),
        ("INFO 2026-11-28 10:00:01 x", "2026-11-28T10:00:01Z"),
        ("[INFO] 2026-11-28 10:00:01 x", "2026-11-28T10:00:01Z"),
        ("26/11/28 10:00:01 WARN TaskSetManager: x", "2026-11-28T10:00:01Z"),
        ("2026/11/28 10:00:01 [error] 7#7: x", "2026-11-28T10:00:01Z"),
        ('10.0.0.1 - - [28/Nov/2026:10:00:01 +0000] "GET / HTTP/1.1" 200', "2026-11-28T10:00:01Z"),
        ("Sat Nov 28 10:00:01 2026 x", "2026-11-28T10:00:01Z"),
    ],
)
def test_times_of_the_common_forms_are_found(line: str, moment: str) -> None:
    (entry,) = read_lines(line)
    assert (entry["timestamp"], entry["textPayload"]) == (moment, line)


@pytest.mark.parametrize(
    ("line", "clock"),
    [
        ("I1128 10:00:01.500000 7 file.cc:12] x", "11-28T10:00:01.500000Z"),
        ("W1128 10:00:01.5 1 torch/run.py:982] x", "11-28T10:00:01.500000Z"),
        ("Nov 28 10:00:01 host kernel: x", "11-28T10:00:01Z"),
        ("Nov-28 10:00:01.123 [main] INFO nextflow.cli x", "11-28T10:00:01.123000Z"),
    ],
)
def test_a_time_without_a_year_has_that_of_the_log(line: str, clock: str) -> None:
    entries = read_lines(f"{line}\n2026-11-28 10:00:02 x")
    assert entries[0]["timestamp"] == f"2026-{clock}"


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("2026-11-28T10:00:01.123456789Z stderr F RuntimeError: x", "RuntimeError: x"),
        ("2026-11-28T10:00:01.123456789Z RuntimeError: x", "RuntimeError: x"),
        ("trainer-1  | RuntimeError: x", "RuntimeError: x"),
        ("[pod/trainer-abc/main] RuntimeError: x", "RuntimeError: x"),
        ("\x1b[31mRuntimeError: x\x1b[0m", "RuntimeError: x"),
        (" 10%|#   | 1/10\r100%|####| 10/10", "100%|####| 10/10"),
    ],
)
def test_prefixes_that_tools_put_before_a_line_are_taken_off(line: str, rest: str) -> None:
    assert read_lines(line)[0]["textPayload"] == rest


def test_lines_without_a_time_bear_that_of_the_line_before() -> None:
    entries = read_lines("head\n2026-11-28 10:00:01 a\n  File x\n2026-11-28 10:00:05 b\nlast")
    clocks = [entry["timestamp"][17:19] for entry in entries]
    assert clocks == ["01", "01", "01", "05", "05"]


def test_structured_lines_are_payloads_with_their_own_time_and_level() -> None:
    first = {
        "severity": "INFO",
        "message": "stage started",
        "time": 1795946372.03,
        "stage": "align",
    }
    text = f"{json.dumps(first)}\nTraceback (most recent call last):\n"
    material = read_document(text.encode(), "log")
    assert material.plain
    assert material.entries[0]["jsonPayload"]["message"] == "stage started"
    assert material.entries[0]["severity"] == "INFO"
    assert material.entries[0]["timestamp"].startswith("2026-11-29T")
    assert material.entries[1]["textPayload"].startswith("Traceback")


def test_each_exception_of_a_chain_is_cited_by_its_own_line(run: Any, tmp_path: Path) -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/opt/lib/python3.10/site-packages/torch/utils/data/dataloader.py", line 1131, in _get',
        "RuntimeError: DataLoader worker (pid 318) is killed by signal: Killed.",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        '  File "/app/train.py", line 141, in train',
        "RuntimeError: DataLoader worker (pid(s) 318) exited unexpectedly",
    )
    (tmp_path / "train.log").write_text("\n".join(lines))
    evidence = diagnosed(run, "train.log")["causes"][0]["evidence"]
    assert {one["where"] for one in evidence if "Killed" in one["says"]} == {"line 3"}
    assert {one["where"] for one in evidence if "exited" in one["says"]} == {"line 9"}


def test_an_object_in_a_bucket_is_to_be_copied_first(run: Any) -> None:
    said = "diagnose: gs://b/x is in Cloud Storage: copy it first (gcloud storage cp gs://b/x .)\n"
    assert run("diagnose", "gs://b/x") == (2, "", said)


_DENIED = (
    "googleapi: Error 403: scorer@p.iam.gserviceaccount.com does not have storage.objects.get access "
    "to the Google Cloud Storage object."
)


@pytest.mark.parametrize(
    "beside",
    [
        {"error": _DENIED},  # zap, zerolog, logrus
        {"err": {"type": "Error", "message": _DENIED, "stack": f"Error: {_DENIED}\n    at load"}},
        {
            "exception": f'Traceback (most recent call last):\n  File "a.py", line 3, in f\n{_DENIED}'
        },
        {"error": None, "err": "nil", "error.message": _DENIED},
    ],
    ids=["text", "object", "trace", "dotted"],
)
def test_the_error_beside_a_structured_message_is_read(
    run: Any, tmp_path: Path, beside: dict[str, Any]
) -> None:
    line = json.dumps({"level": "error", "msg": "cannot open model", **beside})
    (tmp_path / "service.log").write_text(f"{line}\npanic: load model\nexit status 2\n")
    answer = diagnosed(run, "service.log")
    assert answer["verdict"] == "permission"
    assert "Grant scorer@p.iam.gserviceaccount.com" in answer["causes"][0]["advice"]["text"]


@pytest.mark.parametrize("nothing", ["", "null", "<nil>", "0.12", False, 3, {}, "stage started"])
def test_what_tells_of_no_error_is_not_added_to_a_message(nothing: object) -> None:
    entry = {"jsonPayload": {"message": "stage started", "error": nothing}}
    assert LogLine.parse(entry).text == "stage started"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (
            "The replica workerpool0-0 exited with a non-zero status of 3. Termination reason: Error.",
            3,
        ),
        ("command terminated with exit code 137", 137),
        ("Process exited with status 2", 2),
        ("exit status: 4", 4),
        ("ERROR: Job failed: exit code 1", 1),
        ("error: Process completed with exit code 143.", 143),
        ("subprocess.CalledProcessError: Command 'x' returned non-zero exit status 9.", 9),
        ("Command terminated by signal 9", 137),
        ("/app/run.sh: line 4:     2 Killed                  python3 -c x", 137),
        ("Killed", 137),
        ("Segmentation fault (core dumped)", 139),
        ("torchrun exitcode: -9 (pid: 12)", 137),
        ("Last State: Terminated Reason: OOMKilled", 137),
    ],
)
def test_exit_lines_are_recognised(line: str, status: int) -> None:
    found = last_exit(["first", line, "goodbye"])
    assert found is not None
    assert (found.status, found.line) == (status, line)


@pytest.mark.parametrize(
    "line", ["exit code 0", "exited with status 0", "exited 12 loops early", "100% exit rate"]
)
def test_what_is_no_failure_is_no_exit_line(line: str) -> None:
    assert last_exit([line]) is None


def test_the_complaints_of_a_healthy_log_are_no_sign_of_death() -> None:
    assert not has_sign_of_death(["done, 0 errors", "no failures", "errors=0"])
    assert has_sign_of_death(["Post request fails. Non-OK result 504 (upstream request timeout)"])


@pytest.mark.parametrize(
    "said",
    [
        'Machine type "n1-standard-9" is not supported.',
        'Machine type "a2-highgpu-1g" is not supported in region us-west2.',
        'List of found errors: 1.Field: job_spec.worker_pool_specs[0].machine_spec.machine_type; Message: Machine type "n1-standard-9" is not supported.',
        "List of found errors: 1.Field: job_spec.worker_pool_specs[0].machine_spec.accelerator_count; Message: accelerator_count must be greater than 0",
    ],
)
@pytest.mark.parametrize(
    "status", ["400 INVALID_ARGUMENT:", "google.api_core.exceptions.InvalidArgument: 400"]
)
def test_a_refusal_by_its_status_alone_is_a_complaint(
    run: Any, tmp_path: Path, status: str, said: str
) -> None:
    (tmp_path / "l").write_text(f"{status} {said}\n")
    answer = diagnosed(run, "l")
    assert answer["verdict"] == "invalid_config"
    assert answer["causes"][0]["confidence"] >= 0.8


# --- cases ---------------------------------------------------------------------------------------


def test_unknown_keys_of_a_case_are_named_with_what_was_meant(run: Any, tmp_path: Path) -> None:
    body = {"job": FAILED_JOB, "logentries": [ENTRY], "zzz": 1, "expect": {}}
    (tmp_path / "case.json").write_text(json.dumps(body))
    code, out, err = run("diagnose", "case.json", "--json")
    assert code == 0
    assert json.loads(out)["ignored_keys"] == ["logentries", "zzz"]
    assert (
        err == "note: not read: `logentries`; did you mean `logEntries`?\nnote: not read: `zzz`\n"
    )


def test_the_merged_case_is_kept_and_answers_the_same(run: Any, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(FAILED_JOB))
    (tmp_path / "entries.json").write_text(json.dumps([ENTRY]))
    first = diagnosed(run, "job.json", "entries.json", "-o", "case.json")
    assert diagnosed(run, "case.json") == first


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("JOB_STATE_SUCCEEDED", "The job succeeded"),
        ("JOB_STATE_RUNNING", "The job has not ended"),
        ("JOB_STATE_PENDING", "The job has not ended"),
    ],
)
def test_a_job_that_has_not_failed_is_not_called_failed(
    run: Any, tmp_path: Path, state: str, words: str
) -> None:
    job = {key: value for key, value in CUSTOM.items() if key != "endTime"} | {"state": state}
    case = {"job": job, "logEntries": [ENTRY], "now": "2026-11-28T12:00:00Z"}
    (tmp_path / "j").write_text(json.dumps(case))
    assert diagnosed(run, "j")["verdict"] == "unknown"
    code, out, _ = run("diagnose", "j")
    assert code == 0
    assert words in out
    plan = json.loads(run("plan", "j", "--policies", "policies.yaml", "--json")[1])
    assert (plan["action"], plan["request"]) == ("alert", None)


def test_policy_tests_take_folders_and_cases(run: Any, tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    body = {"job": FAILED_JOB, "expect": {"verdict": "memory_pressure", "action": "resubmit"}}
    (tmp_path / "cases" / "a.json").write_text(json.dumps(body))
    (tmp_path / "b.json").write_text(json.dumps(body | {"expect": {"kind": "custom"}}))
    (tmp_path / "c.json").write_text(json.dumps({"job": FAILED_JOB}))
    code, out, err = run("test", "cases", "b.json", "c.json", "--policies", "policies.yaml")
    assert (code, out.splitlines()[-1]) == (0, "2 passed, 0 failed")
    assert err == "note: c.json: has no `expect` object: skipped\n"


def test_what_is_missing_comes_with_the_command_that_fetches_it() -> None:
    alone = assemble([read_document(json.dumps(ENTRY).encode(), "e")])
    (wish,) = wishes(alone)
    assert wish == (
        "the job itself (machine, state, its own error): gcloud ai custom-jobs describe 4242424242 "
        "--project=p --region=REGION --format=json"
    )
    (wish,) = wishes(assemble([read_document(json.dumps(FAILED_JOB).encode(), "j")]))
    assert wish.startswith("the job's log lines: gcloud logging read 'resource.type=")


# --- jobs by name --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("projects/p/locations/us-east1/customJobs/77777", ("77777", "p", "us-east1", "custom")),
        (
            "//aiplatform.googleapis.com/projects/p/locations/us-east1/pipelineJobs/run-1",
            ("run-1", "p", "us-east1", "pipeline"),
        ),
        (
            "https://console.cloud.google.com/vertex-ai/locations/us-central1/training/123456?project=p",
            ("123456", "p", "us-central1", "custom"),
        ),
        (
            "https://console.cloud.google.com/vertex-ai/locations/us-central1/batch-predictions/123456?project=p",
            ("123456", "p", "us-central1", "batch_prediction"),
        ),
        (
            "https://console.cloud.google.com/vertex-ai/locations/eu-west4/pipelines/runs/train-20261128?project=p",
            ("train-20261128", "p", "eu-west4", "pipeline"),
        ),
        (
            "https://console.cloud.google.com/logs/viewer?project=42&resource=ml_job%2Fjob_id%2F123456",
            ("123456", "42", "", "custom"),
        ),
        ("1234567890", ("1234567890", "", "", "custom")),
        ("123", ("123", "", "", "custom")),  # as the documentation's examples are written
        (
            "https://console.cloud.google.com/vertex-ai/locations/us-central1/training/123?project=p",
            ("123", "p", "us-central1", "custom"),
        ),
        ("train-20261128101112", ("train-20261128101112", "", "", "pipeline")),
    ],
)
def test_jobs_are_named_in_many_ways(text: str, expected: tuple[str, ...]) -> None:
    found = parse_reference(text)
    assert found is not None
    assert (found.id, found.project, found.location, found.kinds[0]) == (
        *expected[:3],
        JobKind(expected[3]),
    )


def test_what_names_no_job_is_none_and_another_page_of_the_console_is_told() -> None:
    assert parse_reference("train.log") is None
    assert parse_reference("https://example.com/jobs/123456") is None
    with pytest.raises(InvalidInput, match="no job's"):
        parse_reference("https://console.cloud.google.com/vertex-ai/models?project=p")


def test_a_bare_id_asks_for_its_project_and_region(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "REMEDIATOR_LOCATIONS"):
        monkeypatch.delenv(name, raising=False)
    code, out, err = run("diagnose", "1234567890")
    assert (code, out) == (2, "")
    assert "--project and --region" in err


def test_an_alert_is_shown_as_the_mails_page_and_as_slacks_blocks(run: Any, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(FAILED_JOB))
    preview = ("alert", "preview", "job.json", "--policies", "policies.yaml")
    code, out, _ = run(*preview, "--html")
    assert code == 0
    assert out.startswith("<!doctype html>")
    assert "<b>Next step:</b>" in out
    code, out, _ = run(*preview, "--slack")
    assert (code, json.loads(out)["blocks"][0]["type"]) == (0, "header")
    code, out, err = run(*preview)
    assert (code, out) == (2, "")
    assert "--channel NAME" in err


def test_what_would_hold_the_alert_on_a_channel_is_noted(run: Any, tmp_path: Path) -> None:
    """As text beneath it; where a program reads the output, on standard error."""
    error = {"error": {"code": 8, "message": "The replica workerpool0-0 ran out of memory."}}
    (tmp_path / "job.json").write_text(json.dumps(FAILED_JOB | error))
    held = "ml: {slack: {webhook: env:W}, quiet_hours: {from: '22:00', to: '07:00'}}"
    (tmp_path / "held.yaml").write_text(POLICIES.replace('ml: {slack: {webhook: "env:W"}}', held))
    preview = ("alert", "preview", "job.json", "--policies", "held.yaml")
    note = "note: ml has quiet hours from 22:00 to 07:00 (UTC): in them this alert is held"
    assert note in run(*preview, "--channel", "ml")[1]
    _, out, err = run(*preview, "--slack")  # of the channels that the policy names
    assert json.loads(out)["blocks"]
    assert note in err
    assert "note:" not in run(*preview[:-1], "policies.yaml", "--channel", "ml")[1]


def test_a_log_that_complains_of_nothing_has_no_alert(run: Any, tmp_path: Path) -> None:
    (tmp_path / "fine.log").write_text("epoch 1\ntraining complete\n")
    preview = ("alert", "preview", "fine.log", "--policies", "policies.yaml", "--channel", "ml")
    code, out, _ = run(*preview)
    assert (code, out) == (0, "no alert is sent: the log shows no error\n")


def test_why_a_running_job_is_not_watched_is_said(run: Any, tmp_path: Path) -> None:
    job = {key: value for key, value in FAILED_JOB.items() if key not in {"error", "endTime"}}
    off = {"state": "JOB_STATE_RUNNING", "labels": {"remediator": "off"}}
    (tmp_path / "job").write_text(json.dumps(job | off))
    _, told, _ = run("diagnose", "job")
    assert "watch: not asked, the label remediator=off says never to touch the job\n" in told
    assert json.loads(run("diagnose", "job", "--json")[1])["watch"] is None


@pytest.mark.parametrize(
    "path",
    [ROOT / "policies.yaml", *sorted((ROOT / "docs" / "examples" / "policies").glob("*.yaml"))],
    ids=lambda path: path.name,
)
def test_a_policy_file_is_told_and_not_read_as_a_log(path: Path) -> None:
    with pytest.raises(InvalidInput, match="a policy file and no failure: check it with `validate"):
        read_document(path.read_bytes(), path.name)
