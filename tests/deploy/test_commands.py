"""Every gcloud command that the deployment runs or documents, parsed by the real gcloud."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from remediator.catalog.machines import regions
from remediator.cli.commands import build
from tests.deploy.terraform import ROOT

SCRIPT = ROOT / "deploy" / "deploy.sh"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "deploy" / "README.md",
    ROOT / "telemetry" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WRONG_COMMAND_LINE = 2


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def documented(text: str) -> list[str]:
    """The gcloud lines of a document's fenced blocks, continued lines joined."""
    fenced = re.findall(r"^```(?:\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(fenced).replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^|\| )(gcloud [^|]+)", line) for line in lines]
    return [match[1].strip() for match in found if match]


def commands() -> list[str]:
    both = [script("my-project", "us-central1", "--dry-run", *more) for more in ([], ["--destroy"])]
    shown = [line for run in both for line in run.stdout.splitlines() if line.startswith("gcloud")]
    for document in DOCUMENTS:
        shown += documented(document.read_text())
    return list(dict.fromkeys(" ".join(line.split()) for line in shown))


# Run by gcloud's own interpreter: gcloud is loaded once, each command line is a fork of that.
PARSE_ALL = """
import json, os, sys, tempfile
sys.path[:0] = [os.path.join(sys.argv[1], "lib"), os.path.join(sys.argv[1], "lib", "third_party")]
from googlecloudsdk import gcloud_main
loaded = gcloud_main.CreateCLI([])
results = []
for words in json.loads(sys.stdin.read()):
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 0)
            sys.argv = words
            code = 70
            try:
                gcloud_main.main(gcloud_cli=loaded)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 70
            finally:
                sys.stderr.flush()
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        said.seek(0)
        results.append((os.waitstatus_to_exitcode(status), said.read().decode()))
print(json.dumps(results))
"""


