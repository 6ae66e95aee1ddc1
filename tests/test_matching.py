"""The search for signatures: what it leaves untried could not have matched."""

from __future__ import annotations

import functools
import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from bench.diagnosis.corpus import messages
from bench.diagnosis.prefilter import clauses_of
from bench.first.run import different_lines
from remediator.diagnosis import bystanders, durations, progress_lines, status_counts
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.matching import client_signature_in, signatures_in, silenced_by
from remediator.diagnosis.rules import features
from remediator.diagnosis.signature import ANYWHERE, Signature
from remediator.diagnosis.signatures import authors, client_signatures, signatures
from remediator.diagnosis.texts.case_text import clean
from remediator.diagnosis.timeline import (
    answers,
    cpu_time,
    line_words,
    machine_reports,
    pauses,
)

PATTERNS = [(row, one) for row in signatures() for one in row.patterns]
CLIENT_PATTERNS = [(row, one) for row in client_signatures() for one in row.patterns]


def options() -> re2.Options:
    chosen = re2.Options()
    chosen.case_sensitive = False
    chosen.max_mem = 96 << 20
    return chosen


@functools.cache
def one_set():
    """Every row as one RE2 set: slow to ask (7 ms of a text), and nothing is left untried."""
    whole = re2.Set.SearchSet(options())
    for row in signatures():
        whole.Add("|".join(one.regex for one in row.patterns))
    whole.Compile()
    return whole


@functools.cache
def own_filter():
    """Every pattern in RE2's own filter, which knows nothing of our clauses: 0.2 ms of a text."""
    every = re2.Filter()
    for _, one in PATTERNS:
        every.Add(one.regex, options())
    every.Compile()
    return every


def spoken(text: str) -> list[str]:
    return [row.id for row in signatures_in(text, ANYWHERE)]


def spoken_by_the_set(text: str) -> list[str]:
    return audible([signatures()[index] for index in sorted(one_set().Match(text) or ())])


def spoken_by_the_filter(text: str) -> list[str]:
    found = {PATTERNS[index][0].id for index in own_filter().Match(text) or ()}
    return audible([row for row in signatures() if row.id in found])


def audible(rows: list[Signature]) -> list[str]:
    silent = silenced_by(rows)
    return [row.id for row in rows if row.id not in silent]


def texts_of_the_repository() -> list[str]:
    names = ("messages", "held_out", "fresh", "written", "recalled")
    rows = [row["text"] for name in names for row in messages(name)]
    return [clean(text) for text in (*rows, *(text for _, text in different_lines(1_500)))]


def test_every_text_of_the_repository_gives_what_a_search_of_all_patterns_gives():
    texts = texts_of_the_repository()
    found = [spoken(text) for text in texts]
    assert [
        text for text, ids in zip(texts, found, strict=True) if ids != spoken_by_the_filter(text)
    ] == []
    assert [
        text for text in texts[::40] if spoken_by_the_filter(text) != spoken_by_the_set(text)
    ] == []
    assert sum(map(bool, found)) > len(texts) / 3


@given(st.data())
def test_a_text_made_from_a_pattern_is_found(data):
    row, pattern = data.draw(st.sampled_from(PATTERNS))
    made = data.draw(st.from_regex(re.compile(pattern.regex, re.IGNORECASE | re.ASCII)))
    text = clean(made)
    if re2.compile(pattern.regex, options()).search(text):
        assert row.id in {signatures()[index].id for index in one_set().Match(text)}
        assert spoken(text) == spoken_by_the_set(text)


@given(st.data())
def test_a_text_made_from_a_clients_pattern_is_found(data):
    _, pattern = data.draw(st.sampled_from(CLIENT_PATTERNS))
    text = data.draw(st.from_regex(re.compile(pattern.regex, re.IGNORECASE | re.ASCII)))
    if re2.compile(pattern.regex, options()).search(text):
        assert client_signature_in(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Out of memory: \u212ailled process 17",  # Unicode's sign of the kelvin folds to k
        "di\u017fk quota exceeded",  # and its long s to s
        "\u0130out of memory\u0130 ünïcode CUDA out of memory",
        "java.lang.OutOfMemoryError: 堆 Java heap space",
    ],
)
def test_letters_outside_ascii_change_nothing(text):
    assert spoken(text)
    assert spoken(text) == spoken_by_the_set(text)


