"""What Google's filters mean, service by service: predicates over REST-shaped JSON.

Each service knows its own fields and operators and refuses the rest, as the real one does. The
grammar that they share is `twin.grammar`.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import re2

from twin.clock import parse_time
from twin.grammar import (
    BadQuery,
    Call,
    Compare,
    Predicate,
    Text,
    is_number,
    leaves,
    parse,
    predicate,
    scalars,
    values_at,
)

# --- Cloud Logging -----------------------------------------------------------------------------

SEVERITIES = (
    "DEFAULT",
    "DEBUG",
    "INFO",
    "NOTICE",
    "WARNING",
    "ERROR",
    "CRITICAL",
    "ALERT",
    "EMERGENCY",
)
_ENTRY_FIELDS = frozenset(
    [
        "logName",
        "resource",
        "timestamp",
        "receiveTimestamp",
        "severity",
        "insertId",
        "httpRequest",
        "labels",
        "operation",
        "trace",
        "spanId",
        "traceSampled",
        "sourceLocation",
        "split",
        "jsonPayload",
        "textPayload",
        "protoPayload",
        "errorGroups",
        "apphub",
    ]
)
_TIMES = frozenset({"timestamp", "receiveTimestamp"})


def logging_filter(text: str) -> Predicate:
    """A predicate over LogEntry JSON for a query in Cloud Logging's language; raises BadQuery."""
    tree = parse(text)
    for node in leaves(tree):
        if isinstance(node, Compare) and _root(node.path[0]) not in _ENTRY_FIELDS:
            msg = f"Field not found: '{node.path[0]}'."
            raise BadQuery(msg)
        if isinstance(node, Compare) and node.op in ("=~", "!~"):
            _regex(node.value)

    return predicate(tree, _entry_leaf)


