"""What must never be mixed up: values that are nearly equal, keys that are not there, lines given twice."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from remediator.job.rows import Tokens
from remediator.rows import AccountedRows, Files, RowFile, account
from remediator.rows.canonical import FastCodec, PlainCodec

BIG = 10**45
"""Beyond 64 bits: a double cannot tell it from its successor."""
IMAGE = "iVBORw0KGgo" * 20_000
"""Longer than Python's csv module takes unless it is told."""


def accounted(
    folder: Path, took: list[str], gave: list[str], *, codec: PlainCodec, suffix: str = "jsonl"
) -> AccountedRows:
    def file(name: str, lines: list[str]) -> RowFile:
        data = "".join(f"{line}\n" for line in lines).encode()
        return RowFile(name, lambda: io.BytesIO(data), len(data))

    files = Files.sorted_by_name([file(f"in.{suffix}", took)], [file("out.jsonl", gave)], [])
    return account(files, folder, codec=codec)


@pytest.fixture(params=[FastCodec, PlainCodec], ids=["fast", "plain"])
def codec(request: Any) -> PlainCodec:
    return request.param()  # type: ignore[no-any-return]  # one of the two classes


def predicted(instance: str, more: str = "") -> str:
    return f'{{"instance": {instance}{more}, "prediction": 1}}'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1e400", "2e400"),
        ("1e400", "Infinity"),
        ("1e400", '"1e400"'),
        ("1e400", '"\\ud8001e400"'),
        ("NaN", '"NaN"'),
        ('"\\ud800"', '"\\ud800\\ud800"'),
        (f"{BIG}", f"{BIG + 1}"),
        (f"-{BIG}", f"-{BIG + 1}"),
        (f"{2**64}", f"{2**64 + 1}"),
        ("9007199254740993", "9007199254740992"),
        ('"\\u00e9"', '"e\\u0301"'),
        ("true", "1"),
        ("null", '""'),
        ("[]", "{}"),
        ("0.1", "0.10000000000000002"),
        ('"1"', "1"),
        ('{"a": 1}', '{"a": "1"}'),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_values_that_differ_are_never_taken_for_each_other(
    tmp_path: Path, codec: PlainCodec, one: str, other: str, turned: bool
) -> None:
    """One of two rows came back: the other is the one that is left."""
    rows = [f'{{"x": {one}}}', f'{{"x": {other}}}']
    done = rows[turned]
    found = accounted(tmp_path, rows, [predicted(done)], codec=codec)
    assert found.account.sound
    assert [line.decode().strip() for line in found.remaining()] == [rows[not turned]]


@pytest.mark.parametrize(
    ("took", "gave"),
    [
        ("1", "1.0"),
        ("1e2", "100"),
        ("-0.0", "0"),
        ("0.1", "0.10000000000000001"),
        (f"{10**22}", "1e22"),
        ('"\\u00e9"', '"é"'),
        ('{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}'),
        ('"\\ud83d\\ude00"', '"😀"'),
    ],
)
def test_one_value_in_two_spellings_is_one_row(
    tmp_path: Path, codec: PlainCodec, took: str, gave: str
) -> None:
    rows = [f'{{"x": {took}}}', '{"x": "other"}']
    found = accounted(tmp_path, rows, [predicted(f'{{"x": {gave}}}')], codec=codec)
    assert (found.account.sound, found.account.done, found.account.missing) == (True, 1, 1)


@pytest.mark.parametrize(
    ("took", "gave", "why"),
    [
        ('"\\u00e9"', '"e\\u0301"', "match no row"),
        ("9007199254740993", "9007199254740992", "match no row"),
        ("1e400", "2e400", "match no row"),
    ],
    ids=["normal-form", "rounded", "beyond-doubles"],
)
def test_a_value_that_the_service_changed_is_refused(
    tmp_path: Path, codec: PlainCodec, took: str, gave: str, why: str
) -> None:
    found = accounted(tmp_path, [f'{{"x": {took}}}'], [predicted(f'{{"x": {gave}}}')], codec=codec)
    assert (found.account.sound, list(found.remaining())) == (False, [])
    assert why in found.account.because


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1e400", "2e400"),
        (f"{BIG}", f"{BIG + 1}"),
        ("007", "7"),
        ("null", ""),
        ("1e400", "x"),
        (IMAGE, f"{IMAGE}A"),
    ],
    ids=["beyond-doubles", "whole", "zeros", "null", "text", "image"],
)
def test_cells_that_differ_are_never_taken_for_each_other(
    tmp_path: Path, codec: PlainCodec, one: str, other: str
) -> None:
    took = ["a,b", f"{one},x", f"{other},x"]
    gave = [predicted(json.dumps([other, "x"]))]
    found = accounted(tmp_path, took, gave, codec=codec, suffix="csv")
    assert found.account.sound
    assert found.to_send == b"\x01"


