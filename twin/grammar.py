"""The grammar of Google's filters, as the twin needs it: text becomes a tree, once.

Cloud Logging's query language, the list filters of Vertex AI (AIP-160) and Cloud Monitoring's
filters share it: NOT binds tighter than OR, OR tighter than AND, and terms side by side mean AND.
What a comparison means differs, and is the business of `twin.query`: each service brings a `Leaf`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


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
Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]
Leaf: TypeAlias = Callable[[Compare | Text | Call], Predicate]

_TOKENS = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<op><=|>=|!=|=~|!~|[=<>:(),])
      | (?P<word>-?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s()=!<>:~,"'])+)""",
    re.VERBOSE,
)
_PIECES = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|([^"']+)""")
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", ":", "=~", "!~"})


@functools.lru_cache(maxsize=256)
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


def predicate(node: Node | None, leaf: Leaf) -> Predicate:
    """Whether the filter is true of a document, where `leaf` makes the predicate of one comparison.

    Made once for a filter, which is then asked of every document there is.
    """
    if node is None:
        return lambda _: True
    if not isinstance(node, Combined):
        return leaf(node)
    parts = [predicate(part, leaf) for part in node.parts]
    if node.op == "NOT":
        return lambda document: not parts[0](document)
    decides = node.op == "OR"  # the answer of a part after which no other is asked

    def combined(document: Mapping[str, Any]) -> bool:
        for part in parts:  # not `any`: a generator for each document takes as long as its parts
            if part(document) is decides:
                return decides
        return not decides

    return combined


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
        if token and token.startswith("-") and not path and not is_number(token):
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


def is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text) is not None


def values_at(document: Any, path: tuple[str, ...]) -> list[Any]:
    """Every value at the path, lists flattened; a key that holds dots itself is found too."""
    if isinstance(document, list):
        return [found for item in document for found in values_at(item, path)]
    if not path:
        return [document]
    if not isinstance(document, Mapping):
        return []
    found: list[Any] = []
    for key, rest in _keys_of(path):
        if key in document:
            found.extend(values_at(document[key], rest))
    return found


@functools.lru_cache(maxsize=1000)
def _keys_of(path: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each key that the path may begin with, and what is left of it."""
    return tuple((".".join(path[:n]), path[n:]) for n in range(1, len(path) + 1))


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
