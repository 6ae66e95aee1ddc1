"""The measure of `make chaos`: holes that the product once had, put back one at a time.

    python -m bench.chaos.holes [--seconds 120] [--seed N] [HOLE ...]

No part of the product and of no test. In a process of its own `put_back` sets what the product did
before a hole was fixed in the place of what fixes it (docs/decisions.md 19 to 26), and the faults
are drawn until an invariant breaks. Printed: which holes were found, after how long, by which
invariant. Holes 13 and 14 the product never had: they show that the invariant of running jobs can
break. Exit 1 where fewer than eight were.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from remediator.alerts.outbox import Outbox  # noqa: E402
from remediator.cloud import caller  # noqa: E402
from remediator.domain import WatchVerdict  # noqa: E402
from remediator.ledger import Conclusion, Incident, Ledger, Stage  # noqa: E402
from remediator.planning import planner  # noqa: E402
from remediator.watch import entries  # noqa: E402
from remediator.workflow import (  # noqa: E402
    approval,
    conclusions,
    decide,
    incident,
    incident_key,
    limits,
    reconcile,
    running_attempts,
    similar_jobs,
    sweep,
)

_WANTED = 8


def _estimates_alone() -> None:
    """1: what a running attempt costs is counted nowhere."""

    def overrun(*args: Any) -> None:
        del args

    running_attempts._overrun = overrun


def _anybodys_memory() -> None:
    """2: a size is remembered by the display name alone."""
    bare: Any = similar_jobs.alike

    def by_name(job: Any, *, account: str | None = None) -> str:
        del account
        key = bare(job, account="*")
        return key and f"alike:{key.rpartition(':')[2]}"

    similar_jobs.alike = conclusions.alike = by_name


def _any_price() -> None:
    """3: a yes covers the plan at whatever price."""

    def covers(approval: Any, made: Any) -> bool:
        return bool(approval.digest == made.digest)

    decide.covers = approval.covers = covers


def _against_itself() -> None:
    """4: a claim that stands counts against the step that it stands for."""
    used = Ledger.used

    def all_of_it(self: Ledger, limit: Any, now: Any, *, apart_from: Any = None) -> float:
        del apart_from
        return used(self, limit, now)

    Ledger.used = all_of_it  # type: ignore[method-assign]


def _unknown_user() -> None:
    """5: who said yes at a command line is not known."""

    def nobody(**about: Any) -> str:
        del about
        return "unknown user"

    caller.caller = nobody


def _everybodys_breaker() -> None:
    """6: a breaker pauses all accounts, and concludes what it refuses."""

    def of_the_policy(policy: str, job: Any) -> str:
        del job
        return f"breaker:{policy}"

    def concluded(self: Any, refused: Any) -> None:
        del self, refused

    decide.breaker_track = limits.breaker_track = conclusions.breaker_track = of_the_policy
    planner._Planning._paused_until = concluded  # type: ignore[method-assign]


def _given_up_after_a_day() -> None:
    """7: a job that still runs a day after an entry told of it is concluded for good."""
    follow = incident._follow

    def for_a_day(job: Any, key: str, incident: Any, services: Any, now: Any) -> str:
        if incident and not incident.attempt and now - incident.first_known > timedelta(days=1):
            ignored = Conclusion.IGNORED
            ledger = services.records.ledger
            conclusions.close_incident(incident, ledger, ignored, "not terminal after a day")
            return "given up following"
        return follow(job, key, incident, services, now)

    incident._follow = for_a_day


def _one_time_for_all() -> None:
    """8: a round's work may take the time in which alerts are delivered."""
    reconcile.DELIVERY_SECONDS, reconcile._WORK_SHARE = 0.0, 1.0


def _alerts_by_the_jobs_number() -> None:
    """9: an alert is known by the failed job's number, not by how many attempts there were."""
    owed = Outbox.messages

    def by_job(
        self: Outbox, facts: Any, channels: Any, now: Any, *, change: Any = None
    ) -> tuple[Any, ...]:
        number = re.compile(rf"\|{max(facts.attempt, len(facts.attempts))}\|(?=[^|]*$)")
        return tuple(
            replace(outbox_message, id=number.sub(f"|{facts.attempt}|", outbox_message.id))
            for outbox_message in owed(self, facts, channels, now, change=change)
        )

    Outbox.messages = by_job  # type: ignore[method-assign]


