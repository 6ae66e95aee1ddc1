"""The Terraform module, as far as a machine without an account can hold it to its word."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.cloud import monitoring_v3
from google.cloud.firestore_v1.types import Document
from google.protobuf import json_format

from remediator import settings
from remediator.app import EVENT_SECONDS, ROUND_SECONDS
from remediator.intake import sink_filter
from remediator.ledger import Ledger
from remediator.ledger.firestore import FirestoreStore
from remediator.policy import compiled_beside
from tests.deploy.terraform import MODULE, ROOT, Block, blocks, resource, variable_defaults
from tests.deploy.what_runs import own_files
from tests.ledger.fake_firestore import FakeFirestore

BLOCKS = blocks()
VARIABLES = (MODULE / "variables.tf").read_text()
WORKER = "vertex-remediator-worker@project.iam.gserviceaccount.com"


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for held in value.values() for text in texts(held)]
    if isinstance(value, list):
        return [text for held in value for text in texts(held)]
    return [value] if isinstance(value, str) else []


def test_it_is_formatted() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    result = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(MODULE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_every_reference_names_something_that_is_there() -> None:
    known = {b.address for b in BLOCKS if b.keyword == "resource"}
    known |= {f"data.{b.address}" for b in BLOCKS if b.keyword == "data"}
    known |= {f"var.{b.name}" for b in BLOCKS if b.keyword == "variable"}
    pattern = re.compile(
        r"(?<![\w.])(data\.[a-z]\w+\.\w+|google_\w+\.\w+|var\.\w+)(?![\w]*\.googleapis)"
    )
    named = {
        name for block in BLOCKS for text in texts(block.body) for name in pattern.findall(text)
    }
    for path in MODULE.glob("*.tf"):
        named |= set(re.findall(r"\bvar\.\w+", path.read_text()))
    assert named - known == set()
    assert {f"var.{b.name}" for b in BLOCKS if b.keyword == "variable"} - named == set()


@pytest.mark.parametrize(
    "variable", [pytest.param(b, id=b.name) for b in BLOCKS if b.keyword == "variable"]
)
def test_every_variable_has_a_type_and_says_what_it_is(variable: Block) -> None:
    assert variable.body["type"]
    assert len(variable.body["description"]) > 10


def test_the_sinks_filter_is_what_the_intake_reads() -> None:
    template = (MODULE / "sink-filter.tftpl").read_text()
    assert template.replace("${account}", WORKER).removesuffix("\n") == sink_filter(WORKER)
    assert "%{" not in template  # would be a directive of the template language
    assert re.findall(r"\$\{\w+\}", template) == ["${account}"]
    sink = resource("google_logging_project_sink.failures")
    assert "sink-filter.tftpl" in sink["filter"]
    assert "google_service_account.worker.email" in sink["filter"]
    assert sink["unique_writer_identity"] is True


def test_time_out_lease_backoff_and_dead_letter_fit_one_another() -> None:
    defaults = variable_defaults()
    lease = settings.duration(f"{defaults['lease_minutes']}m")
    assert lease == settings.Settings().lease
    assert defaults["timeout_seconds"] < lease.total_seconds()
    (rule,) = re.findall(r"timeout_seconds >= (\d+) && var.timeout_seconds <= (\d+)", VARIABLES)
    assert int(rule[0]) > EVENT_SECONDS  # else the platform ends what we would have answered
    assert int(rule[0]) > ROUND_SECONDS
    assert int(rule[1]) + 10 <= 600  # Pub/Sub's longest acknowledgement deadline
    for door in ("remediate", "reconcile", "approve"):
        service = resource(f"google_cloudfunctions2_function.{door}")["service_config"][0]
        assert service["timeout_seconds"] == "${var.timeout_seconds}"
    push = resource("google_pubsub_subscription.remediate")
    backoff = settings.duration(push["retry_policy"][0]["minimum_backoff"]).total_seconds()
    assert backoff * (defaults["delivery_attempts"] - 1) > lease.total_seconds()
    assert push["ack_deadline_seconds"] == "${min(600, var.timeout_seconds + 10)}"
    conditions = texts(push["lifecycle"]) + texts(
        resource("google_cloudfunctions2_function.remediate")["lifecycle"]
    )
    assert "${30 * (var.delivery_attempts - 1) > 60 * var.lease_minutes}" in conditions
    assert "${60 * var.lease_minutes > var.timeout_seconds}" in conditions
    assert backoff == 30


@pytest.mark.parametrize("door", ["remediate", "reconcile", "approve"])
def test_each_door_runs_as_decided(door: str) -> None:
    function = resource(f"google_cloudfunctions2_function.{door}")
    service = function["service_config"][0]
    assert function["build_config"][0]["entry_point"] == door
    assert f"def {door}(" in (ROOT / "main.py").read_text()
    assert service["min_instance_count"] == 0
    expected = "ALLOW_ALL" if door == "approve" else "ALLOW_INTERNAL_ONLY"
    assert service["ingress_settings"] == expected
    account = "approver[0]" if door == "approve" else "worker"
    assert service["service_account_email"] == f"${{google_service_account.{account}.email}}"
    if door == "approve":
        assert function["count"] == "${var.approvals ? 1 : 0}"


def test_a_deployment_observes_until_somebody_says_otherwise() -> None:
    assert variable_defaults()["max_mode"] == "observe"
    assert variable_defaults()["act_as"] == []


def test_the_functions_settings_are_settings_that_the_product_reads(tmp_path: Any) -> None:
    text = (MODULE / "main.tf").read_text()
    names = set(re.findall(r"\b((?:REMEDIATOR|GOOGLE_CLOUD)_[A-Z_]+)\b", text))
    known = set(
        re.findall(
            r'"((?:REMEDIATOR|GOOGLE_CLOUD)_[A-Z_]+)"',
            (ROOT / "remediator/settings.py").read_text(),
        )
    )
    assert names <= known
    defaults = variable_defaults()
    environ = {
        "K_SERVICE": "vertex-remediator-remediate",
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "GOOGLE_CLOUD_PROJECT_NUMBER": "123456789012",
        "REMEDIATOR_LEDGER": f"firestore://{defaults['name']}/remediator",
        "REMEDIATOR_LOCATIONS": "us-central1",
        "REMEDIATOR_LEASE": f"{defaults['lease_minutes']}m",
        "REMEDIATOR_MAX_MODE": defaults["max_mode"],
        "REMEDIATOR_MAX_USD_PER_DAY": str(defaults["max_usd_per_day"]),
        "REMEDIATOR_MAX_USD_PER_JOB": str(defaults["max_usd_per_job"]),
        "REMEDIATOR_CHANNEL_HOSTS": ",".join(defaults["channel_hosts"]),
        "REMEDIATOR_POLICIES": "gs://my-bucket/policies.yaml",
    }
    read = settings.read(environ, here=tmp_path)
    assert read.max_mode == "observe"
    assert read.on_cloud


def test_what_expires_in_the_ledger_is_removed_and_its_bodies_are_not_indexed() -> None:
    source = (ROOT / "remediator/ledger/firestore.py").read_text()
    main = (MODULE / "main.tf").read_text()
    assert "firestore://${google_firestore_database.ledger.name}/${local.ledger_collection}" in main
    for field, block in (("expires", "ttl_config"), ("body", "index_config")):
        held = resource(f"google_firestore_field.{field}")
        assert f'"{field}"' in source
        assert held["field"] == field
        assert held["collection"] == "${local.ledger_collection}"
        assert held[block] == [{}]
    assert '"collection_id": self._collection' in source  # one collection holds everything


def test_what_expires_bears_a_time_that_firestore_removes_by() -> None:
    """A TTL policy looks at timestamps alone: a text or a number would be kept for ever."""
    database = _Overheard()
    store = FirestoreStore("p", "vertex-remediator", "remediator", open_client=lambda _: database)
    Ledger(store).take_token("x", most=1, window_seconds=60.0, now=datetime.now(UTC))
    (write,) = database.written
    held = Document(**write["update"])
    assert held.name.startswith(
        "projects/p/databases/vertex-remediator/documents/remediator/counters:"
    )
    assert held.fields["expires"].timestamp_value > datetime.now(UTC)


class _Overheard(FakeFirestore):
    """Keeps every write as it would go to Google."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Any] = []

    def commit(self, request: Any, **options: Any) -> Any:
        self.written += request["writes"]
        return super().commit(request, **options)


