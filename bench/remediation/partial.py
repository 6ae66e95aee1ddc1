"""Batches of which only a part came back: the rows that are left, beside all rows once more.

`python bench/remediation/partial.py [--quick] [--write]`: prints the figures, and with `--write` puts them
into RESULTS.md. Each batch is read as it lies there (input, output, shards, error rows), by the product's
own join, and decided by its planner under `POLICY`; what is run again is run by the twin's physics, and
priced by what it really ran. What is drawn is stated in PHYSICS.md. Exit 1 where the aim is missed.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import math
import random
import re
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.remediation.fleet import NUMBER, REGION, Body
from bench.remediation.run import interval
from bench.remediation.strategies import SETTLE_HOURS, SOON_HOURS
from bench.remediation.world import BATCH, BEGINNING, CATALOGUE, Ran, told_of
from bench.results import machine as this_machine
from remediator import policy
from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Action, Attempt, History, JobState, Plan
from remediator.planning import costs, plan
from remediator.rows import AccountedRows, Files, RowFile, account
from twin.batch import run_batch
from twin.clock import rfc3339
from twin.physics import Needs, Run, Serving

HERE = Path(__file__).resolve().parent
SEEDS = (31, 32, 33, 34, 35)
COUNT = 100
AIM = 0.35  # of the dollars of running all again: the aim that was set
OURS = "gs://fleet-resume/parts"
POLICY = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction]
limits: {attempts: 4, retries: 4, usd_per_job: 1000, usd_per_day: 1000000, resubmissions_per_hour: 100000}
channels: {oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}}
policies:
  - name: half-done-batches
    when: {job: batch_prediction}
    do:
      - {resubmit: {rows: remaining}, times: 3}
      - {resubmit: {}, times: 2}
    alert: [oncall]
"""
FAILED_ROWS, DIED = "succeeded, some rows failed", "died on its way"
_MACHINES = ("n1-standard-4", "n1-standard-8", "n1-highmem-8")
_PASSING = {"code": 14, "message": "The service is currently unavailable."}
_NEVER = {"code": 3, "message": "no such role"}
_STRANGER = b'{"x": -1, "text": "of another batch", "custom_id": "stranger"}'
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch to come, and what befalls it. `dies_after` has, for each try, the hours that it lives.

    `passing`: the share of rows that fail by a message that passes, and `passes_again` whether they do in
    the next try; `never`: the rows that no run can bring. `flaw`: what is wrong with its output.
    """

    index: int
    cause: str
    body: Body
    rows: int
    cpu_seconds: float
    keyed: bool
    dies_after: tuple[float, ...]
    passing: float
    never: frozenset[int]
    passes_again: bool
    flaw: str
    kind: str = BATCH

    def course(self, rows: int) -> Run:
        """So many rows, without an incident."""
        needs = Needs(
            startup_seconds=300.0,
            load_cpu_seconds=120.0,
            serving=Serving(instances=max(rows, 1), cpu_seconds=self.cpu_seconds),
        )
        return run_batch(needs, self.body, region=REGION)


def build(seed: int, count: int) -> list[Batch]:
    """`count` batches, drawn from the seed alone."""
    chance = random.Random(f"partial/{seed}")
    return [_drawn(chance, index) for index in range(count)]


def _drawn(chance: random.Random, index: int) -> Batch:
    rows = round(math.exp(chance.uniform(math.log(2_000), math.log(20_000))))
    body = {
        "displayName": f"score-{index}",
        "model": f"projects/{NUMBER}/locations/{REGION}/models/{1000 + index}",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://fleet-{index}/in.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://fleet-{index}/out"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": chance.choice(_MACHINES)},
            "startingReplicaCount": chance.choice([1, 1, 2, 4]),
            "maxReplicaCount": 4,
        },
    }
    cause = chance.choice((FAILED_ROWS, DIED))
    seconds = math.exp(chance.uniform(math.log(0.5), math.log(8.0)))
    keyed = chance.random() < 0.5
    whole = Batch(index, cause, body, rows, seconds, keyed, (), 0.0, frozenset(), True, "")
    hours = whole.course(rows).run_seconds / 3600
    if cause == DIED:
        again = tuple(chance.expovariate(_DEATHS / hours) for _ in range(_TRIES - 1))
        lives = (chance.uniform(0.0, hours), *again)
        shares = (chance.choice([0.0, 0.0, 0.01]), chance.choice([0.0, 0.0, 0.01]))
    else:
        lives = (math.inf, *(chance.expovariate(_DEATHS / hours) for _ in range(_TRIES - 1)))
        failed = math.exp(chance.uniform(math.log(0.002), math.log(0.1)))
        shares = (failed * 0.75, failed * 0.25)
    return replace(
        whole,
        dies_after=lives,
        passing=shares[0],
        never=frozenset(number for number in range(rows) if chance.random() < shares[1]),
        passes_again=chance.random() < 0.9,
        flaw=chance.choices(("", "stranger", "nothing"), (0.9, 0.05, 0.05))[0],
    )


_DEATHS = (
    0.2  # of a second and later try, as expected over the hours that a whole batch takes; chosen
)


# --- what a run leaves ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a batch: as Vertex tells it, the rows that it was given, and what lies in its folder."""

    ran: Ran
    given: tuple[bytes, ...]
    output: tuple[bytes, ...]
    done: frozenset[int]

    @property
    def usd(self) -> float:
        """By what it really ran; each replica's start is paid too."""
        document = self.ran.document
        rate = costs.usd_per_hour(document, REGION, CATALOGUE) or 0.0
        return rate * ((document.run_seconds or 0.0) / 3600 + costs.REPLICA_START_HOURS)


