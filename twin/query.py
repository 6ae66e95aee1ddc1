"""Google's filter language, as the twin needs it: parsed once, then asked of JSON documents.

Cloud Logging's query language, the list filters of Vertex AI (AIP-160) and Cloud Monitoring's
filters share one grammar: NOT binds tighter than OR, OR tighter than AND, and terms side by side
mean AND. What a comparison means differs; each service brings its own `Leaf`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import quote

import re2

from twin.clock import parse_time


class BadQuery(ValueError):
    """The filter does not parse, or asks for what the service does not know."""


@dataclass(frozen=True)
class Compare:
    """`path op value`; `quoted`: the value stood in quotes (`*` then is a star, not "any")."""

    path: tuple[str, ...]
    op: str
    value: str
    quoted: bool


@dataclass(frozen=True)
class Text:
    """A bare word or string: found anywhere in the document."""

    value: str


@dataclass(frozen=True)
class Call:
    """`name(argument, ...)`, alone or (with a path) on the right of `=`."""

    name: str
    arguments: tuple[str, ...]
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Combined:
    """AND, OR or NOT over other nodes."""

    op: str
    parts: tuple[Node, ...]


Node: TypeAlias = Compare | Text | Call | Combined
Leaf: TypeAlias = Callable[[Compare | Text | Call], bool]

_TOKENS = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<op><=|>=|!=|=~|!~|[=<>:(),])
      | (?P<word>-?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s()=!<>:~,"'])+)""",
    re.VERBOSE,
)
_PIECES = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|([^"']+)""")
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", ":", "=~", "!~"})


def parse(text: str) -> Node | None:
    """The tree of a filter; None for an empty one (everything matches); raises BadQuery."""
    tokens = list(_tokens(text))
    if not tokens:
        return None
    reader = _Reader(tokens)
    node = reader.conjunction()
    if reader.peek() is not None:
        msg = f"Unparseable filter: syntax error at '{reader.peek()}'."
        raise BadQuery(msg)
    return node


def holds(node: Node | None, leaf: Leaf) -> bool:
    """Whether the filter is true, where `leaf` answers each single comparison."""
    if node is None:
        return True
    if not isinstance(node, Combined):
        return leaf(node)
    if node.op == "NOT":
        return not holds(node.parts[0], leaf)
    answers = (holds(part, leaf) for part in node.parts)
    return all(answers) if node.op == "AND" else any(answers)


def leaves(node: Node | None) -> Iterator[Compare | Text | Call]:
    """Every comparison of the filter."""
    if isinstance(node, Combined):
        for part in node.parts:
            yield from leaves(part)
    elif node is not None:
        yield node


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            msg = f"Unparseable filter: syntax error at line 1, column {position + 1}, token '{text[position]}'."
            raise BadQuery(msg)
        if match.lastgroup != "space":
            yield match.group()
        position = match.end()


def _unquote(token: str) -> str:
    body = token[1:-1] if token[:1] in ("'", '"') else token
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), body)


def _value(token: str) -> str:
    """A value; a backslash in quotes escapes quotes and itself, and stays before anything else."""
    if token[:1] not in ("'", '"'):
        return token
    return re.sub(r"\\([\"'\\])", r"\1", token[1:-1])


def _path(token: str) -> tuple[str, ...]:
    parts: list[str] = []
    for quoted, bare in _PIECES.findall(token):
        parts.extend([_unquote(quoted)] if quoted else [p for p in bare.split(".") if p])
    return tuple(parts)


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def take(self) -> str:
        token = self.peek()
        if token is None:
            msg = "Unparseable filter: unexpected end of the filter."
            raise BadQuery(msg)
        self._at += 1
        return token

    def conjunction(self, path: tuple[str, ...] = (), op: str = "") -> Node:
        parts = [self.disjunction(path, op)]
        while self.peek() not in (None, ")", ","):
            if self.peek() == "AND":
                self.take()
            parts.append(self.disjunction(path, op))
        return parts[0] if len(parts) == 1 else Combined("AND", tuple(parts))

    def disjunction(self, path: tuple[str, ...], op: str) -> Node:
        parts = [self.negation(path, op)]
        while self.peek() == "OR":
            self.take()
            parts.append(self.negation(path, op))
        return parts[0] if len(parts) == 1 else Combined("OR", tuple(parts))

    def negation(self, path: tuple[str, ...], op: str) -> Node:
        token = self.peek()
        if token == "NOT":
            self.take()
            return Combined("NOT", (self.negation(path, op),))
        if token == "-" and not path:
            self.take()
            return Combined("NOT", (self.term(path, op),))
        if token and token.startswith("-") and not path and not _is_number(token):
            self._tokens = [*self._tokens[: self._at], token[1:], *self._tokens[self._at + 1 :]]
            return Combined("NOT", (self.term(path, op),))
        return self.term(path, op)

    def term(self, path: tuple[str, ...], op: str) -> Node:
        token = self.take()
        if token == "(":
            inner = self.conjunction(path, op)
            self._close()
            return inner
        if token in _OPERATORS or token in (")", ",", "AND", "OR"):
            msg = f"Unparseable filter: syntax error at '{token}'."
            raise BadQuery(msg)
        if path:
            return self._right_side(path, op, token)
        if self.peek() in _OPERATORS:
            return self._comparison(_path(token), self.take())
        if self.peek() == "(" and token[:1] not in ("'", '"'):
            return Call(token, self._arguments())
        return Text(_value(token))

    def _comparison(self, path: tuple[str, ...], op: str) -> Node:
        token = self.take()
        if token == "(":
            inner = self.conjunction(path, op)
            self._close()
            return inner
        return self._right_side(path, op, token)

    def _right_side(self, path: tuple[str, ...], op: str, token: str) -> Node:
        if token in _OPERATORS or token in (")", ","):
            msg = f"Unparseable filter: syntax error at '{token}'."
            raise BadQuery(msg)
        quoted = token[:1] in ("'", '"')
        if self.peek() == "(" and not quoted:
            call = Call(token, self._arguments(), path)
            return call if op == "=" else Combined("NOT", (call,))
        return Compare(path, op, _value(token), quoted)

    def _arguments(self) -> tuple[str, ...]:
        self.take()
        found: list[str] = []
        while self.peek() not in (None, ")"):
            token = self.take()
            if token != ",":
                found.append(_value(token))
        self._close()
        return tuple(found)

    def _close(self) -> None:
        if self.peek() != ")":
            msg = "Unparseable filter: a parenthesis is not closed."
            raise BadQuery(msg)
        self.take()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text) is not None


def values_at(document: Any, path: Sequence[str]) -> list[Any]:
    """Every value at the path, lists flattened; a key that holds dots itself is found too."""
    if isinstance(document, list):
        return [found for item in document for found in values_at(item, path)]
    if not path:
        return [document]
    if not isinstance(document, Mapping):
        return []
    found: list[Any] = []
    for length in range(1, len(path) + 1):
        key = ".".join(path[:length])
        if key in document:
            found.extend(values_at(document[key], path[length:]))
    return found


def scalars(document: Any) -> Iterator[Any]:
    """Every scalar in the document, depth first."""
    if isinstance(document, Mapping):
        for value in document.values():
            yield from scalars(value)
    elif isinstance(document, list):
        for value in document:
            yield from scalars(value)
    else:
        yield document


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
    elif _is_number(left) and _is_number(right):
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
