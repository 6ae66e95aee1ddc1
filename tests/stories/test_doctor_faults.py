"""`doctor` finds each seeded fault of a deployment, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from remediator.doctor import PERMISSIONS
from tests.deploy.test_commands import refused
from tests.stories.doctor_cases import (
    NAME,
    OTHER,
    RESUMED,
    TRAINER,
    Examine,
    deploy,
    examiner,
    problems_of,
    service,
)


@pytest.fixture
def examine(cloud: Any, capsys: pytest.CaptureFixture[str]) -> Examine:
    return examiner(cloud, capsys)


@pytest.fixture
def deployed(open_house: Callable[..., Any], cloud: Any) -> Any:
    return deploy(open_house, cloud)


@pytest.mark.usefixtures("deployed")
def test_a_healthy_deployment_has_no_problem(examine: Any, cloud: Any) -> None:
    before = len(cloud.creates())
    code, said = examine()
    assert "reconcile ran" in said
    told = "\n".join(
        line
        for line in said.splitlines()
        if "reconcile ran" not in line and " arrived " not in line
    )
    told = re.sub(r"sha256 [0-9a-f]{16}", "sha256 DIGEST", told)
    told = told.replace(cloud.account, "ACCOUNT").replace(TRAINER, "TRAINER")
    assert told.replace(f"{cloud.project}.iam.gserviceaccount.com", "PROJECT") == HEALTHY
    assert code == 0
    assert len(cloud.creates()) == before
    assert cloud.slack.messages == []
    assert cloud.mail.messages == []


HEALTHY = """\
vertex-remediator in genomics-lab, us-central1

ok      policies        7 policies, mode enforce
ok      prices          known in us-central1, as of 2026-05-20; not those of NVIDIA_B200, NVIDIA_GB200, TPU7X in us-central1; h4d, m4 machines anywhere
ok      sink            vertex-remediator-failures routes what this version reads to its topic
ok      sink            its writer may publish
ok      delivery        vertex-remediator-remediate pushes, and keeps what fails 30 times
ok      dead letters    vertex-remediator-dead-letters keeps them, and none waits
ok      dead letters    Pub/Sub's own agent may move them there
ok      function        vertex-remediator-remediate is active, 120 s at most
ok      function        vertex-remediator-reconcile is active, 120 s at most
ok      callers         vertex-remediator-events@PROJECT may call vertex-remediator-remediate
ok      callers         vertex-remediator-clock@PROJECT may call vertex-remediator-reconcile
ok      policy file     the function decides by this one, sha256 DIGEST
ok      channel oncall  the function reads its secret, and it answers
ok      channel owners  the function reads its secret, and it answers
ok      permissions     ACCOUNT has all 24 in the project
ok      act as          ACCOUNT may act as TRAINER
ok      resume bucket   gs://lab-resume/parts is in us-central1, and may be written to
ok      resume dataset  genomics-lab.resumed is in us-central1, and may be written to
ok      ledger          it answers, and the stop switch is off
ok      schedule        vertex-remediator-reconcile runs at * * * * *
ok      watch           Cloud Monitoring tells when reconcile is silent
ok      quotas          nothing that is allowed by name is at zero in us-central1
ok      clock           within 60 s of Google's

