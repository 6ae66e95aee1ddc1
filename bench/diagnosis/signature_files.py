"""Reads the signatures' text files and compiles them into the one file that the product loads.

    python bench/diagnosis/signature_files.py

A file a family, in `remediator/diagnosis/signatures`; its rows look like this:

    let limit = (limit|max|allowed)           a name for a part of a pattern, used as {limit}
    [row-id]
    A sentence that says what the row means.
    cause: memory_pressure, fair + 0.4        absent: the row names no cause, its tags count
    level: wrapper                            root cause (default), wrapper, symptom
    counts: last                              only where nothing else in the case names a cause
    places: error, row                        default: error, row, log
    tags: timed_out
    silences: other-row, another              in the same text
    silences everywhere: other-row            wherever in the case
    see: a page of that software to start from (required); only the marks say whether it quotes these texts
    ~ RE2 pattern, at most 120 characters; `[^.]` means "within the sentence"
    = mark: a text that this pattern finds and no other of the row, at most 300 characters
    ! mark: a text that the row does not find

A mark says where the text comes from: the id of a message of the corpora, a scenario of the lab, a file of
`tests/data`, `tests`, `bench` (generated cases), or `recalled` (written from memory of the software's messages, looked
up nowhere); `SIGNATURES.md` says what each is worth. Writes `compiled.json` and `docs/causes.md`, unless a row is not as
said here; a test holds both equal to the files.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import re2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.diagnosis.corpus import messages
from bench.diagnosis.prefilter import clauses_of, longest_part
from remediator.diagnosis.matching import GROUP
from remediator.diagnosis.signature import ANYWHERE, Level, Tag, TextPlace
from remediator.diagnosis.signatures import COMPILED
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause

ROOT = Path(__file__).resolve().parents[2]
FILES = COMPILED.parent
LONGEST_PATTERN, LONGEST_TEXT = 120, 300  # characters; chosen, so that a row can be read
# The order of the rows: what Vertex AI and Google's APIs say first. The clients' stand apart.
FAMILIES = (
    *("capacity", "quota", "permission", "configuration", "batch", "size", "startup", "backend"),
    *("preemption", "deadline", "exit", "input", "memory", "gpu_memory", "disk", "devices"),
    *("servers", "network", "code", "shell", "data", "tools", "rows", "slow"),
)
CLIENTS = "clients"
RECALLED = "recalled"
"""The mark of a text that was written from memory and looked up nowhere."""
# `[^.]` means "within the sentence": a full stop inside a name (`x.csv`, `2.5`) does not end one.
_WITHIN, _SENTENCE = "[^.]", r"(?:[^.]|\.\S)"
_NAMED = re.compile(r"\{([a-z][a-z0-9-]*)\}")
_WEIGHT = re.compile(r"(certain|decisive|strong|fair|hint)(?: ([+-]) (\d\.\d))?$")


@functools.cache
def _recalled_ids() -> frozenset[str]:
    return frozenset(str(row["id"]) for row in messages("recalled"))


@dataclass(slots=True)
class Example:
    """One `=` or `!` line."""

    where: str
    """Its mark: where the text comes from."""
    text: str

    @property
    def is_from_memory(self) -> bool:
        """Written by the signatures' authors as the software words it, as far as they remember."""
        return self.where == RECALLED or self.where in _recalled_ids()


@dataclass(slots=True)
class Pattern:
    """One `~` line: as written, as RE2 takes it, and the texts for which it alone speaks."""

    line: str
    regex: str
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One row as written."""

    id: str
    family: str
    says: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    patterns: list[Pattern] = field(default_factory=list)
    silent: list[Example] = field(default_factory=list)


class Unreadable(ValueError):
    """A line of a family's file that cannot be read; the message names file and line."""


