"""`make chaos`: faults at random over the twin, and what must hold all the while.

    python -m bench.chaos [--seconds 60] [--seed N] [--episodes N] [--firestore] [--hole N] [--story]

An episode is a project of its own, drawn from its seed: some forty actions (failures, faults of any
service, deletions, late lists, days that pass, damaged documents) and then days of rounds in which
everything comes to rest. The twin's time is moved; nothing sleeps, but for a call that hangs until
its caller gives up. After the time is over the counts are printed: by action, by API and fault, by
invariant. A seed that breaks one is printed with how to draw it again. Exit 1 then.

`--hole`: with one of the holes of `holes.py` put back, to see whether this finds it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import stamina  # noqa: E402  # the checkout is found above

from bench import emulators  # noqa: E402
from bench.chaos import holes  # noqa: E402
from bench.chaos.checks import INVARIANTS, Checks  # noqa: E402
from bench.chaos.world import World  # noqa: E402

ACTIONS = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of drawing (default 60)")
    parser.add_argument("--seed", type=int, help="of the first episode (default: drawn)")
    parser.add_argument("--episodes", type=int, help="at most so many")
    parser.add_argument("--actions", type=int, default=ACTIONS, help=f"each (default {ACTIONS})")
    parser.add_argument("--firestore", action="store_true", help="the ledger on Google's emulator")
    parser.add_argument("--hole", type=int, choices=sorted(holes.HOLES), help="put back")
    parser.add_argument("--story", action="store_true", help="tell what happened in each episode")
    args = parser.parse_args()
    first = args.seed if args.seed is not None else random.SystemRandom().randrange(10**6)
    if args.hole:
        holes.put_back(args.hole)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=20, cap=True))
        if args.firestore:
            at = stack.enter_context(emulators.firestore())
            if not at:
                print("the emulator of Firestore needs gcloud and Java: SKIPPED")
                return 0
            os.environ["FIRESTORE_EMULATOR_HOST"] = at
        return _draw(args, first)


def _draw(args: argparse.Namespace, first: int) -> int:
    began = time.monotonic()
    actions: Counter[str] = Counter()
    faults: Counter[tuple[str, str]] = Counter()
    asked: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    failures = jobs = rounds = events = episodes = 0
    running: Counter[str] = Counter()
    while time.monotonic() - began < args.seconds:
        if args.episodes is not None and episodes >= args.episodes:
            break
        seed = first + episodes
        episodes += 1
        world, checks = episode(seed, args.actions, firestore=args.firestore)
        actions += world.actions
        faults += world.counts
        asked += checks.asked
        broken += Counter(name for name, _ in checks.broken)
        failures += len(world.failures)
        jobs += len(world.made)
        running += world.running_counts()
        rounds += sum(what == "round" for what, _ in world.answers)
        events += sum(what != "round" for what, _ in world.answers)
        if args.story:
            print("\n".join(world.story))
        if checks.broken:
            after = time.monotonic() - began
            print(f"seed {seed} broke, after {after:.0f} s (episode {episodes}):")
            for name, words in checks.broken[:12]:
                print(f"  {name}: {words}")
            extra = f" --hole {args.hole}" if args.hole else ""
            print(f"  again: python -m bench.chaos --seed {seed} --episodes 1 --story{extra}")
            sys.stdout.flush()
            if args.hole:
                break
    seconds = time.monotonic() - began
    print(
        f"{seconds:.0f} s, seeds {first} to {first + episodes - 1}: {episodes} episodes, "
        f"{failures} failures, {events} events, {rounds} rounds, {jobs} jobs made"
    )
    print(
        f"running jobs: {running['works']} that work, {running['hangs']} that stand still, of which "
        f"{running['told']} told, {running['ended']} ended by us, {running['again']} submitted again"
    )
    print("actions: " + ", ".join(f"{name} {many}" for name, many in sorted(actions.items())))
    print("faults met, by API:")
    for api in sorted({api for api, _ in faults}):
        ways = ", ".join(f"{way} {n}" for (one, way), n in sorted(faults.items()) if one == api)
        print(f"  {api}: {ways}")
    print("invariants, how often asked and in how many places broken:")
    for name in INVARIANTS:
        print(f"  {name}: {asked[name]}, {broken[name]}")
    return int(bool(broken))


def episode(seed: int, actions: int, *, firestore: bool = False) -> tuple[World, Checks]:
    """One project from its seed to its rest."""
    ledger = f"firestore://(default)/chaos-{seed}-{os.getpid()}" if firestore else ""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        world = World(seed, Path(folder), ledger=ledger)
        checks = Checks(world)
        try:
            with contextlib.redirect_stderr(world.log):
                world.watch = checks.throughout
                for _ in range(actions):
                    world.act()
                world.settle_down()
                checks.at_the_end()
        finally:
            world.close()
    return world, checks


if __name__ == "__main__":
    sys.exit(main())
