"""What people ask on the command line: where a chain stands, what a case says, what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from twin import faults

from .test_loop import HEAVY, batch_job, custom_job, failure_line, made_jobs

ROOT = Path(__file__).resolve().parents[2]


def test_follow_tells_where_the_work_went_without_the_ledger(
    house: Any, cloud: Any, run: Any, tmp_path: Path
) -> None:
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    name = job["name"]
    code, out, _ = run("follow", name, "--json")
    assert (code, json.loads(out)["final"]) == (1, None)

    house.hear(failure_line(cloud, job))
    (made,) = made_jobs(cloud, job)
    code, out, _ = run("follow", name, "--json")
    told = json.loads(out)
    assert code == 1
    assert (told["root"], told["current"], told["attempt"]) == (name, made["name"], 1)
    assert told["final"] is False

    (tmp_path / "ledger.sqlite3").unlink()
    cloud.clock.advance(3 * 3600)
    for asked in (name, made["name"]):
        code, out, _ = run("follow", asked, "--json", "--wait")
        told = json.loads(out)
        assert code == 0
        assert (told["root"], told["state"]) == (name, "JOB_STATE_SUCCEEDED")
        assert told["final"] is True


def test_waiting_outlasts_an_outage_and_looking_once_does_not(
    house: Any, cloud: Any, run: Any
) -> None:
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    house.hear(failure_line(cloud, job))
    cloud.clock.advance(3 * 3600)
    outage = faults.status("RESOURCE_EXHAUSTED", retry_after=3600)
    cloud.fail("JobService.GetCustomJob", outage)
    code, out, _ = run("follow", job["name"])
    assert (code, out) == (2, "")
    cloud.fail("JobService.GetCustomJob", outage, outage)
    code, out, _ = run("follow", job["name"], "--wait", "--json")
    assert (code, json.loads(out)["final"]) == (0, True)


def test_what_is_told_of_other_chains_is_not_this_ones(house: Any, cloud: Any, run: Any) -> None:
    """Whatever the log answers, and in whichever order, each chain is followed by its own entries."""
    cloud.logs.lists_everything = True
    jobs = [
        cloud.past_job("customJobs", custom_job(name), HEAVY, route=False)
        for name in ("first", "second")
    ]
    for job in jobs:
        house.hear(failure_line(cloud, job))
    made = {one["displayName"]: one for one in cloud.jobs.all("customJobs")}
    for job in jobs:
        attempt = made[f"{job['displayName']} (attempt 1)"]
        for asked in (job, attempt):
            _, out, _ = run("follow", asked["name"], "--json")
            told = json.loads(out)
            assert (told["root"], told["current"]) == (job["name"], attempt["name"])


def test_a_clone_with_copied_labels_is_in_no_chain(house: Any, cloud: Any, run: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    house.hear(failure_line(cloud, job))
    (made,) = made_jobs(cloud, job)
    clone = cloud.add_job(
        {
            **custom_job("by-hand"),
            "name": cloud.name("customJobs", "31337"),
            "labels": made["labels"],
            "state": "JOB_STATE_RUNNING",
            "createTime": made["createTime"],
        }
    )
    _, out, _ = run("follow", clone["name"], "--json")
    assert json.loads(out)["root"] == clone["name"]
    _, out, _ = run("follow", job["name"], "--json")
    assert json.loads(out)["current"] == made["name"]


def test_a_captured_job_is_diagnosed_and_planned_from_its_file(
    house: Any, cloud: Any, run: Any, tmp_path: Path
) -> None:
    del house
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    case = tmp_path / "case.json"
    code, _, _ = run("capture", job["name"], "-o", str(case))
    assert code == 0
    assert "hunter2" not in case.read_text()
    code, out, _ = run("diagnose", str(case), "--json")
    assert (code, json.loads(out)["verdict"]) == (0, "cpu_saturation")
    policies = str(tmp_path / "policies.yaml")
    code, out, _ = run("plan", str(case), "--policies", policies, "--json", "--explain")
    plan = json.loads(out)
    assert (code, plan["action"], plan["policy"]) == (0, "resubmit", "starved-of-cpu")
    assert [change["to"] for change in plan["changes"]] == ["n1-standard-16"]
    assert plan["estimated_usd"] > 0
    assert set(plan["request"]) == {"displayName", "jobSpec", "labels"}


def test_policy_tests_compare_any_subset_and_tell_the_difference(
    house: Any, cloud: Any, run: Any, tmp_path: Path
) -> None:
    del house
    job = cloud.past_job("batchPredictionJobs", batch_job(cloud, source="gs://lab-in/no"), HEAVY)
    cases = tmp_path / "cases"
    cases.mkdir()
    run("capture", job["name"], "-o", str(cases / "a.json"))
    body = json.loads((cases / "a.json").read_text())
    policies = ("--policies", str(tmp_path / "policies.yaml"))
    for expected, exit_code in (({"verdict": "bad_input", "action": "alert"}, 0), ({"step": 9}, 1)):
        (cases / "a.json").write_text(json.dumps({**body, "expect": expected}))
        code, out, _ = run("test", str(cases), *policies)
        assert code == exit_code, out
    assert "step: expected 9" in out


def test_a_stop_that_no_deployment_hears_of_says_so(
    cloud: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REMEDIATOR_LEDGER", raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", cloud.project)
    code, out, err = run("stop")
    assert (code, out) == (2, "")
    assert "no deployment would hear of it" in err
    assert "--local" in err
    code, out, err = run("stop", "--local")
    assert (code, "no deployment" in err) == (0, False)
    assert out == "stopped, in the ledger of this folder: nothing is resubmitted until `start`\n"
    assert run("start", "--local")[1] == (
        "started, in the ledger of this folder: resubmissions go on\n"
    )
    place = f"sqlite:///{tmp_path}/ledger.sqlite3"
    monkeypatch.setenv("REMEDIATOR_LEDGER", place)
    assert run("stop")[1] == f"stopped, in {place}: nothing is resubmitted until `start`\n"


@pytest.mark.usefixtures("house")
def test_a_job_is_captured_by_its_id_and_by_its_page(cloud: Any, run: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    number = str(job["name"]).rpartition("/")[2]
    page = f"https://console.cloud.google.com/vertex-ai/locations/us-central1/training/{number}"
    for name in (number, f"{page}?project={cloud.project}"):
        code, out, _ = run("capture", name, "-o", "-")
        assert (code, json.loads(out)["job"]["name"]) == (0, job["name"])
        code, out, _ = run("diagnose", name, "--json")
        assert (code, json.loads(out)["job"]) == (0, job["name"])
    code, out, err = run("diagnose", f"{number}0")
    assert (code, out) == (2, "")
    assert "no such job in us-central1" in err


def test_the_stop_switch_works_from_the_command_line(house: Any, cloud: Any, run: Any) -> None:
    assert run("stop")[0] == 0
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    assert run("start")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("diagnose", "nowhere.json"), "No such file", id="no-file"),
        pytest.param(
            ("plan", "pyproject.toml", "--policies", "policies.yaml"), "not JSON", id="no-json"
        ),
        pytest.param(("validate", "nowhere.yaml"), "No such file", id="no-policies"),
        pytest.param(
            ("test", "nowhere", "--policies", "policies.yaml"), "no such folder", id="no-dir"
        ),
        pytest.param(("probe", "ftp://x/"), "not an http", id="no-url"),
    ],
)
def test_unusable_input_is_one_clear_line_and_exit_2(
    run: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert says in line


def test_probe_measures_loopback_only_where_the_cloud_is_loopback(
    cloud: Any, run: Any, open_house: Callable[..., Any]
) -> None:
    open_house()
    cloud.host.seconds = 0.05
    code, out, _ = run("probe", cloud.host.url, "--tries", "1", "--threshold", "0.01", "--json")
    (found,) = json.loads(out)
    assert code == 1
    assert 0.04 < found["seconds"] < 2
    assert found["over"] is True


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[fd00::1]"])
def test_probe_never_speaks_to_a_private_place(run: Any, host: str) -> None:
    code, _, err = run("probe", f"http://{host}/", "--tries", "1")
    assert code == 2
    assert "private, local or reserved" in err


def test_a_bad_policy_file_is_told_all_at_once(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "version: 1\nmode: enforced\npolicies:\n  - name: X\n    when: {cause: cpu_saturaton}\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "remediator", "validate", str(bad)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        f"{bad}:2:7: error: mode: unknown value `enforced`; did you mean `enforce`?",
        f"{bad}:4:11: error: name: `X` is not a name: a-z, 0-9 and -, at most 63",
        f"{bad}:5:19: error: cause: unknown value `cpu_saturaton`; did you mean `cpu_saturation`?",
        f"{bad}: 3 errors: it does not load",
    ]