def lines_of(batch: Batch) -> tuple[bytes, ...]:
    """The input; without a key, one row in ten repeats another."""
    rows = []
    for number in range(batch.rows):
        row: dict[str, Any] = {"x": number / 4, "text": f"read {number}"}
        if batch.keyed:
            row["custom_id"] = f"r{number}"
        elif number % 10 == 9:
            row = {"x": (number - 1) / 4, "text": f"read {number - 1}"}
        rows.append(json.dumps(row).encode() + b"\n")
    return tuple(rows)


def run(
    batch: Batch,
    given: tuple[bytes, ...],
    numbers: Sequence[int],
    body: Body,
    tries: int,
    at: datetime,
) -> Outcome:
    """The `tries`th run, over the rows `given`, whose places in the whole input are `numbers`."""
    course = batch.course(len(given))
    lives = batch.dies_after[tries - 1] * 3600
    dead = lives < course.run_seconds
    load = batch.course(1).run_seconds
    share = min(1.0, max(0.0, lives - load) / max(course.run_seconds - load, 1.0)) if dead else 1.0
    came_back = int(len(given) * share)
    chance = random.Random(f"{batch.index}/{tries}/{len(given)}")
    order = chance.sample(range(len(given)), came_back)  # rows come back in no order
    passing = batch.passing if tries == 1 or not batch.passes_again else 0.0
    output, done = [], set()
    for place in order:
        row, number = given[place], numbers[place]
        if number in batch.never:
            output.append(_written(row, error=_NEVER))
        elif chance.random() < passing:
            output.append(_written(row, error=_PASSING))
        else:
            done.add(number)
            output.append(_written(row, prediction=0.5))
    course = replace(
        course,
        state="JOB_STATE_FAILED" if dead else "JOB_STATE_SUCCEEDED",
        run_seconds=min(lives, course.run_seconds),
        error=(13, "INTERNAL: the batch was ended by an internal error.") if dead else None,
        successful=len(done),
        failed=len(output) - len(done),
        incomplete=len(given) - len(output),
    )
    ran = told_of(batch, body, course, tries, at, REGION)
    if batch.flaw == "nothing" and dead:
        output = []
    elif batch.flaw == "stranger" and tries == 1:
        output.append(_written(_STRANGER, prediction=0.5))
    return Outcome(ran, given, tuple(output), frozenset(done))


def _written(row: bytes, **answer: Any) -> bytes:
    """An output line: the instance, and its key beside it (`excluded_fields`)."""
    value = json.loads(row)
    key = {name: value.pop(name) for name in ("custom_id",) if name in value}
    return json.dumps({"instance": value, **key, **answer}).encode() + b"\n"


def accounted(outcome: Outcome) -> AccountedRows:
    """The rows of a run, read as the product reads them."""
    took = _file("in.jsonl", outcome.given)
    gave = [_file("prediction.results-00000-of-00001", outcome.output)] if outcome.output else []
    with tempfile.TemporaryDirectory(prefix="partial-") as folder:
        return account(Files.sorted_by_name([took], gave, []), Path(folder))