def refused(lines: Sequence[str], tmp_path: Path) -> dict[str, str]:
    """Those of the command lines that the real gcloud does not take, each with its words."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("gcloud is not installed")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),  # no account: it parses, and stops there
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    }

    def run(command: Sequence[str], given: str = "") -> str:
        return subprocess.run(
            command, env=environment, input=given, capture_output=True, text=True, check=True
        ).stdout

    where = "--format=value[separator='\\n'](basic.python_location,installation.sdk_root)"
    python, root = run([gcloud, "info", where]).splitlines()
    words = [shlex.split(line) for line in lines]
    results = json.loads(run([python, "-c", PARSE_ALL, root], json.dumps(words)))
    assert {code for code, _ in results} <= {0, 1, WRONG_COMMAND_LINE}, results
    return {
        line: said[:400]
        for line, (code, said) in zip(lines, results, strict=True)
        if code == WRONG_COMMAND_LINE or "unrecognized arguments" in said
    }


def test_the_real_gcloud_parses_every_command(tmp_path: Path, stage: Stage) -> None:
    stage.deploy("--yes")
    checks = [" ".join(line.split()) for line in stage.deploy("--yes")[1].splitlines()]
    lines = dict.fromkeys([*commands(), *(line for line in checks if line.startswith("gcloud"))])
    control = "gcloud storage buckets create gs://b --no-such-flag"
    assert len(lines) > 15
    assert set(refused([*lines, control], tmp_path)) == {control}


def test_a_dry_run_shows_every_command_and_runs_none(tmp_path: Path) -> None:
    # A PATH without gcloud and terraform: anything that were run would fail.
    for tool in ("bash", "sed", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    result = subprocess.run(
        [
            str(shutil.which("bash")),
            str(SCRIPT),
            "my-project",
            "us-central1",
            "--dry-run",
            "--var",
            'secrets=["slack-webhook"]',
        ],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com "
        "storage.googleapis.com --project=my-project\n"
        "gcloud storage buckets create gs://my-project-vertex-remediator-state "
        "--project=my-project --location=us-central1 --uniform-bucket-level-access "
        "--public-access-prevention\n"
        "gcloud storage buckets update gs://my-project-vertex-remediator-state --versioning\n"
        "gcloud storage cat gs://my-project-vertex-remediator-state/deployed-with\n"
        "terraform -chdir=deploy/terraform/example init -reconfigure "
        "-backend-config=bucket=my-project-vertex-remediator-state "
        "-backend-config=prefix=vertex-remediator\n"
        "terraform -chdir=deploy/terraform/example plan -out=vertex-remediator.tfplan "
        "-var=project=my-project -var=region=us-central1 "
        '-var=secrets=\\[\\"slack-webhook\\"\\]\n'
        "gcloud storage cp - gs://my-project-vertex-remediator-state/deployed-with\n"
        "terraform -chdir=deploy/terraform/example apply vertex-remediator.tfplan\n"
        "rm -f deploy/terraform/example/vertex-remediator.tfplan\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["only-a-project"], "PROJECT REGION", id="no-region"),
        pytest.param(["My_Project", "us-central1"], "not a project id: My_Project", id="project"),
        pytest.param(["my-project", "nowhere"], "not a region: nowhere", id="region"),
        pytest.param(["my-project", "us-central1", "--force"], "unknown option", id="option"),
        pytest.param(["my-project", "us-central1", "--var", "x"], "NAME=VALUE", id="variable"),
        pytest.param(["my-project", "us-central1", "--var"], "NAME=VALUE", id="no-variable"),
        pytest.param(
            ["my-project", "us-central1", "--var", "region=x"], "given as an argument", id="twice"
        ),
        pytest.param(["my-project", "us-central1", "--var", "a=b\nc=d"], "one line", id="lines"),
        pytest.param(["my-project", "us-central1", "--var", "name=X"], "not a name", id="name"),
        pytest.param(
            ["my-project", "us-centrl1"],
            "unknown region us-centrl1; did you mean us-central1?",
            id="misspelt-region",
        ),
        pytest.param(
            ["my-project", "us-central1", "--var", 'locations=["us-central1","europe-wset4"]'],
            "unknown region europe-wset4; did you mean europe-west4?",
            id="misspelt-location",
        ),
        pytest.param(
            ["my-project", "us-central1", "--var", "max_mod=enforce"],
            "unknown variable max_mod; did you mean max_mode?",
            id="misspelt-variable",
        ),
        pytest.param(
            ["my-project", "us-central1", "--var", "act_as=a@b.iam.gserviceaccount.com"],
            "act_as is a list: --var 'act_as=[\"a@b.iam.gserviceaccount.com\"]'",
            id="list",
        ),
        pytest.param(
            ["my-project", "us-central1", "--var", "labels=team"], "labels is a map", id="map"
        ),
        pytest.param(
            ["my-project", "us-central1", "--var", "approvals=yes"],
            "approvals is true or false, not yes",
            id="bool",
        ),
        pytest.param(
            ["my-project", "us-central1", "--var", "max_usd_per_day=a lot"],
            "max_usd_per_day is a number, not a lot",
            id="number",
        ),
        pytest.param(["my-project", "us-central1", "--cost", "many"], "--cost takes", id="cost"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line(arguments: list[str], says: str) -> None:
    result = script(*arguments)
    assert result.returncode in {1, 2}
    assert says in result.stdout + result.stderr


def test_the_script_knows_every_variable_of_the_module_and_every_region_of_the_catalog() -> None:
    """Nothing is run: a dry run of each takes the variable, or names its type."""
    listed = (ROOT / "deploy" / "regions.txt").read_text().splitlines()
    assert [line for line in listed if not line.startswith("#")] == sorted(regions())
    for name, kind in variable_types().items():
        if name in {"project", "region", "name"}:
            continue
        value = {"list": "[]", "set": "[]", "map": "{}", "object": "{}", "bool": "true"}.get(kind)
        result = script("my-project", "us-central1", "--dry-run", "--var", f"{name}={value or '1'}")
        assert (result.returncode, result.stderr) == (0, ""), name


def variable_types() -> dict[str, str]:
    text = (ROOT / "deploy" / "terraform" / "variables.tf").read_text()
    return dict(re.findall(r'^variable "(\w+)" \{\n  type +=+ (\w+)', text, re.MULTILINE))


def test_a_region_of_tomorrow_is_taken_when_asked_to() -> None:
    refused = script("my-project", "mars-north1", "--dry-run")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "unknown region mars-north1 (--new-region" in refused.stderr
    taken = script("my-project", "mars-north1", "--dry-run", "--new-region")
    assert (taken.returncode, taken.stderr) == (0, "")


FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
  "auth list"*) echo me@example.com ;;
  "projects describe"*)
    test "$PROJECT" = missing || exit 0
    echo "ERROR: (gcloud.projects.describe) NOT_FOUND: Project not found" >&2; exit 1 ;;
  "billing projects describe"*)
    test "$BILLING" != unknown || exit 1
    echo "$BILLING" ;;
  "storage buckets describe"*)
    if test -e "$MADE"; then echo "$4"; exit; fi
    echo "ERROR: (gcloud.storage.buckets.describe) $4 $NO_BUCKET" >&2; exit 1 ;;
  "storage buckets create"*) touch "$MADE" ;;
  "storage cat"*)
    if test -e "$KEPT"; then cat "$KEPT"; exit; fi
    echo "ERROR: (gcloud.storage.cat) The following URLs matched no objects or files:" >&2; exit 1 ;;
  "storage cp - "*) cat > "$KEPT" ;;
  "storage rm"*) rm -f "$MADE" "$KEPT" ;;
esac
"""


