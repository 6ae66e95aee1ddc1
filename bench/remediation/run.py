"""The remediation benchmark: ten strategies over the same failing jobs, side by side in one run.

`python bench/remediation/run.py`: prints the figures, and puts them into RESULTS.md here with the
plots beside it. `--quick`: a small fleet, printed only. Exit 1 where an aim of `_AIMS` is missed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.remediation import plots
from bench.remediation.fleet import MIXES, Job
from bench.remediation.fleets import Body, Fleet
from bench.remediation.lists import LISTS, anything, in_shipped_lists, in_wide_lists, policies
from bench.remediation.strategies import (
    Blind,
    Doubling,
    Engineer,
    Failover,
    Ladder,
    Nothing,
    Oracle,
    Product,
    Strategy,
    TransientOnly,
    machine,
)
from bench.remediation.strategies import cheapest as cheapest_of_first
from bench.remediation.table import FIRST, fleet_named
from bench.remediation.world import CATALOGUE
from remediator.catalog.catalog import Hardware

HERE = Path(__file__).resolve().parent
SEEDS = (11, 12, 13, 14, 15)
COUNT = 500
OTHERS = 200  # jobs a seed in the other mixes
_OTHERS = "# Other fleets"  # from here on RESULTS.md is kept by hand
LEARNERS = tuple(range(16, 26))  # further seeds of the even mix, for what is learned alone
OURS = "vertex-remediator"
FORGETFUL = f"{OURS}, forgetful"
SIZED = f"{OURS}, every size `sized`"
DOUBLING = "double everything"
LADDER = "fixed ladder: n1-standard-8, -16, + T4"
FAILOVER = Failover.name
ENGINEER = "a good engineer told the cause"
ORACLE = "an oracle"


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one job under one strategy. Money of its resubmissions alone, in USD."""

    cause: str
    index: int
    recoverable: bool
    recovered: bool
    usd: float
    hours: float
    attempts: int
    wrong: int
    slack: float | None
    verdict: str
    within_lists: bool = True
    within_wide: bool = True
    losses: int = 0
    vain: int = 0
    vain_usd: float = 0.0


def strategies() -> list[Strategy]:
    return [
        Nothing(),
        Blind(),
        TransientOnly(),
        Doubling(),
        Ladder(),
        Failover(),
        Product(policies()),
        Product(policies(), name=FORGETFUL, remembers=False),
        Product(policies(sized=True), name=SIZED),
        Engineer(),
        Oracle(),
    ]


def treat(
    strategy: Strategy,
    job: Job,
    recoverable: bool,
    fleet: Fleet = FIRST,
    *,
    within_lists: bool = True,
    within_wide: bool = True,
) -> Told:
    """One job from its first failure to its end under one strategy."""
    strategy.over(fleet)
    at = fleet.first_at(job)
    runs = [fleet.run(job, job.body, 1, at)]
    usd = 0.0
    wrong = 0
    lost = 0
    bodies = [job.body]
    while not runs[-1].succeeded and len(runs) < 15:
        found = strategy.decide(job, runs)
        if found is None:
            break
        body, hours = found
        wrong += not fleet.is_right(job, bodies[-1], body)
        lost += bool(fleet.losses(job, body))
        bodies.append(body)
        runs.append(fleet.run(job, body, len(runs) + 1, runs[-1].ended + timedelta(hours=hours)))
        usd += runs[-1].usd
    strategy.ended(job, runs)
    verdicts = getattr(strategy, "verdicts", [])
    return Told(
        cause=job.cause,
        index=job.index,
        recoverable=recoverable,
        recovered=runs[-1].succeeded,
        usd=usd,
        hours=(runs[-1].ended - runs[0].ended).total_seconds() / 3600,
        attempts=len(runs) - 1,
        wrong=wrong,
        slack=_slack(job, bodies[-1]) if runs[-1].succeeded and len(runs) > 1 else None,
        verdict=verdicts[0] if verdicts else "",
        within_lists=within_lists,
        within_wide=within_wide,
        losses=lost,
        vain=sum(ran.usd > 0 and not ran.succeeded for ran in runs[1:]),
        vain_usd=sum(ran.usd for ran in runs[1:] if not ran.succeeded),
    )


