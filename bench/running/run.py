"""Jobs that never fail: how well a standstill is told from work, and how soon.

Every job of a fleet is looked at as often as `reconcile` looks at it, and two minutes after a first
suspicion; what two looks in a row say is an alarm, one for each spell. `--seed` is another fleet,
`--tuned` one the rules were tuned on. Results: README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.running.other_kinds import others  # noqa: E402
from bench.running.physics import NEVER, START, Lateness, Run, observed  # noqa: E402
from bench.running.recordings import recordings  # noqa: E402
from bench.running.scenes import fleet, paced  # noqa: E402
from remediator.case import Case  # noqa: E402
from remediator.catalog.catalog import Catalog  # noqa: E402
from remediator.domain import NOTHING_WRONG, STANDSTILL, WatchVerdict  # noqa: E402
from remediator.watch import watch  # noqa: E402
from remediator.watch.past_view import PastView  # noqa: E402
from remediator.watch.schedule import LOOK_AGAIN, look_every  # noqa: E402

WITHIN = {
    True: 45,
    False: 80,
}  # minutes within which a standstill must be told, with an accelerator or not
TUNED = (1, 2)
HELD_BACK = (101, 102)


@dataclass(slots=True)
class Alarm:
    verdict: WatchVerdict
    minute: int


@dataclass(slots=True)
class Watched:
    """What became of one job: its alarms, what was thought of it at half of its time-out, its looks."""

    run: Run
    alarms: list[Alarm] = field(default_factory=list)
    at_half: WatchVerdict | None = None
    looks: int = 0
    unknown: int = 0
    seconds: float = 0.0


def view_of(run: Run, seed: int) -> PastView:
    """One job as it can be seen at any minute, parsed once."""
    late = Lateness.drawn(run, seed)
    case = Case.parse(observed(run, run.minutes + 20, late))
    return PastView(case, late=timedelta(minutes=late.minutes))


def watched(run: Run, seed: int, catalog: Catalog) -> Watched:
    """The job looked at all through its life."""
    view, found = view_of(run, seed), Watched(run)
    half = int(min(run.timeout, run.needed or run.timeout) / 2) if run.needed else None
    first = watch(view.at(START), catalog)
    price = first.usd_per_hour if first else None
    pause = _minutes(look_every(price, has_accelerator=run.has_accelerator))
    minute, suspected, alarmed = pause, None, None
    while minute < run.minutes:
        case = view.at(START + timedelta(minutes=minute))
        began = time.process_time()
        seen = watch(case, catalog)
        found.seconds += time.process_time() - began
        found.looks += 1
        verdict = seen.verdict if seen else WatchVerdict.UNKNOWN
        found.unknown += verdict is WatchVerdict.UNKNOWN
        if half is not None and found.at_half is None and minute >= half:
            found.at_half = verdict
        if verdict in NOTHING_WRONG:
            suspected = alarmed = None
            minute += pause
            continue
        if suspected == verdict and alarmed != verdict:
            found.alarms.append(Alarm(verdict, minute))
            alarmed = verdict
        minute += pause if suspected == verdict else _minutes(LOOK_AGAIN)
        suspected = verdict
    return found


def _minutes(span: timedelta) -> int:
    return round(span.total_seconds() / 60)


def is_right(alarm: Alarm, run: Run) -> bool:
    """Whether the alarm tells the truth; of a standstill its two names may be taken for each other."""
    same = alarm.verdict.value == run.truth
    both = alarm.verdict in STANDSTILL and run.truth in {one.value for one in STANDSTILL}
    return (same or both) and alarm.minute >= run.onset


def judge(
    seeds: tuple[int, ...], share: float, drawn: Callable[[int, float], Iterator[Run]] = fleet
) -> dict[str, object]:
    """The figures of some fleets."""
    catalog = Catalog.built_in()
    every = [watched(run, seed, catalog) for seed in seeds for run in drawn(seed, share)]
    healthy = [one for one in every if one.run.truth == "healthy"]
    days = sum(one.run.minutes for one in healthy) / 1440
    wrong = [(one, alarm) for one in every for alarm in one.alarms if not is_right(alarm, one.run)]
    false_healthy = [alarm for one, alarm in wrong if one.run.truth == "healthy"]
    told = [(one, a) for one in every for a in one.alarms if a.verdict in STANDSTILL]
    stands = [one for one in every if one.run.truth in {v.value for v in STANDSTILL}]
    delays: dict[bool, list[float]] = defaultdict(list)
    missed: Counter[str] = Counter()
    for one in stands:
        first = next((a.minute for a in one.alarms if is_right(a, one.run)), NEVER)
        delay = first - one.run.onset
        if delay <= WITHIN[one.run.shows_accelerator]:
            delays[one.run.shows_accelerator].append(delay)
        else:
            missed[one.run.kind] += 1
    by_kind = Counter(one.run.shows_accelerator for one in stands)
    halves = [one for one in every if one.at_half is not None]
    right_half = sum(
        (one.at_half is WatchVerdict.WILL_TIME_OUT) == (one.run.truth == "will_time_out")
        for one in halves
    )
    looks = sum(one.looks for one in every)
    others = {
        verdict.value: {
            "told": sum(
                any(a.verdict is verdict and is_right(a, one.run) for a in one.alarms)
                for one in every
            ),
            "of": sum(one.run.truth == verdict.value for one in every),
            "wrong": sum(a.verdict is verdict for _, a in wrong),
        }
        for verdict in WatchVerdict
        if verdict not in STANDSTILL | NOTHING_WRONG
    }
    return {
        "jobs": len(every),
        "healthy_job_days": round(days, 1),
        "false_alarms_on_healthy": len(false_healthy),
        "false_alarms_per_100_healthy_job_days": round(100 * len(false_healthy) / days, 2),
        "standstill_precision": round(
            sum(is_right(a, one.run) for one, a in told) / max(1, len(told)), 4
        ),
        "standstill_alarms": len(told),
        "recall_with_accelerator_within_45_min": round(
            len(delays[True]) / max(1, by_kind[True]), 4
        ),
        "recall_without_within_80_min": round(len(delays[False]) / max(1, by_kind[False]), 4),
        "median_delay_min": {
            "with_accelerator": _median(delays[True]),
            "without": _median(delays[False]),
        },
        "missed": dict(missed.most_common()),
        "false_by_scene": dict(
            Counter(f"{o.run.kind}: {a.verdict.value}" for o, a in wrong).most_common()
        ),
        "direction_at_half": round(right_half / max(1, len(halves)), 4),
        "directions": len(halves),
        "other_verdicts": others,
        "unknown_share_of_looks": round(sum(one.unknown for one in every) / looks, 4),
        "cpu_ms_per_look": round(1000 * sum(one.seconds for one in every) / looks, 2),
    }


def judge_recorded() -> dict[str, object]:
    """The figures of the recorded programs."""
    catalog = Catalog.built_in()
    every = [watched(run, 0, catalog) for run in recordings()]
    still = [one for one in every if one.run.truth == "stalled"]
    slow = [one for one in every if one.run.truth == "healthy"]
    found = {
        one.run.kind: next(
            (a.minute - one.run.onset for a in one.alarms if is_right(a, one.run)), None
        )
        for one in still
    }
    return {
        "stand_still": len(still),
        "told": sum(value is not None for value in found.values()),
        "missed": sorted(name for name, value in found.items() if value is None),
        "median_delay_min": _median([value for value in found.values() if value is not None]),
        "only_slow": len(slow),
        "false_alarms": {one.run.kind: one.alarms[0].verdict.value for one in slow if one.alarms},
    }


def _median(values: list[float]) -> float | None:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None


AIMS = {
    "standstill_precision": (0.99, 1.0),
    "recall_with_accelerator_within_45_min": (0.90, 1.0),
    "direction_at_half": (0.95, 1.0),
    "false_alarms_per_100_healthy_job_days": (0.0, 1.0),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seed", type=int, action="append", help="another fleet (default: held back)"
    )
    parser.add_argument(
        "--tuned", action="store_true", help="the fleets that the rules were tuned on"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of each scene's jobs")
    parser.add_argument(
        "--others", action="store_true", help="jobs on TPUs and tuning jobs (seed 401 unless told)"
    )
    parser.add_argument(
        "--paced", action="store_true", help="only a fleet's jobs that tell how far they are"
    )
    parser.add_argument("--recorded", action="store_true", help="the recorded programs alone")
    args = parser.parse_args()
    if args.recorded:
        print(json.dumps(judge_recorded(), indent=2))
        return 0
    if args.others:
        seeds = tuple(args.seed or (401,))
        print(json.dumps({"seeds": seeds, **judge(seeds, args.share, others)}, indent=2))
        return 0
    if args.paced:
        seeds = tuple(args.seed or HELD_BACK)
        print(json.dumps({"seeds": seeds, **judge(seeds, args.share, paced)}, indent=2))
        return 0
    seeds = tuple(args.seed or (TUNED if args.tuned else HELD_BACK))
    found = judge(seeds, args.share)
    print(json.dumps({"seeds": seeds, **found, "recorded": judge_recorded()}, indent=2))
    missed = [
        key for key, (least, most) in AIMS.items() if not least <= float(str(found[key])) <= most
    ]
    if missed:
        print(f"aims missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