def test_what_is_packaged_is_what_runs() -> None:
    text = (MODULE / "main.tf").read_text()
    assert 'fileset(local.root, "remediator/**")' in text
    (kinds,) = re.findall(r"^  kinds    = (\[.*\])$", text, re.MULTILINE)
    packaged = set(json.loads(kinds))
    assert {Path(name).suffix for name in own_files()} == packaged


def test_what_was_compiled_of_the_policies_is_packaged_beside_them() -> None:
    """Under the name that the function looks for, from beside whichever file is deployed."""
    text = (MODULE / "main.tf").read_text()
    name = compiled_beside(Path("policies.yaml")).name
    assert f'fileexists(local.compiled_path) ? {{ "{name}" = local.compiled_path }} : {{}}' in text
    assert f'"${{trimsuffix(trimsuffix(local.policies_path, ".yaml"), ".yml")}}.{name[9:]}"' in text


# --- least privilege ---------------------------------------------------------------------------


def test_nothing_is_granted_project_wide_but_our_own_roles_and_the_builders() -> None:
    grants = {b.address: texts(b.body) for b in BLOCKS if b.type == "google_project_iam_member"}
    assert set(grants) == {
        f"google_project_iam_member.{n}"
        for n in ("worker", "evidence", "ledger", "builder", "queries")
    }
    # Queries can be granted nowhere else; the role reads no table.
    assert resource("google_project_iam_member.queries")["role"] == "roles/bigquery.jobUser"
    roles = " ".join(text for found in grants.values() for text in found)
    for broad in ("roles/owner", "roles/editor", "roles/aiplatform", "serviceAccountUser", "admin"):
        assert broad not in roles