def _slack(job: Job, body: dict[str, object]) -> float | None:
    """How much of the final machine's memory a custom job that died of memory leaves unused."""
    if job.cause != "memory_pressure" or job.kind != "customJobs" or not hasattr(job, "needs"):
        return None
    found = CATALOGUE.machine(str(machine(body)["machineType"]))
    need = max(one.memory_gib for one in job.needs.sections)
    return 1 - need / found.memory_gib if found else None


def fleet_of(seed: int, mix: str, count: int, names: tuple[str, ...] = ()) -> dict[str, list[Told]]:
    """Every strategy, or those of these names, over one fleet of the twin's physics."""
    return treated(FIRST, seed, mix, count, strategies(), names)


def treated(
    fleet: Fleet,
    seed: int,
    mix: str,
    count: int,
    tried: Sequence[Strategy],
    names: tuple[str, ...] = (),
) -> dict[str, list[Told]]:
    """Each strategy over the same failures of a fleet."""
    fleet = replace(fleet, cheapest=_found_once(fleet.cheapest))
    drawn = fleet.build(seed, count * 3, mix)
    jobs = [job for job in drawn if not fleet.run(job, job.body, 1, fleet.first_at(job)).succeeded][
        :count
    ]
    recoverable = {job.index: fleet.cheapest(job) is not None for job in jobs}
    within = [
        {
            job.index: recoverable[job.index] and fleet.cheapest(job, allowed) is not None
            for job in jobs
        }
        for allowed in (in_shipped_lists, in_wide_lists)
    ]
    return {
        strategy.name: [
            treat(
                strategy,
                job,
                recoverable[job.index],
                fleet,
                within_lists=within[0][job.index],
                within_wide=within[1][job.index],
            )
            for job in jobs
        ]
        for strategy in tried
        if not names or strategy.name in names
    }


def _found_once(cheapest: Callable[..., Body | None]) -> Callable[..., Body | None]:
    """The search for a job's cheapest request, once for each job of one fleet and each list."""
    found: dict[tuple[int, object], Body | None] = {}

    def once(job: Job, allowed: Callable[[Hardware], bool] = anything) -> Body | None:
        # The first fleet's search knows no lists.
        key = (job.index, anything if cheapest is cheapest_of_first else allowed)
        if key not in found:
            found[key] = cheapest(job, allowed)
        return found[key]

    return once


# --- figures ---------------------------------------------------------------------------------------

Figure = Callable[[list[Told]], float | None]


def recovered(told: Sequence[Told]) -> float | None:
    can = [one for one in told if one.recoverable]
    return sum(one.recovered for one in can) / len(can) if can else None


def wasted(told: Sequence[Told]) -> float:
    return sum(one.usd for one in told if not one.recoverable)


def wrong_share(told: Sequence[Told]) -> float | None:
    made = sum(one.attempts for one in told)
    return sum(one.wrong for one in told) / made if made else None


def mean_slack(told: Sequence[Told]) -> float | None:
    found = [one.slack for one in told if one.slack is not None]
    return statistics.mean(found) if found else None


def median_hours(told: Sequence[Told]) -> float | None:
    found = [one.hours for one in told if one.recovered and one.attempts]
    return statistics.median(found) if found else None


def attempts(told: Sequence[Told]) -> float | None:
    can = [one.attempts for one in told if one.recoverable]
    return statistics.mean(can) if can else None


def usd(told: Sequence[Told]) -> float:
    return sum(one.usd for one in told)


def usd_a_recovery(told: Sequence[Told]) -> float | None:
    done = sum(one.recovered for one in told)
    return usd(told) / done if done else None


