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


# Words by which the job complains of its own collector, or of a retry that did not help.
_OF_THE_JOB = Linear(r"\w(?:Error|Exception)\b|\b(?:in|of|from|by|for|inside) (?:the |my |our )?$")
_IN_VAIN = Linear(
    r"\b(?:only|none|never|not|no|nothing|without|unless|until|if|whether|is|was|gave up|giving up|did ?n.t)\b[^|]{0,60}\b(?:succe|ok\b)|\b(?:ok|succe\w*)\W*\?|\bsucceeded\b.{0,80}\b(?:fail|but|error|exception|then)"
)
_ROWS = 50  # of an entry of several rows; chosen


def is_bystander(text: str) -> bool:
    """Whether a line is an agent's beside the job, or tells of a retry that succeeded.

    Of an entry of several rows each has to be: a container's output may come in one.
    """
    if "\n" not in text:
        return _is_one(text)
    rows = [row for row in text.split("\n", _ROWS) if row.strip()]
    return 0 < len(rows) <= _ROWS and all(map(_is_one, rows))


def _is_one(text: str) -> bool:
    head = text[:_HEAD]
    if _AGENT.is_in(head):
        return True
    collector = _COLLECTOR.search(head)
    if collector is not None and not _OF_THE_JOB.is_in(head[: collector.start()]):
        return True
    whole = text[:TEXT]
    return _SUCCEEDED.is_in(whole) and not _IN_VAIN.is_in(whole)
