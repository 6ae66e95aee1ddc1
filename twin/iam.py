"""Who may do what in the twin: tokens, permissions, and Google's words for a refusal.

By default everybody may do everything. Given a set of permissions, every method asks for its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PERMISSIONS: Mapping[str, str] = {
    **{
        f"JobService.{verb}{kind}": f"aiplatform.{collection}.{permission}"
        for kind, collection in (
            ("BatchPredictionJob", "batchPredictionJobs"),
            ("CustomJob", "customJobs"),
            ("HyperparameterTuningJob", "hyperparameterTuningJobs"),
        )
        for verb, permission in (
            ("Create", "create"),
            ("Get", "get"),
            ("Cancel", "cancel"),
            ("Delete", "delete"),
        )
    },
    "JobService.ListBatchPredictionJobs": "aiplatform.batchPredictionJobs.list",
    "JobService.ListCustomJobs": "aiplatform.customJobs.list",
    "JobService.ListHyperparameterTuningJobs": "aiplatform.hyperparameterTuningJobs.list",
    **{
        f"PipelineService.{verb}{kind}": f"aiplatform.{collection}.{permission}"
        for kind, collection in (
            ("TrainingPipeline", "trainingPipelines"),
            ("PipelineJob", "pipelineJobs"),
        )
        for verb, permission in (
            ("Create", "create"),
            ("Get", "get"),
            ("Cancel", "cancel"),
            ("Delete", "delete"),
        )
    },
    "PipelineService.ListTrainingPipelines": "aiplatform.trainingPipelines.list",
    "PipelineService.ListPipelineJobs": "aiplatform.pipelineJobs.list",
    "ModelService.GetModel": "aiplatform.models.get",
    "ModelService.ListModelVersions": "aiplatform.models.list",
    "LoggingServiceV2.ListLogEntries": "logging.logEntries.list",
    "LoggingServiceV2.WriteLogEntries": "logging.logEntries.create",
    "MetricService.ListTimeSeries": "monitoring.timeSeries.list",
    "SecretManagerService.AccessSecretVersion": "secretmanager.versions.access",
    "Publisher.Publish": "pubsub.topics.publish",
    "storage.buckets.get": "storage.buckets.get",
    "storage.objects.list": "storage.objects.list",
    "storage.objects.get": "storage.objects.get",
    "storage.objects.create": "storage.objects.create",
}
"""Method -> the permission it needs (cloud.google.com/iam/docs/permissions-reference)."""

ACT_AS = "iam.serviceAccounts.actAs"


@dataclass
class Iam:
    """The caller's permissions. `granted` None: everything is allowed.

    `acts_as` None: the caller may act as any account (if `granted` holds actAs at all).
    """

    granted: set[str] | None = None
    acts_as: set[str] | None = None
    default_principal: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    def principal(self, authorization: str) -> str:
        """The account behind a bearer token, or the default one where none came."""
        return self.tokens.get(
            authorization.removeprefix("Bearer ").strip(), self.default_principal
        )

    def missing(self, method: str, request: Mapping[str, Any]) -> str:
        """Why the caller may not do this, in Google's words; empty where it may."""
        needed = PERMISSIONS.get(method)
        if needed is None or self.granted is None or needed in self.granted:
            return ""
        names = request.get("resourceNames") or [""]
        resource = str(request.get("parent") or request.get("name") or names[0])
        parts = resource.split("/")
        where = "/".join(parts[:4]) if parts[2:3] == ["locations"] else resource
        service = "aiplatform" if needed.startswith("aiplatform.") else needed.partition(".")[0]
        return (
            f"Permission '{needed}' denied on resource '//{service}.googleapis.com/{where}' "
            "(or it may not exist)."
        )

    def may_act_as(self, account: str) -> bool:
        """Whether a job may be created that runs as `account`."""
        if self.granted is not None and ACT_AS not in self.granted:
            return False
        return self.acts_as is None or account in self.acts_as