def interval(values: Sequence[float | None], form: str) -> str:
    """Mean over seeds and its 95% interval (Student's t)."""
    known = [one for one in values if one is not None]
    if not known:
        return "-"
    mean = statistics.mean(known)
    if len(known) < 2:
        return form.format(mean)
    # Of other numbers of seeds, too wide rather than too narrow.
    t = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 15: 2.145}.get(len(known), 2.78)
    half = t * statistics.stdev(known) / len(known) ** 0.5
    return f"{form.format(mean)} ± {form.replace('+', '').format(half)}"


def table(fleets: Sequence[dict[str, list[Told]]]) -> list[str]:
    names = list(fleets[0])
    oracle = [usd(fleet[ORACLE]) for fleet in fleets]
    rows = [
        "| strategy | recovered of those recoverable | money / oracle's | money / the engineer's | of jobs with which both fare alike | $ a recovery | $ on what nothing fixes | wrong actions | attempts | median hours to recovery | memory slack |",
        "| --- |" + " --: |" * 10,
    ]
    for name in names:
        told = [fleet[name] for fleet in fleets]
        against = [over_engineer(fleet, name) for fleet in fleets]
        cells = [
            interval([recovered(one) for one in told], "{:.1%}"),
            interval([usd(one) / base for one, base in zip(told, oracle, strict=True)], "{:.2f}"),
            interval([plain for plain, _ in against], "{:.2f}"),
            interval([alike for _, alike in against], "{:.2f}"),
            interval([usd_a_recovery(one) for one in told], "{:.2f}"),
            interval([wasted(one) for one in told], "{:.2f}"),
            interval([wrong_share(one) for one in told], "{:.1%}"),
            interval([attempts(one) for one in told], "{:.2f}"),
            interval([median_hours(one) for one in told], "{:.2f}"),
            interval([mean_slack(one) for one in told], "{:.0%}"),
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def over_engineer(fleet: dict[str, list[Told]], name: str) -> tuple[float | None, float | None]:
    """A strategy's money over the engineer's: of all jobs, and of those that both recover or neither.

    Who recovers less spends less: the first figure rises with what is recovered, the second does not.
    """
    pairs = list(zip(fleet[name], fleet[ENGINEER], strict=True))
    alike = [(one, other) for one, other in pairs if one.recovered == other.recovered]
    sums = [
        (sum(one.usd for one, _ in some), sum(other.usd for _, other in some))
        for some in (pairs, alike)
    ]
    whole, part = (ours / theirs if theirs else None for ours, theirs in sums)
    return whole, part


def by_cause(fleets: Sequence[dict[str, list[Told]]], names: Sequence[str]) -> list[str]:
    causes = sorted({one.cause for fleet in fleets for one in fleet[names[0]]})
    rows = [
        f"| cause | jobs | recoverable | {' | '.join(names)} | verdict right | wrong actions |",
        f"| --- | --: | --: |{' --: |' * (len(names) + 2)}",
    ]
    for cause in causes:
        told = {n: [o for f in fleets for o in f[n] if o.cause == cause] for n in names}
        ours = told[OURS]
        can = sum(one.recoverable for one in ours)
        shares = [recovered(told[name]) for name in names]
        cells = [f"{share:.0%}" if share is not None else "-" for share in shares]
        right = sum(one.verdict == cause for one in ours) / len(ours)
        made = sum(one.attempts for one in ours)
        bad = f"{sum(one.wrong for one in ours)} of {made}"
        rows.append(
            f"| {cause} | {len(ours)} | {can} | {' | '.join(cells)} | {right:.0%} | {bad} |"
        )
    return rows


def learning(fleets: Sequence[dict[str, list[Told]]], name: str) -> list[tuple[float, float]]:
    """(share of the fleet gone by, dollars a recovery in that tenth), over all seeds."""
    points = []
    for tenth in range(10):
        found: list[Told] = []
        for fleet in fleets:
            told = [one for one in fleet[name] if one.recoverable]
            size = len(told)
            found += told[size * tenth // 10 : size * (tenth + 1) // 10]
        value = usd_a_recovery(found)
        if value is not None:
            points.append(((tenth + 0.5) / 10, value))
    return points


def halves(told: Sequence[Told]) -> tuple[list[Told], list[Told]]:
    """The recoverable failures of one fleet, in their order, cut in the middle."""
    can = [one for one in told if one.recoverable]
    return can[: len(can) // 2], can[len(can) // 2 :]


def half_over_half(fleets: Sequence[dict[str, list[Told]]], name: str) -> list[str]:
    """What the second half of a fleet costs over the first: a recovery, and over the oracle's money.

    Which jobs fall into which half is chance, and moves the first figure. The oracle treats each job
    by itself: its money says what the half's jobs cost at least. Jobs that were not recovered are
    left out of the second figure, since they cost nothing and bring nothing.
    """
    plain, weighed, tries = [], [], []
    for fleet in fleets:
        parts = halves(fleet[name])
        before, after = (usd_a_recovery(part) for part in parts)
        plain.append(after / before if before and after else None)
        least = {one.index: one.usd for one in fleet[ORACLE]}
        done = [[one for one in part if one.recovered] for part in parts]
        first, second = (usd(part) / sum(least[one.index] for one in part) for part in done)
        weighed.append(second / first)
        tries.append((attempts(parts[1]) or 0.0) / (attempts(parts[0]) or 1.0))
    return [interval(values, "{:.3f}") for values in (plain, weighed, tries)]


def memory(fleets: Sequence[dict[str, list[Told]]]) -> list[str]:
    """Rows: the same failures with the ledger's memory over those without it, by half of a fleet."""
    rows = []
    for half, words in enumerate(("first", "second")):
        money, tries, share = [], [], []
        for fleet in fleets:
            ours, without = (halves(fleet[name])[half] for name in (OURS, FORGETFUL))
            money.append((usd_a_recovery(ours) or 0.0) / (usd_a_recovery(without) or 1.0))
            tries.append((attempts(ours) or 0.0) / (attempts(without) or 1.0))
            share.append((recovered(ours) or 0.0) - (recovered(without) or 0.0))
        cells = [interval(values, "{:.3f}") for values in (money, tries)]
        rows.append(f"| {words} | {' | '.join(cells)} | {interval(share, '{:+.1%}')} |")
    return rows


def confusions(fleets: Sequence[dict[str, list[Told]]]) -> list[str]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for fleet in fleets:
        for one in fleet[OURS]:
            if one.verdict != one.cause:
                counts[one.cause, one.verdict] += 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:20]
    return [
        "| truth | verdict | times |",
        "| --- | --- | --: |",
        *(f"| {truth} | {verdict} | {times} |" for (truth, verdict), times in ordered),
    ]


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim of the even mix: what was found, as a mean over seeds, and how much it may be."""

    words: str
    found: float
    bound: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    @property
    def row(self) -> str:
        side = "at least" if self.at_least else "at most"
        stands = "met" if self.is_met else "**missed**"
        return f"| {self.words} | {side} {self.bound:g} | {self.found:.3f} | {stands} |"


def aims(
    even: Sequence[dict[str, list[Told]]], learned: Sequence[dict[str, list[Told]]]
) -> list[Aim]:
    """The aims of the benchmark, beside what this run found."""

    def mean(name: str, figure: Figure) -> float:
        return statistics.mean(figure(fleet[name]) or 0.0 for fleet in even)

    def money(name: str) -> float:
        return statistics.mean(usd(fleet[name]) / usd(fleet[ORACLE]) for fleet in even)

    told_nothing = [name for name in even[0] if not name.startswith((OURS, ENGINEER, ORACLE))]
    better = [
        name
        for name in told_nothing
        if mean(name, recovered) >= mean(OURS, recovered) and money(name) <= money(OURS)
    ]
    pairs = [(halves(fleet[OURS])[1], halves(fleet[FORGETFUL])[1]) for fleet in learned]
    kept = statistics.mean(
        (usd_a_recovery(ours) or 0.0) / (usd_a_recovery(without) or 1.0) for ours, without in pairs
    )
    return [
        Aim("recovered of those recoverable", mean(OURS, recovered), 0.97, at_least=True),
        Aim("money, of the engineer's who is told the cause", money(OURS) / money(ENGINEER), 0.71),
        Aim("wrong actions, of all resubmissions", mean(OURS, wrong_share), 0.005),
        Aim("strategies that are better on both recovery and money", len(better), 0),
        Aim(
            "dollars a recovery in the second half, with the ledger's memory over without", kept, 1
        ),
    ]


def report(seeds: Sequence[int], count: int, *, write: bool) -> tuple[str, bool]:
    """The figures as text, and whether every aim is met; the plots too, where `write`."""
    began = time.monotonic()
    learners = (OURS, FORGETFUL, DOUBLING, ORACLE)
    work = [
        (s, mix, count if mix == "even" else min(count, OTHERS), ()) for mix in MIXES for s in seeds
    ]
    work += [(s, "even", count, learners) for s in LEARNERS] if write else []
    with ProcessPoolExecutor(max_workers=2) as pool:
        done = list(pool.map(fleet_of, *zip(*work, strict=True)))
    fleets = {
        mix: [
            one for one, (_, m, _, names) in zip(done, work, strict=True) if m == mix and not names
        ]
        for mix in MIXES
    }
    even = fleets["even"]
    learned = [one for one, (_, mix, _, _) in zip(done, work, strict=True) if mix == "even"]
    found = aims(even, learned)
    lines = [
        "# Remediation: figures",
        "",
        (
            f"Printed by `python bench/remediation/run.py` on {datetime.now(UTC):%Y-%m-%d}, "
            f"{platform.machine()}, Python {platform.python_version()}, in {time.monotonic() - began:.0f} s. "
            f"{len(seeds)} seeds of {count} failing jobs in the even mix and of {min(count, OTHERS)} in each other; ± is the 95% interval over seeds. "
            "What happens to a job is stated in [PHYSICS.md](PHYSICS.md)."
        ),
        "",
        'Money is that of resubmissions alone, by what they really ran. A wrong action is a resubmission whose change is no remedy for the true cause, of all resubmissions. "Forgetful" is the same product with an empty ledger for each job.',
        "",
        "| aim, in the even mix | bound | found | |",
        "| --- | --- | --: | --- |",
        *(aim.row for aim in found),
        "",
    ]
    for mix, told in fleets.items():
        lines += [f"## The {mix} mix", "", *table(told), ""]
    lines += [
        "## By cause (the even mix)",
        "",
        *by_cause(even, [OURS, FORGETFUL, DOUBLING, LADDER, ENGINEER]),
        "",
        "## First verdicts that were wrong (the even mix)",
        "",
        *confusions(even),
        "",
        "## Learning from the ledger",
        "",
        f"The second half of a fleet over the first, {len(learned)} seeds of the even mix (below 1: cheaper):",
        "",
        "| strategy | dollars a recovery | money over the oracle's for the same recovered jobs | attempts a recoverable job |",
        "| --- | --: | --: | --: |",
        *(f"| {name} | {' | '.join(half_over_half(learned, name))} |" for name in learners[:3]),
        "",
        "The same failures with the ledger's memory over those without it:",
        "",
        "| half of the fleet | dollars a recovery | attempts | recovered of those recoverable |",
        "| --- | --: | --: | --: |",
        *memory(learned),
    ]
    if write:
        points = [
            (
                name,
                statistics.mean(usd(f[name]) / usd(f[ORACLE]) for f in even),
                statistics.mean(recovered(f[name]) or 0.0 for f in even),
            )
            for name in even[0]
        ]
        (HERE / "recovered.svg").write_text(plots.scatter(points))
        (HERE / "learning.svg").write_text(
            plots.lines({name: learning(learned, name) for name in (OURS, FORGETFUL)})
        )
        lines += ["", "![Recovered against money](recovered.svg)", "", "![Learning](learning.svg)"]
    return "\n".join(lines) + "\n", all(aim.is_met for aim in found)


def other_fleet(name: str, seeds: Sequence[int], count: int) -> str:
    """The figures of another fleet, with the shipped lists and with A100s allowed, as text."""
    work = [(name, seed, count) for seed in seeds]
    with ProcessPoolExecutor(max_workers=2) as pool:
        fleets = list(pool.map(_other, *zip(*work, strict=True)))
    names = list(fleets[0])
    lines = [
        f"## The fleet `{fleet_named(name).name}`",
        "",
        (
            f"{len(seeds)} seeds of {count} failing jobs. Within the lists: of those that the shipped "
            "lists leave recoverable, by hardware of the lists alone; the engineer and the oracle are bound by none, "
            "unless named so. A loss: an attempt with fewer or smaller devices than the first "
            "job had, or in another part of the world than its data, which no policy names."
        ),
        "",
        "| strategy | recovered of those recoverable | of those within the shipped lists | of those within the lists with A100s | money / the engineer's | $ on what nothing fixes | wrong actions | attempts that lose | paid for and failed | of attempts |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for one in names:
        told = [fleet[one] for fleet in fleets]
        listed = [[t for t in f if t.within_lists] for f in told]
        wider = [[t for t in f if t.within_wide] for f in told]
        money = [usd(f[one]) / usd(f[ENGINEER]) if usd(f[ENGINEER]) else None for f in fleets]
        cells = [
            interval([recovered(f) for f in told], "{:.1%}"),
            interval([recovered(f) for f in listed], "{:.1%}"),
            interval([recovered(f) for f in wider], "{:.1%}"),
            interval(money, "{:.2f}"),
            interval([wasted(f) for f in told], "{:.2f}"),
            interval([wrong_share(f) for f in told], "{:.1%}"),
            str(sum(t.losses for f in told for t in f)),
            f"{sum(t.vain for f in told for t in f)}, ${sum(t.vain_usd for f in told for t in f):.2f}",
            str(sum(t.attempts for f in told for t in f)),
        ]
        lines.append(f"| {one} | {' | '.join(cells)} |")
    lines += ["", *by_cause(fleets, [*list(LISTS)[:2], DOUBLING, FAILOVER, ENGINEER])]
    return "\n".join(lines) + "\n"


def _other(name: str, seed: int, count: int) -> dict[str, list[Told]]:
    fleet = fleet_named(name)
    tried = [
        Doubling(),
        Ladder(),
        Failover(),
        *(Product(lists(), name=words) for words, lists in LISTS.items()),
        Engineer(),
        Engineer(in_wide_lists, f"{ENGINEER}, by the lists with A100s"),
        Oracle(),
    ]
    return treated(fleet, seed, "even", count, tried)


def main() -> int:
    """Runs it; 0 where every aim is met, or where the fleet is too small to say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed of 60 jobs, printed only")
    parser.add_argument("--write", action="store_true", help="as without it; kept for scripts")
    parser.add_argument("--fleet", help="another fleet alone: a name of table.py, or a module")
    asked = parser.parse_args()
    quick = asked.quick
    if asked.fleet:
        print(other_fleet(asked.fleet, SEEDS[:1] if quick else SEEDS, 60 if quick else 120))
        return 0
    text, kept = report((11,), 60, write=False) if quick else report(SEEDS, COUNT, write=True)
    print(text)
    if quick:
        return 0
    results = HERE / "RESULTS.md"
    _, marker, others = results.read_text().partition(_OTHERS)
    results.write_text(f"{text}\n{marker}{others}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