def _file(name: str, lines: Sequence[bytes]) -> RowFile:
    whole = b"".join(lines)
    return RowFile(name, lambda: io.BytesIO(whole), len(whole))


# --- what is done about it ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a batch: dollars of all its later runs, and rows of the whole input.

    `can_be_done`: rows that any run can bring. `twice`: those that the product ran though they were done.
    """

    cause: str
    usd: float
    done: int
    can_be_done: int
    twice: int
    resumes: int
    whole_again: int
    runs: int
    flaw: str


def run_all_again(batch: Batch) -> Ending:
    """All rows once more until a run succeeds, three times at most; its output is taken whole."""
    lines, numbers = lines_of(batch), range(batch.rows)
    runs = [run(batch, lines, numbers, batch.body, 1, BEGINNING)]
    while len(runs) < _TRIES:
        at = runs[-1].ran.ended + timedelta(hours=SOON_HOURS)
        runs.append(run(batch, lines, numbers, batch.body, len(runs) + 1, at))
        if runs[-1].ran.succeeded:
            break
    done = max(len(one.done) for one in runs)
    usd = sum(one.usd for one in runs[1:])
    again = len(runs) - 1
    return _ending(batch, usd, done=done, twice=len(runs[0].done), whole_again=again)


def _ending(batch: Batch, usd: float, **counts: int) -> Ending:
    all_counts = {"resumes": 0, "whole_again": 0, **counts}
    return Ending(
        batch.cause,
        usd,
        can_be_done=batch.rows - len(batch.never),
        runs=all_counts["resumes"] + all_counts["whole_again"],
        flaw=batch.flaw,
        **all_counts,
    )


@functools.cache
def _policies() -> policy.Policies:
    loaded = policy.load(POLICY, "policy", catalog=CATALOGUE)
    assert loaded.policies is not None, loaded.render()
    return loaded.policies


def remediate(batch: Batch) -> Ending:
    """The product: each run's rows are read, the planner decides, and what it asks for is run."""
    numbers: list[int] = list(range(batch.rows))
    outcome = run(batch, lines_of(batch), numbers, batch.body, 1, BEGINNING)
    attempts: list[Attempt] = []
    done = set(outcome.done)
    usd, twice, resumes = 0.0, 0, 0
    while len(attempts) < _TRIES - 1:
        found = accounted(outcome)
        now = outcome.ran.ended + timedelta(hours=SETTLE_HOURS)
        made = _planned(outcome, found, attempts, usd, now)
        if made.action is not Action.RESUBMIT or made.request is None:
            break
        if made.resume.is_new:
            resumes += 1
            given = tuple(found.remaining())
            numbers = _places(given, outcome.given, numbers, outcome.done)
        else:  # all rows of the last run
            given = outcome.given
            twice += len(done & set(numbers))
        attempts.append(_attempt_of(made, len(attempts) + 1, now))
        outcome = run(batch, given, numbers, dict(made.request), len(attempts) + 1, now)
        usd += outcome.usd
        done |= outcome.done
    return _ending(
        batch,
        usd,
        done=len(done),
        twice=twice,
        resumes=resumes,
        whole_again=len(attempts) - resumes,
    )


def _places(
    left: Sequence[bytes], given: Sequence[bytes], numbers: Sequence[int], done: frozenset[int]
) -> list[int]:
    """Where the rows that are left stand in the whole input; of equal rows, any that is not done.

    Raises AssertionError where a row is sent that is done, or that was never given.
    """
    places: dict[bytes, list[int]] = {}
    for row, number in zip(given, numbers, strict=True):
        if number not in done:
            places.setdefault(row, []).append(number)
    assert all(places.get(row) for row in left), "a row that is done is sent again"
    return [places[row].pop() for row in left]


def _planned(
    outcome: Outcome, found: AccountedRows, attempts: Sequence[Attempt], usd: float, now: datetime
) -> Plan:
    document = outcome.ran.document
    case = structs.replace(
        Case.parse({"job": document.to_json(), "now": rfc3339(now)}),
        rows=found.account,
        attempts=tuple(attempts),
    )
    history = History(
        attempts=tuple(attempts), root=str(document.name), usd_this_job=usd, resume_bucket=OURS
    )
    verdict = diagnose(case)
    made = plan(case, verdict, _policies(), history, CATALOGUE)
    if made.action is Action.WAIT:
        made = plan(case, verdict, _policies(), history, CATALOGUE, waited=True)
    return made


