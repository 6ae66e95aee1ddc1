"""A channel that never ends its answer: the others are served, and no try leaves another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remediator.alerts import Message
from remediator.alerts.channel import Sent
from remediator.alerts.outbox import Outbox
from remediator.ledger import Ledger, OutboxMessage
from remediator.ledger.sqlite import SqliteStore
from tests.test_alerts_render import MESSAGE

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Dripping:
    """Every sending waits for `ended`; how many ever waited is counted."""

    keeps_current = False

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.tries = 0

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del message, thread, due
        self.tries += 1
        self.ended.wait()
        return Sent()

    def update(self, message: Message, *, thread: str) -> None:
        """Nothing is kept current."""

    def check(self) -> None:
        """Nothing is checked."""


class Healthy(Dripping):
    def __init__(self) -> None:
        super().__init__()
        self.ended.set()


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    channel = Dripping()
    yield channel
    channel.ended.set()


def channel_threads() -> set[threading.Thread]:
    """The threads that a delivery to a channel runs on, by the name that their pool gives them."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("channel")}


def wait_for_channel_threads(count: int, others: set[threading.Thread]) -> None:
    """Wait until no more than `count` are left beside `others`, which an earlier test began and which may end
    meanwhile; a pool's thread ends a moment after its work.
    """
    for _ in range(6_000):  # chosen: only a thread that never ends meets it
        if len(channel_threads() - others) <= count:
            return
        time.sleep(0.01)
    pytest.fail(f"{channel_threads() - others} are left, not {count}")


def test_a_dripping_channel_keeps_one_thread_and_no_other_channel_waits(
    dripping: Dripping, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channels = {"drips": dripping, "healthy": Healthy()}
    moment = [NOON]
    ledger = Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))
    notices = Outbox(
        ledger,
        open_channel=channels.__getitem__,
        write_outcome=lambda *_args, **_how: None,
        now=lambda: moment[0],
        lease=timedelta(minutes=10),
        delivery_seconds=3.0,  # waited for once, for the channel that drips
    )
    others = channel_threads()
    for number in range(8):
        ledger.enqueue(
            [
                OutboxMessage(
                    f"{channel}-{number}", channel, MESSAGE.to_json(), moment[0], moment[0]
                )
                for channel in channels
            ]
        )
        notices.deliver_due()
        moment[0] += timedelta(minutes=11)
    assert dripping.tries == 1
    assert channels["healthy"].tries == 8
    wait_for_channel_threads(1, others)
    assert len(channel_threads() - others) == 1
    assert "an earlier delivery has not ended" in capsys.readouterr().err
    dripping.ended.set()
    wait_for_channel_threads(0, others)
    notices.deliver_due()
    assert dripping.tries > 1
    ledger.close()
