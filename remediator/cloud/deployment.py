"""What stands in the project around the functions: sink, subscription, schedule, grants, quotas.

Reads by Google's REST APIs, for `doctor` and for whoever runs a command outside Google's cloud; the
function itself needs none of them. Nothing is changed.
"""

from __future__ import annotations

import http
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from remediator.cloud.connection import (
    DEFAULT_TIMEOUT_SECONDS,
    SCOPES,
    ca_bundle,
    google_credentials,
    google_errors,
)
from remediator.domain import ACT_AS, Json, NotFound, rfc3339

_PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
_ACCOUNTS = "https://iam.googleapis.com/v1/projects/-/serviceAccounts"
_BUCKETS = "https://storage.googleapis.com/storage/v1/b"
_BIGQUERY = "https://bigquery.googleapis.com/bigquery/v2"
_RUN = "https://run.googleapis.com/v2"
_QUOTAS_A_PAGE = 500
_SAMPLES = timedelta(minutes=30)  # Pub/Sub's own metrics come a few minutes late


class Deployment:
    """The project's own APIs, asked as whoever runs this, or as `account` by impersonation."""

    def __init__(self, project: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        self._project = project
        self._timeout = timeout_seconds

    def google_time(self) -> datetime | None:
        """What Google's clock shows: the `Date` of an answer asked for now; None where it bears none."""
        url = f"{_PROJECTS}/{self._project}:testIamPermissions"
        asked = {"permissions": ["resourcemanager.projects.get"]}
        date = self._answer("POST", url, self._session, asked).headers.get("Date")
        return parsedate_to_datetime(date) if date else None

    def project_number(self) -> str:
        """The project's number, in digits; raises NotFound or PermissionDenied where it may not be seen."""
        return str(self._get(f"{_PROJECTS}/{self._project}").get("projectNumber") or "")

    def sink(self, name: str) -> Json:
        """A LogSink of the project; raises NotFound where there is none."""
        return self._get(f"https://logging.googleapis.com/v2/projects/{self._project}/sinks/{name}")

    def subscription(self, name: str) -> Json:
        """A Pub/Sub subscription; raises NotFound where there is none."""
        return self._get(f"{self._pubsub}/subscriptions/{name}")

    def schedule(self, region: str, name: str) -> Json:
        """A Cloud Scheduler job; raises NotFound where there is none."""
        where = f"projects/{self._project}/locations/{region}/jobs/{name}"
        return self._get(f"https://cloudscheduler.googleapis.com/v1/{where}")

    def function(self, region: str, name: str) -> Json:
        """A Cloud Run function (2nd generation); raises NotFound where there is none."""
        where = f"projects/{self._project}/locations/{region}/functions/{name}"
        return self._get(f"https://cloudfunctions.googleapis.com/v2/{where}")

    def granted(self, permissions: Iterable[str], *, account: str = "") -> frozenset[str]:
        """Those of the permissions that the caller (or `account`, impersonated) has in the project."""
        wanted = sorted(permissions)
        return self._tested(f"{_PROJECTS}/{self._project}", wanted, account)

    def may_act_as(self, target: str, *, account: str = "") -> bool:
        """Whether the caller (or `account`, impersonated) may act as the account `target`."""
        return bool(self._tested(f"{_ACCOUNTS}/{target}", [ACT_AS], account))

    def bucket(self, name: str) -> Json:
        """A bucket's metadata; raises Gone where there is none."""
        return self._get(f"{_BUCKETS}/{name}")

    def dataset(self, project: str, name: str) -> Json:
        """A BigQuery dataset with its `location` and, where it may be seen, its `access` list.

        Raises NotFound where there is none.
        """
        return self._get(f"{_BIGQUERY}/projects/{quote(project, safe=':')}/datasets/{name}")

    def granted_on_bucket(
        self, name: str, permissions: Iterable[str], *, account: str = ""
    ) -> frozenset[str]:
        """Those of the permissions that the caller (or `account`, impersonated) has on a bucket."""
        session = self._impersonated(account) if account else self._session
        asked = "&".join(f"permissions={one}" for one in sorted(permissions))
        url = f"{_BUCKETS}/{name}/iam/testPermissions?{asked}"
        return frozenset(map(str, self._call("GET", url, session, None).get("permissions", ())))

    def holders(self, of: str, name: str, role: str, *, region: str = "") -> frozenset[str]:
        """Members that have a role on one thing by its own policy, not by the project's.

        `of`: topics, subscriptions, services (of Cloud Run) or serviceAccounts.
        """
        method, url = {
            "topics": ("GET", f"{self._pubsub}/topics/{name}"),
            "subscriptions": ("GET", f"{self._pubsub}/subscriptions/{name}"),
            "services": (
                "GET",
                f"{_RUN}/projects/{self._project}/locations/{region}/services/{name}",
            ),
            "serviceAccounts": ("POST", f"{_ACCOUNTS}/{name}"),
        }[of]
        policy = self._call(method, f"{url}:getIamPolicy", self._session, None)
        return frozenset(
            str(member)
            for binding in policy.get("bindings", ())
            if binding.get("role") == role
            for member in binding.get("members", ())
        )

    def alert_policy(self, display_name: str) -> Json:
        """An alert policy of Cloud Monitoring by its name; raises NotFound where there is none."""
        quoted = quote(f'display_name="{display_name}"')
        found = self._get(f"{self._monitoring}/alertPolicies?filter={quoted}")
        for policy in found.get("alertPolicies", ()):
            if policy.get("displayName") == display_name:
                return dict(policy)
        msg = f"no alert policy {display_name!r}"
        raise NotFound(msg)

    def newest(self, metric: str, subscription: str, now: datetime) -> int | None:
        """The newest value of one of Pub/Sub's own metrics of a subscription; None: no sample."""
        query = (
            f'metric.type="pubsub.googleapis.com/subscription/{metric}" AND '
            f'resource.labels.subscription_id="{subscription}"'
        )
        found = self._get(
            f"{self._monitoring}/timeSeries?filter={quote(query)}"
            f"&interval.startTime={quote(rfc3339(now - _SAMPLES))}"
            f"&interval.endTime={quote(rfc3339(now))}"
        )
        for series in found.get("timeSeries", ()):
            for point in series.get("points", ()):  # the newest stands first
                return int((point.get("value") or {}).get("int64Value") or 0)
        return None

    def quota_limits(self, regions: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """Vertex AI's quotas: (metric, region, effective limit); -1 is without limit."""
        url = (
            f"https://serviceusage.googleapis.com/v1beta1/projects/{self._project}/services/"
            f"aiplatform.googleapis.com/consumerQuotaMetrics?view=BASIC&pageSize={_QUOTAS_A_PAGE}"
        )
        token = ""
        while True:
            page = self._get(f"{url}&pageToken={token}" if token else url)
            for metric in page.get("metrics", ()):
                for region in regions:
                    limit = _limit_in(metric, region)
                    if limit is not None:
                        yield str(metric.get("metric")), region, limit
            token = str(page.get("nextPageToken") or "")
            if not token:
                return

    @property
    def _pubsub(self) -> str:
        return f"https://pubsub.googleapis.com/v1/projects/{self._project}"

    @property
    def _monitoring(self) -> str:
        return f"https://monitoring.googleapis.com/v3/projects/{self._project}"

    def _tested(self, url: str, permissions: Sequence[str], account: str) -> frozenset[str]:
        session = self._impersonated(account) if account else self._session
        asked = {"permissions": list(permissions)}
        found = self._call("POST", f"{url}:testIamPermissions", session, asked)
        return frozenset(map(str, found.get("permissions", ())))

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
        found = self._answer(method, url, session, body).json()
        return found if isinstance(found, dict) else {}

    def _answer(self, method: str, url: str, session: Any, body: Mapping[str, Any] | None) -> Any:
        from google.api_core import exceptions

        with google_errors(f"{method} {url.partition('?')[0]}"):
            answer = session.request(method, url, json=body, timeout=self._timeout)
            if answer.status_code >= http.HTTPStatus.BAD_REQUEST:
                raise exceptions.from_http_response(answer)
        return answer


def _limit_in(metric: Json, region: str) -> int | None:
    """The metric's effective limit in the region: its own bucket's, else the default one's."""
    default = own = None
    for limit in metric.get("consumerQuotaLimits", ()):
        for bucket in limit.get("quotaBuckets", ()):
            # Without limit is -1; a limit of zero may be left out, as JSON leaves out what is zero.
            value = int(bucket.get("effectiveLimit") or 0)
            place = (bucket.get("dimensions") or {}).get("region")
            if place == region:
                own = value
            elif not place:
                default = value
    return default if own is None else own