def _attempt_of(made: Plan, number: int, now: datetime) -> Attempt:
    return Attempt(
        name=f"attempt/{number}",
        state=JobState.FAILED,
        create_time=now,
        policy=made.policy,
        step=made.step,
        verdict=made.verdict.value,
        changes=made.changes,
        number=number,
        estimated_usd=made.estimated_usd,
    )


# --- figures ---------------------------------------------------------------------------------------

Pair = tuple[Ending, Ending]


def treated(seed: int, count: int) -> list[Pair]:
    """(the product's, all rows again) for each batch of a seed."""
    return [(remediate(batch), run_all_again(batch)) for batch in build(seed, count)]


def ratio(pairs: Sequence[Pair]) -> float | None:
    """The product's dollars over those of running all rows again; None: no batch."""
    spent = sum(theirs.usd for _, theirs in pairs)
    return sum(ours.usd for ours, _ in pairs) / spent if spent else None


def _share_done(endings: Sequence[Ending]) -> str:
    return _share(sum(one.done for one in endings), endings)


def _share(rows: int, endings: Sequence[Ending]) -> str:
    can = sum(one.can_be_done for one in endings)
    return f"{rows / can:.2%}" if can else "-"


def report(seeds: Sequence[int], count: int) -> tuple[str, bool]:
    """The figures as text, and whether the aim is met."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        fleets = list(pool.map(treated, seeds, [count] * len(seeds)))
    every = [pair for fleet in fleets for pair in fleet]
    kinds = {
        "all": lambda _: True,
        FAILED_ROWS: lambda one: one.cause == FAILED_ROWS,
        DIED: lambda one: one.cause == DIED,
        "output that does not add up": lambda one: one.flaw == "stranger",
        "died, and left nothing": lambda one: one.cause == DIED and one.flaw == "nothing",
    }
    rows = [
        "| batches | number | dollars over running all again | rows done in the end, of those that can be | the same, all run again | done rows run twice | resumed | run whole again |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, is_of in kinds.items():
        told = [[pair for pair in fleet if is_of(pair[0])] for fleet in fleets]
        ours = [pair[0] for fleet in told for pair in fleet]
        theirs = [pair[1] for fleet in told for pair in fleet]
        cells = (
            f"{len(ours)}",
            interval([ratio(fleet) for fleet in told], "{:.2f}"),
            _share_done(ours),
            _share_done(theirs),
            _share(sum(one.twice for one in ours), ours),
            f"{sum(one.resumes for one in ours)}",
            f"{sum(one.whole_again for one in ours)}",
        )
        rows.append(f"| {name} | {' | '.join(cells)} |")
    found = ratio(every) or 0.0
    stands = "met" if found <= AIM else "**missed**"
    lines = [
        "## Partial batches",
        "",
        (
            f"Printed by `python bench/remediation/partial.py` on {datetime.now(UTC):%Y-%m-%d}, {this_machine()}. "
            f"{len(seeds)} seeds of {count} batches of custom models; ± is the 95% interval over seeds. What is "
            "drawn is stated in [PHYSICS.md](PHYSICS.md#partial-batches)."
        ),
        "",
        *rows,
        "",
        f"Aim: at most {AIM} of the dollars of running all rows again; found {found:.2f}: {stands}.",
    ]
    return "\n".join(lines) + "\n", found <= AIM


def main() -> int:
    """Runs it; 0 where the aim is met, or where the fleet is too small to say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed of 20, printed only")
    parser.add_argument("--write", action="store_true", help="put the figures into RESULTS.md")
    asked = parser.parse_args()
    text, met = report(SEEDS[:1] if asked.quick else SEEDS, 20 if asked.quick else COUNT)
    print(text)
    if asked.write and not asked.quick:
        _put(text)
    return 0 if met or asked.quick else 1


def _put(text: str) -> None:
    """This section of RESULTS.md, in place of the old one; the others stay."""
    file = HERE / "RESULTS.md"
    old = file.read_text()
    rest = re.sub(r"\n## Partial batches\n.*?(?=\n##? |\Z)", "\n", old, flags=re.DOTALL)
    file.write_text(f"{rest.rstrip()}\n\n{text}")


if __name__ == "__main__":
    raise SystemExit(main())
