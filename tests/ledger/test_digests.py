"""The digest is enqueued once for each period, whatever restarts and whoever is second, in both stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from remediator.alerts.outbox import Outbox
from remediator.ledger import Conclusion, Incident, Ledger, Stage
from remediator.workflow.digests import enqueue_digests
from tests.workflow.workbench import NOW, POLICIES, Bench, Channel

DIGESTED = POLICIES.replace(
    '{slack: {webhook: "env:W"}}', '{slack: {webhook: "env:W"}, digest: daily}'
)
LATER = NOW + timedelta(days=40)


def open_bench(ledger: Ledger) -> Bench:
    bench = Bench()
    bench.use(DIGESTED)
    notices = Outbox(
        ledger,
        open_channel=lambda _: Channel(bench),
        write_outcome=lambda outcome, *, id, at: None,  # noqa: ARG005, A006  # the Protocol's names
        now=lambda: bench.time,
        lease=timedelta(minutes=10),
    )
    records = replace(bench.services.records, ledger=ledger, outbox=notices)
    bench.services = replace(bench.services, records=records)
    return bench


def failure(number: int, **more: Any) -> Incident:
    key = f"us-central1/customJobs/{number}"
    return Incident(
        key=key,
        job=f"projects/genomics-lab/locations/{key}",
        stage=Stage.DONE,
        first_known=NOW,
        root=key,
        display_name=f"job-{number}",
        conclusion=Conclusion.ALERTED,
        verdict="user_code_error",
        channels=("ml",),
        **more,
    )


def owed(ledger: Ledger) -> list[str]:
    return [outbox_message.body["title"] for outbox_message in ledger.messages_due(LATER, 100)]


def test_one_digest_a_period_for_any_number_of_hands(open_ledger: Callable[[], Ledger]) -> None:
    first = open_ledger()
    first.open_many([failure(1), failure(2), replace(failure(3), channels=("other",))])
    bench = open_bench(first)
    enqueue_digests(bench.services.config, bench.services.records, bench.services.clock)
    assert owed(first) == []  # the day is not over
    bench.time = NOW + timedelta(days=1)
    enqueue_digests(bench.services.config, bench.services.records, bench.services.clock)
    again = open_bench(open_ledger())  # another instance, after a restart
    again.time = NOW + timedelta(days=1, minutes=1)
    enqueue_digests(again.services.config, again.services.records, again.services.clock)
    assert owed(first) == ["Daily digest to 2026-11-24: 2 failed, 0 recovered"]
    again.time = NOW + timedelta(days=2)
    enqueue_digests(again.services.config, again.services.records, again.services.clock)
    assert len(owed(first)) == 1  # a day without failures has none


def test_a_note_that_was_not_written_makes_no_second_digest(
    open_ledger: Callable[[], Ledger],
) -> None:
    ledger = open_ledger()
    ledger.open_many([failure(1)])
    bench = open_bench(ledger)
    bench.time = NOW + timedelta(days=1)
    enqueue_digests(bench.services.config, bench.services.records, bench.services.clock)
    ledger.write_note("digest:ml", {})  # as if the process had ended before it
    enqueue_digests(bench.services.config, bench.services.records, bench.services.clock)
    assert len(owed(ledger)) == 1
