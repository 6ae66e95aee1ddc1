"""What stands in the project around the functions: sink, subscription, schedule, permissions, quotas.

Reads by Google's REST APIs, for `doctor` alone; the function itself needs none of them. Nothing is
changed. `Date` headers of the answers tell Google's own time.
"""

from __future__ import annotations

import http
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from remediator.cloud.connect import (
    DEFAULT_TIMEOUT_SECONDS,
    SCOPES,
    ca_bundle,
    google_credentials,
    google_errors,
)
from remediator.domain import Json

_QUOTAS_A_PAGE = 500


class Deployment:
    """The project's own APIs, asked as whoever runs this, or as `account` by impersonation."""

    def __init__(self, project: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        self._project = project
        self._timeout = timeout_seconds
        self.google_time: datetime | None = None

    def sink(self, name: str) -> Json:
        """A LogSink of the project; raises Gone where there is none."""
        return self._get(f"https://logging.googleapis.com/v2/projects/{self._project}/sinks/{name}")

    def subscription(self, name: str) -> Json:
        """A Pub/Sub subscription; raises Gone where there is none."""
        return self._get(f"{self._pubsub}/subscriptions/{name}")

    def publishers(self, topic: str) -> frozenset[str]:
        """Members that may publish to a topic by its own policy."""
        policy = self._get(f"{self._pubsub}/topics/{topic}:getIamPolicy")
        return frozenset(
            member
            for binding in policy.get("bindings", ())
            if binding.get("role") in {"roles/pubsub.publisher", "roles/pubsub.editor"}
            for member in binding.get("members", ())
        )

    def schedule(self, region: str, name: str) -> Json:
        """A Cloud Scheduler job; raises Gone where there is none."""
        where = f"projects/{self._project}/locations/{region}/jobs/{name}"
        return self._get(f"https://cloudscheduler.googleapis.com/v1/{where}")

    def function(self, region: str, name: str) -> Json:
        """A Cloud Run function (2nd generation); raises Gone where there is none."""
        where = f"projects/{self._project}/locations/{region}/functions/{name}"
        return self._get(f"https://cloudfunctions.googleapis.com/v2/{where}")

    def granted(self, permissions: Iterable[str], *, account: str = "") -> frozenset[str]:
        """Those of the permissions that the caller (or `account`, impersonated) has in the project."""
        wanted = sorted(permissions)
        url = f"https://cloudresourcemanager.googleapis.com/v1/projects/{self._project}"
        session = self._impersonated(account) if account else self._session
        found = self._call("POST", f"{url}:testIamPermissions", session, {"permissions": wanted})
        return frozenset(map(str, found.get("permissions", ())))

    def quota_limits(self, region: str) -> Iterator[tuple[str, int]]:
        """Vertex AI's quotas in a region: (metric, effective limit); -1 is without limit."""
        url = (
            f"https://serviceusage.googleapis.com/v1beta1/projects/{self._project}/services/"
            f"aiplatform.googleapis.com/consumerQuotaMetrics?view=BASIC&pageSize={_QUOTAS_A_PAGE}"
        )
        token = ""
        while True:
            page = self._get(f"{url}&pageToken={token}" if token else url)
            for metric in page.get("metrics", ()):
                limit = _limit_in(metric, region)
                if limit is not None:
                    yield str(metric.get("metric")), limit
            token = str(page.get("nextPageToken") or "")
            if not token:
                return

    @property
    def _pubsub(self) -> str:
        return f"https://pubsub.googleapis.com/v1/projects/{self._project}"

    @cached_property
    def _session(self) -> Any:
        from google.auth.transport.requests import AuthorizedSession

        with google_errors("opening credentials"):
            credentials, request = google_credentials()
        session = AuthorizedSession(credentials, auth_request=request)
        session.verify = ca_bundle() or True
        return session

    def _impersonated(self, account: str) -> Any:
        from google.auth import impersonated_credentials
        from google.auth.transport.requests import AuthorizedSession

        session = AuthorizedSession(
            impersonated_credentials.Credentials(
                source_credentials=self._session.credentials,
                target_principal=account,
                target_scopes=list(SCOPES),
            )
        )
        session.verify = ca_bundle() or True
        return session

    def _get(self, url: str) -> Json:
        return self._call("GET", url, self._session, None)

    def _call(self, method: str, url: str, session: Any, body: Mapping[str, Any] | None) -> Json:
        from google.api_core import exceptions

        with google_errors(f"{method} {url.partition('?')[0]}"):
            answer = session.request(method, url, json=body, timeout=self._timeout)
            date = answer.headers.get("Date")
            if date and self.google_time is None:
                self.google_time = parsedate_to_datetime(date)
            if answer.status_code >= http.HTTPStatus.BAD_REQUEST:
                raise exceptions.from_http_response(answer)
        found = answer.json()
        return found if isinstance(found, dict) else {}


def _limit_in(metric: Json, region: str) -> int | None:
    """The metric's effective limit in the region: its own bucket's, else the default one's."""
    default = own = None
    for limit in metric.get("consumerQuotaLimits", ()):
        for bucket in limit.get("quotaBuckets", ()):
            value = int(bucket.get("effectiveLimit", -1))
            place = (bucket.get("dimensions") or {}).get("region")
            if place == region:
                own = value
            elif not place:
                default = value
    return default if own is None else own