@dataclass
class Stage:
    """gcloud and terraform that only write down how they were called, and what Google would keep."""

    folder: Path
    environment: dict[str, str]

    def deploy(
        self, *more: str, region: str = "us-central1", answers: str = "", **other: str
    ) -> tuple[int, str, str]:
        """Exit code, the calls that were made, and what was said; `answers` are typed by a person."""
        ours, theirs = pty.openpty()
        os.write(ours, answers.encode())
        calls = self.folder / "calls"
        calls.write_text("")
        result = subprocess.run(
            ["bash", str(SCRIPT), "my-project", region, *more],
            env={**self.environment, **other},
            capture_output=True,
            text=True,
            check=False,
            stdin=theirs if answers else subprocess.DEVNULL,
            cwd=ROOT,
        )
        os.close(ours)
        os.close(theirs)
        return result.returncode, calls.read_text(), result.stdout + result.stderr


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("gcloud", "terraform"):
        (tools / tool).write_text(FAKE)
        (tools / tool).chmod(0o755)
    return Stage(
        tmp_path,
        {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "CALLS": str(tmp_path / "calls"),
            "MADE": str(tmp_path / "made"),
            "KEPT": str(tmp_path / "kept"),
            "BILLING": "True",
            "PROJECT": "there",
            "NO_BUCKET": "not found: 404.",
        },
    )


def test_nobody_to_ask_and_nothing_is_done(stage: Stage) -> None:
    refused, before, said = stage.deploy()
    assert refused == 1
    assert "say --yes" in said
    assert "terraform" not in before
    assert "create" not in before
    assert "enable" not in before


def test_a_person_is_asked_before_anything_is_made_and_again_with_the_plan(stage: Stage) -> None:
    code, calls, said = stage.deploy(answers="n\n")
    assert code == 1
    assert "nothing was changed" in said
    assert "enable" not in calls
    code, calls, said = stage.deploy(answers="y\nn\n")
    assert code == 1
    assert " plan " in calls
    assert " apply " not in calls
    assert not (stage.folder / "kept").exists()
    code, calls, _ = stage.deploy(answers="y\ny\n")
    assert code == 0
    assert " apply " in calls
    code, calls, _ = stage.deploy("--destroy", answers="n\n")
    assert code == 1
    assert " destroy " not in calls


def test_a_second_run_makes_no_second_bucket(stage: Stage) -> None:
    first, second = stage.deploy("--yes"), stage.deploy("--yes")
    assert (first[0], second[0]) == (0, 0)
    assert first[1].count("buckets create") == 1
    assert second[1].count("buckets create") == 0
    assert second[1].count(" apply ") == 1
    assert (
        "gcloud secrets versions add vertex-remediator-slack-webhook --project=my-project"
        in second[2]
    )
    assert stage.deploy("--yes", "--destroy")[1].count(" destroy ") == 1


def test_what_was_given_once_is_given_again(stage: Stage) -> None:
    """Else a second run would take secrets, regions and rights away that the first one made."""
    stage.deploy("--yes", "--var", 'secrets=["slack-webhook","smtp-url"]')
    _, calls, said = stage.deploy("--yes", "--var", "max_mode=enforce")
    assert '-var=secrets=["slack-webhook","smtp-url"] -var=max_mode=enforce' in calls
    assert 'as before: --var secrets=["slack-webhook","smtp-url"]' in said
    _, calls, _ = stage.deploy("--yes", "--var", "max_mode=observe")
    assert calls.count("max_mode") == 1
    assert "-var=max_mode=observe" in calls
    assert "smtp-url" in calls
    _, calls, _ = stage.deploy("--yes", "--destroy")
    assert "smtp-url" in calls
    assert calls.splitlines()[-1].startswith("gcloud storage rm --recursive gs://my-project-vertex")