no problem found"""


# --- seeded faults ---------------------------------------------------------------------------------


def _sink(cloud: Any) -> dict[str, Any]:
    found: dict[str, Any] = cloud.deployment.sinks[f"{NAME}-failures"]
    return found


def _push(cloud: Any) -> dict[str, Any]:
    found: dict[str, Any] = cloud.deployment.subscriptions[f"{NAME}-remediate"]
    return found


def _clock(cloud: Any) -> dict[str, Any]:
    found: dict[str, Any] = cloud.deployment.schedules[f"{NAME}-reconcile"]
    return found


def stale_filter(cloud: Any) -> None:
    _sink(cloud)["filter"] = 'resource.type="ml_job"'


def no_sink(cloud: Any) -> None:
    cloud.deployment.sinks.clear()


def disabled_sink(cloud: Any) -> None:
    _sink(cloud)["disabled"] = True


def leaky_sink(cloud: Any) -> None:
    _sink(cloud)["exclusions"] = [{"name": "x", "filter": "severity=ERROR"}]


def lost_sink(cloud: Any) -> None:
    _sink(cloud)["destination"] = "pubsub.googleapis.com/projects/genomics-lab/topics/other"


def mute_writer(cloud: Any) -> None:
    cloud.deployment.grants[f"topics/{NAME}-failures"].clear()


def expired_subscription(cloud: Any) -> None:
    del cloud.deployment.subscriptions[f"{NAME}-remediate"]


def no_retry(cloud: Any) -> None:
    del _push(cloud)["retryPolicy"]


def no_dead_letters(cloud: Any) -> None:
    del _push(cloud)["deadLetterPolicy"]


def hasty_dead_letters(cloud: Any) -> None:
    _push(cloud)["deadLetterPolicy"]["maxDeliveryAttempts"] = 5


def hasty_deadline(cloud: Any) -> None:
    _push(cloud)["ackDeadlineSeconds"] = 60


def old_address(cloud: Any) -> None:
    _push(cloud)["pushConfig"] = {
        "pushEndpoint": "https://old.a.run.app",
        "oidcToken": _push(cloud)["pushConfig"]["oidcToken"] | {"audience": ""},
    }


def wrong_audience(cloud: Any) -> None:
    _push(cloud)["pushConfig"]["oidcToken"]["audience"] = "https://old.a.run.app"


def no_token(cloud: Any) -> None:
    _push(cloud)["pushConfig"]["oidcToken"] = {}


def expiring(cloud: Any) -> None:
    _push(cloud)["expirationPolicy"] = {"ttl": "2678400s"}


def backlog(cloud: Any) -> None:
    cloud.deployment.samples["oldest_unacked_message_age", f"{NAME}-remediate"] = 4000


def no_dead_letter_subscription(cloud: Any) -> None:
    del cloud.deployment.subscriptions[f"{NAME}-dead-letters"]


def waiting_dead_letters(cloud: Any) -> None:
    cloud.deployment.samples["num_undelivered_messages", f"{NAME}-dead-letters"] = 3


def agent_may_not_publish(cloud: Any) -> None:
    cloud.deployment.grants[f"topics/{NAME}-dead-letters"].clear()


def agent_may_not_acknowledge(cloud: Any) -> None:
    cloud.deployment.grants[f"subscriptions/{NAME}-remediate"].clear()


def no_function(cloud: Any) -> None:
    del cloud.deployment.functions[f"{NAME}-reconcile"]


def broken_function(cloud: Any) -> None:
    cloud.deployment.functions[f"{NAME}-reconcile"]["state"] = "FAILED"


def patient_function(cloud: Any) -> None:
    service(cloud, "remediate")["timeoutSeconds"] = 600
    _push(cloud)["ackDeadlineSeconds"] = 601


def hasty_function(cloud: Any) -> None:
    service(cloud, "reconcile")["timeoutSeconds"] = 60  # what Google gives a function by default


def default_account(cloud: Any) -> None:
    service(cloud, "reconcile")["serviceAccountEmail"] = "1-compute@developer.gserviceaccount.com"


def open_function(cloud: Any) -> None:
    service(cloud, "remediate")["ingressSettings"] = "ALLOW_ALL"


def uncalled(cloud: Any) -> None:
    cloud.deployment.grants[f"services/{NAME}-remediate"].clear()


def called_by_everybody(cloud: Any) -> None:
    cloud.deployment.grants[f"services/{NAME}-reconcile"]["roles/run.invoker"].append("allUsers")


def lost_permission(cloud: Any) -> None:
    kept = set(PERMISSIONS) - {"aiplatform.customJobs.create"}
    cloud.desk.iam.granted = {*kept, "iam.serviceAccounts.actAs", "bigquery.jobs.create"}


def no_act_as(cloud: Any) -> None:
    cloud.desk.iam.acts_as = set()


def no_bucket(cloud: Any) -> None:
    cloud.storage.remove("lab-resume")


def bucket_elsewhere(cloud: Any) -> None:
    cloud.storage.bucket("lab-resume", "EUROPE-WEST4")


def bucket_unwritable(cloud: Any) -> None:
    cloud.storage.withheld["lab-resume"] = {"storage.objects.create"}


def no_dataset(cloud: Any) -> None:
    cloud.deployment.datasets.clear()


def dataset_elsewhere(cloud: Any) -> None:
    cloud.deployment.datasets[RESUMED]["location"] = "EU"


def no_queries(cloud: Any) -> None:
    cloud.desk.iam.granted = {*PERMISSIONS, "iam.serviceAccounts.actAs"}


def dataset_unwritable(cloud: Any) -> None:
    cloud.desk.iam.granted = {*PERMISSIONS, "iam.serviceAccounts.actAs", "bigquery.jobs.create"}
    cloud.deployment.datasets[RESUMED]["access"][0]["role"] = "READER"


def gone_account(cloud: Any) -> None:
    cloud.deployment.accounts = {"somebody@genomics-lab.iam.gserviceaccount.com"}


def no_ledger(cloud: Any) -> None:
    held = service(cloud, "remediate")["environmentVariables"]
    held["REMEDIATOR_LEDGER"] = "sqlite:////proc/no-ledger.sqlite3"


def no_schedule(cloud: Any) -> None:
    cloud.deployment.schedules.clear()


def paused_schedule(cloud: Any) -> None:
    _clock(cloud)["state"] = "PAUSED"


def schedule_for_another(cloud: Any) -> None:
    _clock(cloud)["httpTarget"]["uri"] = "https://old.a.run.app"
    _clock(cloud)["httpTarget"]["oidcToken"].pop("audience")


def refused_round(cloud: Any) -> None:
    _clock(cloud)["status"] = {"code": 7}


def no_watch(cloud: Any) -> None:
    cloud.deployment.watches.clear()


def watch_off(cloud: Any) -> None:
    cloud.deployment.watches[0]["enabled"] = False


def watch_in_vain(cloud: Any) -> None:
    del cloud.deployment.watches[0]["notificationChannels"]


def no_quota(cloud: Any) -> None:
    cloud.deployment.quotas["custom_model_training_nvidia_t4_gpus"] = 0


def no_cpus(cloud: Any) -> None:
    cloud.deployment.quotas["custom_model_training_cpus"] = 0


def wrong_clock(cloud: Any) -> None:
    cloud.deployment.date = format_datetime(datetime.now(UTC) - timedelta(minutes=9), usegmt=True)


DEPLOY = "deploy/deploy.sh genomics-lab us-central1"


FAULTS = [
    (stale_filter, "sink", "its filter is not the one", DEPLOY),
    (no_sink, "sink", "there is no log sink", DEPLOY),
    (disabled_sink, "sink", "it is disabled", DEPLOY),
    (leaky_sink, "sink", "it has exclusions", DEPLOY),
    (lost_sink, "sink", "it does not lead to", DEPLOY),
    (mute_writer, "sink", "may not publish", "gcloud pubsub topics add-iam-policy-binding"),
    (expired_subscription, "delivery", "there is no subscription", DEPLOY),
    (no_retry, "delivery", "retries without a pause", DEPLOY),
    (no_dead_letters, "delivery", "no dead-letter topic", DEPLOY),
    (hasty_dead_letters, "delivery", "before the lease of a killed holder has ended", DEPLOY),
    (hasty_deadline, "delivery", "pushed again after 60 s", DEPLOY),
    (old_address, "delivery", "it pushes to https://old.a.run.app", DEPLOY),
    (wrong_audience, "delivery", "its token is made out to https://old", DEPLOY),
    (no_token, "delivery", "without a token", DEPLOY),
    (expiring, "delivery", "expires when nothing fails for 2678400s", DEPLOY),
    (backlog, "delivery", "the oldest event has waited for 66 min", "look at the log"),
    (no_dead_letter_subscription, "dead letters", "there is no", DEPLOY),
    (waiting_dead_letters, "dead letters", "3 dead letters wait", "dead-letters list"),
    (
        agent_may_not_publish,
        "dead letters",
        "may not publish to vertex-remediator-dead-letters",
        (
            "gcloud pubsub topics add-iam-policy-binding vertex-remediator-dead-letters "
            "--member=serviceAccount:service-471108150815@gcp-sa-pubsub.iam.gserviceaccount.com"
        ),
    ),
    (
        agent_may_not_acknowledge,
        "dead letters",
        "may not acknowledge on vertex-remediator-remediate",
        "gcloud pubsub subscriptions add-iam-policy-binding vertex-remediator-remediate ",
    ),
    (no_function, "function", "there is no function", DEPLOY),
    (broken_function, "function", "is FAILED", DEPLOY),
    (patient_function, "function", "a claim protects it for 600 s", DEPLOY),
    (hasty_function, "function", "is ended after 60 s, and works for up to 90 s", DEPLOY),
    (default_account, "function", "runs as 1-compute@developer", DEPLOY),
    (open_function, "function", "is open to the internet", DEPLOY),
    (uncalled, "callers", "may not call", "gcloud run services add-iam-policy-binding"),
    (called_by_everybody, "callers", "allUsers may call", "remove-iam-policy-binding"),
    (lost_permission, "permissions", "lacks aiplatform.customJobs.create", DEPLOY),
    (
        no_act_as,
        "act as",
        f"may not act as {TRAINER}",
        f"gcloud iam service-accounts add-iam-policy-binding {TRAINER} --member=serviceAccount:",
    ),
    (gone_account, "act as", f"there is no account {TRAINER}", "--var act_as="),
    (
        no_bucket,
        "resume bucket",
        "there is no bucket lab-resume",
        "gcloud storage buckets create gs://lab-resume --location=us-central1",
    ),
    (
        bucket_elsewhere,
        "resume bucket",
        "is in europe-west4, and jobs run in us-central1",
        "REMEDIATOR_RESUME_BUCKET",
    ),
    (
        bucket_unwritable,
        "resume bucket",
        "lacks storage.objects.create on lab-resume",
        "gcloud storage buckets add-iam-policy-binding gs://lab-resume --member=serviceAccount:",
    ),
    (
        no_dataset,
        "resume dataset",
        f"there is no dataset {RESUMED}",
        "bq --location=us-central1 mk --dataset genomics-lab:resumed",
    ),
    (
        dataset_elsewhere,
        "resume dataset",
        "is in eu, and jobs run in us-central1",
        "REMEDIATOR_RESUME_DATASET",
    ),
    (no_queries, "resume dataset", "lacks bigquery.jobs.create", "--var resume_dataset="),
    (
        dataset_unwritable,
        "resume dataset",
        f"may not write to {RESUMED}",
        f"{DEPLOY} --var resume_dataset={RESUMED}",
    ),
    (no_ledger, "ledger", "it cannot be read", DEPLOY),
    (no_schedule, "schedule", "there is no vertex-remediator-reconcile", DEPLOY),
    (paused_schedule, "schedule", "is PAUSED", "gcloud scheduler jobs resume"),
    (schedule_for_another, "schedule", "it calls https://old.a.run.app", DEPLOY),
    (refused_round, "schedule", "refused: permission denied", DEPLOY),
    (no_watch, "watch", "there is no alert policy", DEPLOY),
    (watch_off, "watch", "is off", DEPLOY),
    (watch_in_vain, "watch", "tells nobody", "--var alert_email="),
    (no_quota, "quotas", "zero: aiplatform.googleapis.com/custom_model_training_nvidia_t4", "http"),
    (no_cpus, "quotas", "zero: aiplatform.googleapis.com/custom_model_training_cpus", "https://"),
    (wrong_clock, "clock", "s off Google's", "NTP"),
]


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("spoil", "check", "says", "mend"),
    FAULTS,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_found_and_nothing_else(
    examine: Any, cloud: Any, spoil: Callable[[Any], None], check: str, says: str, mend: str
) -> None:
    spoil(cloud)
    code, told = examine("--json", "--no-event")
    problems = [one for one in told["checks"] if one["status"] == "problem"]
    assert [one["check"] for one in problems] == [check], problems
    assert says in problems[0]["says"]
    assert mend in problems[0]["mend"]
    assert problems[0]["why"]
    assert (code, told["healthy"]) == (1, False)


@pytest.mark.usefixtures("deployed")
def test_the_real_gcloud_takes_every_command_that_mends(
    cloud: Any, examine: Any, tmp_path: Path, later: Any
) -> None:
    mended_by_gcloud = [spoil for spoil, _, _, mend in FAULTS if mend.startswith("gcloud")]
    for spoil in mended_by_gcloud:
        if spoil is not called_by_everybody:
            spoil(cloud)
    later(minutes=20)  # and the sweep is silent
    _, told = examine("--json", "--no-event")
    mends = {one["mend"].partition(", then")[0] for one in told["checks"]}
    called_by_everybody(cloud)
    _, told = examine("--json", "--no-event", "--account", OTHER)
    mends |= {one["mend"].partition(", then")[0] for one in told["checks"]}
    commands = sorted(one.replace("YOU", "me@example.com") for one in mends if "gcloud" in one)
    assert len(commands) > len(mended_by_gcloud)
    assert refused(commands, tmp_path) == {}


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("state", "ingress", "callers", "says"),
    [
        ("ACTIVE", "ALLOW_ALL", ["allUsers"], ""),
        ("DEPLOYING", "ALLOW_ALL", ["allUsers"], "is DEPLOYING"),
        ("ACTIVE", "ALLOW_INTERNAL_ONLY", ["allUsers"], "is closed to the internet"),
        ("ACTIVE", "ALLOW_ALL", [], "Slack, which has no Google identity, may not call"),
    ],
    ids=["well", "state", "ingress", "callers"],
)
def test_the_door_for_slack_is_looked_at_where_there_is_one(
    cloud: Any, examine: Any, state: str, ingress: str, callers: list[str], says: str
) -> None:
    name = f"{NAME}-approve"
    cloud.deployment.functions[name] = {
        "state": state,
        "serviceConfig": {"ingressSettings": ingress},
    }
    cloud.deployment.grants[f"services/{name}"] = {"roles/run.invoker": callers}
    code, told = examine("--json", "--no-event")
    assert code == bool(says)
    assert set(problems_of(told)) == ({"approvals"} if says else set())
    (found,) = [one for one in told["checks"] if one["check"] == "approvals"]
    assert says in found["says"]


WRITES = "roles/bigquery.dataEditor"


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("access", "status"),
    [
        ([{"role": WRITES, "iamMember": "serviceAccount:ACCOUNT"}], "ok"),
        ([{"role": "OWNER", "userByEmail": "ACCOUNT"}], "ok"),
        ([{"role": WRITES, "userByEmail": "ACCOUNT", "condition": {"expression": "x"}}], "unknown"),
        ([{"role": "projects/genomics-lab/roles/own", "userByEmail": "ACCOUNT"}], "unknown"),
        ([{"role": "WRITER", "groupByEmail": "lab@example.com"}], "unknown"),
        ([{"role": WRITES, "iamMember": "group:lab@example.com"}], "unknown"),
        (None, "unknown"),
        ([{"role": "READER", "groupByEmail": "lab@example.com"}], "problem"),
        ([{"role": "OWNER", "userByEmail": "somebody@example.com"}], "problem"),
        ([{"role": WRITES, "iamMember": "user:somebody@example.com"}], "problem"),
        ([{"role": "WRITER", "specialGroup": "projectWriters"}], "problem"),
        ([{"view": {"tableId": "seen"}}], "problem"),
    ],
)
def test_who_may_write_to_the_dataset_is_read_from_its_own_list(
    cloud: Any, examine: Any, access: list[dict[str, Any]] | None, status: str
) -> None:
    dataset_unwritable(cloud)
    listed = json.dumps(access).replace("ACCOUNT", cloud.account)
    cloud.deployment.datasets[RESUMED] = {"location": "US", "access": json.loads(listed)}
    _, told = examine("--json", "--no-event")
    (found,) = [one for one in told["checks"] if one["check"] == "resume dataset"]
    assert found["status"] == status
