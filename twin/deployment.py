"""A deployment as the project's own APIs tell it by REST: sink, subscriptions, grants, quotas.

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

    def __init__(self, desk: Desk, project: str, number: str, account: str) -> None:
        self._desk = desk
        self._project = project
        self._number = number
        self._account = account
        self.sinks: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.grants: dict[str, dict[str, list[str]]] = {}
        """`topics/NAME`, `subscriptions/NAME`, `services/NAME` or `serviceAccounts/EMAIL`, then
        role -> members."""
        self.accounts: set[str] = set()
        self.schedules: dict[str, dict[str, Any]] = {}
        self.functions: dict[str, dict[str, Any]] = {}
        self.watches: list[dict[str, Any]] = []
        self.samples: dict[tuple[str, str], int] = {}
        """(metric of Pub/Sub's, subscription) -> its newest value."""
        self.quotas: dict[str, int] = {}
        self.datasets: dict[str, dict[str, Any]] = {}
        """BigQuery's, by `PROJECT.DATASET`."""
        self.tokens: dict[str, str] = {}
        self.date = ""
        own = rf"projects/{project}"
        self._server = HttpServer(
            desk,
            [
                Route("GET", rf"/v2/{own}/sinks/(?P<name>[^/]+)", self._sink, "sinks.get"),
                Route(
                    "GET",
                    rf"/v1/{own}/subscriptions/(?P<name>[^/:]+)",
                    self._subscription,
                    "subscriptions.get",
                ),
                Route(
                    "GET",
                    rf"/v1/{own}/(?P<of>topics|subscriptions)/(?P<name>[^/:]+):getIamPolicy",
                    self._policy,
                    "pubsub.getIamPolicy",
                ),
                Route(
                    "GET",
                    rf"/v2/{own}/locations/[^/]+/(?P<of>services)/(?P<name>[^/:]+):getIamPolicy",
                    self._policy,
                    "services.getIamPolicy",
                ),
                Route(
                    "POST",
                    r"/v1/projects/-/(?P<of>serviceAccounts)/(?P<name>[^/:]+):getIamPolicy",
                    self._policy,
                    "serviceAccounts.getIamPolicy",
                ),
                Route(
                    "POST",
                    r"/v1/projects/-/serviceAccounts/(?P<name>[^/:]+):testIamPermissions",
                    self._test_account,
                    "serviceAccounts.testIamPermissions",
                ),
                Route(
                    "GET",
                    r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/(?P<name>[^/]+)",
                    self._dataset,
                    "datasets.get",
                ),
                Route("GET", rf"/v1/{own}", self._describe, "projects.get"),
                Route("GET", rf"/v3/{own}/alertPolicies", self._watches, "alertPolicies.list"),
                Route("GET", rf"/v3/{own}/timeSeries", self._samples, "timeSeries.list"),
                Route("POST", "/token", self._person, "oauth2.token"),
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
        agent = f"serviceAccount:service-{self._number}@gcp-sa-pubsub.iam.gserviceaccount.com"
        events, clock = (
            f"{name}-{one}@{self._project}.iam.gserviceaccount.com" for one in ("events", "clock")
        )
        self.grants |= {
            f"topics/{name}-failures": {"roles/pubsub.publisher": [writer]},
            f"topics/{name}-dead-letters": {"roles/pubsub.publisher": [agent]},
            f"subscriptions/{name}-remediate": {"roles/pubsub.subscriber": [agent]},
            f"services/{name}-remediate": {"roles/run.invoker": [f"serviceAccount:{events}"]},
            f"services/{name}-reconcile": {"roles/run.invoker": [f"serviceAccount:{clock}"]},
        }
        self.subscriptions[f"{name}-remediate"] = {
            "name": f"{own}/subscriptions/{name}-remediate",
            "topic": topic,
            "ackDeadlineSeconds": 130,
            "messageRetentionDuration": "604800s",
            "expirationPolicy": {},
            "pushConfig": {
                "pushEndpoint": _uri("remediate"),
                "oidcToken": {"serviceAccountEmail": events, "audience": _uri("remediate")},
            },
            "retryPolicy": {"minimumBackoff": "30s", "maximumBackoff": "600s"},
            "deadLetterPolicy": {
                "deadLetterTopic": f"{own}/topics/{name}-dead-letters",
                "maxDeliveryAttempts": 30,
            },
            "state": "ACTIVE",
        }
        self.subscriptions[f"{name}-dead-letters"] = {
            "name": f"{own}/subscriptions/{name}-dead-letters",
            "topic": f"{own}/topics/{name}-dead-letters",
            "expirationPolicy": {},
        }
        for door in ("remediate", "reconcile"):
            self.functions[f"{name}-{door}"] = {
                "name": f"{own}/locations/{region}/functions/{name}-{door}",
                "state": "ACTIVE",
                "serviceConfig": {
                    "uri": _uri(door),
                    "timeoutSeconds": 120,
                    "ingressSettings": "ALLOW_INTERNAL_ONLY",
                    "serviceAccountEmail": self._account,
                    "environmentVariables": {"REMEDIATOR_LOCATIONS": region},
                },
            }
        self.watches = [
            {
                "name": f"{own}/alertPolicies/1",
                "displayName": f"{name}: reconcile is silent",
                "enabled": True,
                "notificationChannels": [f"{own}/notificationChannels/1"],
            }
        ]
        self.schedules[f"{name}-reconcile"] = {
            "name": f"{own}/locations/{region}/jobs/{name}-reconcile",
            "schedule": "* * * * *",
            "state": "ENABLED",
            "httpTarget": {
                "uri": _uri("reconcile"),
                "oidcToken": {"serviceAccountEmail": clock, "audience": _uri("reconcile")},
            },
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

    def _dataset(self, request: Request) -> Answer:
        found = self.datasets.get(f"{request.groups['project']}.{request.groups['name']}")
        return self._answer(found) if found is not None else _error(404, "notFound", "Not found")

    def _policy(self, request: Request) -> Answer:
        of, name = request.groups["of"], request.groups["name"]
        known = {"topics": None, "subscriptions": self.subscriptions, "services": self.functions}
        stands = known.get(of)
        if stands is not None and name not in stands:
            return _error(404, "NOT_FOUND", "not found")
        held = self.grants.get(f"{of}/{name}", {})
        bindings = [{"role": role, "members": members} for role, members in held.items()]
        return self._answer({"etag": "BwXhqDVXuyo=", "bindings": bindings})

    def _test_account(self, request: Request) -> Answer:
        """Held by whoever asks, as Vertex asks when a job is created that runs as the account."""
        name = request.groups["name"]
        if self.accounts and name not in self.accounts:
            return _error(404, "NOT_FOUND", f"Unknown service account: {name}")
        asked = json.loads(request.body or b"{}").get("permissions") or []
        held = asked if self._desk.iam.may_act_as(name) else []
        return self._answer({"permissions": held} if held else {})

    def _describe(self, request: Request) -> Answer:
        del request
        return self._answer(
            {
                "projectNumber": self._number,
                "projectId": self._project,
                "lifecycleState": "ACTIVE",
            }
        )

    def _watches(self, request: Request) -> Answer:
        asked = request.query.get("filter", "")
        found = [one for one in self.watches if f'"{one["displayName"]}"' in asked]
        return self._answer({"alertPolicies": found} if found else {})

    def _samples(self, request: Request) -> Answer:
        asked = request.query.get("filter", "")
        found = [
            {
                "metric": {"type": f"pubsub.googleapis.com/subscription/{metric}"},
                "points": [
                    {
                        "interval": {"endTime": request.query.get("interval.endTime", "")},
                        "value": {"int64Value": str(value)},
                    }
                ],
            }
            for (metric, name), value in self.samples.items()
            if f'subscription/{metric}"' in asked and f'"{name}"' in asked
        ]
        return self._answer({"timeSeries": found} if found else {})

    def _person(self, request: Request) -> Answer:
        """A token for somebody's own credentials, as `gcloud auth application-default login` has."""
        del request
        return self._answer({"access_token": "token-of-a-person", "expires_in": 3600})

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
                    {"quotaBuckets": [{"effectiveLimit": str(limit)} if limit else {}]}
                ],
            }
            for name, limit in self.quotas.items()
        ]
        return self._answer({"metrics": metrics} if metrics else {})


def _uri(door: str) -> str:
    return f"https://{door}.a.run.app"


def _error(code: int, status: str, message: str) -> Answer:
    return Answer(
        code,
        {"error": {"code": code, "status": status, "message": message}},
        {"Content-Type": "application/json"},
    )