@pytest.mark.parametrize("keys", [(1, "1"), (1, 1.0), (True, "true"), ("a", "a"), ("a", None)])
def test_keys_that_may_be_one_give_way_to_the_content(
    tmp_path: Path, codec: PlainCodec, keys: tuple[object, object]
) -> None:
    rows = [json.dumps({"key": key, "x": number}) for number, key in enumerate(keys)]
    back = json.dumps({"key": keys[1], "instance": {"x": 1}, "prediction": 1})
    found = accounted(tmp_path, rows, [back], codec=codec)
    assert (found.account.sound, found.account.key) == (True, "content")
    assert [json.loads(line)["x"] for line in found.remaining()] == [0]


@pytest.mark.parametrize(
    ("took", "gave", "key"),
    [
        (['{"request": {"a": 1}, "custom_id": "1"}', '{"request": {"a": 2}, "custom_id": "2"}'],
         '{"request": {"a": 1}, "status": "", "response": {}}', "content"),
        (['{"request": {"a": 1}}', '{"request": {"a": 2}}'],
         '{"request": {"a": 1}, "custom_id": "2", "status": "", "response": {}}', "content"),
        (['{"request": {"a": 1}, "key": "1"}', '{"request": {"a": 2}, "key": "2"}'],
         '{"request": {"a": 9}, "key": "1", "status": "", "response": {}}', "key"),
    ],
    ids=["input-only", "output-only", "both"],
)  # fmt: skip
def test_a_key_on_one_side_alone_is_none(
    tmp_path: Path, codec: PlainCodec, took: list[str], gave: str, key: str
) -> None:
    found = accounted(tmp_path, took, [gave], codec=codec)
    assert (found.account.sound, found.account.key) == (True, key)
    assert [line.decode().strip() for line in found.remaining()] == took[1:]


def test_two_outputs_of_which_the_second_answers_what_failed_in_the_first_are_refused(
    tmp_path: Path, codec: PlainCodec
) -> None:
    """Each part is read beside its own input: together they hold a key twice."""
    row = '{"request": {"a": 1}, "key": "1"}'
    failed = '{"request": {"a": 1}, "key": "1", "status": "{\\"code\\": 14}"}'
    done = '{"request": {"a": 1}, "key": "1", "status": "", "response": {}}'
    found = accounted(tmp_path, [row], [failed, done], codec=codec)
    assert (found.account.sound, list(found.remaining())) == (False, [])
    assert "repeat a `key`" in found.account.because


def test_a_line_without_status_and_with_a_null_response_is_no_result(
    tmp_path: Path, codec: PlainCodec
) -> None:
    row = '{"request": {"a": 1}}'
    line = '{"request": {"a": 1}, "status": "", "response": null}'
    found = accounted(tmp_path, [row], [line], codec=codec).account
    assert (found.done, sum(found.failed.values()), found.retriable) == (0, 1, 0)


# --- tokens ----------------------------------------------------------------------------------------

USAGE = {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 5}


@pytest.mark.parametrize(
    ("usages", "tokens"),
    [
        ([USAGE, USAGE], Tokens(200, 50)),
        ([USAGE, {"promptTokenCount": 7}], Tokens(107, 25)),
        ([USAGE, None], Tokens(100, 25, 1)),
        ([USAGE, {**USAGE, "promptTokenCount": 200_001}], Tokens(100, 25, 1)),
        ([USAGE, {**USAGE, "cachedContentTokenCount": 5}], Tokens(100, 25, 1)),
        ([USAGE, {**USAGE, "promptTokensDetails": [{"modality": "AUDIO"}]}], Tokens(100, 25, 1)),
        ([USAGE, {**USAGE, "promptTokensDetails": [{"modality": "TEXT"}]}], Tokens(200, 50)),
        ([USAGE, {**USAGE, "candidatesTokensDetails": [{"modality": "IMAGE"}]}], Tokens(100, 25, 1)),
        ([None, None], None),
    ],
)  # fmt: skip
def test_the_tokens_of_done_rows_are_summed_up_where_the_plain_rate_holds(
    tmp_path: Path, codec: PlainCodec, usages: list[Any], tokens: Tokens | None
) -> None:
    requests = [{"request": {"n": number}} for number in range(3)]
    took = [json.dumps(row) for row in requests]
    gave = [
        json.dumps({**row, "status": "", "response": {"usageMetadata": usage}})
        for row, usage in zip(requests, usages, strict=False)
    ]
    found = accounted(tmp_path, took, gave, codec=codec).account
    assert found.tokens == tokens
    assert "tokens" not in found.to_json()