def test_acting_as_an_account_is_granted_on_that_account_alone() -> None:
    grant = resource("google_service_account_iam_member.act_as")
    assert grant["for_each"] == "${var.act_as}"
    assert grant["service_account_id"] == "projects/${var.project}/serviceAccounts/${each.value}"
    users = [b.address for b in BLOCKS if "roles/iam.serviceAccountUser" in texts(b.body)]
    assert users == ["google_service_account_iam_member.act_as"]


def test_only_the_door_for_slack_is_open_to_all_and_only_if_asked_for() -> None:
    open_to_all = [b.address for b in BLOCKS if "allUsers" in texts(b.body)]
    assert open_to_all == ["google_cloud_run_v2_service_iam_member.slack"]
    assert resource(open_to_all[0])["count"] == "${var.approvals ? 1 : 0}"
    assert variable_defaults()["approvals"] is False


def test_pushes_and_rounds_carry_an_identity() -> None:
    push = resource("google_pubsub_subscription.remediate")["push_config"][0]
    clock = resource("google_cloud_scheduler_job.reconcile")["http_target"][0]
    for call, who in ((push, "events"), (clock, "clock")):
        token = call["oidc_token"][0]
        assert (
            token["service_account_email"] == f'${{google_service_account.caller["{who}"].email}}'
        )
        assert token["audience"] == (call.get("push_endpoint") or call.get("uri"))


# --- what watches it ---------------------------------------------------------------------------

POLICIES = [b for b in BLOCKS if b.type == "google_monitoring_alert_policy"]


@pytest.mark.parametrize("policy", [pytest.param(b, id=b.name) for b in POLICIES])
def test_alert_policies_are_ones_that_the_api_takes(policy: Block) -> None:
    body = {
        k: v for k, v in copy.deepcopy(policy.body).items() if k not in {"project", "depends_on"}
    }
    body["user_labels"], body["notification_channels"] = {}, []
    for name in ("documentation",):
        (body[name],) = body[name]
    for condition in body["conditions"]:
        for kind in ("condition_absent", "condition_threshold"):
            if kind in condition:
                (condition[kind],) = condition[kind]
                if "trigger" in condition[kind]:
                    (condition[kind]["trigger"],) = condition[kind]["trigger"]
    parsed = json_format.ParseDict(body, monitoring_v3.AlertPolicy.pb()())
    assert parsed.conditions
    assert parsed.documentation.content


def test_no_alert_rests_on_a_metric_that_is_not_known_when_it_is_made() -> None:
    """The first apply would fail: a log-based metric of ours is known minutes after it is made."""
    own = [b.address for b in BLOCKS if b.type == "google_logging_metric"]
    rests = [p.name for p in POLICIES if "logging.googleapis.com/user/" in " ".join(texts(p.body))]
    assert (own, rests) == ([], [])


