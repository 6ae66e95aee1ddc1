"""What the functions' account may do: in the project, and as the accounts of jobs."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.doctor.findings import Finding, Status, Ward, unknown
from remediator.domain import NO_ACCOUNT, Gone, RemediatorError

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


def permissions(ward: Ward) -> Iterator[Finding]:
    try:
        granted = ward.deployment.granted(PERMISSIONS, account="" if ward.is_self else ward.account)
    except RemediatorError as err:
        yield unknown("permissions", err, _impersonate(ward))
        return
    lacking = [one for one in PERMISSIONS if one not in granted]
    if not lacking:
        yield Finding(
            "permissions", Status.OK, f"{ward.account} has all {len(PERMISSIONS)} in the project"
        )
        return
    yield Finding(
        "permissions",
        Status.PROBLEM,
        f"{ward.account} lacks {', '.join(lacking)}",
        "what needs them is told once a day and waits",
        ward.apply,
    )


def _impersonate(ward: Ward) -> str:
    member = "--member=user:YOU --role=roles/iam.serviceAccountTokenCreator"
    return f"gcloud iam service-accounts add-iam-policy-binding {ward.account} {member}"


def act_as(ward: Ward) -> Iterator[Finding]:
    """Creating a job that runs as an account needs the right to act as it, on that account alone."""
    accounts = [one for one in ward.acts_as if one != NO_ACCOUNT]
    named = [one for one in accounts if not set(one) & set("*?[")]
    globs = [one for one in accounts if one not in named]
    for target in named:
        yield _one_account(ward, target)
    if globs:
        yield Finding(
            "act as", Status.UNKNOWN, f"not checked: {', '.join(globs)} names no one account"
        )
    if not accounts:
        yield Finding(
            "act as", Status.OK, "no account is named: the jobs that name none can be resubmitted"
        )


def _one_account(ward: Ward, target: str) -> Finding:
    try:
        may = _may_act_as(ward, target)
    except Gone:
        return Finding(
            "act as",
            Status.PROBLEM,
            f"there is no account {target}",
            "it stands among those whose jobs may be resubmitted, and none can run as it",
            f"{ward.apply} --var act_as=[...] without it",
        )
    if may:
        return Finding("act as", Status.OK, f"{ward.account} may act as {target}")
    return Finding(
        "act as",
        Status.PROBLEM,
        f"{ward.account} may not act as {target}",
        "jobs of that account are diagnosed and told, and none is resubmitted",
        f"gcloud iam service-accounts add-iam-policy-binding {target} "
        f"--member=serviceAccount:{ward.account} --role={USER}",
    )


def _may_act_as(ward: Ward, target: str) -> bool:
    """Asked as the functions' account; where that may not be, the account's own policy is read."""
    try:
        return ward.deployment.may_act_as(target, account="" if ward.is_self else ward.account)
    except Gone:
        raise
    except RemediatorError:
        member = f"serviceAccount:{ward.account}"
        return member in ward.deployment.holders("serviceAccounts", target, USER)
