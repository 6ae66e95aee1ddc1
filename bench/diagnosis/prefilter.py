"""Which words a text must hold for a pattern to match it: computed ahead, so that most patterns are never tried.

Owns the reading of a pattern as clauses: in every text that the pattern matches there is, of each clause,
at least one word (lower case). Sound, never complete: where nothing can be said there is no clause, and the
pattern is tried on every text. Used by `signature_files`; the product only looks words up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from re import _constants as sre  # the standard library's own parser: no other reads its syntax
from re import _parser as parser
from typing import Any

Words = frozenset[str]
_MOST_WORDS = 16  # of one clause; chosen: more of them say little
_SHORTEST = 2  # characters of a word that is worth looking for; chosen
_MOST_CHARACTERS = 10  # of a class that is written out; chosen


def clauses_of(pattern: str) -> list[Words]:
    """Clauses of an RE2 pattern that ignores case; empty where nothing is certain."""
    # Lower case, but not the escapes: `\\S` and `\\s` differ.
    exact, clauses = _sequence(parser.parse(pattern))
    if exact is not None:
        clauses = [*clauses, exact]
    return _useful(clauses)


_Known = tuple[Words | None, list[Words]]


def _sequence(nodes: Iterable[tuple[Any, Any]]) -> _Known:
    """What follows each other: runs of exact words are joined, what interrupts them ends a clause."""
    held: Words = frozenset({""})
    clauses: list[Words] = []
    whole = True
    for node in nodes:
        exact, more = _node(*node)
        clauses += more
        if exact is None:
            clauses.append(held)
            held, whole = frozenset({""}), False
        elif len(held) * len(exact) > _MOST_WORDS:
            clauses.append(held)
            held, whole = exact, False
        else:
            held = frozenset(first + second for first in held for second in exact)
    if whole:
        return held, clauses
    return None, [*clauses, held]


def _node(kind: Any, value: Any) -> _Known:
    if kind is sre.LITERAL:
        return frozenset({chr(value).lower()}), []
    if kind is sre.AT:
        return frozenset({""}), []
    if kind is sre.IN:
        return _class(value), []
    if kind is sre.SUBPATTERN:
        return _sequence(value[3])
    if kind is sre.BRANCH:
        return _branch([_sequence(one) for one in value[1]])
    if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
        return _repeat(*value)
    return None, []


def _class(members: Sequence[tuple[Any, Any]]) -> Words | None:
    """A class of few characters, written out; None for any other."""
    found: set[str] = set()
    for kind, value in members:
        if kind is sre.LITERAL:
            found.add(chr(value).lower())
        elif kind is sre.RANGE and value[1] - value[0] < _MOST_CHARACTERS:
            found |= {chr(one).lower() for one in range(value[0], value[1] + 1)}
        elif kind is sre.CATEGORY and value is sre.CATEGORY_DIGIT:
            found |= set("0123456789")
        else:
            return None
    return frozenset(found) if len(found) <= _MOST_CHARACTERS else None


def _repeat(least: int, most: int, nodes: Any) -> _Known:
    exact, clauses = _sequence(nodes)
    if least == 0:
        if most == 1 and exact is not None:
            return exact | {""}, []
        return None, []
    if least == most == 1 and exact is not None:
        return exact, clauses
    return None, clauses if exact is None else [*clauses, exact]


def _branch(ways: list[_Known]) -> _Known:
    """One of several ways: all their exact words, or of each way the best clause together."""
    if all(exact is not None for exact, _ in ways):
        together = frozenset(word for exact, _ in ways for word in exact or ())
        if len(together) <= _MOST_WORDS:
            return together, []
    best: set[str] = set()
    for exact, clauses in ways:
        useful = _useful([*clauses, exact] if exact is not None else clauses)
        if not useful:
            return None, []
        best |= useful[0]
    return None, [frozenset(best)]


def _useful(clauses: Iterable[Words]) -> list[Words]:
    """Without clauses that hold a short word; the most telling first."""
    kept = [
        _smallest(clause) for clause in clauses if clause and min(map(len, clause)) >= _SHORTEST
    ]
    return sorted(dict.fromkeys(kept), key=lambda one: (-min(map(len, one)), len(one), sorted(one)))


def longest_part(word: str) -> int:
    """Of the parts between blanks, in characters: texts are looked through word by word."""
    return max(map(len, word.split(" ")))


def _smallest(clause: Words) -> Words:
    """Without words that hold another of them."""
    return frozenset(
        word for word in clause if not any(other in word for other in clause if other != word)
    )
