"""What whoever deploys may say, evaluated by the real Terraform: bad values are told, good ones do.

Only what needs no provider is evaluated: variables, locals and preconditions, as they stand in the
module, with a word in place of each thing that only Google could name.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remediator import settings
from tests.deploy.terraform import MODULE, ROOT, blocks, resource
from tests.deploy.what_runs import BESIDE_THE_PACKAGE, assert_it_diagnoses, own_files

GOOGLES_OWN = {
    "data.google_project.this.number": '"471108150815"',
    "google_firestore_database.ledger.name": "var.name",
    "google_pubsub_topic.outcomes[0].name": '"outcomes"',
    "path.module": f'"{MODULE}"',
}
ALONE = {"project": "my-project", "region": "us-central1"}


def bodies(keyword: str, text: str) -> Iterator[str]:
    """Every block of the keyword, whole, by its braces; none stands in a string of these files."""
    for match in re.finditer(rf"^ *{keyword} \{{", text, re.MULTILINE):
        depth, at = 0, match.end() - 1
        while True:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
            if not depth:
                break
        yield text[match.start() : at]


def resources(text: str) -> Iterator[str]:
    """Each resource that has preconditions, with nothing of it but those and its count."""
    for name in re.findall(r'^resource "(\w+" "\w+)"', text, re.MULTILINE):
        (whole,) = bodies(f'resource "{re.escape(name)}"', text)
        held = "\n".join(bodies("precondition", whole))
        count = re.search(r"^  count *= .*$", whole, re.MULTILINE)
        label = re.sub(r"\W+", "_", name)
        if held:
            yield (
                f'resource "terraform_data" "{label}" {{\n{count[0] if count else ""}\n'
                f"  lifecycle {{\n{held}\n  }}\n}}"
            )


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Plans with some variables: the outputs, or the words of every error."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    folder = tmp_path_factory.mktemp("module")
    shutil.copy(MODULE / "variables.tf", folder)
    texts = {path.name: path.read_text() for path in MODULE.glob("*.tf")}
    kept = bodies("locals", texts["main.tf"])
    guarded = [one for name in ("functions.tf", "events.tf") for one in resources(texts[name])]
    whole = "\n".join(
        [
            *kept,
            *guarded,
            'output "settings" { value = local.settings }',
            'output "secrets" { value = local.named_secrets }',
            'output "files" { value = local.files }',
            'output "apis" { value = local.apis }',
            'output "dataset_roles" { value = local.dataset_roles }',
        ]
    )
    for theirs, ours in GOOGLES_OWN.items():
        whole = whole.replace(theirs, ours)
    (folder / "main.tf").write_text(whole)

    def terraform(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", f"-chdir={folder}", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    assert terraform("init", "-backend=false", "-input=false").returncode == 0

    def plan(*options: str, **variables: Any) -> Any:
        (folder / "given.auto.tfvars.json").write_text(json.dumps({**ALONE, **variables}))
        planned = terraform("plan", "-input=false", "-no-color", "-out=it.tfplan", *options)
        if planned.returncode:
            return " ".join(re.sub(r"[│╵╷]", " ", planned.stderr).split())
        shown = json.loads(terraform("show", "-json", "it.tfplan").stdout)
        return {name: one["value"] for name, one in shown["planned_values"]["outputs"].items()}

    return plan


BAD = {
    "project": "123456789012",
    "region": "us-central1-a",
    "name": "abc",
    "locations": ["everywhere"],
    "max_mode": "always",
    "max_usd_per_day": -1,
    "max_usd_per_job": -0.01,
    "channel_hosts": [],
    "policies": "https://example.com/policies.yaml",
    "act_as": ["somebody@example.com"],
    "resume_bucket": "my-bucket",
    "resume_dataset": "resumed",
    "evidence_datasets": ["my-project.lab.requests"],
    "secrets": ["no spaces"],
    "secret_environment": {"REMEDIATOR_LEDGER": "x"},
    "environment": {"PATH": "/tmp"},
    "timeout_seconds": 60,
    "lease_minutes": 1,
    "delivery_attempts": 101,
    "max_instances": 0,
    "memory": "512MB",
    "runtime": "python310",
    "kms_key": "my-key",
    "vpc_connector": "my-connector",
    "vpc_egress": "SOME",
    "policies_file": "/no/such/policies.yaml",
    "storage_regions": ["eu"],
    "ledger_location": "mars",
    "alert_email": "nobody",
    "notification_channels": ["my-channel"],
}
WITHOUT_A_RULE = {
    *("evidence_buckets", "outcomes_topic", "approvals", "approve_secret"),
    *("protect_ledger", "labels"),
}


def test_every_bad_value_is_told_at_once_and_by_its_variable(evaluate: Any) -> None:
    told = evaluate(**BAD)
    silent = [name for name in BAD if f"var.{name} " not in told]
    assert silent == []
    assert told.count("Invalid value for variable") == len(BAD)


def test_every_variable_is_tried_or_needs_no_rule() -> None:
    known = {block.name for block in blocks() if block.keyword == "variable"}
    assert known == set(BAD) | WITHOUT_A_RULE
    assert not set(BAD) & WITHOUT_A_RULE


@pytest.mark.parametrize("name", ["ab-", "abcdefghijklmnopqrs", "Abcd", "1abc"])
def test_a_name_that_some_service_would_refuse_is_refused(evaluate: Any, name: str) -> None:
    assert "Must be 4 to 18 characters" in evaluate(name=name)


def test_with_nothing_but_project_and_region_it_observes_and_can_tell(evaluate: Any) -> None:
    held = evaluate()["settings"]
    read = settings.read({**held, "K_SERVICE": "x"}, here=ROOT)
    assert (read.max_mode, read.locations, read.ledger) == (
        "observe",
        ("us-central1",),
        "firestore://vertex-remediator/remediator",
    )
    assert read.service_accounts == ("default",)
    assert held["SLACK_WEBHOOK_URL"] == "secret:vertex-remediator-slack-webhook"
    assert "SMTP_URL" not in held


def test_what_is_given_arrives_in_the_settings(evaluate: Any) -> None:
    held = evaluate(
        locations=["us-central1", "europe-west4"],
        max_mode="enforce",
        act_as=["b@p.iam.gserviceaccount.com", "a@p.iam.gserviceaccount.com"],
        secrets=["vertex-remediator-smtp-url"],
        policies="gs://ops/policies.yaml",
        environment={"REMEDIATOR_LOOKBACK": "12h"},
        outcomes_topic=False,
    )["settings"]
    assert held["REMEDIATOR_LOCATIONS"] == "us-central1,europe-west4"
    assert held["REMEDIATOR_SERVICE_ACCOUNTS"] == (
        "default,a@p.iam.gserviceaccount.com,b@p.iam.gserviceaccount.com"
    )
    assert held["SMTP_URL"] == "secret:vertex-remediator-smtp-url"
    assert "SLACK_WEBHOOK_URL" not in held
    assert held["REMEDIATOR_POLICIES"] == "gs://ops/policies.yaml"
    assert held["REMEDIATOR_LOOKBACK"] == "12h"
    assert "REMEDIATOR_OUTCOMES_TOPIC" not in held


def test_what_is_deployed_is_what_runs_and_nothing_else(evaluate: Any, tmp_path: Path) -> None:
    files = evaluate()["files"]
    assert set(files) == own_files() | set(BESIDE_THE_PACKAGE)
    assert files["requirements.txt"].endswith("/deploy/requirements.lock")
    for name, source in files.items():
        target = tmp_path / "zip" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    assert_it_diagnoses(tmp_path / "zip", tmp_path)


RESUMED = "my-project.resumed"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        pytest.param({}, False, id="unset"),
        pytest.param({"environment": {"REMEDIATOR_RESUME_DATASET": ""}}, False, id="empty"),
        pytest.param({"environment": {"REMEDIATOR_RESUME_DATASET": RESUMED}}, True, id="by-hand"),
        pytest.param({"resume_dataset": RESUMED}, True, id="set"),
    ],
)
def test_bigquerys_api_is_asked_for_where_rows_in_tables_are_run_again(
    evaluate: Any, given: dict[str, Any], asked: bool
) -> None:
    planned = evaluate(**given)
    assert ("bigquery.googleapis.com" in planned["apis"]) is asked
    assert "aiplatform.googleapis.com" in planned["apis"]
    held = settings.read({**planned["settings"], "K_SERVICE": "x"}, here=ROOT)
    assert held.resume_dataset == (f"bq://{RESUMED}" if asked else "")


def test_rights_for_rows_in_bigquery_are_made_where_the_dataset_is_named(evaluate: Any) -> None:
    """Queries in this project, tables written to one dataset and read from those named: no more."""
    read = {"evidence_datasets": ["my-project.lab", "other-project.scores"]}
    viewer = "roles/bigquery.dataViewer"
    assert evaluate(**read)["dataset_roles"] == {}
    assert evaluate(**read, resume_dataset=RESUMED)["dataset_roles"] == {
        RESUMED: "roles/bigquery.dataEditor",
        "my-project.lab": viewer,
        "other-project.scores": viewer,
    }
    tables = resource("google_bigquery_dataset_iam_member.resume")
    assert tables["for_each"] == "${local.dataset_roles}"
    assert tables["member"] == "${google_service_account.worker.member}"
    queries = resource("google_project_iam_member.queries")
    assert (queries["role"], queries["member"]) == ("roles/bigquery.jobUser", tables["member"])
    assert queries["count"] == '${var.resume_dataset == "" ? 0 : 1}'


FILE = (ROOT / "policies.yaml").read_text()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(
            {"timeout_seconds": 540, "lease_minutes": 9},
            "The lease must be longer than the time-out",
            id="lease-and-time-out",
        ),
        pytest.param(
            {"delivery_attempts": 5},
            "dead letter before the lease of a killed holder has ended",
            id="dead-letter-before-the-lease",
        ),
        pytest.param(
            {"policies": "secret:policies"},
            "secret that holds the policies must be one of secrets",
            id="unreadable-policies",
        ),
        pytest.param(
            {"approvals": True}, "approve_secret must be one of secrets", id="approvals-unsigned"
        ),
        pytest.param(
            {"secrets": []},
            "environment variables that the functions do not have: SLACK_WEBHOOK_URL",
            id="alerts-to-nowhere",
        ),
        pytest.param(
            {"text": FILE.replace("env:SLACK_WEBHOOK_URL", "secret:my-webhook")},
            "names secrets that are not in secrets, so that they could not be read: my-webhook",
            id="unreadable-secret",
        ),
        pytest.param(
            {"text": FILE.replace("env:SLACK_WEBHOOK_URL", "env:OTHER")},
            "environment variables that the functions do not have: OTHER",
            id="unset-variable",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_before_anything_is_made(
    evaluate: Any, given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    if "text" in given:
        (tmp_path / "policies.yaml").write_text(given["text"])
        given = {"policies_file": str(tmp_path / "policies.yaml")}
    assert says in evaluate(**given)


def deployments() -> list[str]:
    """Every `deploy/deploy.sh …` that a document shows, with a project and a region for the words."""
    found = []
    for path in (ROOT / "README.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").glob("*.md")):
        found += re.findall(r"deploy/deploy\.sh [^`|\n]+", path.read_text())
    words = {"PROJECT": "my-project", "REGION": "us-central1", "YOU@EXAMPLE.COM": "me@example.com"}
    for word, value in words.items():
        found = [line.replace(word, value) for line in found]
    return sorted({line.strip() for line in found if "--cost" not in line})  # that makes nothing


@pytest.mark.parametrize("line", deployments())
def test_terraform_takes_what_a_documented_command_hands_it(evaluate: Any, line: str) -> None:
    shown = subprocess.run(
        ["bash", *shlex.split(line), "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    verb = "destroy" if "--destroy" in line else "plan"
    (handed,) = [one for one in shown.stdout.splitlines() if f" {verb} " in one]
    options = [word for word in shlex.split(handed) if word.startswith("-var=")]
    assert set(evaluate(*options)) == {"settings", "secrets", "files", "apis", "dataset_roles"}


def test_every_variable_that_a_document_sets_is_one_of_the_module() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "deploy" / "README.md").read_text()
    named = set(re.findall(r"--var '?(\w+)=", text))
    assert len(named) >= 8
    assert named <= {block.name for block in blocks() if block.keyword == "variable"}


def test_secrets_of_the_policy_file_are_found_and_its_comments_are_not_read(
    evaluate: Any, tmp_path: Path
) -> None:
    text = FILE.replace("env:SLACK_WEBHOOK_URL", "secret:my-webhook")
    (tmp_path / "policies.yaml").write_text(text + "\n# secret:in-a-comment env:NOBODY\n")
    found = evaluate(policies_file=str(tmp_path / "policies.yaml"), secrets=["my-webhook"])
    assert found["secrets"] == ["my-webhook"]
