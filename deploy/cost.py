"""What a deployment costs a month, by how many jobs fail: `python3 deploy/cost.py JOBS`.

Standard library only, so that `deploy.sh --cost` needs nothing installed. Owns the list prices that it
counts with and the usage that was measured; says both, and what it leaves out. What is resubmitted
costs what those jobs cost, and is no part of this.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

DAYS = 30
ROUNDS = DAYS * 24 * 60  # Scheduler calls `reconcile` every minute

# List prices of November 2026 in US dollars, of us-central1 and other regions of the lowest tier:
# https://cloud.google.com/run/pricing, https://cloud.google.com/firestore/pricing (a database of its
# own name has no free quota), https://cloud.google.com/stackdriver/pricing,
# https://cloud.google.com/scheduler/pricing, https://cloud.google.com/secret-manager/pricing,
# https://cloud.google.com/pubsub/pricing.
VCPU_SECOND = 0.000024
GIB_SECOND = 0.0000025
MILLION_REQUESTS = 0.40
HUNDRED_THOUSAND_READS = 0.03
HUNDRED_THOUSAND_WRITES = 0.09
HUNDRED_THOUSAND_DELETES = 0.01
LOG_GIB = 0.50
SCHEDULER_JOB = 0.10
SECRET_VERSION = 0.06
# What every billing account has free each month (Cloud Run), every project (Logging).
FREE_VCPU_SECONDS = 180_000
FREE_GIB_SECONDS = 360_000
FREE_REQUESTS = 2_000_000
FREE_LOG_GIB = 50.0

MEMORY_GIB = 0.5  # deploy/terraform: `memory`


@dataclass(frozen=True)
class Usage:
    """What one round, or one failed job, uses."""

    seconds: float
    reads: float
    writes: float
    deletes: float
    log_kib: float


# Measured on the twin (tests/deploy/test_cost.py counts again): documents of the ledger for a round
# with nothing to do, for each look that a round takes at an attempt that runs, and for a job that is
# diagnosed, resubmitted and recovers, with two channels. Seconds and log lines: chosen; what a round
# and an event take on Google's side of the wire is not measured.
ROUND = Usage(seconds=1.5, reads=5, writes=1, deletes=0, log_kib=0.6)
LOOK = Usage(seconds=0.2, reads=7, writes=1, deletes=0, log_kib=0.3)
FAILURE = Usage(seconds=10.0, reads=71, writes=44, deletes=0, log_kib=8.0)
ATTEMPT_HOURS = 2.0  # chosen: how long an attempt runs, and so is looked at


def monthly(jobs: int) -> list[tuple[str, float, float]]:
    """Each item with its price beyond what is free, and without anything free."""
    looks = jobs * ATTEMPT_HOURS * 60

    def all_of(name: str) -> float:
        one, look, each = (float(getattr(part, name)) for part in (ROUND, LOOK, FAILURE))
        return ROUNDS * one + looks * look + jobs * each

    seconds, reads, writes = all_of("seconds"), all_of("reads"), all_of("writes")
    deletes, log_gib = all_of("deletes"), all_of("log_kib") / 1024**2
    requests = ROUNDS + jobs * 3

    def run(free: float) -> float:
        return (
            max(0.0, seconds - free * FREE_VCPU_SECONDS) * VCPU_SECOND
            + max(0.0, seconds * MEMORY_GIB - free * FREE_GIB_SECONDS) * GIB_SECOND
            + max(0.0, requests - free * FREE_REQUESTS) / 1e6 * MILLION_REQUESTS
        )

    ledger = (
        reads * HUNDRED_THOUSAND_READS
        + writes * HUNDRED_THOUSAND_WRITES
        + deletes * HUNDRED_THOUSAND_DELETES
    ) / 1e5
    return [
        ("Cloud Run", run(1.0), run(0.0)),
        ("Firestore", ledger, ledger),
        ("Cloud Logging", max(0.0, log_gib - FREE_LOG_GIB) * LOG_GIB, log_gib * LOG_GIB),
        ("Cloud Scheduler", 0.0, SCHEDULER_JOB),
        ("Secret Manager", 0.0, 2 * SECRET_VERSION),
    ]


def table(jobs: int) -> str:
    """The preview as it is printed."""
    rows = monthly(jobs)
    lines = [f"A month with {jobs:,} failed jobs, in US dollars:", ""]
    lines.append(f"  {'':16}  {'beyond what is free':>20}  {'nothing free':>12}")
    lines += [f"  {name:16}  {paid:20.2f}  {whole:12.2f}" for name, paid, whole in rows]
    paid, whole = (sum(row[n] for row in rows) for n in (1, 2))
    lines.append(f"  {'together':16}  {paid:20.2f}  {whole:12.2f}")
    lines += ["", *ASSUMPTIONS]
    return "\n".join(lines) + "\n"


ASSUMPTIONS = (
    "List prices of November 2026, lowest tier of regions; look yours up before you rely on them.",
    f"Assumed: a round every minute of {ROUND.seconds} s, {FAILURE.seconds:.0f} s a failed job, an attempt of",
    f"{ATTEMPT_HOURS:g} hours that each round looks at for {LOOK.seconds} s (chosen), one vCPU, 512 MiB; {ROUND.reads:g} reads",
    f"and {ROUND.writes:g} write of the ledger a round, {LOOK.reads:g} and {LOOK.writes:g} a look, {FAILURE.reads:g} and {FAILURE.writes:g} a failed job",
    "(measured on the twin). Left out, since they are cents or billed elsewhere: Pub/Sub, the images in",
    "Artifact Registry, egress, a VPC connector, Cloud Monitoring's alerting policies, and the resubmitted",
    "jobs themselves.",
)


def main(arguments: list[str]) -> int:
    """0, or 2 where the number of jobs makes no sense."""
    if len(arguments) != 1 or not arguments[0].isascii() or not arguments[0].isdigit():
        print("usage: cost.py JOBS (how many jobs fail in a month)", file=sys.stderr)
        return 2
    print(table(int(arguments[0])), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