def rows_of(family: str, folder: Path = FILES) -> Iterator[Row]:
    """The rows of one family's file, in its order.

    Raises:
        Unreadable: a line is of no known kind, or names a part that no `let` line defines.
    """
    parts: dict[str, str] = {}
    row: Row | None = None
    lines = (folder / f"{family}.txt").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        mark, _, rest = line.partition(" ")
        try:
            if not line or mark == "#":
                continue
            if mark == "let":
                name, _, value = rest.partition(" = ")
                parts[name] = _NAMED.sub(lambda found: parts[found[1]], value)
            elif line.startswith("["):
                if row:
                    yield row
                row = Row(line[1:-1], family)
            else:
                _read_line(_existing(row), mark, rest, line, parts, family)
        except (KeyError, ValueError) as error:
            message = f"{family}.txt:{number}: {error}"
            raise Unreadable(message) from error
    if row:
        yield row


def _require_sound(row: Row) -> None:
    """Raises ValueError, which names every mistake: the row lacks a part, a pattern is too long, or a text is found
    otherwise than its line says."""
    if mistakes := [*_missing_parts(row), *_overlong_lines(row), *_untrue_lines(row)]:
        raise ValueError("; ".join(mistakes))


def _missing_parts(row: Row) -> Iterator[str]:
    parts = (
        ("a sentence that says what it means, with its full stop", row.says.endswith(".")),
        ("`see: PAGE`", row.fields.get("see")),
        ("a pattern (`~ …`)", row.patterns),
        ("a text below each pattern (`= mark: …`)", all(one.examples for one in row.patterns)),
        ("a text that it does not find (`! mark: …`)", row.silent),
    )
    lacks = [part for part, is_there in parts if not is_there]
    if lacks:
        yield f"the row lacks {' and '.join(lacks)}"


def _overlong_lines(row: Row) -> Iterator[str]:
    for pattern in row.patterns:
        if len(pattern.line) > LONGEST_PATTERN:
            yield f"`~ {pattern.line}` is longer than {LONGEST_PATTERN} characters"
    for example in (*row.silent, *(e for one in row.patterns for e in one.examples)):
        if len(example.text) > LONGEST_TEXT:
            yield f"`{example.text[:40]}…` is longer than {LONGEST_TEXT} characters"


def _untrue_lines(row: Row) -> Iterator[str]:
    for pattern, example in ((one, e) for one in row.patterns for e in one.examples):
        found = _found_by(row, example.text)
        if pattern.line not in found:
            yield f"`~ {pattern.line}` does not find its `= {example.text}`"
        for other in found:
            if other != pattern.line:
                yield f"`~ {other}` finds `= {example.text}` of `~ {pattern.line}`, too"
    for example in row.silent:
        for line in _found_by(row, example.text):
            yield f"`~ {line}` finds `! {example.text}`"


def _found_by(row: Row, text: str) -> list[str]:
    return [one.line for one in row.patterns if _searcher(one.regex).search(text)]


