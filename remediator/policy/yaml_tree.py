"""YAML text as a tree of values that know their place, or a mistake with its place.

Owns the file's syntax: YAML 1.2's booleans and numbers (`off` and `22:00` are text), duplicate
keys, aliases and tags, and bounds on size, depth and alias expansion. Knows nothing of policies.
Reads the parser's events in one loop, so that no nesting can exhaust the stack. Called by
`language.load`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import yaml
from msgspec import Struct, field
from msgspec.structs import replace

from remediator.domain.late_pattern import late_pattern
from remediator.policy.loaded import Mistake
from remediator.policy.suggestions import shown

LARGEST = 4_000_000  # characters; ten thousand policies are a tenth of it
_MOST_VALUES = 100_000  # with aliases written out: a thousand policies have 30,000
_DEEPEST = 24  # the language itself goes seven deep

Scalar: TypeAlias = str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]


class YamlNode(Struct):
    """A value of the file and where it begins. Exactly one of the three bodies is in use."""

    line: int
    column: int
    scalar: Scalar = None
    items: list[YamlNode] | None = None
    entries: dict[str, tuple[YamlNode, YamlNode]] | None = None
    size: int = 1
    height: int = 0

    @property
    def plain(self) -> Any:
        """The value as Python data, without its place."""
        if self.entries is not None:
            return {key: value.plain for key, (_, value) in self.entries.items()}
        if self.items is not None:
            return [item.plain for item in self.items]
        return self.scalar

    def follow(self, path: Path) -> tuple[YamlNode, YamlNode]:
        """The key and the value at a path, as far as it goes; parts that are not there are skipped.

        For the whole file, and for items of a list, the key is the value itself.
        """
        key, value = self, self
        for part in path:
            if value.entries is not None and part in value.entries:
                key, value = value.entries[str(part)]
            elif value.items is not None and isinstance(part, int) and part < len(value.items):
                key = value = value.items[part]
        return key, value

    def renamed(self, path: Path, name: str) -> YamlNode:
        """The value with another name for the key at the path; its place stays."""
        first, *rest = path
        if self.items is not None:
            items = list(self.items)
            items[int(first)] = items[int(first)].renamed(tuple(rest), name)
            return replace(self, items=items)
        entries = {
            (name if key == first and not rest else key): (
                (spelt, value.renamed(tuple(rest), name) if key == first and rest else value)
            )
            for key, (spelt, value) in (self.entries or {}).items()
        }
        return replace(self, entries=entries)

    def error(self, message: str) -> Mistake:
        """A mistake at this place."""
        return Mistake(self.line, self.column, "error", message)

    def warning(self, message: str) -> Mistake:
        """A warning at this place."""
        return Mistake(self.line, self.column, "warning", message)

    def nulls(self, path: Path = ()) -> Iterator[tuple[Path, YamlNode]]:
        """Every value below that says nothing, with its path."""
        inside: list[tuple[str | int, YamlNode]] = []
        if self.entries is not None:
            inside = [(key, value) for key, (_, value) in self.entries.items()]
        elif self.items is not None:
            inside = list(enumerate(self.items))
        elif self.scalar is None:
            yield path, self
        for part, node in inside:
            yield from node.nulls((*path, part))


# --- YAML 1.2's core schema --------------------------------------------------------------------

_CORE: tuple[tuple[re.Pattern[str], Any], ...] = (
    (late_pattern(r"|~|null|Null|NULL"), lambda _: None),
    (late_pattern(r"true|True|TRUE"), lambda _: True),
    (late_pattern(r"false|False|FALSE"), lambda _: False),
    (late_pattern(r"[-+]?[0-9]{1,300}"), int),
    (late_pattern(r"0o[0-7]{1,300}"), lambda text: int(text, 8)),
    (late_pattern(r"0x[0-9a-fA-F]{1,300}"), lambda text: int(text, 16)),
    (late_pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (
        late_pattern(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.replace(".", "").lower()),
    ),
)


def _resolved(text: str) -> Scalar:
    for pattern, make in _CORE:
        if pattern.fullmatch(text):
            value: Scalar = make(text)
            return value
    return text


_STANDARD = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_STANDARD}{name}" for name in ("map", "seq", "str")}

_SYNTAX: Mapping[str, str] = {
    "found character that cannot start any token": "{char} cannot begin a value here: put the "
    "value in quotes",
    "mapping values are not allowed in this context": "a second `:` in one value, or a line with "
    "the wrong indentation: put the value in quotes, or fix the indentation",
    "could not find expected ':'": "a line without `:` where a key was expected",
    "did not find expected key": "the indentation does not fit, or a quote, bracket or `-` is out "
    "of place",
    "did not find expected ',' or ']'": "a list's `]` or `,` is missing",
    "did not find expected ',' or '}'": "a mapping's `}` or `,` is missing",
    "did not find expected '-' indicator": "the list's items do not begin in one column",
    "found unexpected end of stream": "the closing quote is missing",
    "did not find expected node content": "a value is missing here",
    "found incompatible YAML document": "this YAML version is not known: leave the %YAML line out",
    "found undefined tag handle": "tags (`!…`) have no meaning here",
}
_FORBIDDEN = late_pattern(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff"
)


class _OpenNode(Struct):
    """A list or mapping that is being read."""

    node: YamlNode
    anchor: str | None
    key: YamlNode | None = None
    refused: bool = False


class _TreeReading(Struct):
    mistakes: list[Mistake] = field(default_factory=list)
    anchors: dict[str, YamlNode | None] = field(default_factory=dict)
    stack: list[_OpenNode] = field(default_factory=list)
    root: YamlNode | None = None
    documents: int = 0
    values: int = 0

    def take(self, event: yaml.Event) -> bool:
        """Reads one event; False where nothing after it is worth reading."""
        mark = event.start_mark
        node = YamlNode(mark.line + 1, mark.column + 1) if mark else YamlNode(1, 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.mistakes.append(node.error("a second document begins here: only one is read"))
                return False
        elif isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), node)
        elif isinstance(event, yaml.ScalarEvent):
            node.scalar = _resolved(event.value) if event.implicit[0] else event.value
            self._tag(event.tag, node)
            return self._place(node, event.anchor, event)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._tag(event.tag, node)
            if isinstance(event, yaml.MappingStartEvent):
                node.entries = {}
            else:
                node.items = []
            if event.anchor:
                self.anchors[event.anchor] = None
            self.stack.append(_OpenNode(node, event.anchor))
            if len(self.stack) > _DEEPEST:
                self.mistakes.append(node.error(f"nested more than {_DEEPEST} deep"))
                return False
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            closed = self.stack.pop()
            return self._place(closed.node, closed.anchor, None)
        return True

    def _tag(self, tag: str | None, node: YamlNode) -> None:
        if tag and tag not in _PLAIN_TAGS and tag != "!":
            tag_name = tag.replace(_STANDARD, "!!")
            self.mistakes.append(
                node.error(f"the tag {shown(tag_name)} is refused: write plain values")
            )

    def _alias(self, name: str, node: YamlNode) -> bool:
        if name not in self.anchors:
            self.mistakes.append(node.error(f"no anchor `&{name[:60]}` stands before this alias"))
            return self._place(node, None, None, refused=True)
        target = self.anchors[name]
        if target is None:
            self.mistakes.append(node.error(f"the alias `*{name[:60]}` contains itself"))
            return False
        if target.height + len(self.stack) > _DEEPEST:
            self.mistakes.append(node.error(f"nested more than {_DEEPEST} deep by aliases"))
            return False
        copy = YamlNode(
            node.line, node.column, target.scalar, target.items, target.entries, target.size
        )
        copy.height = target.height
        self.values += target.size - 1
        return self._place(copy, None, None)

    def _place(
        self,
        node: YamlNode,
        anchor: str | None,
        event: yaml.ScalarEvent | None,
        *,
        refused: bool = False,
    ) -> bool:
        """Puts a finished value where it belongs: the root, a list, a mapping's key or its value."""
        self.values += 1
        if self.values > _MOST_VALUES:
            said = f"more than {_MOST_VALUES} values, aliases written out: too many to be meant"
            self.mistakes.append(node.error(said))
            return False
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return True
        parent = self.stack[-1]
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if parent.node.items is not None:
            if not refused:
                parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
            parent.refused = refused or not self._is_key(parent.node, node, event)
        else:
            if not (parent.refused or refused) and parent.node.entries is not None:
                parent.node.entries[str(parent.key.scalar)] = (parent.key, node)
            parent.key = None
        return True

    def _is_key(self, mapping: YamlNode, key: YamlNode, event: yaml.ScalarEvent | None) -> bool:
        if key.entries is not None or key.items is not None:
            self.mistakes.append(key.error("a key must be one word, not a list or a mapping"))
            return False
        if not isinstance(key.scalar, str):
            written = event.value if event is not None else key.scalar
            self.mistakes.append(key.error(f"a key must be text: put {shown(written)} in quotes"))
            return False
        if key.scalar == "<<" and event is not None and event.implicit[0]:
            self.mistakes.append(key.error("`<<` is not known in YAML 1.2: write the keys out"))
            return False
        first = (mapping.entries or {}).get(key.scalar)
        if first is not None:
            said = f"duplicate key {shown(key.scalar)}: it stands on line {first[0].line} already"
            self.mistakes.append(key.error(said))
            return False
        return True


