"""A deployment as the project's own APIs tell it by REST: sink, subscriptions, schedule, quotas.

Nothing stands in it at first; `stand_up` puts a healthy one there, and a test spoils what it likes.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from twin.http import Answer, HttpServer, Request, Route
from twin.rpc import Desk


class Deployment:
    """What Terraform would have made, as documents that a test may change."""

    def __init__(self, desk: Desk, project: str) -> None:
        self._desk = desk
        self._project = project
        self.sinks: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.publishers: dict[str, list[str]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.functions: dict[str, dict[str, Any]] = {}
        self.quotas: dict[str, int] = {}
        self.tokens: dict[str, str] = {}
        self.date = ""
        own = rf"projects/{project}"
        self._server = HttpServer(
            desk,
            [
                Route("GET", rf"/v2/{own}/sinks/(?P<name>[^/]+)", self._sink, "sinks.get"),
                Route(
                    "GET",
                    rf"/v1/{own}/subscriptions/(?P<name>[^/]+)",
                    self._subscription,
                    "subscriptions.get",
                ),
                Route(
                    "GET",
                    rf"/v1/{own}/topics/(?P<name>[^/:]+):getIamPolicy",
                    self._policy,
                    "topics.getIamPolicy",
                ),
                Route(
                    "GET",
                    rf"/v1/{own}/locations/[^/]+/jobs/(?P<name>[^/]+)",
                    self._schedule,
                    "jobs.get",
                ),
                Route(
                    "GET",
                    rf"/v2/{own}/locations/[^/]+/functions/(?P<name>[^/]+)",
                    self._function,
                    "functions.get",
                ),
                Route(
                    "POST",
                    rf"/v1/{own}:testIamPermissions",
                    self._test,
                    "projects.testIamPermissions",
                ),
                Route(
                    "POST",
                    r"/v1/projects/-/serviceAccounts/(?P<account>[^/:]+):generateAccessToken",
                    self._token,
                    "serviceAccounts.generateAccessToken",
                ),
                Route(
                    "GET",
                    rf"/v1beta1/{own}/services/aiplatform\.googleapis\.com/consumerQuotaMetrics",
                    self._quotas,
                    "consumerQuotaMetrics.list",
                ),
            ],
        )
        self.port = self._server.port

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()

    def stand_up(self, name: str, *, sink_filter: str, region: str) -> None:
        """A healthy deployment whose names begin with `name`."""
        own = f"projects/{self._project}"
        topic = f"{own}/topics/{name}-failures"
        writer = "serviceAccount:service-471108150815@gcp-sa-logging.iam.gserviceaccount.com"
        self.sinks[f"{name}-failures"] = {
            "name": f"{name}-failures",
            "destination": f"pubsub.googleapis.com/{topic}",
            "filter": sink_filter,
            "writerIdentity": writer,
        }
        self.publishers[f"{name}-failures"] = [writer]
        self.subscriptions[f"{name}-remediate"] = {
            "name": f"{own}/subscriptions/{name}-remediate",
            "topic": topic,
            "pushConfig": {
                "pushEndpoint": "https://remediate.a.run.app",
                "oidcToken": {"serviceAccountEmail": f"{name}-events@{self._project}.example"},
            },
            "retryPolicy": {"minimumBackoff": "30s", "maximumBackoff": "600s"},
            "deadLetterPolicy": {
                "deadLetterTopic": f"{own}/topics/{name}-dead-letters",
                "maxDeliveryAttempts": 100,
            },
            "state": "ACTIVE",
        }
        self.subscriptions[f"{name}-dead-letters"] = {
            "name": f"{own}/subscriptions/{name}-dead-letters",
            "topic": f"{own}/topics/{name}-dead-letters",
        }
        for door in ("remediate", "reconcile"):
            self.functions[f"{name}-{door}"] = {
                "name": f"{own}/locations/{region}/functions/{name}-{door}",
                "state": "ACTIVE",
                "serviceConfig": {
                    "timeoutSeconds": 120,
                    "environmentVariables": {"REMEDIATOR_LOCATIONS": region},
                },
            }
        self.schedules[f"{name}-reconcile"] = {
            "name": f"{own}/locations/{region}/jobs/{name}-reconcile",
            "schedule": "* * * * *",
            "state": "ENABLED",
        }

    # --- answers ---------------------------------------------------------------------------

    def _answer(self, body: Any) -> Answer:
        headers = {"Content-Type": "application/json"}
        if self.date:
            headers["Date"] = self.date
        return Answer(200, copy.deepcopy(body), headers)

    def _found(self, known: dict[str, dict[str, Any]], request: Request) -> Answer:
        found = known.get(request.groups["name"])
        return self._answer(found) if found is not None else _error(404, "NOT_FOUND", "not found")

    def _sink(self, request: Request) -> Answer:
        return self._found(self.sinks, request)

    def _subscription(self, request: Request) -> Answer:
        return self._found(self.subscriptions, request)

    def _function(self, request: Request) -> Answer:
        return self._found(self.functions, request)

    def _schedule(self, request: Request) -> Answer:
        return self._found(self.schedules, request)

    def _policy(self, request: Request) -> Answer:
        members = self.publishers.get(request.groups["name"], [])
        return self._answer({"bindings": [{"role": "roles/pubsub.publisher", "members": members}]})

    def _test(self, request: Request) -> Answer:
        asked = json.loads(request.body or b"{}").get("permissions") or []
        granted = self._desk.iam.granted
        held = [one for one in asked if granted is None or one in granted]
        return self._answer({"permissions": held} if held else {})

    def _token(self, request: Request) -> Answer:
        account = request.groups["account"]
        token = self.tokens.get(account)
        if token is None:
            return _error(
                403,
                "PERMISSION_DENIED",
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource "
                f"'{account}' (or it may not exist).",
            )
        return self._answer({"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"})

    def _quotas(self, request: Request) -> Answer:
        del request
        metrics = [
            {
                "metric": f"aiplatform.googleapis.com/{name}",
                "consumerQuotaLimits": [
                    {"quotaBuckets": [{"effectiveLimit": str(limit), "dimensions": {}}]}
                ],
            }
            for name, limit in self.quotas.items()
        ]
        return self._answer({"metrics": metrics} if metrics else {})


def _error(code: int, status: str, message: str) -> Answer:
    return Answer(
        code,
        {"error": {"code": code, "status": status, "message": message}},
        {"Content-Type": "application/json"},
    )
