"""The signatures' text files: each pattern needed, each example true, and what is made of them current."""

from __future__ import annotations

import functools
import re

import pytest
import re2

from bench.diagnosis.causes_doc import DOC, causes_markdown
from bench.diagnosis.corpus import messages
from bench.diagnosis.lab import scenarios
from bench.diagnosis.signature_files import (
    CLIENTS,
    FAMILIES,
    LONGEST_PATTERN,
    RECALLED,
    Row,
    Unreadable,
    compiled,
    compiled_row,
    filed_patterns,
    row_weight,
    rows_of,
)
from remediator.diagnosis.signature import Level
from remediator.diagnosis.signatures import COMPILED, client_signatures, signatures

ROWS = [row for family in (*FAMILIES, CLIENTS) for row in rows_of(family)]
LONGEST_EXAMPLE = 300
RECORDED = (
    "training",
    "serving",
    "blind",
    "second_blind",
    "third_blind",
    "fourth_blind",
    "fifth_blind",
    "sixth_blind",
    "seventh_blind",
)


@functools.cache
def regex(pattern: str):
    options = re2.Options()
    options.case_sensitive = False
    return re2.compile(pattern, options)


def found_by(row: Row, text: str) -> list[str]:
    return [one.line for one in row.patterns if regex(one.regex).search(text)]


def test_what_the_product_loads_is_made_of_the_files():
    assert COMPILED.read_text(encoding="utf-8") == compiled()


def test_docs_are_made_of_the_files():
    assert DOC.read_text(encoding="utf-8") == causes_markdown()


def test_every_row_is_loaded():
    assert [row.id for row in ROWS] == [row.id for row in (*signatures(), *client_signatures())]


def test_no_family_has_a_file_that_is_not_read():
    assert {path.stem for path in COMPILED.parent.glob("*.txt")} == {*FAMILIES, CLIENTS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_pattern_is_the_only_one_of_its_row_for_some_text(row):
    assert row.patterns
    for pattern in row.patterns:
        assert len(pattern.line) <= LONGEST_PATTERN
        assert pattern.examples, pattern.line
        for example in pattern.examples:
            assert found_by(row, example.text) == [pattern.line]
            assert len(example.text) <= LONGEST_EXAMPLE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_a_row_must_not_find_it_does_not_find(row):
    assert row.silent
    assert not [one.text for one in row.silent if found_by(row, one.text)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_says_in_a_sentence_what_it_means(row):
    assert row.says.endswith(".")
    assert row.fields["see"]


def test_every_text_was_seen_somewhere_that_exists():
    names = ("messages", "held_out", "fresh", "written", "recalled")
    known = {row["id"] for name in names for row in messages(name)}
    known |= {f"{name}/{one.id}" for name in RECORDED for one in scenarios(name)}
    known |= {"tests", "bench", RECALLED}
    seen = {
        example.where
        for row in ROWS
        for example in (*row.silent, *(e for one in row.patterns for e in one.examples))
    }
    files = {where for where in seen - known if (DATA / where).is_file()}
    assert seen - known - files == set()


DATA = COMPILED.parents[3] / "tests" / "data"


def test_a_wrapper_weighs_like_a_symptom_where_it_is_alone():
    wrappers = [row for row in signatures() if row.level is Level.WRAPPER]
    assert wrappers
    assert all(row.symptom and row.cause for row in wrappers)


@pytest.mark.parametrize(
    ("words", "number"), [("certain", 7.5), ("fair + 0.4", 4.1), ("hint - 0.4", 1.0)]
)
def test_a_weight_is_written_in_words(words, number):
    assert row_weight(words) == pytest.approx(number)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("see: x.org\n", "", "lacks `see: PAGE`"),
        ("= tests: abc\n", "", "lacks a text below each pattern"),
        ("bad_input", "bad_imput", "bad_imput"),
        (", strong", "", "no weight"),
    ],
)
def test_a_row_that_lacks_a_part_is_named_with_the_part(tmp_path, old, new, said):
    whole = "[row]\nA thing.\ncause: bad_input, strong\nsee: x.org\n~ ab+c\n= tests: abc\n"
    (tmp_path / "odd.txt").write_text(whole.replace(old, new), encoding="utf-8")
    (row,) = rows_of("odd", tmp_path)
    with pytest.raises(Unreadable, match=rf"^odd\.txt \[row\]: .*{re.escape(said)}"):
        compiled_row(row, filed_patterns([row]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("~ {nobody-knows-it}", "nobody-knows-it"),
        ("colour: red", "colour"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, line, said):
    (tmp_path / "odd.txt").write_text(f"[row]\nIt says something.\n{line}\n", encoding="utf-8")
    with pytest.raises(Unreadable, match=rf"odd\.txt:3: .*{said}"):
        list(rows_of("odd", tmp_path))
