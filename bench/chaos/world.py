"""A project of two teams in the twin, the product beside it in this process, and what may happen.

Owns the actions of an episode: failures, faults, deletions, late lists, jumps of time, damage in the
ledger. Time is the twin's: it stands still but for `advance`, and the product reads it. `checks`
says what must hold; nothing here judges. The twin's own lives are not used: a made job ends as its
root and number draw it, whatever thread made it. Longer than most files, since each thing that may
happen is a verb of the one world that it happens to.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from bench.chaos.drawn import APIS, BACKEND, OUT_OF_MEMORY, Rules, faults_of
from bench.chaos.running import RunningJob, add_running
from remediator import settings
from remediator.app import App
from remediator.catalog.catalog import Catalog
from remediator.cli import project_asks
from remediator.domain import RemediatorError
from remediator.handlers import Handlers, HttpAnswer
from remediator.ledger import Ledger
from remediator.policy import load
from twin import faults
from twin.clock import rfc3339
from twin.cloud import Cloud
from twin.kinds import KINDS
from twin.physics import Needs

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FOREVER = float("inf")
TEAMS = ("vision", "speech")
STEMS = ("reads", "scores")
HANG_SECONDS = 16.0  # of the world, for a round that meets a hanging call: half is the delivery's
_LONGEST_QUIET = 25 * 3600.0  # of the twin, without a round while everything comes to rest
PATIENT_SECONDS = 300.0  # of the world; a busy machine is no fault


@dataclass
class Failure:
    """A job of a team's that failed, or will, as the world knows it."""

    name: str
    label: str
    team: str
    entry: Mapping[str, Any]
    pipeline: bool = False
    over: bool = True
    deleted: bool = False

    @property
    def ident(self) -> str:
        return self.name.rpartition("/")[2]


@dataclass
class Pending:
    """An event that the product has not yet taken."""

    entry: Mapping[str, Any]
    published: str


@dataclass
class Seen:
    """What the product asked of Vertex in all: each claim's first create, and when."""

    claims: dict[str, datetime] = field(default_factory=dict)
    teams: dict[str, str] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)


