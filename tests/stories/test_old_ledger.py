"""A deployment that is upgraded in the middle of a chain: the ledger is as the first version left it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stories.test_loop import custom_job, failure_line, made_jobs
from twin.physics import Needs, Section

# What later versions added, wherever it stands in a document.
LATER = frozenset(
    {"run_usd", "curves", "given_back", "max_run_seconds", "maxRunSeconds", "abandoned"}
    | {"accruedUsd", "worst_case_usd", "longest_seconds"}
)


def as_first_written(value: Any) -> Any:
    """The document as the first version of the ledger wrote it."""
    if isinstance(value, dict):
        kept = {key: as_first_written(one) for key, one in value.items() if key not in LATER}
        if "reservations" in kept:  # then counters by name alone
            kept["reservations"] = ["usd:2026-11-23" for _ in kept["reservations"]]
        return kept
    return [as_first_written(one) for one in value] if isinstance(value, list) else value


def downgrade(ledger: Path) -> int:
    """Every document as it was then, without the collections that came later; how many changed."""
    database = sqlite3.connect(ledger)
    changed = 0
    with database:
        database.execute("DELETE FROM documents WHERE collection = 'tracks'")
        rows = database.execute("SELECT collection, key, body FROM documents").fetchall()
        for collection, key, body in rows:
            old = json.dumps(as_first_written(json.loads(body)))
            changed += old != body
            database.execute(
                "UPDATE documents SET body = ? WHERE collection = ? AND key = ?",
                (old, collection, key),
            )
    database.close()
    return changed


@pytest.mark.parametrize("cloud", [30], indirect=True, ids=["30-hours-old"])
def test_a_chain_that_the_first_version_began_is_followed_counted_and_recovered(
    open_house: Callable[..., Any], cloud: Any, later: Callable[..., None], tmp_path: Path
) -> None:
    needs = Needs(sections=(Section("align", cpu_seconds=160_000, parallel=0.99),))
    job = cloud.past_job("customJobs", custom_job(), needs, route=False)
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    entry = failure_line(cloud, job)
    assert house.hear(entry) == 200
    assert len(made_jobs(cloud, job)) == 1

    assert downgrade(tmp_path / "ledger.sqlite3") > 0
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    assert house.hear(entry) == 200
    for _ in range(2):
        cloud.clock.advance(3 * 3600)
        later(minutes=20)
        house.reconcile()
        downgrade(tmp_path / "ledger.sqlite3")
    later(minutes=20)
    house.reconcile()

    made = made_jobs(cloud, job)
    assert [one["labels"]["remediator-attempt"] for one in made] == ["1", "2"]
    assert [message.text.partition(":")[0] for message in cloud.slack.messages] == [
        "Resubmitted",
        "Attempt 2 started",
        "Recovered",
    ]


@pytest.mark.parametrize("body", ["{torn", "[]", '{"key": 7, "stage": "unsettled"}'])
@pytest.mark.parametrize("collection", ["incidents", "debts"])
def test_a_round_goes_on_past_a_document_that_cannot_be_read(
    house: Any, cloud: Any, tmp_path: Path, collection: str, body: str
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HUNGRY, route=False)
    house.reconcile()
    database = sqlite3.connect(tmp_path / "ledger.sqlite3")
    with database:
        row = (collection, "us-central1|customJobs|5", body, "2020-01-01T00:00:00.000000Z", None)
        database.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    for _ in range(2):
        house.reconcile()
    (told,) = cloud.slack.messages
    assert told.text.startswith(f"A document of the ledger cannot be read: {collection}:")
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(made_jobs(cloud, job)) == 1


HUNGRY = Needs(sections=(Section("load", cpu_seconds=4_000, memory_gib=45),))