@functools.cache
def _searcher(regex: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    return re2.compile(regex, options)


def _existing(row: Row | None) -> Row:
    if row is None:
        message = "no row before this line"
        raise ValueError(message)
    return row


_FIELDS = ("cause", "level", "counts", "places", "tags", "silences", "silences everywhere", "see")


def _read_line(
    row: Row, mark: str, rest: str, line: str, parts: dict[str, str], family: str
) -> None:
    """One line of a row, into the row."""
    if mark == "~":
        regex = _NAMED.sub(lambda found: parts[found[1]], rest)
        if family != CLIENTS:
            regex = regex.replace(_WITHIN, _SENTENCE)
        row.patterns.append(Pattern(rest, regex))
    elif mark in {"=", "!"}:
        where, _, text = rest.partition(": ")
        held = row.patterns[-1].examples if mark == "=" else row.silent
        held.append(Example(where, text))
    elif line.startswith("  "):
        last = next(reversed(row.fields))
        row.fields[last] += f" {line.strip()}"
    elif not row.says:
        row.says = line
    else:
        name, _, value = line.partition(": ")
        if name not in _FIELDS:
            message = f"no field {name!r}"
            raise ValueError(message)
        row.fields[name] = value


def _listed(row: Row, name: str) -> list[str]:
    return [one.strip() for one in row.fields.get(name, "").split(",") if one.strip()]


def row_weight(words: str) -> float:
    """`fair + 0.4` as a number, on the scale of the product's table of weights."""
    found = _WEIGHT.match(words)
    if not found:
        message = f"no weight: {words!r}"
        raise ValueError(message)
    base = weight_of(found[1])
    offset = float(found[3] or 0)
    return round(base + (offset if found[2] == "+" else -offset), 2)


def filed_patterns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Of each pattern's regex what the product loads: `[regex, clauses, groups]`, the rarest clause first.

    How rare a word is, is counted in all examples together: texts of failures, and of what is none.
    """
    texts = (
        example.text
        for row in rows
        for example in (*row.silent, *(e for one in row.patterns for e in one.examples))
    )
    seen = "\n".join(texts).lower()

    @functools.cache
    def count(word: str) -> int:
        return seen.count(word)

    def times(clause: Iterable[str]) -> int:
        return sum(count(word) for word in clause)

    def may_be_filed(clause: Iterable[str]) -> bool:
        return all(longest_part(word) >= GROUP for word in clause)

    def group(word: str) -> str:
        parts = (word[i : i + GROUP] for i in range(len(word) - GROUP + 1))
        return min((one for one in parts if " " not in one), key=lambda one: (count(one), one))

    made = {}
    for row in rows:
        for pattern in row.patterns:
            clauses = sorted(
                clauses_of(pattern.regex),
                key=lambda one: (not may_be_filed(one), times(one), sorted(one)),
            )
            listed = [sorted(clause) for clause in clauses]
            filed = listed and may_be_filed(listed[0])
            groups = [group(word) for word in listed[0]] if filed else []
            made[pattern.regex] = [pattern.regex, listed, groups]
    return made


def compiled_row(row: Row, filed: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The row as the product loads it; what has its default is left out.

    Raises:
        Unreadable: the row lacks a part, a line of it is not true, or a field's value is none of those that there are.
    """
    try:
        _require_sound(row)
        return _compiled(row, filed)
    except (KeyError, ValueError) as error:
        message = f"{row.family}.txt [{row.id}]: {error}"
        raise Unreadable(message) from error


def _compiled(row: Row, filed: Mapping[str, list[Any]]) -> dict[str, Any]:
    cause, _, words = row.fields.get("cause", "").partition(", ")
    places = [TextPlace[name.upper()] for name in _listed(row, "places")]
    at = ANYWHERE if not places else TextPlace(sum(place.value for place in places))
    made: dict[str, Any] = {
        "id": row.id,
        "says": row.says,
        "see": row.fields["see"],
        "patterns": [filed[pattern.regex] for pattern in row.patterns],
    }
    if cause:
        made |= {"cause": Cause(cause).value, "weight": row_weight(words)}
    if (level := Level(row.fields.get("level", Level.ROOT_CAUSE.value))) is not Level.ROOT_CAUSE:
        made["level"] = level.value
    if row.fields.get("counts") == "last":
        made["last"] = True
    if row.family == CLIENTS:
        at = TextPlace.LOG
    if at is not ANYWHERE:
        made["places"] = at.value
    for key, name in (("silences", "silences"), ("everywhere", "silences everywhere")):
        if named := _listed(row, name):
            made[key] = named
    if tags := [Tag(name).value for name in _listed(row, "tags")]:
        made["tags"] = tags
    return made


def digest() -> str:
    """Of all files, in their order."""
    whole = hashlib.sha256()
    for family in (*FAMILIES, CLIENTS):
        whole.update((FILES / f"{family}.txt").read_bytes())
    return whole.hexdigest()


def compiled() -> str:
    """The text of `compiled.json`: one row a line, so that a change shows as one."""
    known = [row for family in FAMILIES for row in rows_of(family)]
    of_clients = [*rows_of(CLIENTS)]
    filed = filed_patterns([*known, *of_clients])
    signatures = [compiled_row(row, filed) for row in known]
    clients = [compiled_row(row, filed) for row in of_clients]
    parts = [f'"digest": {json.dumps(digest())}']
    for name, rows in (("signatures", signatures), ("clients", clients)):
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    from bench.diagnosis import causes_doc

    try:
        text = compiled()
    except Unreadable as error:
        sys.exit(str(error))
    COMPILED.write_text(text, encoding="utf-8")
    causes_doc.DOC.write_text(causes_doc.causes_markdown(), encoding="utf-8")
    print(f"{COMPILED.relative_to(ROOT)}, {causes_doc.DOC.relative_to(ROOT)}")
