"""One pass over a text finds every known signature in it.

Owns the compiled form of the rows: one RE2 set of all patterns, built once, when first needed (a
cold start that meets no text pays nothing). A line costs one pass, linear in its length, however
many rows there are and whatever it says. Pure; called by `texts` and the docs' generator.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import re2

from remediator.diagnosis.signature import Level, Signature, TextPlace
from remediator.diagnosis.signatures import signatures

_QUOTE_BEFORE = 60
_QUOTE_AFTER = 140
# The automaton of some 400 patterns is built lazily inside this much memory, then reused.
_RE2_MEMORY_BYTES = 96 << 20


class _Matcher:
    """All rows as one RE2 set, and each pattern by itself for the quote (compiled when first hit)."""

    def __init__(self, rows: Sequence[Signature]) -> None:
        self._rows = tuple(rows)
        self._set = re2.Set.SearchSet(_options())
        for row in self._rows:
            self._set.Add("|".join(row.patterns))
        self._set.Compile()

    def found_in(self, text: str) -> tuple[Signature, ...]:
        return tuple(self._rows[index] for index in sorted(self._set.Match(text) or ()))

    def quote(self, row: Signature, text: str) -> str:
        hits = (_compiled(pattern).search(text) for pattern in row.patterns)
        start, end = min((hit.span() for hit in hits if hit), default=(0, 0))
        return _cut_around(text, start, end)


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = _RE2_MEMORY_BYTES
    options.log_errors = False
    return options


@functools.cache
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _options())


def _cut_around(text: str, start: int, end: int) -> str:
    """The words around `text[start:end]`, whole words where possible, with marks where cut."""
    first = max(0, start - _QUOTE_BEFORE)
    last = min(len(text), max(end, start + 1) + _QUOTE_AFTER, start + 2 * _QUOTE_AFTER)
    if first > 0:
        blank = text.find(" ", first, start)
        first = blank + 1 if blank >= 0 else first
    if last < len(text):
        blank = text.rfind(" ", min(end, last), last)
        last = blank if blank > 0 else last
    head = "… " if first > 0 else ""
    tail = " …" if last < len(text) else ""
    return f"{head}{text[first:last].strip()}{tail}"


@functools.cache
def _matcher() -> _Matcher:
    return _Matcher(all_signatures())


def warm_up() -> None:
    """Build the automaton now, a tenth of a second's work, rather than when the first text comes."""
    _matcher()


def all_signatures() -> tuple[Signature, ...]:
    """Every row, the service's first. The docs' table is printed from this."""
    return signatures()


def signatures_in(text: str, place: TextPlace) -> tuple[Signature, ...]:
    """Rows found in `text` (white space collapsed) that may be looked for at `place`.

    Linear in the text; rows that another found row silences are gone.
    """
    found = [row for row in _matcher().found_in(text) if place & row.places]
    if len(found) < 2:  # noqa: PLR2004  # it takes two
        return tuple(found)
    silent = silenced_by(found)
    return tuple(row for row in found if row.id not in silent)


def quote_of(row: Signature, text: str) -> str:
    """The words of `text` around the place where `row` was found, at most some 300 characters."""
    return _matcher().quote(row, text)


def silenced_by(rows: Sequence[Signature]) -> frozenset[str]:
    """Ids of those of `rows`, all found in one text, that say nothing beside the others.

    A wrapper is silent where a root cause of another kind is named; and what a row names in `silences`.
    """
    named = {name for row in rows for name in (*row.silences, *row.silences_everywhere)}
    causes = {
        row.cause
        for row in rows
        if row.level is Level.ROOT_CAUSE
        and row.cause
        and not row.last_resort
        and row.id not in named
    }
    wrapped = {row.id for row in rows if row.level is Level.WRAPPER and causes - {row.cause}}
    return frozenset(named | wrapped)


def silenced_everywhere_by(rows: Sequence[Signature]) -> frozenset[str]:
    """Ids of rows that any of `rows` makes meaningless, wherever in the case they were found."""
    return frozenset(name for row in rows for name in row.silences_everywhere)


@functools.cache
def signature(name: str) -> Signature:
    """The row of that id."""
    return next(row for row in all_signatures() if row.id == name)