def _forsaken_with_the_failure() -> None:
    """10: what is made for a failure is forgotten once its owner deletes the failed job."""

    def close(incident: Any, config: Any, vertex: Any, records: Any, now: Any) -> str:
        del config, vertex, now
        gone = replace(incident, stage=Stage.DONE, conclusion=Conclusion.IGNORED, due=None)
        records.ledger.move(gone)
        return "the job was deleted"

    def nobodys(*args: Any) -> bool:
        del args
        return False

    reconcile.close_deleted = close
    incident.adopt_forsaken = nobodys


def _known_by_name() -> None:
    """11: a run is known by its name, which comes back."""

    def name_of(job: Any, ledger: Any) -> str:
        del ledger
        return str(job.name.key)

    def unknown(jobs: Any, ledger: Any) -> dict[str, Any]:
        known = ledger.known([job.name.key for job in jobs])
        return {job.name.key: job for job in jobs if job.name.key not in known}

    for module in (incident_key, incident, reconcile):
        module.key_of = name_of  # type: ignore[attr-defined]
    sweep.unknown_keys = unknown


def _stopped_by_one_document() -> None:
    """12: a document that cannot be read ends each round."""

    def left_there(*services: Any) -> None:
        del services

    def due(self: Ledger, now: Any, limit: int) -> tuple[Any, ...]:
        found, broken = self.due_or_broken(now, limit)
        if broken:
            raise ValueError(broken[0].why)
        return found

    reconcile._quarantine_unreadable = left_there
    Ledger.due = due  # type: ignore[method-assign]


def _a_persons_cancel() -> None:
    """13: a cancel by an entry of watch is taken for a person's."""
    Incident.is_watch_cancel = property(lambda _: False)  # type: ignore[assignment,method-assign]


def _all_stand_still() -> None:
    """14: whatever is measured stands still."""
    real = entries.judge

    def judge(case: Any, signals: Any, **asked: Any) -> Any:
        found = real(case, signals, **asked)
        since = case.job.start_time
        return replace(found, verdict=WatchVerdict.STALLED, since=since, confidence=0.9)

    entries.judge = judge


HOLES: Mapping[int, Callable[[], None]] = {
    1: _estimates_alone,
    2: _anybodys_memory,
    3: _any_price,
    4: _against_itself,
    5: _unknown_user,
    6: _everybodys_breaker,
    7: _given_up_after_a_day,
    8: _one_time_for_all,
    9: _alerts_by_the_jobs_number,
    10: _forsaken_with_the_failure,
    11: _known_by_name,
    12: _stopped_by_one_document,
    13: _a_persons_cancel,
    14: _all_stand_still,
}


def put_back(number: int) -> None:
    """From now on this process has the hole."""
    HOLES[number]()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("holes", type=int, nargs="*", choices=[*HOLES, []], help="default: all")
    parser.add_argument("--seconds", type=float, default=120.0, help="each, at most (default 120)")
    parser.add_argument("--seed", type=int, default=1, help="of each first episode (default 1)")
    args = parser.parse_args()
    found = 0
    chosen = args.holes or list(HOLES)
    for number in chosen:
        began = time.monotonic()
        command = [sys.executable, "-m", "bench.chaos", "--hole", str(number)]
        drawn = subprocess.run(
            [*command, "--seconds", str(args.seconds), "--seed", str(args.seed)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = drawn.stdout.splitlines()
        first = next((k for k, line in enumerate(lines) if " broke, after " in line), None)
        found += first is not None
        words = "not found" if first is None else f"{lines[first]} {lines[first + 1].strip()}"
        if drawn.returncode not in {0, 1} or not lines:
            words = f"it did not run: {drawn.stderr[-500:]}"
        what = str(HOLES[number].__doc__)
        print(f"hole {what} {words} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{found} of {len(chosen)} holes found")
    return int(found < min(_WANTED, len(chosen)))


if __name__ == "__main__":
    sys.exit(main())