def test_halves_of_surrogate_pairs_are_no_obstacle():
    assert client_signature_in("\ud800 Connection refused") is not None


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [
        ("out of memory", [{"out of memory"}]),
        (
            "(disk|volume) (is )?full",
            [{"disk full", "disk is full", "volume full", "volume is full"}],
        ),
        (r"request[^.]{0,40}timed out", [{"timed out"}, {"request"}]),
        (r"a+b*\w", []),
        ("(killed|.*)", []),
    ],
)
def test_clauses_say_what_every_match_must_hold(pattern, clauses):
    assert [set(one) for one in clauses_of(pattern)] == clauses


NEEDING = [
    progress_lines._ZERO,  # the patterns themselves are what is judged
    durations._AHEAD,
    durations._NO_SPAN,
    cpu_time._CPU_TIME,
    cpu_time._CPU_OF_WALL,
    cpu_time._REAL_AND_CPU,
    cpu_time._ONE_LINE,
    answers._TOO_OFTEN,
    answers._BROKEN,
    answers._FINE,
    bystanders._COLLECTOR,
    bystanders._SUCCEEDED,
    pauses._UNIFIED,
    pauses._OLDER,
    pauses._V8,
    pauses._JULIA,
    pauses._PAUSED,
    pauses._SWAPPED,
    pauses._SWAP_USED,
    pauses._FAULTS,
    pauses._FLUSHED,
    pauses._VECTORS,
    pauses._STALLED,
    pauses._NO_ROOM,
    pauses._SPILLED,
    pauses._FREE,
    pauses._GO,
    pauses._RETRIES,
    status_counts._COUNT,
    machine_reports._THREADS,
    line_words.FAR,
    line_words.RATE,
    cpu_time._OF_CHUNK,
    features._LOCKS,
    cpu_time._GNU,
    cpu_time._REAL,
    cpu_time._SHELL,
    cpu_time._POSIX_REAL,
    cpu_time._POSIX,
    cpu_time._IPYTHON,
    cpu_time._WALL,
    cpu_time._R_HEAD,
    features._SLEEPS,
    Linear(authors.AUTHORS, needs=authors.AUTHORS_NEED),
]


def proves(needing: Linear) -> bool:
    """Whether the pattern itself shows it: of some clause that every match holds each word has one of `needs`."""
    return any(
        all(needing.may_match(word) for word in clause) for clause in clauses_of(needing.pattern)
    )


UNPROVEN = [needing for needing in NEEDING if not proves(needing)]


def test_most_patterns_that_need_words_prove_that_they_do():
    assert len(UNPROVEN) < len(NEEDING) / 8


@pytest.mark.parametrize("needing", UNPROVEN, ids=lambda one: one.pattern[:30])
@given(st.data())
def test_a_pattern_that_needs_words_matches_no_text_without_them(needing, data):
    text = data.draw(st.from_regex(re.compile(needing.pattern, re.IGNORECASE | re.ASCII)))
    if re2.compile(needing.pattern, options()).search(text):
        assert needing.may_match(text)
        assert needing.is_in(text)


@pytest.mark.parametrize(
    ("pattern", "needs", "proof"),
    [
        (r"request[^.]{0,40}timed out", "timed", True),
        (r"(?:disk|volume) full", "disk volume", True),
        (r"(?:disk|volume) full", "disk", False),
        (r"(?:disk|volume)?\d+", "disk volume", False),
    ],
)
def test_a_proof_holds_for_each_way_to_match(pattern, needs, proof):
    assert proves(Linear(pattern, needs=needs)) is proof
