"""`rows` on batches of any making: exact in all of them, or refused."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.rows import AccountedRows, Files, RowFile, account
from remediator.rows.canonical import FastCodec, Inexact, PlainCodec, best_codec
from remediator.rows.join import Spill, join, spills

OFTEN = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
PASSING, NEVER = '{"code": 14, "message": "try later"}', '{"code": 3, "message": "bad"}'
CODECS = [PlainCodec(), best_codec()]


# --- rows of any shape -----------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-(10**25), 10**25),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-3, 3).map(float),
)
leaves = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=8))
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(value: Any) -> Any:
    """A value that is equal for equal JSON only: the test's own reading of what a row is."""
    if isinstance(value, dict):
        return ("object", frozenset((name, same(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(map(same, value)))
    if isinstance(value, bool) or value is None:
        return ("word", str(value))
    return ("number", value) if isinstance(value, int | float) else ("text", value)


def respelt(value: Any, chance: random.Random) -> Any:
    """Another spelling of the same value: keys in another order, whole numbers as floats."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: respelt(value[name], chance) for name in names}
    if isinstance(value, list):
        return [respelt(item, chance) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return chance.choice([value, float(value)])
    return value


def text_of(value: Any, chance: random.Random) -> str:
    return json.dumps(respelt(value, chance), ensure_ascii=chance.random() < 0.5)


def source(name: str, text: bytes) -> RowFile:
    return RowFile(name, lambda: io.BytesIO(text), len(text))


class Batch:
    """Rows, what became of each, and the files that say so."""

    def __init__(self, rows: Sequence[Any], seed: int, *, gemini: bool) -> None:
        self.rows = list(rows)
        self.gemini = gemini
        self.chance = random.Random(seed)
        self.fates = [self.chance.choice(["done", "pass", "never", "gone"]) for _ in rows]
        self.inputs = [text_of(row, self.chance) for row in rows]
        self.lines = [
            self.line_of(row, fate)
            for row, fate in zip(rows, self.fates, strict=True)
            if fate != "gone"
        ]
        self.chance.shuffle(self.lines)

    def line_of(self, row: Any, fate: str) -> str:
        if self.gemini:
            status = {"done": "", "pass": PASSING, "never": NEVER}[fate]
            record = {"status": status, **row, **({"response": {"n": 1}} if not status else {})}
        elif fate == "done":
            record = {"instance": row, "prediction": [1]}
        else:
            record = {"instance": row, "error": json.loads(PASSING if fate == "pass" else NEVER)}
        return text_of(record, self.chance)

    def read(self, codec: PlainCodec, key: str | None = None, tail: str = "") -> AccountedRows:
        """Input in one to three files, output in two."""
        cut, half = self.chance.randint(0, len(self.inputs)), len(self.lines) // 2
        inputs = [
            source(f"in-{n}", "".join(f"{line}\n" for line in part).encode())
            for n, part in enumerate((self.inputs[:cut], self.inputs[cut:]))
        ]
        outputs = [
            source(f"out-{n}", ("".join(f"{line}\n" for line in part) + last).encode())
            for n, (part, last) in enumerate(((self.lines[:half], ""), (self.lines[half:], tail)))
        ]
        with tempfile.TemporaryDirectory() as folder:
            return account(Files(inputs, outputs, []), Path(folder), key=key, codec=codec)

    def require_exact(self, found: AccountedRows) -> None:
        """Counts as they were made up; the lines to send are theirs, up to equal rows."""
        count = Counter(self.fates)
        told = found.account
        assert told.sound, told.because
        assert (told.rows, told.done, told.missing, told.unmatched) == (
            len(self.rows), count["done"], count["gone"], 0,
        )  # fmt: skip
        assert (sum(told.failed.values()), told.retriable) == (
            count["pass"] + count["never"], count["pass"],
        )  # fmt: skip
        sent = b"".join(found.remaining()).decode().split("\n")[:-1]  # not \x85
        places = iter(self.inputs)
        assert all(line in places for line in sent)  # byte for byte, in the input's order
        wanted = [
            row for row, fate in zip(self.rows, self.fates, strict=True) if fate in {"pass", "gone"}
        ]
        assert Counter(same(json.loads(line)) for line in sent) == Counter(map(same, wanted))


# --- exact -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: type(codec).__name__)
@OFTEN
@given(
    rows=st.lists(values, min_size=1, max_size=20),
    again=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_rows_without_a_key_are_matched_by_what_they_are(
    codec: PlainCodec, rows: list[Any], again: int, seed: int
) -> None:
    batch = Batch(rows * again, seed, gemini=False)
    batch.require_exact(batch.read(codec))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: type(codec).__name__)
@OFTEN
@given(
    rows=st.lists(
        st.tuples(
            values, st.one_of(st.none(), st.just(...), st.integers(0, 9), st.text(max_size=2))
        ),
        min_size=1,
        max_size=20,
    ),
    name=st.sampled_from(["key", "custom_id", "recordId", "sample"]),
    seed=st.integers(0, 2**32),
)
def test_keys_that_are_absent_null_or_repeated_never_mix_rows_up(
    codec: PlainCodec, rows: list[tuple[Any, Any]], name: str, seed: int
) -> None:
    batch = Batch(
        [
            {"request": {"contents": value}, **({} if key is ... else {name: key})}
            for value, key in rows
        ],
        seed,
        gemini=True,
    )
    found = batch.read(codec)
    batch.require_exact(found)
    keys = [str(key) for _, key in rows]
    if found.account.key == name:
        assert len(set(keys)) == len(rows)
    else:
        assert found.account.key == "content"
    told = batch.read(codec, key=name).account
    assert told.sound == (len(set(keys)) == len(rows) and not {"None", "Ellipsis"} & set(keys))


# --- refused ---------------------------------------------------------------------------------------

rows_with_keys = st.lists(values, min_size=2, max_size=12).map(
    lambda rows: [{"request": {"contents": row}, "key": f"k{n}"} for n, row in enumerate(rows)]
)


@OFTEN
@given(rows=rows_with_keys, seed=st.integers(0, 2**32), keyed=st.booleans())
def test_a_line_too_many_is_never_sound(rows: list[Any], seed: int, keyed: bool) -> None:
    if not keyed:
        rows = [{"request": row["request"]} for row in rows]
    batch = Batch(rows, seed, gemini=True)
    batch.fates = ["done"] * len(rows)
    batch.lines = [batch.line_of(row, "done") for row in rows]
    batch.lines.insert(batch.chance.randint(0, len(rows)), batch.chance.choice(batch.lines))
    found = batch.read(best_codec())
    assert not found.account.sound
    assert list(found.remaining()) == []


@OFTEN
@given(
    rows=rows_with_keys,
    seed=st.integers(0, 2**32),
    garbage=st.text(min_size=1, max_size=20).filter(lambda text: text.strip() == text != ""),
)
def test_garbage_inside_an_output_file_is_never_sound(
    rows: list[Any], seed: int, garbage: str
) -> None:
    batch = Batch(rows, seed, gemini=True)
    garbage = "".join(garbage.split()) or "x"
    if garbage[0] in "({":
        garbage = "x" + garbage
    batch.lines = [
        garbage.encode("utf-8", "replace").decode(),
        *batch.lines,
        batch.line_of(rows[0], "done"),
    ]
    found = batch.read(best_codec())
    assert not found.account.sound
    assert list(found.remaining()) == []


@OFTEN
@given(rows=rows_with_keys, seed=st.integers(0, 2**32), share=st.floats(0.01, 0.99))
def test_a_line_that_was_cut_is_a_row_that_is_missing(
    rows: list[Any], seed: int, share: float
) -> None:
    batch = Batch(rows, seed, gemini=True)
    whole = batch.line_of(rows[-1], "done")
    cut = whole[: max(1, int(share * len(whole)))]
    batch.lines = [batch.line_of(row, "done") for row in rows[:-1]]
    batch.fates = ["done"] * (len(rows) - 1) + ["gone"]
    batch.require_exact(batch.read(best_codec(), tail=cut))


# --- the two readers, and the join -----------------------------------------------------------------


@OFTEN
@given(value=values, seed=st.integers(0, 2**32))
def test_every_spelling_of_a_value_has_one_canonical_text(value: Any, seed: int) -> None:
    chance = random.Random(seed)

    def canonical(codec: PlainCodec) -> bytes:
        try:
            return codec.canonical(codec.parse(text_of(value, chance).encode()))
        except Inexact:
            plain = PlainCodec()
            return plain.canonical(plain.parse(text_of(value, chance).encode()))

    for codec in CODECS:
        assert len({canonical(codec) for _ in range(4)}) == 1
        assert same(json.loads(canonical(codec))) == same(value)


def test_what_no_fast_reader_holds_is_read_exactly() -> None:
    fast, plain = FastCodec(), PlainCodec()
    for text in (
        b"NaN",
        b"[1e999]",
        b'"\\ud800"',
        b"[" * 300 + b"]" * 300,
        b"123456789012345678901",
    ):
        value = plain.parse(text)
        assert fast.canonical(value) == plain.canonical(value)
    assert plain.canonical(plain.parse(b"NaN")) != plain.canonical(plain.parse(b"null"))
    with pytest.raises(Inexact):
        fast.canonical(fast.parse(b"123456789012345678901"))
    for codec in (fast, plain):
        with pytest.raises(ValueError, match="nested too deeply"):
            codec.parse(b"[" * 100_000 + b"]" * 100_000)
        with pytest.raises(ValueError):  # noqa: PT011  # whatever the reader says of it
            codec.parse(b"\xff")


@OFTEN
@given(
    rows=st.lists(st.integers(0, 12), max_size=40),
    lines=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 2)), max_size=40),
    partitions=st.sampled_from([1, 3, 64]),
)
def test_the_join_counts_as_a_multiset_whatever_the_partitions(
    rows: list[int], lines: list[tuple[int, int]], partitions: int
) -> None:
    def name(number: int) -> bytes:
        return bytes([number * 17 % 256]) * 16

    with tempfile.TemporaryDirectory() as folder:
        left, right = spills(Path(folder), partitions)
        fill(left, [(name(row), n) for n, row in enumerate(rows)])
        fill(right, [(name(line), state) for line, state in lines])
        bits = bytearray((len(rows) >> 3) + 1)
        found = join(left, right, partitions, bits)
    have, came = Counter(rows), Counter(line for line, _ in lines)
    matched = sum((have & came).values())
    assert found.done + found.never + found.passing == matched
    assert (found.unmatched, found.unnamed) == (len(lines) - matched, len(rows) - matched)
    assert found.duplicates == len(rows) - len(have)
    assert found.repeated == len(lines) - len(came)
    assert sum(byte.bit_count() for byte in bits) == found.unnamed + found.passing


def fill(spill: Spill, records: list[tuple[bytes, int]]) -> None:
    for digest, value in records:
        spill.add(digest, value)
