"""The signatures' text files: what is made of them is current, and what is not sound is refused."""

from __future__ import annotations

import re

import pytest

from bench.diagnosis.causes_doc import DOC, causes_markdown
from bench.diagnosis.corpus import messages
from bench.diagnosis.lab import scenarios
from bench.diagnosis.signature_files import (
    CLIENTS,
    FAMILIES,
    RECALLED,
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


def test_what_the_product_loads_is_made_of_the_files():
    """Each pattern is needed, too, and each text true: what is not is refused, see below."""
    assert COMPILED.read_text(encoding="utf-8") == compiled()


def test_docs_are_made_of_the_files():
    assert DOC.read_text(encoding="utf-8") == causes_markdown()


def test_every_row_is_loaded():
    assert [row.id for row in ROWS] == [row.id for row in (*signatures(), *client_signatures())]


def test_no_family_has_a_file_that_is_not_read():
    assert {path.stem for path in COMPILED.parent.glob("*.txt")} == {*FAMILIES, CLIENTS}


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
        ("thing.", "thing", "with its full stop"),
        ("= tests: abc\n", "", "lacks a text below each pattern"),
        ("! tests: ac\n", "", "lacks a text that it does not find"),
        ("bad_input", "bad_imput", "bad_imput"),
        (", strong", "", "no weight"),
        ("ab+c", "ab+c" + "c" * 117, "is longer than 120 characters"),
        ("tests: abc", "tests: ABC" + " " * 298, "is longer than 300 characters"),
        ("tests: abc", "tests: acb", "`~ ab+c` does not find its `= acb`"),
        ("tests: ac", "tests: abbc", "`~ ab+c` finds `! abbc`"),
        ("! tests", "~ bc\n= tests: bc\n! tests", "`~ bc` finds `= abc` of `~ ab+c`, too"),
    ],
)
def test_a_row_that_is_not_sound_is_refused_with_its_mistake(tmp_path, old, new, said):
    whole = (
        "[row]\nA thing.\ncause: bad_input, strong\nsee: x.org\n~ ab+c\n= tests: abc\n! tests: ac\n"
    )
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