def test_a_policy_file_is_found_from_where_the_command_is_run(stage: Stage) -> None:
    _, calls, _ = stage.deploy("--yes", "--var", "policies_file=twin/demo-policies.yaml")
    assert f"-var=policies_file={ROOT}/twin/demo-policies.yaml" in calls
    _, calls, _ = stage.deploy("--yes", "--var", "policies_file=/elsewhere/policies.yaml")
    assert "-var=policies_file=/elsewhere/policies.yaml" in calls


def test_another_region_is_refused_since_the_ledger_cannot_move(stage: Stage) -> None:
    stage.deploy("--yes")
    code, calls, said = stage.deploy("--yes", region="europe-west4")
    assert code == 1
    assert "it stands in us-central1" in said
    assert "terraform" not in calls


def test_two_deployments_in_one_project_keep_apart(stage: Stage) -> None:
    _, calls, _ = stage.deploy("--yes", "--var", "name=second")
    assert "gs://my-project-second-state" in calls
    assert "-backend-config=bucket=my-project-second-state -backend-config=prefix=second" in calls


def test_taking_away_what_is_not_there_is_no_fault(stage: Stage) -> None:
    code, calls, said = stage.deploy("--yes", "--destroy")
    assert code == 0
    assert "nothing is deployed" in said
    assert "terraform" not in calls


@pytest.mark.parametrize("more", [(), ("--destroy",)], ids=["deploy", "destroy"])
def test_a_bucket_that_may_not_be_seen_is_not_taken_for_missing(
    stage: Stage, more: tuple[str, ...]
) -> None:
    code, calls, said = stage.deploy("--yes", *more, NO_BUCKET="HTTPError 403: no access")
    assert code == 1
    assert "HTTPError 403" in said
    assert "terraform" not in calls
    assert "buckets create" not in calls


@pytest.mark.parametrize(
    ("other", "says"),
    [
        pytest.param({"PROJECT": "missing"}, "project my-project is not there", id="project"),
        pytest.param({"BILLING": "False"}, "has no billing account", id="billing"),
    ],
)
def test_what_must_be_there_is_checked_first(
    stage: Stage, other: dict[str, str], says: str
) -> None:
    code, calls, said = stage.deploy("--yes", **other)
    assert code == 1
    assert says in said
    assert "terraform" not in calls
    assert "enable" not in calls


def test_a_billing_account_that_may_not_be_seen_stops_nothing(stage: Stage) -> None:
    code, calls, said = stage.deploy("--yes", BILLING="unknown")
    assert code == 0
    assert "without knowing whether my-project has a billing account" in said
    assert " apply " in calls


@pytest.mark.parametrize("missing", ["gcloud", "terraform"])
def test_a_missing_tool_is_named(stage: Stage, missing: str) -> None:
    tools = stage.folder / "few"
    tools.mkdir()
    for tool in ("bash", "sed", "dirname", "cat", "sh", "basename"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    kept = "terraform" if missing == "gcloud" else "gcloud"
    (tools / kept).symlink_to(stage.folder / "tools" / kept)
    code, _, said = stage.deploy("--yes", PATH=str(tools))
    assert code == 1
    assert f"{missing} is not installed: https://" in said


def test_no_array_that_may_be_empty_is_expanded_bare() -> None:
    """bash 3.2, which macOS has, takes an empty array for an unset variable and stops."""
    text = SCRIPT.read_text()
    bare = set(re.findall(r'(?<!\+)"\$\{(\w+)\[@\]\}"', text))
    # Never empty: project and region stand in the first, what the files list in the others.
    assert bare == {"options", "regions", "names"}


def own_commands() -> list[str]:
    """Every `python -m remediator …` that a document shows, as far as it is a whole command."""
    shown = []
    for document in DOCUMENTS:
        text = document.read_text()
        fenced = "\n".join(re.findall(r"^```(?:\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
        shown += re.findall(r"python -m remediator ([^|#>\n`]+)", fenced)
        shown += re.findall(r"`python -m remediator ([^`…|>]+)[`>]", text)
    return sorted({line.strip() for line in shown})


@pytest.mark.parametrize("line", own_commands())
def test_the_command_line_knows_every_command_that_a_document_shows(line: str) -> None:
    words = shlex.split(line)
    try:
        parsed = build().parse_args(words)
    except SystemExit as refused:
        pytest.fail(f"`python -m remediator {line}` exits with {refused.code}")
    assert callable(parsed.run)
