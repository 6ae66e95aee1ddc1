"""Time that a log tells by counts, by sums since the start, by meters of transfers and by the CPUs in use."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.diagnosis.durations import parts_in
from remediator.domain import Cause
from tests.test_durations import STARTED, every, found_in, told

# --- counts and sums ------------------------------------------------------------------------------------


def counted(line: str, *, each: int = 500, step: float = 71.0) -> list[tuple[float, Any]]:
    """A line every `step` seconds that tells of `each` more than the one before."""
    return [STARTED, *((step * n, line.format(n=each * n)) for n in range(1, int(3590 / step)))]


@pytest.mark.parametrize("load", [None, 0.02])
def test_round_trips_that_make_up_the_time_are_a_wait(load: float | None) -> None:
    found = found_in(counted("{n} keys joined, redis round trip avg 142 ms"), load)
    assert found.verdict is Cause.NETWORK_LATENCY
    assert any("waiting" in says for says in told(found))


def test_round_trips_that_are_a_small_part_of_it_are_none() -> None:
    found = found_in(counted("{n} keys joined, redis round trip avg 2 ms"), 0.13)
    assert found.verdict is not Cause.NETWORK_LATENCY


def test_a_table_of_times_that_add_up_names_the_longest() -> None:
    said: list[tuple[float, Any]] = [STARTED]
    for n in range(1, 6):
        said += [
            (600.0 * n, "--- so far ---"),
            (600.0 * n, f"parse_json       {498.2 * n:.1f} s  83.1%"),
            (600.0 * n, f"join              {54.4 * n:.1f} s   9.1%"),
            (600.0 * n, f"read              {46.8 * n:.1f} s   7.8%"),
        ]
    found = found_in(said)
    assert found.verdict is Cause.SLOW_CODE
    assert any('section "parse_json"' in says for says in told(found))


@pytest.mark.parametrize(
    ("line", "name", "share"),
    [
        ("parse_json         512.3 s  83.1%", "parse_json", 0.831),
        ("  build index: 83.1%  512.3 s", "build index", 0.831),
        ("| fetch rows | 512.3 s | 83.1 % |", "fetch rows", 0.831),
    ],
)
def test_a_row_of_a_table_tells_its_part_of_all(line: str, name: str, share: float) -> None:
    found = parts_in(line)
    assert found is not None
    assert (found.key, round(found.share, 3), found.seconds) == (name, share, 512.3)


@pytest.mark.parametrize(
    "line", ["cpu 100%", "epoch 3 took 12 s", "done 83.1%, 512.3 s left", "loss 0.31 after 83%"]
)
def test_what_is_no_row_of_a_table_tells_none(line: str) -> None:
    assert parts_in(line) is None


# --- who is asked ---------------------------------------------------------------------------------------

ASKED = "{n} batches, last 5 getMore took 88.1 s, parsing 0.6 s"


def test_to_get_from_a_store_that_the_log_names_is_a_wait() -> None:
    said = [STARTED, (2.0, "mongodb+srv://c0.q1zab.mongodb.example db=catalog"), *every(89, ASKED)]
    assert found_in(said).verdict is Cause.NETWORK_LATENCY


def test_to_get_from_the_machine_itself_is_none() -> None:
    said = [STARTED, (2.0, "mongodb://localhost:27017 db=catalog"), *every(89, ASKED)]
    assert found_in(said).verdict is not Cause.NETWORK_LATENCY


@pytest.mark.parametrize(
    "line",
    [
        "{n}720K ........ ........ ........ ........ ........ ........  0%  406K 25h51m",
        "{n}72K ................ ................ ................  0%  406K 25h51m",
        "  0 40.0G    0   {n}M    0     0    619k      0 18:22:09  0:02:33 18:19:35  647k",
        "[#2089b0 {n}MiB/33GiB(1%) CN:1 DL:115KiB ETA:4h]",
    ],
)
def test_a_meter_of_a_transfer_is_a_wait(line: str) -> None:
    assert found_in([STARTED, *every(75, line)]).verdict is Cause.NETWORK_LATENCY
