"""Lines of programs that run beside the job's own: what they say is neither the failure nor its work.

Owns the names of agents that ship logs, collect metrics and answer probes, as they head their lines, and the words of
a retry that then succeeded. An agent that cannot find a GPU or reach its exporter leaves the job as it was. Pure;
called where a log's lines are read.
"""

from __future__ import annotations

from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear

__all__ = ["is_bystander"]

_HEAD = 120  # characters in which an agent names itself; chosen
# Each as its project calls itself in its log, before a colon, a bracket or a blank; documented: their documentation.
_AGENT = Linear(
    r"^\W{0,3}(?:\d[\d:.,TZ/+-]*\s+){0,2}\W{0,3}(?:(?:DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR)\b\W{0,4})?"
    r"(?:fluent-?bit|fluentd|logstash|filebeat|metricbeat|promtail|node[_-](?:metrics|exporter)|dcgm(?:[_-]exporter)?"
    r"|statsd|collectd|telegraf|otel(?:col|-collector)?|opentelemetry|datadog(?:-agent)?|dd-agent|ddtrace|newrelic|prometheus|cadvisor"
    r"|(?:google-cloud-)?ops-agent|stackdriver-agent|monitoring-agent|metrics?[_ -](?:agent|collector|exporter|sidecar)|kube-probe|cloud-profiler|gce-metadata|wandb-core)"
    r"(?:\[\d+\])?(?:[\]:)]|\s+\[|\s*\|)"
)
_COLLECTOR = Linear(r"\bmetrics?[ _.-]?collector\b[^|]{0,10}(?: - |:)", needs="collector")
_SUCCEEDED = Linear(
    r"\bsucceeded (?:on|after|at) (?:the )?(?:attempt|try|retry|\d)|\b(?:retry|retried|attempt \d+)\b[^|]{0,60}\b(?:succeeded|ok|successful(?:ly)?)\W*$",
    needs="succe ok",
)


def is_bystander(text: str) -> bool:
    """Whether a line is an agent's beside the job, or tells of a retry that succeeded."""
    head = text[:_HEAD]
    return _AGENT.is_in(head) or _COLLECTOR.is_in(head) or _SUCCEEDED.is_in(text[:TEXT])
