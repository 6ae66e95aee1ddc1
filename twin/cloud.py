"""The whole twin under one name: `with Cloud() as cloud:` starts it, leaving the block ends it.

Everything listens on free loopback ports. `env()` is what the product needs to reach it by its
endpoint settings, `proxied_env()` what it needs to reach it on Google's own addresses.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twin.clock import Clock, rfc3339
from twin.deployment import Deployment
from twin.faults import Call, Fault
from twin.iam import Iam
from twin.jobs import JobStore
from twin.logging import LogStore
from twin.metadata import Metadata
from twin.models import ModelStore
from twin.monitoring import SeriesStore
from twin.physics import Needs
from twin.receivers import Mail, Slack, SlowHost
from twin.rpc import Body, Desk, RpcServer
from twin.secrets import Secrets, Topics
from twin.services import Services
from twin.serving import Served
from twin.sink import Shape, Sink
from twin.storage import Storage
from twin.vertex import VertexApi


class Cloud:
    """One project in a cloud on this machine.

    `lag`: how far behind the world the twin's time starts. `scale`: how fast it runs while jobs are
    in flight. `frozen`: it moves by `cloud.clock.advance(...)` only.
    """

    def __init__(
        self,
        *,
        project: str = "genomics-lab",
        number: str = "471108150815",
        region: str = "us-central1",
        account: str = "",
        lag: timedelta = timedelta(0),
        scale: float = 1.0,
        frozen: bool = False,
        start: datetime | None = None,
        seed: int = 7,
    ) -> None:
        self.project = project
        self.number = number
        self.region = region
        self.account = account or f"remediator@{project}.iam.gserviceaccount.com"
        self.desk = Desk(iam=Iam(default_principal=self.account))
        self.clock = Clock(start=start, lag=lag, scale=scale, frozen=frozen)
        self._exit = contextlib.ExitStack()
        self._exit.callback(self.clock.close)
        self.sinks: list[Sink] = []
        self.logs = LogStore(self.clock, project, number)
        self.metrics = SeriesStore(self.clock, project, number)
        self.models = ModelStore(self.clock, project, number)
        self.secrets = Secrets(project, number)
        self.topics = Topics()
        self.storage = self._kept(Storage(self.desk, self.clock, number))
        self.jobs = JobStore(
            self.clock,
            project,
            number,
            self.logs,
            self.metrics,
            self.storage,
            self.models,
            seed=seed,
        )
        api = VertexApi(self.jobs, self.models, self.logs, self.desk.iam)
        self.vertex = self._kept(RpcServer(self.desk, api.methods()))
        self.logging = self._kept(RpcServer(self.desk, self.logs.methods()))
        self.monitoring = self._kept(RpcServer(self.desk, self.metrics.methods()))
        self.others = self._kept(
            RpcServer(self.desk, [*self.secrets.methods(), *self.topics.methods()], workers=16)
        )
        self.slack = self._kept(Slack(self.desk))
        self.mail = self._kept(Mail(self.desk))
        self.services = self._kept(Services(self.desk))
        self.host = self._kept(SlowHost(self.desk))
        self.deployment = self._kept(Deployment(self.desk, project, number, self.account))
        self.metadata = self._kept(
            Metadata(self.desk, project=project, number=number, region=region, account=self.account)
        )
        self._front: Any = None
        self._folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="twin-")))

    def _kept(self, part: Any) -> Any:
        self._exit.callback(part.stop)
        return part

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends everything that was started, the last first."""
        self._exit.close()

    # --- how to reach it -------------------------------------------------------------------

    def env(self, **more: str) -> dict[str, str]:
        """The product's settings for this twin by endpoint, and what `more` adds."""
        return {
            **self._common(),
            "REMEDIATOR_VERTEX_ENDPOINT": self.vertex.endpoint,
            "REMEDIATOR_LOGGING_ENDPOINT": self.logging.endpoint,
            "REMEDIATOR_MONITORING_ENDPOINT": self.monitoring.endpoint,
            "STORAGE_EMULATOR_HOST": self.storage.url,
            "PUBSUB_EMULATOR_HOST": self.others.endpoint,
            **more,
        }

    def proxied_env(self, **more: str) -> dict[str, str]:
        """No endpoint setting at all: Google's own addresses, through a proxy with a private CA."""
        front = self._proxy()
        authority = str(front.authority)
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            **self.web_proxy_env(),
            "SSL_CERT_FILE": authority,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": authority,
            "GCE_METADATA_HOST": self.metadata.host,
            "GCE_METADATA_ROOT": self.metadata.host,
            "GCE_METADATA_IP": self.metadata.host,
            "SLACK_WEBHOOK_URL": self.slack.webhook,
            "SMTP_URL": self.mail.url,
            **self._services(),
            **more,
        }

    def web_proxy_env(self) -> dict[str, str]:
        """The proxy for services with addresses of their own, beside Google's by endpoint."""
        front = self._proxy()
        return {
            "https_proxy": front.url,
            "HTTPS_PROXY": front.url,
            "no_proxy": "127.0.0.1,localhost",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(front.authority),
        }

    def _proxy(self) -> Any:
        if self._front is None:
            from twin.front import Front  # noqa: PLC0415  # few need a certificate authority

            self._front = self._kept(
                Front(
                    self._folder,
                    vertex=self.vertex.port,
                    logging=self.logging.port,
                    monitoring=self.monitoring.port,
                    others=self.others.port,
                    storage=self.storage.port,
                    slack=self.slack.port,
                    pagerduty=self.services.port,
                    deployment=self.deployment.port,
                )
            )
        return self._front

    def _common(self) -> dict[str, str]:
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GOOGLE_CLOUD_PROJECT_NUMBER": self.number,
            "REMEDIATOR_LOCATIONS": self.region,
            "SLACK_WEBHOOK_URL": self.slack.webhook,
            "SMTP_URL": self.mail.url,
            **self._services(),
        }

    def _services(self) -> dict[str, str]:
        return {
            "TEAMS_WEBHOOK_URL": self.services.teams_webhook,
            "GOOGLE_CHAT_WEBHOOK_URL": self.services.chat_webhook,
            "WEBHOOK_URL": self.services.hook,
            "WEBHOOK_SECRET": "twin-webhook-secret",
            "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
        }

    # --- what stands in it -----------------------------------------------------------------

    def name(self, collection: str, ident: str, location: str = "") -> str:
        """A job's name with the project's number."""
        return f"projects/{self.number}/locations/{location or self.region}/{collection}/{ident}"

    def add_job(self, body: Mapping[str, Any], *, needs: Needs | None = None) -> Body:
        """A job as it stands, by REST JSON with its `name`; nothing else happens."""
        made = self.jobs.add(body)
        if needs:
            self.jobs.needs(str(made["name"]).split("/")[4], body, needs)
        return made

    def past_job(
        self,
        collection: str,
        body: Mapping[str, Any],
        needs: Needs,
        *,
        location: str = "",
        ended_ago: timedelta | float = 900.0,
        route: bool = True,
    ) -> Body:
        """A job that ran and ended in the past as its needs decide, with logs, metrics, files."""
        self.jobs.needs(collection, body, needs)
        return self.jobs.past(
            collection, location or self.region, body, ended_ago=ended_ago, route=route
        )

    def submit(
        self, collection: str, body: Mapping[str, Any], needs: Needs, *, location: str = ""
    ) -> Body:
        """A job created now, as a user would; it lives on the twin's clock."""
        from twin.kinds import KINDS, in_shape  # noqa: PLC0415

        self.jobs.needs(collection, body, needs)
        kind = KINDS[collection]
        parent = f"projects/{self.project}/locations/{location or self.region}"
        return self.jobs.create(kind, parent, in_shape(kind, body))

    def add_model(self, ident: str, *, location: str = "", **body: Any) -> str:
        """A model (one more version of it); its name without a version."""
        name = self.name("models", ident, location)
        return str(self.models.add({"name": name, **body})["name"])

    def log(self, entry: Mapping[str, Any], *, route: bool = True) -> Body | None:
        """One log entry, routed to the sinks like any other."""
        return self.logs.add(entry, route=route)

    def add_sink(self, url: str, query: str, *, shape: Shape = "eventarc", **how: Any) -> Sink:
        """A sink to the function at `url`, for entries from now on that match `query`."""
        sink = Sink(
            url,
            query,
            now=lambda: rfc3339(self.clock.now()),
            shape=shape,
            project=self.project,
            **how,
        )
        self.sinks.append(sink)
        self.logs.listeners.append(sink.hear)
        self._exit.callback(sink.close)
        return sink

    # --- what happens in it ----------------------------------------------------------------

    def fail(self, method: str, *faults: Fault, times: float = 1) -> None:
        """Plans faults for a method (`JobService.CreateCustomJob`, `storage.*`, `slack.webhook`)."""
        self.desk.faults.add(method, *faults, times=times)

    def calls(self, method: str = "*", *, outcome: str | None = None) -> list[Call]:
        """The journal: calls of methods like `method`."""
        return self.desk.journal.calls(method, outcome=outcome)

    def allow_only(self, *permissions: str) -> None:
        """From now on every method needs its IAM permission, and these are granted."""
        self.desk.iam.granted = set(permissions)

    def serve(
        self, main_dir: str | Path, target: str, env: Mapping[str, str], **how: Any
    ) -> Served:
        """The product's entry point under functions-framework; ends with the cloud."""
        log = self._folder / f"{target}-{len(list(self._folder.iterdir()))}.log"
        served = Served(main_dir, target, env, **{"log": log, **how})
        self._exit.callback(served.stop)
        return served