def read(text: str | bytes) -> tuple[YamlNode | None, tuple[Mistake, ...]]:
    """The file's root mapping and the mistakes of syntax; None where nothing can be made of it."""
    decoded = _decoded(text)
    if isinstance(decoded, Mistake):
        return None, (decoded,)
    reading = _TreeReading()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times as fast
    try:
        for event in yaml.parse(decoded, Loader=loader):
            if not reading.take(event):
                return None, tuple(reading.mistakes)
    except yaml.YAMLError as error:
        return None, (*reading.mistakes, _syntax(error, decoded))
    root = reading.root
    if root is None:
        reading.mistakes.append(
            YamlNode(1, 1).error("the file is empty: it needs at least version: 1")
        )
    elif root.entries is None:
        is_list = root.items is not None
        found = "a list" if is_list else shown(root.scalar)
        said = f"the file must be a mapping (version, mode, policies, …), not {found}"
        reading.mistakes.append(root.error(said))
        root = None
    return root, tuple(reading.mistakes)


def _decoded(text: str | bytes) -> str | Mistake:
    """The text without a byte order mark, or the first reason why it is none."""
    if len(text) > LARGEST:
        return Mistake(1, 1, "error", f"the file is larger than {LARGEST // 1_000_000} MB")
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        before = bytes(text[: error.start]).decode("utf-8", "replace")  # type: ignore[arg-type]  # only bytes are decoded
        return _at(before, f"byte 0x{text[error.start]:02x} is not UTF-8 text")
    plain = plain.removeprefix("\ufeff")
    found = _FORBIDDEN.search(plain)
    if found:
        return _at(plain[: found.start()], f"the character U+{ord(found[0]):04X} is not allowed")
    return plain


def _at(before: str, message: str) -> Mistake:
    lines = re.split(r"\r\n|[\r\n]", before)
    return Mistake(len(lines), len(lines[-1]) + 1, "error", message)


def _syntax(error: yaml.YAMLError, text: str) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or "the file cannot be read")
    if (
        mark is not None and "nesting depth" in problem
    ):  # libyaml 0.2.6 reads ahead to its own limit
        return Mistake(mark.line + 1, mark.column + 1, "error", f"nested more than {_DEEPEST} deep")
    context = getattr(error, "context_mark", None)
    if mark is None:
        return Mistake(1, 1, "error", f"not YAML: {problem}"[:200])
    lines = re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    char = line[mark.column : mark.column + 1]
    if char == "\t":
        said = "a tab stands where YAML wants spaces"
    else:
        said = _SYNTAX.get(problem, problem).replace("{char}", shown(char))
    if context is not None and (context.line, context.column) != (mark.line, mark.column):
        said = f"{said} (what is being read begins on line {context.line + 1})"
    return Mistake(mark.line + 1, mark.column + 1, "error", f"not YAML: {said}")