def test_the_first_build_and_the_first_push_wait_until_the_new_grants_are_known() -> None:
    waits = {b.address for b in BLOCKS if "${time_sleep.known}" in texts(b.body.get("depends_on"))}
    assert waits == {
        *(f"google_cloudfunctions2_function.{d}" for d in ("remediate", "reconcile", "approve")),
        "google_pubsub_topic_iam_member.dead_letters",
        "google_pubsub_subscription_iam_member.dead_letters",
        "google_service_account_iam_member.push_token",
    }


def test_every_api_that_is_called_is_asked_for() -> None:
    assert "local.apis" in resource("google_project_service.needed")["for_each"]
    (apis,) = re.findall(
        r"^  apis = concat\((.+?)^}", (MODULE / "main.tf").read_text(), re.MULTILINE | re.DOTALL
    )
    asked = set(re.findall(r"[a-z]+\.googleapis\.com", apis))
    called = {
        host
        for path in (ROOT / "remediator").rglob("*.py")
        for host in re.findall(r"\b([a-z]+\.googleapis\.com)\b", path.read_text())
    }
    assert {"aiplatform.googleapis.com", "firestore.googleapis.com"} <= called
    no_apis = {  # a log's name, beginnings of metrics' names, a scope's
        f"{name}.googleapis.com" for name in ("cloudaudit", "ml", "serviceruntime", "www")
    }
    assert called - asked - no_apis == set()


def test_a_reconcile_silent_for_fifteen_minutes_is_told_by_cloud_monitoring() -> None:
    (condition,) = resource("google_monitoring_alert_policy.silent")["conditions"]
    absent = condition["condition_absent"][0]
    assert absent["duration"] == "900s"
    assert 'response_code_class="2xx"' in absent["filter"]
    assert "-reconcile" in absent["filter"]


def dashboard() -> dict[str, Any]:
    text = (MODULE / "dashboard.json.tftpl").read_text().replace("${name}", "vertex-remediator")
    assert "${" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_dashboards_tiles_fill_the_grid_without_overlap() -> None:
    layout = dashboard()["mosaicLayout"]
    cells: set[tuple[int, int]] = set()
    for tile in layout["tiles"]:
        left, top = tile.get("xPos", 0), tile.get("yPos", 0)
        own = {
            (x, y)
            for x in range(left, left + tile["width"])
            for y in range(top, top + tile["height"])
        }
        assert not cells & own
        assert max(x for x, _ in own) < layout["columns"]
        cells |= own
    assert len(cells) == layout["columns"] * (max(y for _, y in cells) + 1)


def test_the_dashboard_is_one_that_the_api_takes() -> None:
    dashboards = pytest.importorskip(
        "google.cloud.monitoring_dashboard_v1",
        reason="google-cloud-monitoring-dashboards is not installed",
    )
    parsed = json_format.ParseDict(dashboard(), dashboards.Dashboard.pb()())
    assert len(parsed.mosaic_layout.tiles) == len(dashboard()["mosaicLayout"]["tiles"])


def test_the_dashboard_names_what_the_module_makes() -> None:
    names = {"vertex-remediator-remediate", "vertex-remediator-dead-letters"}
    filters = " ".join(text for text in texts(dashboard()) if "resource.type" in text)
    assert names <= set(re.findall(r'subscription_id="([^"]+)"', filters.replace('\\"', '"')))
    assert "logging.googleapis.com/user/" not in filters  # as below


# --- the example -------------------------------------------------------------------------------


def test_the_example_passes_every_variable_of_the_module_as_it_is() -> None:
    """What deploy.sh is given by --var arrives, and a default stands in one place alone."""
    example = blocks(MODULE / "example")
    (module,) = [b for b in example if b.keyword == "module"]
    arguments = {key: value for key, value in module.body.items() if key != "source"}
    assert arguments == {name: f"${{var.{name}}}" for name in variable_defaults()}
    required = {b.name for b in BLOCKS if b.keyword == "variable" and "default" not in b.body}
    assert required == {"project", "region"}
    assert (MODULE / "example" / module.body["source"]).resolve() == MODULE
    assert (MODULE / "example" / "variables.tf").resolve() == MODULE / "variables.tf"
