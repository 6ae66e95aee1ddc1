"""What must hold whatever happens: each invariant by its name, and what breaks it in words.

Judges by what the twin saw and what people were told; the ledger is asked for what no other knows
(an approval's price, why a failure was refused). `throughout` is asked after each action, `at_the_end`
once everything has come to rest.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from bench.chaos.drawn import RESUBMITS
from bench.chaos.running import STEM
from bench.chaos.world import TEAMS, World
from remediator.job import Job
from remediator.ledger import Incident, Stage
from remediator.planning import costs

ONE_JOB = "at most one job of a failure"
TOLD = "nobody untold"
CAPS = "no cap passed"
OWN = "each team has its own caps, breakers and sizes"
NO_FAULT = "no unhandled exception"
CONCLUDED = "every incident concluded"
WATCHED = "every job of ours recorded"
YES = "a yes holds for what was shown, by somebody with a name"
IN_TIME = "a hanging call holds up no alert"
STILL = "only a job that stands still is ended, where that is asked, and it is told"
INVARIANTS = (ONE_JOB, TOLD, CAPS, OWN, NO_FAULT, CONCLUDED, WATCHED, YES, IN_TIME, STILL)

_FAULT_WORDS = ("unhandled exception", "a fault while", "unhandled", "Traceback")


@dataclass
class Checks:
    """What was looked at, how often, and what did not hold: (invariant, words)."""

    world: World
    broken: list[tuple[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    _refused: set[str] = field(default_factory=set)
    _recorded: set[str] = field(default_factory=set)
    _worked: dict[str, set[str]] = field(default_factory=lambda: {team: set() for team in TEAMS})
    _spent: dict[date, float] = field(default_factory=dict)
    _claims: set[str] = field(default_factory=set)
    _rounds: int = 0

    def throughout(self) -> None:
        self._hold(ONE_JOB, self._twins())
        self._hold(NO_FAULT, self._faults())
        self._hold(CAPS, self._caps())
        self._hold(OWN, self._own())
        self._hold(YES, self._approved())
        self._hold(IN_TIME, self._held_up())
        self._hold(STILL, self._ended_without_reason())

    def at_the_end(self) -> None:
        self.throughout()
        self._hold(CONCLUDED, self._open())
        self._hold(WATCHED, self._unrecorded())
        self._hold(TOLD, self._untold())
        self._hold(CAPS, self._overruns())
        self._hold(STILL, self._standing_untold())

    def _hold(self, name: str, broken: Iterator[str]) -> None:
        self.asked[name] += 1
        for words in broken:
            if (name, words) not in self.broken:
                self.broken.append((name, words))

    # --- after each action -----------------------------------------------------------------------

    def _twins(self) -> Iterator[str]:
        by: dict[tuple[str, str], set[str]] = defaultdict(set)
        tokens: dict[str, set[str]] = defaultdict(set)
        for name, body in self.world.made.items():
            labels = body["labels"]
            by[labels["remediator-root"], labels["remediator-attempt"]].add(name)
            tokens[labels["remediator-claim"]].add(name)
        for (root, number), names in by.items():
            if len(names) > 1:
                yield f"{len(names)} jobs are attempt {number} of {root}"
        for token, names in tokens.items():
            if len(names) > 1:
                yield f"{len(names)} jobs under the claim {token}"

    def _faults(self) -> Iterator[str]:
        for what, answer in self.world.answers:
            is_round = what == "round"
            bad = answer.status >= 500 and answer.status != 503
            if bad or (is_round and answer.status == 200 and not answer.text.startswith("{")):
                yield f"{what} was answered {answer.status} {answer.text[:100]}"
        for line in self.world.log.getvalue().splitlines():
            if any(word in line for word in _FAULT_WORDS):
                yield line[:400]
        self.world.log.seek(0)
        self.world.log.truncate()

    def _caps(self) -> Iterator[str]:
        rules, seen = self.world.rules, self.world.seen
        # A claim that was withdrawn gave its place back: what was made of the others counts.
        made = {str(one["labels"]["remediator-claim"]) for one in self.world.made.values()}
        for team in TEAMS:
            times = sorted(seen.claims[token] for token in made if seen.teams[token] == team)
            for first, last in zip(times, times[rules.an_hour :], strict=False):
                if last - first < timedelta(hours=1):
                    yield f"{team} had more than {rules.an_hour} resubmissions in an hour at {last}"
        for root in {body["labels"]["remediator-root"] for body in self.world.made.values()}:
            jobs = [b for b in self.world.made.values() if b["labels"]["remediator-root"] == root]
            if len(jobs) > 3 + 5:
                yield f"{root} was resubmitted {len(jobs)} times"
        today = self.world.now.date()
        for token in set(seen.claims) - self._claims:
            spent = self._spent.get(today, 0.0)
            if seen.claims[token].date() == today and spent > rules.usd_per_day + 0.01:
                yield f"a claim on {today}, of which {spent:.2f} USD had been spent and counted"
        self._claims = set(seen.claims)
        self._look_at_money()

    def _look_at_money(self) -> None:
        """What had been spent in each day when a round last saw every attempt without a fault."""
        rounds = [answer for what, answer in self.world.answers if what == "round"]
        if len(rounds) == self._rounds:
            return
        self._rounds = len(rounds)
        if rounds[-1].status != 200 or not rounds[-1].text.startswith("{"):
            return
        said = json.loads(rounds[-1].text)
        if said["postponed"] or said["faults"]:
            return
        self._spent = defaultdict(float)
        for name, body in self.world.made.items():
            job = Job.parse(body)
            recorded = self.world.ledger.incident(job.name.key) is not None
            if name in self.world.deleted_attempts or job.start_time is None or not recorded:
                continue
            usd, until = self._cost(job)
            for day, part in costs.usd_by_day(usd, job.start_time, until).items():
                self._spent[day] += part

    def _cost(self, job: Job) -> tuple[float, datetime]:
        if job.end_time is not None:
            return costs.spent_usd(job, self.world.catalog) or 0.0, job.end_time
        now = self.world.now
        return costs.accrued_usd(job, self.world.catalog, now) or 0.0, now

    def _own(self) -> Iterator[str]:
        world = self.world
        by_job = {one.name: one for one in world.failures}
        for incident in world.ledger.incidents():
            if "breaker" in incident.refused_by:
                concluded = incident.conclusion.value in {"alerted", "given_up"}
                if concluded and incident.refused_by == ("breaker",):
                    yield f"{incident.display_name} was concluded, which a breaker refused"
                team = by_job[incident.job].team if incident.job in by_job else ""
                if team and not any(
                    body["state"].endswith(("FAILED", "CANCELLED"))
                    for body in world.made.values()
                    if _team(body) == team
                ):
                    yield f"{incident.display_name} waits for another team's breaker"
            if incident.stage is Stage.DONE and incident.key not in self._refused:
                self._refused.add(incident.key)
                if incident.refused_by == ("rate",):
                    yield from self._wrongly_refused(incident)
        yield from self._sizes()

    def _wrongly_refused(self, incident: Incident) -> Iterator[str]:
        seen, now = self.world.seen, self.world.now
        by_job = {one.name: one.team for one in self.world.failures}
        made = {name: _team(body) for name, body in self.world.made.items()}
        team = by_job.get(incident.job) or made.get(incident.job, "")
        chain = self.world.ledger.chain(incident.root)
        own = {chain.claim.token} if chain and chain.claim else set()
        recent = [
            token
            for token, at in seen.claims.items()
            if seen.teams[token] == team and now - at < timedelta(hours=2) and token not in own
        ]
        of_this = incident.root.rpartition("/")[2]
        others = [t for t in recent if self._root_of(t) != of_this]
        attempts = len(chain.attempts) if chain else 0
        if team and len(others) + attempts < self.world.rules.an_hour:
            yield f"{incident.display_name} was refused its only resubmission by the rate of an hour"

    def _root_of(self, token: str) -> str:
        return self.world.seen.roots.get(token, "")

    def _sizes(self) -> Iterator[str]:
        """A first attempt's size is what the file says, or one that worked for the same team."""
        if not self.world.rules.sized:
            return
        for name, body in self.world.made.items():
            if name in self._recorded:
                continue
            self._recorded.add(name)
            machine = _machine(body)
            first = body["labels"]["remediator-attempt"] == "1"
            by_size = body["labels"].get("remediator-policy") == "out-of-memory"
            if first and by_size and machine not in _COLD | self._worked[_team(body)]:
                yield f"{body['displayName']} of {_team(body)} runs on {machine}, which is nobody's"
        for body in self.world.made.values():
            if body["state"].endswith("SUCCEEDED"):
                self._worked[_team(body)].add(_machine(body))

    def _approved(self) -> Iterator[str]:
        for incident in self.world.ledger.incidents():
            approval = incident.approval
            if approval is None or not approval.answer:
                continue
            if "unknown" in approval.by or approval.by.endswith(", "):
                yield f"{incident.display_name}: answered by {approval.by!r}"
            if incident.conclusion.value != "resubmitted" or approval.answer != "approved":
                continue
            chain = self.world.ledger.chain(incident.root)
            made = [
                one
                for one in (chain.attempts if chain else ())
                if one.policy == incident.policy and one.number == incident.attempt + 1
            ]
            for one in made:
                shown, now = approval.estimated_usd, one.estimated_usd
                if shown is not None and now is not None and now > shown * 1.1 + 0.01:
                    yield f"{incident.display_name}: {shown:.2f} USD were approved, {now:.2f} taken"
                most, long = approval.longest_seconds, one.max_run_seconds
                if most is not None and long is not None and long > most * 1.1 + 1:
                    yield f"{incident.display_name}: {most} s were approved, {long} s taken"

    def _held_up(self) -> Iterator[str]:
        for before, after in self.world.hung_rounds:
            if before and after >= before:
                yield f"{before} alerts were enqueued before a round with a hanging call, {after} after"

    # --- at the end ------------------------------------------------------------------------------

    def _open(self) -> Iterator[str]:
        ledger = self.world.ledger
        for incident in ledger.incidents():
            if incident.stage is not Stage.DONE:
                yield f"{incident.display_name or incident.key} is {incident.stage}"
        for chain in ledger.chains():
            if chain.claim is not None:
                yield f"a claim still stands for {chain.key}"
        for outbox_message in ledger.messages_due(self.world.now + timedelta(days=10), 10):
            yield f"{outbox_message.id} is still undelivered"

    def _unrecorded(self) -> Iterator[str]:
        known = {one.name for chain in self.world.ledger.chains() for one in chain.attempts}
        for name, body in self.world.made.items():
            if name not in known:
                yield f"{body['displayName']} ran and is in no chain"

    def _untold(self) -> Iterator[str]:
        world = self.world
        places = {"Slack": world.texts(), "mail": world.mails(), **world.services()}
        yield from self._untold_failures(places)
        titled = {place: said for place, said in places.items() if place not in _UNTITLED}
        for chain in world.ledger.chains():
            for attempt in chain.attempts:
                body = world.made.get(attempt.name)
                label = str(body["displayName"]).partition(" ")[0] if body else ""
                for place, said in titled.items():
                    if not any(_tells(one, label, attempt.number) for one in said):
                        yield f"attempt {attempt.number} of {label} is not told by {place}"

    def _untold_failures(self, places: Mapping[str, list[str]]) -> Iterator[str]:
        world = self.world
        incidents = {(one.job, one.display_name): one for one in world.ledger.incidents()}
        for failure in world.failures:
            incident = incidents.get((failure.name, failure.label))
            if failure.deleted or not failure.over or failure.name in world.damaged:
                continue
            if incident is not None and incident.conclusion.value == "too_old":
                continue  # counted in a message of its own
            for place, said in places.items():
                if place == "pager" and not _needs_a_person(incident):
                    continue
                if not any(failure.label in one for one in said):
                    why = f"{incident.conclusion} {incident.reason}" if incident else "not known"
                    yield f"{failure.label} is not told by {place} ({why})"

    def _ended_without_reason(self) -> Iterator[str]:
        world = self.world
        for job in world.running:
            if world.state_of(job) not in {"CANCELLING", "CANCELLED"}:
                continue
            if not job.hangs:
                yield f"{job.label} was cancelled, which works"
            if world.rules.watch == "alert":
                yield f"{job.label} was cancelled by an entry that only tells"

    def _standing_untold(self) -> Iterator[str]:
        """Of each job that an entry ended: that it stood still, and what became of it."""
        world = self.world
        said = {"Slack": world.texts(), "mail": world.mails()}
        made = {str(body["labels"]["remediator-root"]) for body in world.made.values()}
        for job in world.running:
            for place, messages in said.items():
                of_it = [one for one in messages if job.label in one]
                if not job.hangs and of_it:
                    yield f"{job.label} works and is told of by {place}"
                if world.state_of(job) == "CANCELLED" and not of_it:
                    yield f"{job.label} was cancelled and is not told by {place}"
            was_filled = job.name.rpartition("/")[2] in made
            if was_filled and world.state_of(job) != "CANCELLED":
                yield f"{job.label} is {world.state_of(job)} and was submitted again"
            if job.name in world.damaged:  # what was to come of it is gone for good
                continue
            gave_up = any(job.label in one and "Given up" in one for one in said["Slack"])
            cancelled = world.state_of(job) == "CANCELLED"
            if cancelled and world.rules.watch == RESUBMITS and not (was_filled or gave_up):
                yield f"{job.label} was cancelled, and nothing came of it"

    def _overruns(self) -> Iterator[str]:
        world, most = self.world, self.world.rules.usd_per_job
        said = "\n".join(world.texts())
        for chain in world.ledger.chains():
            for attempt in chain.attempts:
                body = world.made.get(attempt.name)
                if body is None or attempt.name in world.deleted_attempts:
                    continue
                usd, _ = self._cost(Job.parse(body))
                ident = attempt.name.rpartition("/")[2]
                over = re.search(rf"Over budget[^\n]*{ident}", said)
                if usd > max(most, attempt.estimated_usd or 0.0) * 1.05 and not over:
                    yield f"{body['displayName']} cost {usd:.2f} USD, {most:g} allowed: not told"


_UNTITLED = frozenset({"hook", "pager"})  # an outcome, or an incident, in a form of its own
_COLD = frozenset({"e2-highmem-8"})


def _tells(message: str, label: str, number: int) -> bool:
    """Whether a message says that this attempt was made, alone or in a group of several jobs."""
    if label not in message:
        return False
    words = "Resubmitted" if number == 1 else f"Attempt {number} started"
    return words in message or len(set(_LABEL.findall(message))) > 1


def _needs_a_person(incident: Incident | None) -> bool:
    return incident is None or incident.conclusion.value in {"alerted", "given_up"}


_LABEL = re.compile(rf"\b(?:reads|scores|nightly|{STEM})-\d{{4}}\b")


def _team(body: dict[str, object]) -> str:
    spec = body.get("jobSpec")
    assert isinstance(spec, dict)
    return str(spec["serviceAccount"]).partition("@")[0]


def _machine(body: dict[str, object]) -> str:
    spec = body.get("jobSpec")
    assert isinstance(spec, dict)
    return str(spec["workerPoolSpecs"][0]["machineSpec"]["machineType"])
