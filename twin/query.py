"""What Google's filters mean, service by service: predicates over REST-shaped JSON.

Each service knows its own fields and operators and refuses the rest, as the real one does. The
grammar that they share is `twin.grammar`.
"""

from __future__ import annotations

import functools
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
    Text,
    holds,
    is_number,
    leaves,
    parse,
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


def logging_filter(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate over LogEntry JSON for a query in Cloud Logging's language; raises BadQuery."""
    tree = parse(text)
    for node in leaves(tree):
        if isinstance(node, Compare) and _root(node.path[0]) not in _ENTRY_FIELDS:
            msg = f"Field not found: '{node.path[0]}'."
            raise BadQuery(msg)
        if isinstance(node, Compare) and node.op in ("=~", "!~"):
            _regex(node.value)

    return lambda entry: holds(tree, lambda node: _entry_leaf(entry, node))


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


def _entry_leaf(entry: Mapping[str, Any], node: Compare | Text | Call) -> bool:
    if isinstance(node, Text):
        return _mentions(entry, node.value)
    if isinstance(node, Call):
        if node.name == "log_id":
            wanted = quote(node.arguments[0], safe="") if node.arguments else ""
            return str(entry.get("logName", "")).endswith(f"/logs/{wanted}")
        if node.name == "SEARCH":
            return all(_mentions(entry, word) for word in " ".join(node.arguments).split())
        msg = f"Unknown function: '{node.name}'."
        raise BadQuery(msg)
    root = _root(node.path[0])
    found = values_at(entry, (root, *node.path[1:]))
    if root == "severity" and not found:
        found = ["DEFAULT"]
    if node.op == ":" and node.value == "*" and not node.quoted:
        return bool(found)
    convert = _severity if root == "severity" else _moment if root in _TIMES else None
    return any(_compare(value, node, convert) for value in found)


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


def _compare(
    value: Any, node: Compare, convert: Callable[[Any], Any] | None, *, fold: bool = True
) -> bool:
    if node.op == ":":
        wanted = node.value.lower()
        return any(wanted in _as_text(item).lower() for item in scalars(value))
    if isinstance(value, (Mapping, list)):
        return False
    if node.op in ("=~", "!~"):
        return (_regex(node.value).search(_as_text(value)) is not None) == (node.op == "=~")
    left: Any = _as_text(value)
    right: Any = node.value
    if convert is not None:
        left, right = convert(value), convert(node.value)
        if right is None:
            msg = f"Invalid value for the field: '{node.value}'."
            raise BadQuery(msg)
        if left is None:
            return False
    elif is_number(left) and is_number(right):
        left, right = float(left), float(right)
    elif fold:
        left, right = left.lower(), right.lower()
    return _ordered(left, node.op, right)


def _ordered(left: Any, op: str, right: Any) -> bool:
    answers = {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    return answers[op]


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


def vertex_filter(text: str, *, pipelines: bool = False) -> Callable[[Mapping[str, Any]], bool]:
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
    return lambda job: holds(tree, lambda node: _job_leaf(job, node))


def _job_leaf(job: Mapping[str, Any], node: Compare | Text | Call) -> bool:
    assert isinstance(node, Compare)
    field = node.path[0]
    if field == "labels":
        return _label_leaf(dict(job.get("labels") or {}), node)
    value = job.get(_root(field))
    if field.endswith("_time"):
        return value is not None and _compare(value, node, _moment)
    text = str(value or "")
    if node.op == ":" or "*" in node.value:
        pattern = ".*".join(re.escape(part) for part in node.value.split("*"))
        if node.op == ":" and "*" not in node.value:
            pattern = f".*{pattern}.*"
        return (re.fullmatch(pattern, text, re.DOTALL) is not None) == (node.op != "!=")
    return (text == node.value) == (node.op != "!=")


def _label_leaf(labels: Mapping[str, str], node: Compare) -> bool:
    key = ".".join(node.path[1:])
    if not key:  # `labels:key`
        return node.value in labels
    if node.op == ":":
        return key in labels and node.value in ("*", labels[key])
    return key in labels and (labels[key] == node.value) == (node.op == "=")


# --- Cloud Monitoring --------------------------------------------------------------------------

_TEXT_CALLS: Mapping[str, Callable[[str, tuple[str, ...]], bool]] = {
    "starts_with": lambda text, arguments: text.startswith(arguments[0]),
    "ends_with": lambda text, arguments: text.endswith(arguments[0]),
    "has_substring": lambda text, arguments: arguments[0] in text,
    "one_of": lambda text, arguments: text in arguments,
}


def monitoring_filter(text: str) -> Callable[[Mapping[str, Any]], bool]:
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
    return lambda series: holds(tree, lambda node: _series_leaf(series, node))


def _series_leaf(series: Mapping[str, Any], node: Compare | Text | Call) -> bool:
    if isinstance(node, Text):
        msg = f"Could not parse filter: '{node.value}'"
        raise BadQuery(msg)
    if node.path[0] == "project":
        return True
    path = tuple("labels" if part == "label" else part for part in node.path)
    found = [_as_text(value) for value in values_at(series, path)]
    if isinstance(node, Call):
        return any(_TEXT_CALLS[node.name](text, node.arguments) for text in found)
    return any(_compare(value, node, None, fold=False) for value in found)