class World:
    """One episode: `act` does one thing at random, `settle_down` lets everything come to its end."""

    def __init__(self, seed: int, folder: Path, *, ledger: str = "") -> None:
        self.seed = seed
        self.draw = random.Random(seed)
        self.rules = Rules.drawn(self.draw)
        self.cloud = Cloud(frozen=True, start=START, seed=seed)
        self.cloud.jobs.default_needs = Needs(never_placed_on=("displayName",))  # lives are ours
        self.cloud.logs.listeners.append(self._hear_announcement)
        self.log = io.StringIO()
        self.failures: list[Failure] = []
        self.running: list[RunningJob] = []
        self.pending: list[Pending] = []
        self.events: list[Pending] = []
        self.made: dict[str, dict[str, Any]] = {}
        self.deleted_attempts: set[str] = set()
        self.damaged: set[str] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.actions: Counter[str] = Counter()
        self.seen = Seen()
        self.answers: list[tuple[str, HttpAnswer]] = []
        self.hung_rounds: list[tuple[int, int]] = []
        self.well = True  # the last thing that happened was met by no fault
        self.story: list[str] = []
        self.file = folder / "ledger.sqlite3"
        self.on_sqlite = not ledger
        where = ledger or f"sqlite:///{self.file}"
        environment = self.cloud.env(
            REMEDIATOR_POLICIES=str(folder / "policies.yaml"),
            REMEDIATOR_LEDGER=where,
            REMEDIATOR_LOOKBACK=self.draw.choice(("6h", "48h")),
        )
        if "pager" in self.rules.services:  # its address is its own: it goes through the proxy
            environment |= self.cloud.web_proxy_env()
        self._environment_before = dict(os.environ)
        os.environ.update(environment)  # Google's clients read where the emulators are
        self.catalog = Catalog.built_in()
        text = self.rules.text()
        policies = load(text, "policies.yaml", catalog=self.catalog).policies
        assert policies is not None
        self._folder = folder

        def product(seconds: float) -> App:
            return App(
                settings.read(environment, here=ROOT),
                environ=environment,
                policies=policies,
                text=text.encode(),
                now=self.cloud.clock.now,
                event_seconds=seconds,
            )

        self.apps = (product(PATIENT_SECONDS), product(PATIENT_SECONDS))
        self.hurried = product(HANG_SECONDS)
        self.ledger: Ledger = self.apps[0].ledger
        self.watch: Callable[[], None] = lambda: None
        self._events = 0
        self._ends: list[datetime] = []

    def close(self) -> None:
        self.cloud.close()
        os.environ.clear()
        os.environ.update(self._environment_before)

    @property
    def now(self) -> datetime:
        return self.cloud.clock.now()

    def say(self, words: str) -> None:
        self.story.append(f"{self.now:%d %H:%M:%S} {words}")

    # --- one thing at random -------------------------------------------------------------------

    def act(self) -> None:
        """One action, with the faults that it meets."""
        self.cloud.jobs.list_lateness = self.draw.choice((0.0, 0.0, 5.0, 60.0, 119.0))
        names = tuple(_WEIGHTS)
        name = self.draw.choices(names, tuple(_WEIGHTS.values()))[0]
        self.actions[name.replace("_", " ")] += 1
        getattr(self, name)()
        self.absorb()
        self.watch()

    def a_job_fails(self) -> None:
        failure = self._add(self.draw.choice(TEAMS))
        if self.draw.random() < 0.7:
            with self._faults(self.draw.choice((0, 0, 1, 2))):
                self._announce(failure)

    def a_run_fails_under_an_id_used_before(self) -> None:
        old = next((one for one in self.failures if one.pipeline and not one.deleted), None)
        if old is not None:
            self._delete(old)
            self.advance(self.draw.uniform(60, 7200))
        failure = self._add_run(old.ident if old else f"nightly-{len(self.failures)}")
        if self.draw.random() < 0.5:
            self._announce(failure)

    def a_job_runs_on_and_is_told_of(self) -> None:
        """An entry about a job that has not ended; it fails hours or days later, and nobody says so."""
        failure = self._add(self.draw.choice(TEAMS), running=True)
        self._announce(failure)
        hours = self.draw.choice((0.2, 3, 30, 80))
        self._ends.append(self.now + timedelta(hours=hours))
        self.cloud.clock.at(self._ends[-1], lambda: self._fail_now(failure))

    def a_job_is_watched(self) -> None:
        """It has stood still for long, or it works on; it ends by itself where nobody ends it."""
        job = add_running(
            self.cloud,
            self.draw,
            number=len(self.running),
            team=self.draw.choice(TEAMS),
            hangs=self.draw.random() < 0.7,
        )
        self.running.append(job)
        self.say(f"{job.team}'s {job.label} {'stands still' if job.hangs else 'works'}")
        self._ends.append(job.until)
        self.cloud.clock.at(job.until, lambda: self._succeed(job))

    def a_standstill_is_looked_at(self) -> None:
        """Rounds as often as they come live, some under faults."""
        for _ in range(4):
            self.advance(130)
            with self._faults(self.draw.choice((0, 0, 1, 2))):
                self.reconcile()

    def two_rounds_at_once(self) -> None:
        with self._faults(self.draw.choice((0, 1))):
            rounds = [
                threading.Thread(
                    target=lambda app=app: self.answer("round", Handlers(app).on_schedule())
                )
                for app in self.apps
            ]
            for one in rounds:
                one.start()
            for one in rounds:
                one.join()

    def several_hands_take_one_event(self) -> None:
        failure = self._add(self.draw.choice(TEAMS))
        with self._faults(self.draw.choice((0, 1))):
            services = [
                threading.Thread(target=self._announce, args=(failure, app)) for app in self.apps
            ]
            for hand in services:
                hand.start()
            for hand in services:
                hand.join()
        self.pending.sort(key=lambda one: (one.published, str(one.entry["insertId"])))

    def an_event_comes_again(self) -> None:
        """What was not taken comes again after five seconds; now and then also what was."""
        self.advance(5)
        wanted = self.pending or self.events
        if not wanted:
            return
        event = self.draw.choice(wanted)
        if event in self.pending:
            self.pending.remove(event)
        with self._faults(self.draw.choice((0, 0, 1))):
            self.deliver(event)

    def a_create_goes_wrong(self) -> None:
        """Throttled or unanswered; then, half of the time, its owner deletes the failed job."""
        way = self.draw.choice(("answer lost", "throttled", "throttled for an hour", "UNAVAILABLE"))
        failure = self._add(self.draw.choice(TEAMS))
        self.cloud.jobs.list_lateness = self.draw.choice((0.0, 60.0, 119.0))
        with self._planned("Vertex create", way, FOREVER):
            self._announce(failure)
        if self.draw.random() < 0.5:
            self._delete(failure)
        self.advance(self.draw.choice((5, 65, 130, 700)))

    def an_owner_deletes_a_job(self) -> None:
        over = [one for one in self.failures if one.over and not one.deleted]
        attempts = [
            name
            for name, body in self._attempts().items()
            if self._state(body) in {"FAILED", "SUCCEEDED", "CANCELLED"}
        ]
        if over and self.draw.random() < 0.6:
            self._delete(self.draw.choice(over))
        elif attempts:
            name = self.draw.choice(sorted(attempts))
            self.say(f"the owner deletes the attempt {name.rpartition('/')[2]}")
            self.made[name] = self._attempts()[name]
            self.cloud.jobs.delete(KINDS["customJobs"], name)
            self.deleted_attempts.add(name)

    def time_passes(self) -> None:
        self.advance(self.draw.choice((5, 30, 70, 130, 400, 700, 1900)))

    def hours_pass(self) -> None:
        """With rounds as they come, if rarely."""
        for _ in range(self.draw.choice((2, 6))):
            self.advance(self.draw.uniform(600, 5400))
            self.reconcile()

    def days_pass(self) -> None:
        """In which nobody calls."""
        self.advance(self.draw.uniform(1, 4) * 86400)

    def a_round(self) -> None:
        self.reconcile()

    def a_round_meets_faults(self) -> None:
        with self._faults(self.draw.choice((1, 2, 3))):
            self.reconcile()

    def a_round_meets_a_hanging_call(self) -> None:
        """An alert waits in the outbox, which a moment ago Slack would not take."""
        if self.actions["a round meets a hanging call"] > 1:  # it takes seconds of the world
            return
        self.reconcile()
        failure = self._add(self.draw.choice(TEAMS))
        with (
            self._planned("Slack", "UNAVAILABLE", FOREVER),
            self._planned("SMTP", "UNAVAILABLE", FOREVER),
        ):
            self._announce(failure)
        self.advance(self.draw.choice((700, 1500)))
        before = len(self._debts_due())
        for method in ("*.Get*Job", "*.List*Jobs"):
            self.cloud.fail(method, faults.hang(), times=FOREVER)
        self.well = False
        self.counts["Vertex get and list", "hang"] += 1
        self.answer("round", Handlers(self.hurried).on_schedule())
        self.cloud.desk.faults.clear()
        self.hung_rounds.append((before, len(self._debts_due())))

    def a_document_is_damaged(self) -> None:
        """One that is due later and holds no claim: what it told of is gone for good."""
        if not self.on_sqlite:
            return
        open_ones = [
            one
            for one in self.ledger.incidents()
            if one.stage.value in {"unsettled", "waiting", "announced", "followed"}
            and not one.attempt
            and not self._claimed(one.root or one.key)
        ]
        if not open_ones:
            return
        found = self.draw.choice(sorted(open_ones, key=lambda one: one.key))
        self.say(f"the document of {found.display_name} is damaged")
        self.damaged.add(found.job)
        key = found.key
        with contextlib.closing(sqlite3.connect(self.file)) as database, database:
            rows = database.execute(
                "SELECT key FROM documents WHERE collection = 'incidents' AND body LIKE ?",
                (f'%"{key}"%',),
            ).fetchall()
            for (row,) in rows[:1]:
                database.execute(
                    "UPDATE documents SET body = '{\"stage\": [' "
                    "WHERE collection = 'incidents' AND key = ?",
                    (row,),
                )

    def a_person_answers(self) -> None:
        for one in self.ledger.incidents():
            if one.stage.value == "approval" and one.approval and not one.approval.answer:
                yes = self.draw.random() < 0.8
                self.say(f"{'yes' if yes else 'no'} to {one.display_name}")
                with contextlib.suppress(RemediatorError):
                    project_asks.answer(self.apps[0], one.approval.id, approved=yes)

    def _claimed(self, root: str) -> bool:
        chain = self.ledger.chain(root)
        return chain is not None and chain.claim is not None

    # --- its parts -----------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Time goes on; what happened until now is looked at first."""
        self.absorb()
        self.watch()
        self.cloud.clock.advance(seconds)

    def reconcile(self) -> None:
        app = self.draw.choice(self.apps)
        self.answer("round", Handlers(app).on_schedule())

    def answer(self, what: str, given: HttpAnswer) -> int:
        self.answers.append((what, given))
        self.say(f"{what}: {given.status} {given.text[:150]}")
        return given.status

    def deliver(self, event: Pending, app: App | None = None) -> None:
        attributes = {
            "id": uuid.uuid4().hex,
            "source": "//pubsub.googleapis.com/projects/genomics-lab/topics/failures",
            "type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        data = {
            "message": {
                "data": base64.b64encode(json.dumps(event.entry).encode()).decode(),
                "messageId": uuid.uuid4().hex,
                "publishTime": event.published,
            },
            "subscription": "projects/genomics-lab/subscriptions/failures",
        }
        given = Handlers(app or self.apps[self._events % 2]).on_event(attributes, data)
        self._events += 1
        if self.answer(f"event {event.entry.get('insertId')}", given) >= 500:
            self.pending.append(event)

    def _announce(self, failure: Failure, app: App | None = None) -> None:
        event = Pending(failure.entry, rfc3339(self.now))
        self.events.append(event)
        self.deliver(event, app)

    def _hear_announcement(self, entry: Mapping[str, Any]) -> None:
        if not str(entry.get("logName", "")).endswith("vertex-remediator-job-failures"):
            return
        if int(str(entry["insertId"])[3:7], 16) % 5:  # one of five is lost on its way
            self.pending.append(Pending(entry, rfc3339(self.now)))

    def _add(self, team: str, *, running: bool = False) -> Failure:
        number = len(self.failures)
        stem = self.draw.choice(STEMS)
        label = f"{stem}-{number:04d}"
        began = self.now - timedelta(seconds=self.draw.choice((200, 900, 9000)))
        ident = str(self.draw.randrange(10**18, 9 * 10**18))
        error = self.draw.choice((OUT_OF_MEMORY, OUT_OF_MEMORY, BACKEND))
        body: dict[str, Any] = {
            "name": self.cloud.name("customJobs", ident),
            "displayName": label,
            "createTime": rfc3339(began),
            "startTime": rfc3339(began),
            "state": "JOB_STATE_RUNNING",
            "jobSpec": {
                "serviceAccount": f"{team}@genomics-lab.iam.gserviceaccount.com",
                "workerPoolSpecs": [
                    {
                        "machineSpec": {"machineType": "n1-standard-8"},
                        "replicaCount": "1",
                        "containerSpec": {
                            "imageUri": f"us-docker.pkg.dev/lab/{team}:3",
                            "args": [f"--run={number}"],
                        },
                    }
                ],
            },
        }
        if not running:
            body |= _ended("FAILED", self.now, error)
        made = self.cloud.add_job(body)
        failure = Failure(
            name=str(made["name"]),
            label=label,
            team=team,
            over=not running,
            entry={
                "logName": f"projects/{self.cloud.project}/logs/ml.googleapis.com%2F{ident}",
                "resource": {
                    "type": "ml_job",
                    "labels": {
                        "job_id": ident,
                        "task_name": "service",
                        "project_id": self.cloud.project,
                    },
                },
                "severity": "ERROR",
                "timestamp": rfc3339(self.now),
                "insertId": f"line-{label}",
                "textPayload": "Job failed.",
            },
        )
        self.failures.append(failure)
        self.say(f"{team}'s {label} {'runs' if running else f'failed ({error[0]})'}")
        return failure

    def _add_run(self, ident: str) -> Failure:
        number = len(self.failures)
        label = f"nightly-{number:04d}"
        began = self.now - timedelta(minutes=5)
        made = self.cloud.add_job(
            {
                "name": self.cloud.name("pipelineJobs", ident),
                "displayName": label,
                "state": "PIPELINE_STATE_FAILED",
                "createTime": rfc3339(began),
                "startTime": rfc3339(began),
                "endTime": rfc3339(self.now),
                "error": {"code": 9, "message": "The DAG failed because some tasks failed."},
                "pipelineSpec": {"pipelineInfo": {"name": "nightly"}},
            }
        )
        failure = Failure(
            name=str(made["name"]),
            label=label,
            team=TEAMS[0],
            pipeline=True,
            entry={
                "logName": f"projects/{self.cloud.project}/logs/"
                "aiplatform.googleapis.com%2Fpipeline_job_events",
                "timestamp": rfc3339(self.now),
                "insertId": f"run-{label}",
                "jsonPayload": {"state": "PIPELINE_STATE_FAILED", "pipelineName": made["name"]},
            },
        )
        self.failures.append(failure)
        self.say(f"the run {ident} failed as {label}")
        return failure

    def _fail_now(self, failure: Failure) -> None:
        self.cloud.jobs.change(failure.name, **_ended("FAILED", self.now, OUT_OF_MEMORY))
        failure.over = True
        self.say(f"{failure.label} failed at last")

    def _succeed(self, job: RunningJob) -> None:
        if self._state(self.cloud.jobs.get(KINDS["customJobs"], job.name).body) == "RUNNING":
            ended = {"state": "JOB_STATE_SUCCEEDED", "endTime": rfc3339(self.now)}
            self.cloud.jobs.change(job.name, **ended)
            self.say(f"{job.label} succeeded")

    def running_counts(self) -> Counter[str]:
        """How many watched jobs work or stand still, and of those how many were told, ended, and made again."""
        counts: Counter[str] = Counter()
        roots = {str(body["labels"]["remediator-root"]) for body in self.made.values()}
        said = "\n".join(self.texts())
        for job in self.running:
            counts["hangs" if job.hangs else "works"] += 1
            counts["told"] += job.label in said
            counts["ended"] += self.state_of(job) == "CANCELLED"
            counts["again"] += job.name.rpartition("/")[2] in roots
        return counts

    def state_of(self, job: RunningJob) -> str:
        """The state that Vertex shows of a watched job."""
        return self._state(self.cloud.jobs.get(KINDS["customJobs"], job.name).body)

    def _delete(self, failure: Failure) -> None:
        if failure.over and not failure.deleted:
            self.say(f"the owner deletes {failure.label}")
            self.cloud.jobs.delete(KINDS[failure.name.split("/")[4]], failure.name)
            failure.deleted = True

    @contextlib.contextmanager
    def _planned(self, api: str, way: str, times: float) -> Iterator[None]:
        self.well = False
        fault = faults_of(api)[way]
        before = len(self.cloud.desk.journal.calls(APIS[api]))
        self.say(f"{api}: {way}, {times:g} times")
        self.cloud.fail(APIS[api], fault, times=times)
        try:
            yield
        finally:
            self.cloud.desk.faults.clear()
            outcome = fault.status or ("DROPPED" if fault.drop else "HANG")
            met = self.cloud.desk.journal.calls(APIS[api])[before:]
            hit = sum(call.outcome in {outcome, "HANG"} for call in met)
            self.counts[api, way] += hit

    @contextlib.contextmanager
    def _faults(self, many: int) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for _ in range(many):
                api = self.draw.choice(tuple(APIS))
                way = self.draw.choice(tuple(faults_of(api)))
                times = self.draw.choice((1, 2, FOREVER))
                stack.enter_context(self._planned(api, way, times))
            yield

    # --- what came of it -----------------------------------------------------------------------

    def absorb(self) -> None:
        """Take note of creates, and give each new attempt its life."""
        self.cloud.desk.faults.clear()
        for call in self.cloud.calls(APIS["Vertex create"]):
            job = call.request.get("customJob") or {}
            labels = job.get("labels") or {}
            token = labels.get("remediator-claim", "")
            self.seen.roots[token] = labels.get("remediator-root", "")
            self.seen.claims.setdefault(token, self.now)
            account = str((job.get("jobSpec") or {}).get("serviceAccount", ""))
            self.seen.teams[token] = account.partition("@")[0]
        self.cloud.desk.journal.clear()
        for name, body in self._attempts().items():
            if name not in self.made:
                self._live(name, body)
            self.made[name] = body

    def _attempts(self) -> dict[str, dict[str, Any]]:
        """Jobs of ours that exist, by name."""
        return {
            str(body["name"]): body
            for body in self.cloud.jobs.all("customJobs")
            if "remediator-claim" in (body.get("labels") or {})
        }

    def _live(self, name: str, body: Mapping[str, Any]) -> None:
        """Draw the job's life from its name in words, so that it does not hang on threads."""
        draw = random.Random(f"{self.seed} {body['displayName']}")
        job = self.cloud.jobs.get(KINDS["customJobs"], name)
        fate = draw.random()
        root = random.Random(f"{self.seed} {str(body['displayName']).partition(' ')[0]}")
        if fate < (0.8 if root.random() < 0.2 else 0.08):  # of some, machines are scarce
            self.say(f"{body['displayName']} gets no machine")
            return
        at = self.now + timedelta(seconds=draw.uniform(20, 600))
        self.cloud.clock.at(at, lambda: self.cloud.jobs.start(job, at))
        hours = draw.uniform(0.03, 0.8) if fate < 0.75 else draw.uniform(15, 110)
        end = at + timedelta(hours=hours)
        self._ends.append(end)
        state, error = ("FAILED", draw.choice((OUT_OF_MEMORY, BACKEND)))
        if draw.random() < 0.45:
            state, error = "SUCCEEDED", None
        self.say(f"{body['displayName']} will be {state} after {hours:.1f} h")
        self.cloud.clock.at(
            end,
            lambda: self.cloud.jobs.end(job, state, end, error=error, schedule=self.cloud.clock),
        )

    @staticmethod
    def _state(body: Mapping[str, Any]) -> str:
        return str(body["state"]).rpartition("STATE_")[2]

    def _debts_due(self) -> list[Any]:
        """What is in the outbox to people now, but for channels that asked to be left alone."""
        found = []
        for outbox_message in self.ledger.messages_due(self.now, 500):
            until = (self.ledger.note(f"pause:{outbox_message.channel}") or {}).get("until", "")
            if not str(until) > rfc3339(self.now):
                found.append(outbox_message)
        return found

    def texts(self) -> list[str]:
        """What people were told in Slack, message by message."""
        return [json.dumps(one.body, ensure_ascii=False) for one in self.cloud.slack.messages]

    def services(self) -> dict[str, list[str]]:
        """What the other channels of the episode were told, message by message."""
        given = self.cloud.services
        posts = {
            "teams": given.teams.cards,
            "chat": given.chat.messages,
            "hook": [body.decode() for _, body in given.webhook.posts],
            "pager": given.pagerduty.events,
        }
        return {
            name: [
                one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
                for one in found
            ]
            for name, found in posts.items()
            if name in self.rules.services
        }

    def mails(self) -> list[str]:
        """What people were told by mail."""
        return ["\n".join(_parts(message)) for message in list(self.cloud.mail.messages)]

    # --- the end -------------------------------------------------------------------------------

    def settle_down(self) -> None:
        """No more faults: what waits is delivered, what runs ends, rounds are called for days."""
        self.cloud.desk.faults.clear()
        self.cloud.jobs.list_lateness = 0.0
        for number in range(60):
            waiting, self.pending = self.pending, []
            for event in waiting:
                self.deliver(event)
            self.reconcile()
            self.absorb()
            if self.is_quiet():
                return
            self.advance(700 if number % 3 else max(4 * 3600.0, self._until_a_job_ends()))

    def _until_a_job_ends(self) -> float:
        """Seconds until the next life is over and a little more, or until one more look at it."""
        self._ends = [moment for moment in self._ends if moment > self.now]
        ahead = (min(self._ends, default=self.now) - self.now).total_seconds() + 300
        return min(ahead, _LONGEST_QUIET)

    def is_quiet(self) -> bool:
        later = self.now + timedelta(days=10)
        running = any(self._state(body) not in _OVER for body in self.cloud.jobs.all())
        return (
            not self.pending
            and not running
            and not self.ledger.due(later, 1)
            and not self.ledger.messages_due(later, 1)
        )


_OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"})
_WEIGHTS: Mapping[str, float] = {
    "a_job_fails": 6,
    "a_run_fails_under_an_id_used_before": 1.5,
    "a_job_runs_on_and_is_told_of": 1.5,
    "a_job_is_watched": 2.5,
    "a_standstill_is_looked_at": 2,
    "two_rounds_at_once": 1,
    "several_hands_take_one_event": 1,
    "an_event_comes_again": 5,
    "a_create_goes_wrong": 3,
    "an_owner_deletes_a_job": 1,
    "time_passes": 6,
    "hours_pass": 2,
    "days_pass": 1,
    "a_round": 4,
    "a_round_meets_faults": 3,
    "a_round_meets_a_hanging_call": 0.5,
    "a_document_is_damaged": 0.7,
    "a_person_answers": 2,
}


def _parts(message: EmailMessage) -> Iterator[str]:
    yield str(message["subject"])
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            yield str(part.get_content())


def _ended(state: str, at: datetime, error: tuple[int, str]) -> dict[str, Any]:
    return {
        "state": f"JOB_STATE_{state}",
        "endTime": rfc3339(at),
        "error": {"code": error[0], "message": error[1]},
    }
