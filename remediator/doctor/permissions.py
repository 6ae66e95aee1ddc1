"""What the functions' account may do: in the project, and as the accounts of jobs."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.diagnosis.locality import holds
from remediator.doctor.findings import CheckStatus, DoctorContext, Finding, unknown
from remediator.domain import NO_ACCOUNT, Json, NotFound, RemediatorError

PERMISSIONS = (
    *(
        f"aiplatform.{collection}.{verb}"
        for collection in (
            "batchPredictionJobs",
            "customJobs",
            "hyperparameterTuningJobs",
            "pipelineJobs",
            "trainingPipelines",
        )
        for verb in ("cancel", "create", "get", "list")
    ),
    "aiplatform.models.get",
    "logging.logEntries.create",
    "logging.logEntries.list",
    "monitoring.timeSeries.list",
)
"""What the worker needs in the whole project; docs/permissions.md names the call that needs each."""

USER = "roles/iam.serviceAccountUser"


def permissions(context: DoctorContext) -> Iterator[Finding]:
    try:
        granted = context.deployment.granted(
            PERMISSIONS, account="" if context.is_self else context.account
        )
    except RemediatorError as err:
        yield unknown("permissions", err, _impersonate(context))
        return
    lacking = [one for one in PERMISSIONS if one not in granted]
    if not lacking:
        yield Finding(
            "permissions",
            CheckStatus.OK,
            f"{context.account} has all {len(PERMISSIONS)} in the project",
        )
        return
    yield Finding(
        "permissions",
        CheckStatus.PROBLEM,
        f"{context.account} lacks {', '.join(lacking)}",
        "what needs them is told once a day and waits",
        context.apply,
    )


def _impersonate(context: DoctorContext) -> str:
    member = "--member=user:YOU --role=roles/iam.serviceAccountTokenCreator"
    return f"gcloud iam service-accounts add-iam-policy-binding {context.account} {member}"


def act_as(context: DoctorContext) -> Iterator[Finding]:
    """Creating a job that runs as an account needs the right to act as it, on that account alone."""
    accounts = [one for one in context.acts_as if one != NO_ACCOUNT]
    named = [one for one in accounts if not set(one) & set("*?[")]
    globs = [one for one in accounts if one not in named]
    for target in named:
        yield _one_account(context, target)
    if globs:
        yield Finding(
            "act as", CheckStatus.UNKNOWN, f"not checked: {', '.join(globs)} names no one account"
        )
    if not accounts:
        yield Finding(
            "act as",
            CheckStatus.OK,
            "no account is named: the jobs that name none can be resubmitted",
        )


def _one_account(context: DoctorContext, target: str) -> Finding:
    try:
        may = _may_act_as(context, target)
    except NotFound:
        return Finding(
            "act as",
            CheckStatus.PROBLEM,
            f"there is no account {target}",
            "it stands among those whose jobs may be resubmitted, and none can run as it",
            f"{context.apply} --var act_as=[...] without it",
        )
    if may:
        return Finding("act as", CheckStatus.OK, f"{context.account} may act as {target}")
    return Finding(
        "act as",
        CheckStatus.PROBLEM,
        f"{context.account} may not act as {target}",
        "jobs of that account are diagnosed and told, and none is resubmitted",
        f"gcloud iam service-accounts add-iam-policy-binding {target} "
        f"--member=serviceAccount:{context.account} --role={USER}",
    )


def _may_act_as(context: DoctorContext, target: str) -> bool:
    """Asked as the functions' account; where that may not be, the account's own policy is read."""
    try:
        return context.deployment.may_act_as(
            target, account="" if context.is_self else context.account
        )
    except NotFound:
        raise
    except RemediatorError:
        member = f"serviceAccount:{context.account}"
        return member in context.deployment.holders("serviceAccounts", target, USER)


_ON_THE_BUCKET = tuple(f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list"))


def resume_bucket(context: DoctorContext) -> Iterator[Finding]:
    """The bucket for resumed batches: it is there, in the place of the jobs, and may be written to."""
    check, uri = "resume bucket", context.resume_bucket
    if not uri:
        return
    name = uri.removeprefix("gs://").partition("/")[0]
    try:
        place = str(context.deployment.bucket(name).get("location") or "").lower()
        granted = context.deployment.granted_on_bucket(
            name, _ON_THE_BUCKET, account="" if context.is_self else context.account
        )
    except NotFound:
        fix = f"gcloud storage buckets create gs://{name} --location={context.region}"
        yield _problem(check, f"there is no bucket {name}", fix)
        return
    except RemediatorError as err:
        yield unknown(check, err, _impersonate(context))
        return
    elsewhere = _elsewhere(context, check, name, place, "REMEDIATOR_RESUME_BUCKET")
    yield from elsewhere
    lacking = [one for one in _ON_THE_BUCKET if one not in granted]
    if lacking:
        yield _problem(
            check,
            f"{context.account} lacks {', '.join(lacking)} on {name}",
            f"gcloud storage buckets add-iam-policy-binding gs://{name} "
            f"--member=serviceAccount:{context.account} --role=roles/storage.objectUser",
        )
    if not elsewhere and not lacking:
        yield Finding(check, CheckStatus.OK, f"{uri} is in {place}, and may be written to")


def _problem(check: str, says: str, fix: str) -> Finding:
    """What keeps batches from being resumed."""
    why = "steps with `rows: remaining` are passed over, or fail when they are taken"
    return Finding(check, CheckStatus.PROBLEM, says, why, fix)


def _elsewhere(
    context: DoctorContext, check: str, name: str, place: str, setting: str
) -> list[Finding]:
    """That what is in `place` is not where jobs run: at most one finding."""
    far = [one for one in context.locations if holds(place, one) is False]
    if not far:
        return []
    return [
        Finding(
            check,
            CheckStatus.PROBLEM,
            f"{name} is in {place}, and jobs run in {', '.join(far)}",
            "their rows are not taken elsewhere: they are not resumed",
            f"name one in the region of the jobs in {setting}",
        )
    ]


_QUERIES = "bigquery.jobs.create"
_TABLES = ("bigquery.tables.create", "bigquery.tables.getData", "bigquery.tables.updateData")
# Documented (BigQuery, basic roles and permissions): WRITER is how a dataset's own list writes dataEditor.
_WRITING = frozenset(
    {"WRITER", "OWNER", *(f"roles/bigquery.{one}" for one in ("dataEditor", "dataOwner", "admin"))}
)
_READING = frozenset(
    {"READER", *(f"roles/bigquery.{one}" for one in ("dataViewer", "metadataViewer"))}
)


def resume_dataset(context: DoctorContext) -> Iterator[Finding]:
    """The dataset for resumed batches: it is there, where jobs run, and queries may write to it."""
    check, uri = "resume dataset", context.resume_dataset
    if not uri:
        return
    name = uri.removeprefix("bq://")
    project, _, dataset = name.rpartition(".")
    try:
        held = context.deployment.dataset(project, dataset)
        granted = context.deployment.granted(
            (_QUERIES, *_TABLES), account="" if context.is_self else context.account
        )
    except NotFound:
        fix = f"bq --location={context.region} mk --dataset {project}:{dataset}"
        yield _problem(check, f"there is no dataset {name}", fix)
        return
    except RemediatorError as err:
        yield unknown(check, err, _impersonate(context))
        return
    place = str(held.get("location") or "").lower()
    found = _elsewhere(context, check, name, place, "REMEDIATOR_RESUME_DATASET")
    fix = f"{context.apply} --var resume_dataset={name}"
    if _QUERIES not in granted:
        says = f"{context.account} lacks {_QUERIES} in {context.project}"
        found.append(_problem(check, says, fix))
    by_project = project == context.project and granted.issuperset(_TABLES)
    writes = by_project or _may_write(held, context.account)
    if writes is False:
        says = f"{context.account} may not write to {name}"
        found.append(_problem(check, says, fix))
    elif writes is None:
        says = f"not checked: {name} does not show whether {context.account} may write to it"
        found.append(Finding(check, CheckStatus.UNKNOWN, says))
    yield from found or [
        Finding(check, CheckStatus.OK, f"{name} is in {place}, and may be written to")
    ]


def _may_write(dataset: Json, account: str) -> bool | None:
    """Whether the dataset's own list lets the account write; BigQuery has no test of a dataset's
    permissions. None: the list is not shown, or groups, conditions or custom roles decide.

    The basic roles' own entries (`specialGroup`) are passed over: the account is given none of them.
    """
    entries = dataset.get("access")
    if not isinstance(entries, list):
        return None
    ours = {account, f"serviceAccount:{account}"}
    answers: list[bool | None] = [False]
    for entry in entries:
        role, member = str(entry.get("role") or ""), str(entry.get("iamMember") or "")
        is_ours = bool(ours & {entry.get("userByEmail"), member})
        is_group = "groupByEmail" in entry or "domain" in entry
        is_others = is_group or (member and not member.startswith(("user:", "serviceAccount:")))
        if role not in _READING and (is_ours or is_others):
            is_plain = is_ours and role in _WRITING and not entry.get("condition")
            answers.append(True if is_plain else None)
    return True if True in answers else None if None in answers else False