def _root(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@functools.lru_cache(maxsize=1000)
def _regex(pattern: str) -> Any:
    try:
        return re2.compile(pattern)
    except re2.error as err:
        msg = f"Invalid regular expression: {err}"
        raise BadQuery(msg) from err


def _entry_leaf(node: Compare | Text | Call) -> Predicate:
    if isinstance(node, Text):
        return lambda entry: _mentions(entry, node.value)
    if isinstance(node, Call):
        return _entry_call(node)
    root = _root(node.path[0])
    path = (root, *node.path[1:])
    default = ["DEFAULT"] if root == "severity" else []
    if node.op == ":" and node.value == "*" and not node.quoted:
        return lambda entry: bool(values_at(entry, path) or default)
    convert = _severity if root == "severity" else _moment if root in _TIMES else None
    compare = _comparison(node, convert)
    return lambda entry: any(map(compare, values_at(entry, path) or default))


def _entry_call(node: Call) -> Predicate:
    if node.name == "log_id":
        wanted = quote(node.arguments[0], safe="") if node.arguments else ""
        return lambda entry: str(entry.get("logName", "")).endswith(f"/logs/{wanted}")
    if node.name == "SEARCH":
        words = " ".join(node.arguments).split()
        return lambda entry: all(_mentions(entry, word) for word in words)
    msg = f"Unknown function: '{node.name}'."
    raise BadQuery(msg)


def _mentions(document: Any, text: str) -> bool:
    wanted = text.lower()
    return any(wanted in _as_text(value).lower() for value in scalars(document))


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _severity(value: Any) -> int | None:
    name = str(value).upper()
    if name in SEVERITIES:
        return SEVERITIES.index(name) * 100
    return int(name) if name.isdigit() else None


def _moment(value: Any) -> datetime | None:
    try:
        return parse_time(str(value))
    except ValueError:
        return None


def _comparison(
    node: Compare, convert: Callable[[Any], Any] | None = None, *, fold: bool = True
) -> Callable[[Any], bool]:
    """Whether one value of a document is what the filter compares it with; raises BadQuery.

    `convert` makes what can be put in order of a text, or None; `fold`: capitals do not count.
    """
    if node.op == ":":
        part = node.value.lower()
        return lambda value: any(part in _as_text(item).lower() for item in scalars(value))
    if node.op in ("=~", "!~"):
        regex, wanted = _regex(node.value), node.op == "=~"
        return lambda value: (
            not isinstance(value, (dict, list))
            and (regex.search(_as_text(value)) is not None) == wanted
        )
    compare = _OPERATORS[node.op]
    if convert is not None:
        right = convert(node.value)
        if right is None:
            msg = f"Invalid value for the field: '{node.value}'."
            raise BadQuery(msg)

        def converted(value: Any) -> bool:
            left = None if isinstance(value, (dict, list)) else convert(_as_text(value))
            return left is not None and bool(compare(left, right))

        return converted
    text = node.value.lower() if fold else node.value
    number = float(node.value) if is_number(node.value) else None

    def compared(value: Any) -> bool:
        if isinstance(value, (dict, list)):
            return False
        left = _as_text(value)
        if number is not None and is_number(left):
            return bool(compare(float(left), number))
        return bool(compare(left.lower() if fold else left, text))

    return compared


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# --- Vertex AI lists ---------------------------------------------------------------------------

_ORDERED = frozenset({"=", "!=", "<", "<=", ">", ">="})
_LIST_OPERATORS: Mapping[str, frozenset[str]] = {
    "state": frozenset({"=", "!="}),
    "create_time": _ORDERED,
    "display_name": frozenset({"=", "!=", ":"}),
    "model_display_name": frozenset({"=", "!=", ":"}),
    "labels": frozenset({"=", "!=", ":"}),
}
_PIPELINE_OPERATORS = {
    **_LIST_OPERATORS,
    "update_time": _ORDERED,
    "end_time": _ORDERED,
    "pipeline_name": frozenset({"=", "!=", ":"}),
}


def vertex_filter(text: str, *, pipelines: bool = False) -> Predicate:
    """A predicate over job JSON for a Vertex AI list filter; raises BadQuery.

    Only the fields that the service documents are known: `end_time` of a job is not among them.
    """
    tree = parse(text)
    known = _PIPELINE_OPERATORS if pipelines else _LIST_OPERATORS
    for node in leaves(tree):
        field = node.path[0] if isinstance(node, Compare) else None
        if field not in known or not isinstance(node, Compare) or node.op not in known[field]:
            msg = f"Provided filter is not valid: {text}"
            raise BadQuery(msg)
    return predicate(tree, _job_leaf)


def _job_leaf(node: Compare | Text | Call) -> Predicate:
    assert isinstance(node, Compare)
    if node.path[0] == "labels":
        return _label_leaf(node)
    field = _root(node.path[0])
    if field.endswith("Time"):
        compare = _comparison(node, _moment)
        return lambda job: job.get(field) is not None and compare(job[field])
    wanted = node.op != "!="
    if node.op == ":" or "*" in node.value:
        pattern = ".*".join(re.escape(part) for part in node.value.split("*"))
        if node.op == ":" and "*" not in node.value:
            pattern = f".*{pattern}.*"
        regex = re.compile(pattern, re.DOTALL)
        return lambda job: (regex.fullmatch(str(job.get(field) or "")) is not None) == wanted
    return lambda job: (str(job.get(field) or "") == node.value) == wanted


def _label_leaf(node: Compare) -> Predicate:
    key = ".".join(node.path[1:])
    if not key:  # `labels:key`
        return lambda job: node.value in (job.get("labels") or {})
    if node.op == ":" and node.value == "*":
        return lambda job: key in (job.get("labels") or {})
    wanted = node.op != "!="

    def compared(job: Mapping[str, Any]) -> bool:
        labels = job.get("labels") or {}
        return key in labels and (labels[key] == node.value) == wanted

    return compared


# --- Cloud Monitoring --------------------------------------------------------------------------

_TEXT_CALLS: Mapping[str, Callable[[str, tuple[str, ...]], bool]] = {
    "starts_with": lambda text, arguments: text.startswith(arguments[0]),
    "ends_with": lambda text, arguments: text.endswith(arguments[0]),
    "has_substring": lambda text, arguments: arguments[0] in text,
    "one_of": lambda text, arguments: text in arguments,
}


def monitoring_filter(text: str) -> Predicate:
    """A predicate over TimeSeries JSON; the filter must name exactly one metric type."""
    tree = parse(text)
    named = {
        node.value
        for node in leaves(tree)
        if isinstance(node, Compare) and node.path == ("metric", "type") and node.op == "="
    }
    if len(named) != 1:
        msg = (
            f'Field filter had an invalid value of "{text}": must specify a single metric type '
            "with a restriction on metric.type."
        )
        raise BadQuery(msg)
    return predicate(tree, _series_leaf)


def _series_leaf(node: Compare | Text | Call) -> Predicate:
    if isinstance(node, Text):
        msg = f"Could not parse filter: '{node.value}'"
        raise BadQuery(msg)
    if node.path[0] == "project":
        return lambda _: True
    path = tuple("labels" if part == "label" else part for part in node.path)
    compare = (
        functools.partial(_TEXT_CALLS[node.name], arguments=node.arguments)
        if isinstance(node, Call)
        else _comparison(node, fold=False)
    )
    return lambda series: any(compare(_as_text(value)) for value in values_at(series, path))
