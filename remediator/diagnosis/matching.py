"""Finds every known signature in a text, trying only patterns whose words the text holds.

Owns the search. Of each pattern `compiled.json` tells clauses: in any text that the pattern matches there is,
of each clause, at least one word. A text is cut into its groups of three letters once; those that some
word is filed under name the words to look for, and what is left after the clauses is matched by RE2, each
pattern by itself, compiled when first needed. So a cold start that meets no text compiles nothing, a
line costs about its length, and no text can stall: RE2 is linear. Pure; called by `texts` and `clients`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import re2

from remediator.diagnosis.lazy_patterns import encodable
from remediator.diagnosis.signature import Level, Signature, TextPlace
from remediator.diagnosis.signatures import client_signatures, signatures

_QUOTE_BEFORE = 60  # characters; chosen
_QUOTE_AFTER = 140  # characters; chosen
# Of one pattern's automaton, which is built lazily; measured: the widest takes 3 MiB on 12,000 characters.
_RE2_MEMORY_BYTES = 16 << 20
# Some 3 MiB; chosen: a log of 10,000 lines says about so many different words.
_MOST_TOKENS, _LONGEST_KEPT = 20_000, 40
GROUP = 3  # chosen
"""Letters under which a word is filed."""


_Known = tuple[()] | tuple[tuple[int, ...], tuple[tuple[str, int], ...]]
"""What a word of a text brings: patterns that it allows by itself, and phrases that it may be a part of,
each with the pattern that it allows."""


class _Matcher:
    """Rows, and which of their patterns are worth trying on a text."""

    def __init__(self, rows: Sequence[Signature]) -> None:
        self.rows = tuple(rows)
        self._places = [row.places.value for row in self.rows]
        self._patterns: list[tuple[int, str, tuple[tuple[str, ...], ...]]] = []
        self._words: dict[str, list[tuple[str, int]]] = {}
        self._always: list[int] = []
        for number, row in enumerate(self.rows):
            for pattern in row.patterns:
                place = len(self._patterns)
                filed = pattern.clauses[0] if pattern.groups else ()
                rest = pattern.clauses[1:] if filed else pattern.clauses
                self._patterns.append((number, pattern.regex, rest))
                for word, group in zip(filed, pattern.groups, strict=True):
                    self._words.setdefault(group, []).append((word, place))
                if not filed:
                    self._always.append(place)
        self._tokens: dict[str, _Known] = {}

    def found_in(self, text: str, place: TextPlace | None = None) -> Iterator[Signature]:
        """Rows of which a pattern matches, in their order; of those that may stand at `place`."""
        found, text = -1, encodable(text)
        low = _lowered(text)
        asked = (
            place.value if place else 0
        )  # as numbers: between flags, `&` costs ten times as much
        for pattern in self._worth_trying(low):
            number, regex, clauses = self._patterns[pattern]
            if number == found or (asked and not asked & self._places[number]):
                continue
            if _holds(low, clauses) and _search(regex, text):
                found = number
                yield self.rows[number]

    def _worth_trying(self, low: str) -> list[int]:
        """Numbers of the patterns of whose first clause the text holds a word, in their order."""
        found = set(self._always)
        held = self._tokens
        for token in set(low.split()):  # a text may say one word a million times
            known = held.get(token)
            if known is None:
                known = self._known_of(token)
            if known:
                patterns, phrases = known
                if patterns:
                    found.update(patterns)
                for phrase, pattern in phrases:
                    if phrase in low:
                        found.add(pattern)
        return sorted(found)

    def _known_of(self, token: str) -> _Known:
        """What a word of a text brings; logs say few different words, so it is kept."""
        every = {token[i : i + GROUP] for i in range(len(token) - GROUP + 1)}
        filed = [one for group in every & self._words.keys() for one in self._words[group]]
        known: _Known = ()
        if filed:
            within = tuple(pattern for word, pattern in filed if word in token)
            known = (within, tuple(one for one in filed if " " in one[0]))
        if len(token) <= _LONGEST_KEPT:
            if len(self._tokens) >= _MOST_TOKENS:
                self._tokens.clear()
            self._tokens[token] = known
        return known

    def first_in(self, text: str) -> Signature | None:
        """The first row, in their order, of which a pattern matches."""
        return next(self.found_in(text), None)

    def quote(self, row: Signature, text: str) -> str:
        """The words of `text` around the first place where `row` is found."""
        low = _lowered(text)
        hits = [
            _search(pattern.regex, text) for pattern in row.patterns if _holds(low, pattern.clauses)
        ]
        start, end = min((hit.span() for hit in hits if hit), default=(0, 0))
        return _cut_around(text, start, end)


def _lowered(text: str) -> str:
    """As RE2 sees it that ignores case: two letters outside ASCII are letters of it by Unicode's folding."""
    low = text.lower()
    return low if low.isascii() else low.replace("\u017f", "s").replace("\u212a", "k")


def _holds(low: str, clauses: Sequence[Sequence[str]]) -> bool:
    # Loops, since two generators for each clause cost more than its words (measured).
    for clause in clauses:
        for word in clause:
            if word in low:
                break
        else:
            return False
    return True


def _search(regex: str, text: str) -> Any:
    """The first match, or None. A text of ASCII alone is matched as bytes: no class has several of
    them, so the program is a fifth of the other's, and the places are the same."""
    if text.isascii():
        return _compiled(regex.encode()).search(text.encode())
    return _compiled(regex).search(text)


@functools.cache
def _compiled(regex: str | bytes) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = _RE2_MEMORY_BYTES
    options.log_errors = False
    if isinstance(regex, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(regex, options)


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
    return _Matcher(signatures())


@functools.cache
def _client_matcher() -> _Matcher:
    return _Matcher(client_signatures())


def warm_up() -> None:
    """Read the table of signatures now, some milliseconds' work, rather than when the first text comes."""
    _matcher()


def all_signatures() -> tuple[Signature, ...]:
    """Every row, the service's first. The docs' table is printed from this."""
    return signatures()


def signatures_in(text: str, place: TextPlace) -> tuple[Signature, ...]:
    """Rows found in `text` (white space collapsed) that may be looked for at `place`.

    Linear in the text; rows that another found row silences are gone.
    """
    found = [*_matcher().found_in(text, place)]
    if len(found) < 2:  # noqa: PLR2004  # it takes two
        return tuple(found)
    silent = silenced_by(found)
    return tuple(row for row in found if row.id not in silent)


def client_signature_in(text: str) -> Signature | None:
    """What a client's exception with this text says of the service behind it; the first that matches."""
    return _client_matcher().first_in(text)


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
