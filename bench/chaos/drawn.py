"""What an episode of `make chaos` draws from: services and how each may fail, and a policy file's limits.

Pure. Read by `world`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from twin import faults

OUT_OF_MEMORY = (
    9,
    "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
)
BACKEND = (13, "Internal error occurred for the current attempt.")

APIS: Mapping[str, str] = {
    "Vertex get": "*.Get*Job",
    "Vertex list": "*.List*Jobs",
    "Vertex create": "*.Create*Job",
    "Vertex cancel": "*.Cancel*Job",
    "Logging read": "LoggingServiceV2.ListLogEntries",
    "Logging write": "LoggingServiceV2.WriteLogEntries",
    "Monitoring read": "MetricService.ListTimeSeries",
    "Slack": "slack.webhook",
    "SMTP": "smtp",
    "Teams": "teams.workflow",
    "Google Chat": "chat.messages",
    "webhook": "webhook",
    "PagerDuty": "pagerduty.enqueue",
}
SERVICES: Mapping[str, str] = {
    "teams": '{teams: {webhook: "env:TEAMS_WEBHOOK_URL"}}',
    "chat": '{google_chat: {webhook: "env:GOOGLE_CHAT_WEBHOOK_URL"}}',
    "hook": '{webhook: {url: "env:WEBHOOK_URL", secret: "env:WEBHOOK_SECRET"}}',
    "pager": '{pagerduty: {routing_key: "env:PAGERDUTY_ROUTING_KEY"}}',
}
"""Channels that an episode may have beside Slack and mail."""
_BY_HTTP = frozenset({"Slack", "Teams", "Google Chat", "webhook", "PagerDuty"})
FAULTS: Mapping[str, faults.Fault] = {
    "UNAVAILABLE": faults.status("UNAVAILABLE"),
    "DEADLINE_EXCEEDED": faults.status("DEADLINE_EXCEEDED"),
    "throttled": faults.status("RESOURCE_EXHAUSTED"),
    "throttled for an hour": faults.status("RESOURCE_EXHAUSTED", retry_after=3600),
    "INTERNAL": faults.status("INTERNAL"),
    "PERMISSION_DENIED": faults.status(
        "PERMISSION_DENIED", "Permission 'some.read.permission' denied on resource 'x'"
    ),
    "answer lost": faults.lost_answer(),
}
BY_HTTP: Mapping[str, faults.Fault] = {
    "UNAVAILABLE": faults.status("503"),
    "throttled": faults.status("429"),
    "throttled for an hour": faults.status("429", retry_after=3600),
    "INTERNAL": faults.status("500"),
    "PERMISSION_DENIED": faults.status("403", "not allowed"),
    "answer lost": faults.Fault(drop=True, after=True),
}
BY_MAIL: Mapping[str, faults.Fault] = {
    "UNAVAILABLE": faults.status("421"),
    "throttled": faults.status("450", "4.7.1 try again later"),
    "PERMISSION_DENIED": faults.status("550", "5.7.1 not allowed"),
    "answer lost": faults.Fault(drop=True, after=True),
}


def faults_of(api: str) -> Mapping[str, faults.Fault]:
    """The ways in which this service may fail, by name."""
    return BY_HTTP if api in _BY_HTTP else {"SMTP": BY_MAIL}.get(api, FAULTS)


RESUBMITS = "{cancel_resubmit: {checkpoint: not_needed}}"
"""What an entry of `watch` does that ends a job and submits it again."""


@dataclass(frozen=True)
class Rules:
    """What the policy file of an episode limits; drawn."""

    usd_per_job: float
    usd_per_day: float
    an_hour: int
    on_overrun: str
    breaker: bool
    asks: bool
    sized: bool
    ladder: bool
    watch: str
    services: tuple[str, ...]

    @classmethod
    def drawn(cls, draw: random.Random) -> Rules:
        return cls(
            usd_per_job=draw.choice((8.0, 60.0)),
            usd_per_day=draw.choice((12.0, 25.0, 200.0)),
            an_hour=draw.choice((1, 2, 20)),
            on_overrun=draw.choice(("alert", "cancel")),
            breaker=draw.random() < 0.5,
            asks=draw.random() < 0.3,
            sized=draw.random() < 0.4,
            ladder=draw.random() < 0.6,
            watch=draw.choice(("alert", "cancel", RESUBMITS, RESUBMITS)),
            services=tuple(one for one in SERVICES if draw.random() < 0.4),
        )

    def text(self) -> str:
        breaker = ", breaker: {failed_share: 0.6, of_last: 2, pause: 2h}" if self.breaker else ""
        mode = "approve" if self.asks else "enforce"
        sizes = ["sized" if self.sized else "more_memory"]
        # A step whose attempt never got a machine is not taken again: only of a ladder another follows.
        sizes += ["n1-highmem-32", "n1-highmem-64", "n1-highmem-96"] if self.ladder else []
        times = "" if self.ladder else ", times: 3"
        services = "".join(f"\n  {one}: {SERVICES[one]}" for one in self.services)
        told = ", ".join(("oncall", "owners", *self.services))
        steps = ", ".join(f"{{resubmit: {{machine_type: {size}}}{times}}}" for size in sizes)
        return f"""\
version: 1
mode: enforce
rerun_safe: [custom]
limits:
  {{attempts: 3, retries: 5, usd_per_job: {self.usd_per_job:g}, usd_per_day: {self.usd_per_day:g},
   on_overrun: {self.on_overrun}{breaker},
   per: [{{by: service_account, resubmissions_per_hour: {self.an_hour}}}]}}
channels:
  oncall: {{slack: {{webhook: "env:SLACK_WEBHOOK_URL"}}}}
  owners: {{email: {{smtp: "env:SMTP_URL", from: "vertex@example.com", to: ["ml@example.com"]}}}}{services}
watch:
  - name: hung
    mode: {mode}
    when: {{running: stalled, job: custom}}
    do: {self.watch}
    alert: [{told}]
policies:
  - name: out-of-memory
    mode: {mode}
    when: {{cause: memory_pressure}}
    do: [{steps}]
    alert: [{told}]
  - name: passing
    when: {{cause: [transient_backend, preemption]}}
    do: [{{resubmit: {{}}, times: 5}}]
    alert: [{told}]
  - name: everything-else
    when: {{}}
    do: []
    alert: [{told}]
"""
